#!/bin/bash
# What a sandbox says of itself is what the kernel says: the probe went the way of every payload and reads its own /proc.
# timeout: 30
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

run --report -- /bin/payload each status ';' cat /proc/self/uid_map
is "$(field seccomp)" 2 'the report says that a filter is installed'
is "$(field no_new_privs)" 1 '... that privileges cannot be gained'
for set in cap_eff cap_prm cap_bnd; do
	is "$(field $set)" 0000000000000000 "... that $set is empty"
done
is "$(field uid) $(field gid)" '1000 1000' '... who it is'
read -r inside outside count <<<"$(field uid_map | sed 's/\\n//')"
is "$inside $count" '0 65536' '... and which ids it has'
[ "${outside:-0}" -ge "$id_base" ] && [ "${outside:-0}" -lt "$id_end" ]
ok $? 'they are nobody outside' || diag "$(field uid_map)"
is "$(answer 'cat /proc/self/uid_map' | tr -s ' ')" " 0 $outside 65536" 'a payload reads the same of itself'
for want in NoNewPrivs:.1 Seccomp:.2 CapPrm:.0000000000000000 CapEff:.0000000000000000; do
	like "$(answer status)" "$want" "... and $want"
done

run --report --root -- /bin/payload true
is "$(field seccomp) $(field no_new_privs) $(field uid)" '2 1 0' 'root inside reports a filter, no new privileges, uid 0'
is "$(field cap_eff) $(field cap_bnd)" '00000000800405fb 00000000800405fb' '... and the short list of capabilities'

# pid 1 as the host sees it: what an agent needs (kill, setgid, setuid, setpcap), and what root inside may have
for root in '' --root; do
	# shellcheck disable=SC2086 # empty or one word
	start held --wall 30s $root -- /bin/payload each echo there ';' sleep 30
	wait_for "$dir/held.stdout" there 20
	init=$(ps -o pid= --ppid "$pid")
	want=${root:+00000000800405fb}
	is "$(sed -nE 's/^Cap(Prm|Eff|Bnd):\t//p' "/proc/${init// /}/status" | sort -u)" "${want:-00000000000001e0}" \
		"pid 1${root:+, root inside,} has given up every capability that it does not need"
	is "$(sed -nE 's/^Cap(Inh|Amb):\t//p' "/proc/${init// /}/status" | sort -u)" 0000000000000000 '... and hands none down'
	kill "$pid"
	wait "$pid"
done

# two sandboxes at a time never share ids
start one --report -- /bin/payload sleep 2
run --report -- /bin/payload true
wait "$pid"
one=$(field uid_map "$dir/one.verdict")
[ -n "$one" ] && [ "$one" != "$(field uid_map)" ]
ok $? 'two at a time have different ids' || diag "$one $(field uid_map)"
nothing_left 'nothing is left'
done_testing
