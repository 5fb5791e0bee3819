#!/bin/bash
# Socket families: AF_ALG (which writes to pages that all sandboxes share, CVE-2026-31431), AF_VSOCK (which reaches the
# hypervisor past every firewall) and everything else but unix, IPv4 and IPv6 is refused, also with rubbish
# in the upper half of the argument, where the kernel does not look.
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

words=()
for family in {0..50} 255 65535 4294967295; do
	for kind in 1 2 3 5; do
		words+=(call socket "$family" "$kind" 0 ';')
	done
	words+=(call socket "$((family + (1 << 32)))" 2 0 ';' call socketpair "$family" 1 0 buf ';')
done
run --wall 60s -- /bin/payload each "${words[@]}"
is "$(field status)" ok 'all families can be tried'
bad=
for family in {0..50} 255 65535 4294967295; do
	case $family in
	1 | 2 | 10) continue ;;
	esac
	for kind in 1 2 3 5; do
		got=$(answer "call socket $family $kind 0")
		[ "$got" = 'call: EAFNOSUPPORT' ] || bad="$bad $family/$kind: $got;"
	done
	got=$(answer "call socketpair $family 1 0 buf")
	[ "$got" = 'call: EAFNOSUPPORT' ] || bad="$bad pair $family: $got;"
done
is "$bad" '' 'every family but unix, IPv4 and IPv6 is unsupported'
for family in 38 40 17 15 44; do
	is "$(answer "call socket $family 2 0")" 'call: EAFNOSUPPORT' "family $family is unsupported"
	is "$(answer "call socket $((family + (1 << 32))) 2 0")" 'call: EAFNOSUPPORT' '... also with rubbish in its upper half'
done
is "$(answer 'call socket 1 1 0')" 'call: DONE' 'a unix socket can be made'
is "$(answer 'call socket 2 1 0')" 'call: DONE' '... and one for TCP'
is "$(answer 'call socket 10 2 0')" 'call: DONE' '... and one for UDP over IPv6'

words=()
for protocol in 1 2 33 46 47 58 115 132 136 255 262; do
	words+=(call socket 2 3 "$protocol" ';' call socket 10 3 "$protocol" ';' call socket 2 1 "$protocol" ';')
done
for protocol in {1..22}; do
	words+=(call socket 16 3 "$protocol" ';' call socket 16 2 "$((protocol + (1 << 32)))" ';')
done
run --wall 60s -- /bin/payload each "${words[@]}" call socket 2 3 0 ';' call socket 2 3 6 ';' call socket 2 3 17 ';' call socket 10 3 17 ';' \
	call socket 2 10 0 ';' call socket 16 3 0
is "$(answers | grep -E '^\[call socket (2|10) [13] [0-9]' | grep -vE 'socket (2|10) 3 (0|6|17)\]' | grep -vc EPROTONOSUPPORT$)" 0 \
	'every protocol but TCP and UDP is unsupported'
is "$(answers | grep -E '^\[call socket 16 [23] [1-9]' | grep -vc EAFNOSUPPORT$)" 0 'every netlink protocol is unsupported'
for raw in '2 3 6' '2 3 17' '10 3 17'; do
	like "$(answer "call socket $raw")" 'EPERM|EPROTONOSUPPORT' "a raw socket is refused ($raw)"
done
like "$(answer 'call socket 2 10 0')" 'EPERM|EINVAL|ESOCKTNOSUPPORT' 'a packet socket of the old kind is refused'

# Options that hand a connection to other code of the kernel.
run -- /bin/payload each call setsockopt 0 6 31 buf 4 ';' call setsockopt 0 0x100000006 0x10000001f buf 4
is "$(answers | grep -vc 'ENOPROTOOPT$')" 0 'TCP_ULP is no option' || diag "$(cat "$dir/stdout")"

# Options that take text of the kernel: packet filters.
words=()
for option in 26 50 51 52; do
	words+=(call setsockopt 0 1 "$option" buf 16 ';' call setsockopt 0 0x100000001 "$((option + (1 << 32)))" buf 16 ';')
done
for profile in default net build unconfined; do
	run --policy "$profile" -- /bin/payload each "${words[@]}"
	is "$(answers | grep -c 'ENOPROTOOPT$')" 8 "$profile: packet filters are no option" || diag "$(cat "$dir/stdout")"
done
nothing_left 'nothing is left'
done_testing
