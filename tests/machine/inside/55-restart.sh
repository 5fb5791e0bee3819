# shellcheck shell=bash disable=SC2154 # the functions before it set these
# Restart with drain, reload, stop: nothing is lost, nothing is left.

submit '{"runtime": "bash", "source": "sleep 3; echo drained", "limits": {"wall_ms": 60000}}'
within 30 eval 'api /v1/jobs/$id && [ "$(get state)" = running ]'
systemctl restart cubitd
within 60 is_ready
ok $? 'a restart ends in a service that is ready'
within 60 is_over "$id"
is "$(get state) $(get stdout) $(get attempt)" 'done drained 1' 'a running job ended before the restart' || diag "$body"

pid=$(main_pid)
systemctl reload cubitd
ok $? 'reload'
within 30 eval '[ "$(systemctl is-active cubitd)" != reloading ]' # systemd 252 does not wait for the end of it
is "$(systemctl is-active cubitd) $(main_pid)" "active $pid" 'the same process serves on'

submit '{"runtime": "bash", "source": "sleep 60; echo long", "limits": {"wall_ms": 60000}}'
within 30 eval 'api /v1/jobs/$id && [ "$(get state)" = running ]'
start=$SECONDS
systemctl stop cubitd
ok $? 'stop, with a job that takes longer than the drain'
[ $((SECONDS - start)) -lt 60 ]
ok $? 'within the time of the unit'
is "$(systemctl show -P Result cubitd)" success 'it stopped by itself, systemd killed nothing'
is "$(pgrep -c cubit-init)" 0 'no sandbox is left'
is "$(find /sys/fs/cgroup -name 'cubit-*' -not -name '*.service' -type d)" '' 'no control group of one'
is "$(grep -c cubit /proc/self/mountinfo)" 0 'no mount'
is "$(find /run/cubit/ids -type l | wc -l)" 0 'no id range'
start_service
ok $? 'start'
api "/v1/jobs/$id"
like "$(get state)" '^(waiting|running)$' 'the job that was not done waits again or runs'
api "/v1/jobs/$id" -X DELETE
done_testing
