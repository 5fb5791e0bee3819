# shellcheck shell=bash disable=SC2154 # the functions before it set these
# kill -9 at any moment: the service is there again, every job has one result.

submit '{"runtime": "bash", "source": "sleep 4; echo survived", "limits": {"wall_ms": 60000}}'
within 30 eval 'api /v1/jobs/$id && [ "$(get state)" = running ]'
first=$(front_pid)
kill -KILL "$first"
within 60 is_ready
ok $? 'a front that is killed is replaced'
[ "$(front_pid)" != "$first" ]
ok $? 'by another process'
within 60 is_over "$id"
is "$(get state) $(get stdout)" 'done survived' 'the job that ran went on' || diag "$body"
is "$(get attempt)" 1 'in its first attempt'

# more often than the five times in ten seconds after which systemd gives up by default
for round in 1 2 3 4 5 6 7; do
	submit "{\"runtime\": \"bash\", \"source\": \"sleep 2; echo round $round\", \"limits\": {\"wall_ms\": 60000}}"
	# while it runs, or at once: it waits or is being started
	[ $((round % 2)) -eq 0 ] || within 20 eval 'api /v1/jobs/$id && [ "$(get state)" = running ]'
	pid=$(main_pid)
	kill -KILL "$pid"
	within 60 eval '[ "$(main_pid)" != 0 ] && [ "$(main_pid)" != "$pid" ]'
	within 60 is_ready
	ok $? "kill -9 of the monitor, number $round: the service serves again" || diag "$(systemctl status cubitd --no-pager | tail -n 8)"
	within 120 is_over "$id"
	is "$(get state) $(get stdout)" "done round $round" "and the job has its result" || diag "$body"
done
for _ in 1 2 3 4 5 6; do # and without a pause
	within 60 eval 'pid=$(main_pid); [ "$pid" != 0 ]' && kill -KILL "$pid"
done
within 60 is_ready
ok $? 'six times without a pause: the service serves again'
is "$(journalctl -b -q -u cubitd --no-pager -o cat | grep -c -E '219/CGROUP|Start request repeated')" 0 \
	'systemd never was in the way'
# the new monitor fills its pool while we look
within 60 eval 'all=$(pgrep -c cubit-init); [ "$all" -gt 0 ] && [ "$all" = "$(pgrep -c -P "$(main_pid)" cubit-init)" ]'
ok $? 'every sandbox belongs to the living monitor' || diag "$(pgrep -a cubit)"
done_testing
