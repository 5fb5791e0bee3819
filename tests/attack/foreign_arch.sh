#!/bin/bash
# The kernel's other doors, where calls have other numbers: 32-bit calls by int 0x80, from 64-bit and from 32-bit code, and
# the x32 entry. Whoever knocks is killed.
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh
[ "$(uname -m)" = x86_64 ] || skip_all 'this machine has no such doors'

# On a kernel without 32-bit support the instruction itself is an error, and the door was never there.
for verb in int80 far32; do
	run -- /bin/payload "$verb"
	is "$(grep -c DONE "$dir/stdout")" 0 "$verb: the call is not made" # it dies before it can say a word
	case $(field status) in
	policy_violation)
		is "$(field signal)" 31 "$verb: killed by the policy"
		;;
	*)
		! "$payload" "$verb" 2>/dev/null | grep -q DONE
		ok $? "$verb: this kernel has no 32-bit calls ($(field status), signal $(field signal))"
		;;
	esac
done
# getpid; open; the numbers only x32 has: execve, ptrace; the last 64-bit ones with the bit set
for number in 39 2 520 521 425 435 437; do
	run -- /bin/payload x32 "$number"
	is "$(field status)" policy_violation "x32 call $number: killed by the policy"
	is "$(grep -c DONE "$dir/stdout")" 0 '... and not made'
done
run --root -- /bin/payload x32
is "$(field status)" policy_violation 'root inside is killed as well'
# the whole process, not one thread; and a child that knocks takes only itself
run -- /bin/payload each x32 ';' echo alive
like "$(answer x32)" SIGSYS 'a child that knocks dies of SIGSYS'
is "$(answer 'echo alive')" alive '... and its parent may go on'
nothing_left 'nothing is left'
done_testing
