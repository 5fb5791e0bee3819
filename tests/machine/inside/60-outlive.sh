# shellcheck shell=bash disable=SC2154 # the functions before it set these
# What shall outlive the service does, and is in nobody's way.

image=/var/lib/cubit/images
cubit-sandbox --outlive --image localhost/bash --store "$image" --wall 900s --cpu 900s --id outliver -- \
	bash -c 'while :; do sleep 0.5; done' >/tmp/outliver.log 2>&1 &
owner=$!
group=/sys/fs/cgroup/system.slice/cubit-cubes.service/cubit-outliver
within 60 eval '[ -n "$(cat $group/cgroup.procs 2>/dev/null)" ]'
ok $? 'a sandbox in the group of cubit-cubes.service' || diag "$(cat /tmp/outliver.log)"
like "$(cat "$group/memory.max")" '^[0-9]+$' 'with its limits'

inside=$(head -n 1 "$group/cgroup.procs")
systemctl restart cubitd
within 60 is_ready
ok $? 'it does not block a restart of the service'
kill -0 "$inside"
ok $? 'and lives on'
kill -KILL "$(main_pid)"
sleep 2
within 60 is_ready
ok $? 'nor the start after kill -9 of the monitor'
kill -0 "$inside"
ok $? 'and lives on'
systemctl stop cubitd
kill -0 "$inside"
ok $? 'the end of the service leaves it alone'
start_service

kill -TERM "$owner"
wait "$owner"
within 20 eval '! [ -d "$group" ]'
ok $? 'its owner ends it, and nothing of it is left'
done_testing
