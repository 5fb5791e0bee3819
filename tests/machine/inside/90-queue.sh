# shellcheck shell=bash disable=SC2154 # the functions before it set these
# Jobs that wait when the machine goes down.

for i in 1 2 3; do
	submit "{\"runtime\": \"bash\", \"source\": \"echo after reboot $i\", \"delay_ms\": 20000, \"limits\": {\"wall_ms\": 30000}}"
	is "$status" 202 "job $i is accepted"
	echo "$id" >>/var/tmp/queued
done
submit '{"runtime": "bash", "source": "sleep 30; echo was running", "limits": {"wall_ms": 60000}}'
echo "$id" >>/var/tmp/queued
done_testing
