#!/bin/bash
# SIGKILL for the supervisor, at any moment: what runs inside dies with it, and the next one with the same run directory
# removes the claim and the control group.
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

none_alive()
{
	local tries=100
	while [ -n "$(own_processes)" ] && [ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.05
	done
	is "$(own_processes)" '' "$1"
}

for root in '' --root; do
	# shellcheck disable=SC2086 # empty or one word
	start crowd --wall 30s $root -- /bin/payload daemons stay
	wait_for "$dir/crowd.stdout" 'are out' 20
	ok $? 'a crowd is there' || diag "$(cat "$dir/crowd.stderr")"
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	none_alive 'SIGKILL for the supervisor ends everything inside'
	[ -n "$(own_groups)" ] && [ -n "$(find "$run_dir/ids" -mindepth 1)" ]
	ok $? 'its control group and its claim stay behind' || diag "$(whatever_left)"
	run -- /bin/payload true
	is "$(field status)" ok 'the next one starts'
	nothing_left '... and has removed both'
done

# At a moment of chance: through set-up, run and removal. Whatever the moment was, the next one cleans up.
if is_guest; then
	moments='0.05 0.1 0.2 0.3 0.4 0.5'
else
	moments='0.001 0.002 0.003 0.004 0.005 0.006 0.007 0.008 0.010 0.012 0.015 0.02'
fi
begun=0
for moment in $moments $moments 0.1 0.2 0.4 0.8; do
	[ "$begun" -eq 0 ] || [[ $moments == *$moment* ]] || break # later ones only where the machine is slow
	start early --wall 30s -- /bin/payload daemons
	sleep "$moment"
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	[ -z "$(own_claims)" ] || begun=$((begun + 1))
done
none_alive 'killed at any moment, nothing lives on'
[ "$begun" -gt 0 ]
ok $? 'some of them were at work: they left a claim'
diag "$begun of them"
run -- /bin/payload true
nothing_left '... and the next one removes what stayed'
is "$(find "$run_dir/owners" -mindepth 1 -mmin +1)" '' 'no old owner is left'
done_testing
