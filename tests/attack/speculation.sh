#!/bin/bash
# Speculation: where the processor lets a process choose, the mitigations are on inside and cannot be switched off; where
# it does not, the state is that of the host. Core scheduling is done or refused by name, never silently left out.
# timeout: 30
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

outside=$("$payload" speculation)
diag "outside: ${outside//$'\n'/; }"
run -- /bin/payload speculation
diag "inside:  $(tr '\n' ';' <"$dir/stdout")"
while read -r name state _; do
	got=$(grep "^$name" "$dir/stdout")
	case $name in
	l1d-flush:) continue ;; # flushing costs the payload alone, and is off unless the host wants it
	esac
	if [ "$state" != unknown ] && [ $((state & 1)) -eq 1 ]; then
		like "$got" ': 9 enable EPERM now 9$' "$name forced off, for good"
	else
		is "${got%% enable*}" "$name $state$([ "$state" != unknown ] || sed -n "s/^$name unknown//p" <<<"$outside")" \
			"$name as the host has it: this processor or kernel gives no choice"
	fi
done <<<"$outside"

run --allow-speculation -- /bin/payload speculation
is "$(sed 's/ enable.*//' "$dir/stdout")" "$("$payload" speculation | sed 's/ enable.*//')" 'when asked for, it stays as the host has it'

run --core-sched -- /bin/payload each call prctl 62 0 0 0 buf
if [ "$status" -eq 0 ]; then
	is "$(answer 'call prctl 62 0 0 0 buf')" 'call: EINVAL' 'core scheduling cannot be changed from inside'
else
	like "$(field reason)$(cat "$dir/stderr")" 'core scheduling' "core scheduling that cannot be had is refused by name"
fi
nothing_left 'nothing is left'
done_testing
