#!/bin/bash
# Speculation: where the processor lets a process choose, the mitigations are on inside and cannot be switched off; where
# it does not, the state is that of the host. Core scheduling is done or refused by name, never silently left out.
# timeout: 60
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

# ---- doctor says of each control what the kernel says of it ----
told=$("$build/bin/cubit" doctor --json 2>/dev/null | python3 -c 'import json, sys
checks = json.load(sys.stdin)["checks"]
print(*[c["status"] + " " + c["detail"] for name in ("speculation", "core-scheduling") for c in checks if c["check"] == name], sep="\n")')
open=
while read -r name state _; do
	case $name in store-bypass:) words='store bypass' ;; indirect-branch:) words='indirect branches' ;; *) words='L1D flush' ;; esac
	case $state in
	unknown) want='(this processor has|this kernel knows) no such control' ;;
	0) want='this processor is not affected' ;;
	*[13579]) want='a process can choose' ;;
	2) want='on for all processes, the choice is refused' && [ "$words" = 'L1D flush' ] || open=yes ;;
	*) want='off for all processes' ;;
	esac
	like "$told" "$words: $want" "doctor says of $words: $state"
done <<<"$outside"
like "$told" "^$([ -z "$open" ] && echo ok || echo warning) store bypass" '... and warns when one is on and refused'
like "${told#*$'\n'}" '^(ok (possible|needless)|warning this kernel has no core scheduling)' '... and whether there is core scheduling'
like "$(CUBIT_CORE_SCHED=yes "$build/bin/cubit" doctor 2>/dev/null)" \
	'(ok +core-scheduling +(on:|needless)|MISSING +core-scheduling +CUBIT_CORE_SCHED is on)' '... which is missing when it is asked for and not to be had'

run --core-sched -- /bin/payload each call prctl 62 0 0 0 buf
if [ "$status" -eq 0 ]; then
	is "$(answer 'call prctl 62 0 0 0 buf')" 'call: EINVAL' 'core scheduling cannot be changed from inside'
else
	like "$(field reason)$(cat "$dir/stderr")" 'core scheduling' "core scheduling that cannot be had is refused by name"
fi
nothing_left 'nothing is left'
done_testing
