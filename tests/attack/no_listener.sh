#!/bin/bash
# Nothing of ours listens inside, nothing of the host's environment is there, and the agent's socket cannot be reached.
# timeout: 30
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

words=()
for table in tcp tcp6 udp udp6 udplite udplite6 raw raw6 unix packet netlink; do
	words+=(cat "/proc/net/$table" ';')
done
for root in '' --root; do
	# shellcheck disable=SC2086 # empty or one word
	run $root -- /bin/payload each "${words[@]}"
	for table in tcp tcp6 udp udp6 udplite udplite6 raw raw6 unix packet; do
		got=$(answer "cat /proc/net/$table")
		case $got in
		'cat: ENOENT') ok 0 "this kernel has no $table" ;;
		*)
			like "$got" '^ *(sl|Num|sk) ' "the table of $table sockets can be read"
			is "$(tail -n +2 <<<"$got")" '' '... and is empty'
			;;
		esac
	done
	# the kernel's own are there in every namespace; anything bound by a process has its number in the third column
	like "$(answer 'cat /proc/net/netlink')" '^sk .*Pid' 'the table of netlink sockets can be read'
	is "$(answer 'cat /proc/net/netlink' | awk 'NR > 1 && $3 != 0')" '' '... and has none of a process'
done

SECRET_OF_THE_HOST=1 run -- /bin/payload env
is "$(sort "$dir/stdout" | tr '\n' ' ')" \
	'HOME=/work LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ' 'the environment is the default one'
SECRET_OF_THE_HOST=1 run --env A=B -- /bin/payload env
is "$(cat "$dir/stdout")" 'A=B' '... or the one asked for and nothing else'

for root in '' --root; do
	# shellcheck disable=SC2086 # empty or one word
	run $root -- /bin/payload each ls /proc/1 ';' ls /proc/1/fd ';' open /proc/1/fd/3 ';' open /proc/1/environ ';' open /proc/1/mem ';' \
		open /proc/1/maps ';' open /proc/1/cmdline ';' call ptrace 16 1 0 0 ';' call pidfd_open 1 0 ';' ps ';' \
		call process_vm_readv 1 buf 1 buf 1 0 ';' call kill 1 9 ';' call kill 1 15 ';' call kill 1 19 ';' echo alive
	for what in 'ls /proc/1' 'ls /proc/1/fd' 'open /proc/1/fd/3' 'open /proc/1/environ' 'open /proc/1/mem' 'open /proc/1/maps' 'open /proc/1/cmdline'; do
		like "$(answer "$what")" 'ENOENT$|EACCES$|EPERM$' "$what${root:+ by root inside} is refused"
	done
	like "$(answer ps)" '^[0-9]+' 'processes of its own are to be seen'
	is "$(answer ps | grep -x 1)" '' '... and pid 1 is not'
	is "$(answer 'echo alive')" alive "no signal ends pid 1${root:+, of root inside either}"
done
nothing_left 'nothing is left'
done_testing
