# shellcheck shell=bash disable=SC2154 # the functions before it set these
# The machine has been restarted: the service is there, jobs that waited are done.

within 180 is_ready
ok $? 'the service came up with the machine' || diag "$(systemctl status cubitd --no-pager)"
while read -r id; do
	within 180 is_over "$id"
	is "$(get state)" 'done' "job $id, accepted before, has its result" || diag "$body"
done </var/tmp/queued
is "$(journalctl -b -q -u cubitd -p warning --no-pager -o cat)" '' 'and the journal has no warning'
diag "$(systemctl status cubitd cubit-cubes --no-pager)"
diag "$(systemd-analyze security cubitd --no-pager | tail -n 1)"
done_testing
