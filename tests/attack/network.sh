#!/bin/bash
# The network of a sandbox is nothing but its own lo: no listener of the host, no address of it, no metadata service, no
# abstract socket, no other sandbox. The tries time out after a second at most, and an open door would be seen: each
# listener is first reached from outside.
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

# ---- listeners of the host ----
serve() # NAME ADDRESS
{
	"$payload" listen "$2" >"$dir/$1" &
	background+=($!)
	wait_for "$dir/$1" listening 20
}
for port in $((20000 + $$ % 20000)) $((20001 + $$ % 20000)) $((20002 + $$ % 20000)); do
	! serve tcp "$port" || break
done
name=@cubit-attack-$$
serve abstract "$name"
serve path "$rootfs/socket"
chmod 777 "$rootfs/socket"
is "$("$payload" connect 127.0.0.1 "$port")" 'connect: DONE' 'the listener on the host is there'
is "$("$payload" connect-unix "$name")" 'connect: DONE' 'the abstract socket on the host is there'
is "$("$payload" connect-unix "$rootfs/socket")" 'connect: DONE' 'the socket in the image directory is there'

# ---- every address of the host, and the usual ones beyond ----
own=$({ hostname -I 2>/dev/null || ip -o addr show | awk '{ sub("/.*", "", $4); print $4 }'; } | tr ' ' '\n' | grep -E '^[0-9.]+$|^[23]' | sort -u | head -4)
addresses="$own 127.0.0.1 127.0.0.53 0.0.0.0 ::1 :: ::ffff:127.0.0.1 169.254.169.254 169.254.170.2 100.100.100.200 10.0.0.1 172.17.0.1
	192.168.0.1 192.168.122.1 8.8.8.8 2001:4860:4860::8888 fd00:ec2::254 224.0.0.1 255.255.255.255 fe80::1"
for net in '' --pooled-net; do
	words=()
	for address in $addresses; do
		words+=(connect "$address" "$port" ';' connect "$address" 53 udp ';')
	done
	# shellcheck disable=SC2086 # empty or one word
	run $net --wall 60s -- /bin/payload each "${words[@]}" connect-unix "$name" ';' connect-unix /socket ';' \
		cat /proc/net/route ';' cat /proc/net/ipv6_route ';' cat /proc/net/dev ';' cat /proc/net/arp ';' cat /proc/net/fib_trie
	for address in $addresses; do
		like "$(answer "connect $address $port")" 'ENETUNREACH|ECONNREFUSED|EHOSTUNREACH|EACCES|EINVAL|EADDRNOTAVAIL' \
			"$address is out of reach${net:+ from a pooled network}"
	done
	is "$(answer 'cat /proc/net/dev' | tail -n +3 | awk -F: '{ gsub(" ", "", $1); print $1 }')" lo 'there is no interface but lo'
	is "$(answer 'cat /proc/net/route' | head -n 1 | cut -f 1)" Iface 'the table of routes can be read'
	is "$(answer 'cat /proc/net/route' | tail -n +2)" '' '... and has no route'
	is "$(answer 'cat /proc/net/ipv6_route' | awk '$10 != "lo"')" '' '... nor one of IPv6 beyond lo'
	is "$(answer 'cat /proc/net/fib_trie' | grep -oE '\|-- [0-9.]+' | grep -vE ' (127\.|0\.0\.0\.0)')" '' '... nor an address but those of lo'
	is "$(answer "connect-unix $name")" 'connect: ECONNREFUSED' 'the abstract socket of the host is not to be seen'
	like "$(answer 'connect-unix /socket')" 'ECONNREFUSED|EACCES' 'a socket in the image leads nowhere'
	like "$(answer 'connect 8.8.8.8 53 udp')" 'ENETUNREACH' 'no name server is in reach'
done
is "$(cat "$dir"/tcp "$dir"/abstract "$dir"/path | grep -c came)" 3 'nobody but the test itself came to the listeners'

# ---- making a network ----
run --root -- /bin/payload each call ioctl 0 0x8914 buf ';' call socket 17 3 0 ';' call socket 2 3 1 ';' call socket 16 3 12 ';' open /dev/net/tun
is "$(answer 'call socket 17 3 0')" 'call: EAFNOSUPPORT' 'root inside gets no packet socket'
like "$(answer 'call socket 2 3 1')" 'EPROTONOSUPPORT|EPERM' '... no raw one'
is "$(answer 'call socket 16 3 12')" 'call: EAFNOSUPPORT' '... and cannot change a firewall'
nothing_left 'nothing is left'
done_testing
