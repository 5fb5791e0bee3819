#!/bin/bash
# Bombs: each ends as the right verdict, at the right time, with nothing left, and the sandbox next door keeps its pace.
# Every bomb is bounded by small limits; the emulated guest gets smaller ones still and more time.
# alone
# timeout: 100
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

if is_guest; then
	slack=2000 late=15000 pace=30000
else
	slack=200 late=2000 pace=20000
fi
common=(--memory 64M --processes 32 --disk 8M --inodes 500 --shm 4M --output 64K --wall 1s --cpu 20s)

start neighbour --wall 600s --cpu 600s --cpus 0.5 -- /bin/payload latency 500 watch
neighbour=$pid
wait_for "$dir/neighbour.stdout" p50 30
ok $? 'the neighbour runs'
diag "before the bombs: $(head -n 1 "$dir/neighbour.stdout")"

# bomb VERDICT REASON TITLE OPTION... -- PROGRAM...
bomb()
{
	local want=$1 reason=$2 title=$3 begin took wall
	shift 3
	begin=${EPOCHREALTIME/./}
	run "${common[@]}" "$@"
	took=$(((${EPOCHREALTIME/./} - begin) / 1000))
	like "$(field status)" "^($want)\$" "$title: $want" || diag "$(cat "$dir/verdict" "$dir/stderr")"
	[ -z "$reason" ] || like "$(field reason)" "$reason" '... for that reason'
	wall=$(ms "$(field wall_ms)")
	diag "$title: $(field status), $(field reason), wall $wall ms, whole $took ms, $(tail -c 100 "$dir/stdout" | tr -cd '[:print:]' | tail -c 60)"
	case $(field status) in
	time_limit)
		if [[ $(field reason) = wall* ]]; then
			[ "$wall" -ge "$limit" ] && [ "$wall" -le $((limit + slack)) ]
			ok $? "... within $slack ms of the limit" || diag "$wall ms, the limit is $limit"
		fi
		;;
	*)
		[ "$wall" -le $((limit + slack)) ]
		ok $? '... before its time was over' || diag "$wall ms, the limit is $limit"
		;;
	esac
	[ "$took" -le $((limit + late)) ]
	ok $? '... and the whole run ends soon after' || diag "$took ms, the limit is $limit"
	nothing_left_but_neighbour '... with nothing left'
}

neighbour_base=$(own_processes | awk '{ print int($1 / 65536) * 65536; exit }')
nothing_left_but_neighbour()
{
	local left tries=100
	while :; do
		left=$(find "$run_dir/ids" -mindepth 1 ! -lname "*$prefix-1" -printf 'claim: %f %l\n'
			# a claim is given up last; looking at everything takes the emulated guest seconds, so it does so at the end
			is_guest || {
				own_processes | awk -v b="$neighbour_base" '$1 < b || $1 >= b + 65536' | sed 's/^/process: /'
				own_groups | grep -v -- "-1\$" | sed 's/^/cgroup: /'
				diff <(echo "$mounts_before") <(own_mounts) | sed -n 's/^[<>]/mount: &/p'
			})
		if [ -z "$left" ] || [ "$tries" -eq 0 ]; then
			break
		fi
		tries=$((tries - 1))
		sleep 0.05
	done
	[ -z "$left" ]
	ok $? "$1" || diag "$left"
}

limit=1000
# ---- processes ----
bomb process_limit 'limit of 33' 'a fork bomb' -- /bin/payload fork
bomb process_limit 'limit of 33' 'a maker of zombies' -- /bin/payload zombies
bomb 'time_limit|process_limit' '' 'a chain of programs that replace themselves' -- /bin/payload each exec-loop ';' sleep 100
bomb time_limit wall 'deaf daemons in sessions of their own' -- /bin/payload daemons stay
bomb ok '' 'deaf daemons left behind' -- /bin/payload daemons
bomb time_limit wall 'a program deaf to all signals' -- /bin/payload ignore
# ---- memory ----
bomb memory_limit '67108864 bytes' 'a memory bomb' --wall 10s -- /bin/payload memory
bomb memory_limit '67108864 bytes' 'a memory bomb in a child' --wall 10s -- /bin/payload memory-child
bomb 'memory_limit|time_limit' '' 'System V shared memory' --wall 3s -- /bin/payload sysv-hog
bomb 'memory_limit|time_limit' '' 'bytes in pipes' -- /bin/payload pipe-hog
bomb 'memory_limit|time_limit' '' 'bytes in unix sockets' -- /bin/payload unix-hog
bomb 'memory_limit|time_limit' '' 'bytes in queues' -- /bin/payload mqueue-hog
bomb 'memory_limit|time_limit' '' 'bytes in terminals' -- /bin/payload pty-hog
bomb 'memory_limit|time_limit' '' 'bytes on the way through lo' -- /bin/payload udp-hog
# ---- descriptors, files, disk ----
bomb ok '' 'descriptors' -- /bin/payload fds-bomb
like "$(cat "$dir/stdout")" '^opened 253 then EMFILE$' '... are refused at their limit'
bomb disk_limit '' 'empty files' --cwd /work -- /bin/payload inodes /work
like "$(cat "$dir/stdout")" '^made [0-9]{3} then ENOSPC$' '... are refused at their limit'
bomb disk_limit '' 'directories in directories' -- /bin/payload deep /work 100000
like "$(cat "$dir/stdout")" '^[0-9]{3} levels then ENOSPC$' '... are refused at their limit'
bomb disk_limit '' 'a big file' --cwd /work -- /bin/payload disk big
like "$(cat "$dir/stdout")" '^wrote 8[0-9]{6} then ENOSPC$' '... is refused at its limit'
bomb 'runtime_error|disk_limit' '' 'a big file in /dev/shm' -- /bin/payload disk /dev/shm/big
like "$(cat "$dir/stdout")" '^wrote 4194304 then ENOSPC$' '... is refused at its limit'
bomb runtime_error '' 'a big file without a disk' --readonly --cwd / -- /bin/payload inodes /dev/shm
like "$(cat "$dir/stdout")" '^made 1023 then ENOSPC$' '... is left with /dev/shm, which has a bound too'
# ---- output ----
bomb output_limit 65536 'ten gigabytes of output' -- /bin/payload output 10737418240
is "$(stat -c %s "$dir/stdout")" 65536 '... of which 64 KiB are kept'
bomb output_limit 65536 '... on the other stream' -- /bin/payload output 10737418240 2
bomb 'ok|output_limit' '' 'a child that writes on when the program has ended' -- /bin/payload flood
bomb 'ok|output_limit|time_limit' '' '... without a limit of output' --output 0 -- /bin/payload flood
# ---- time ----
bomb time_limit wall 'sleep' -- /bin/payload sleep 100
bomb time_limit wall 'input that never ends' --hold-stdin -- /bin/payload cat
limit=3000
bomb time_limit cpu 'cpu time in one process' --wall 3s --cpu 500ms -- /bin/payload spin
bomb time_limit cpu 'cpu time in several' --wall 3s --cpu 500ms --cpus 2 -- /bin/payload spin-threads 4
cpu=$(ms "$(field cpu_ms)")
[ "$cpu" -ge 500 ] && [ "$cpu" -le $((500 + slack)) ]
ok $? "... within $slack ms" || diag "$cpu ms of cpu time"

# ---- memory that the kernel keeps for sockets: it has to be the sandbox's, whichever hierarchy counts it ----
socket_pages()
{
	awk '/^(TCP|UDP):/ { for (i = 2; i < NF; i++) if ($i == "mem") n += $(i + 1) } END { print n + 0 }' /proc/net/sockstat
}
pages=$(socket_pages)
start sockets "${common[@]}" --memory 16M --wall 20s -- /bin/payload udp-hog
# It says when it can have no more sockets. Where the kernel charges what they hold, memory ends it before.
are_kept()
{
	local i
	for i in {1..40}; do
		sleep 0.5
		! grep -q 'then' "$dir/sockets.stdout" || return 0
		[ "$i" -lt 4 ] || kill -0 "$pid" 2>/dev/null || break
	done
	grep -q memory_limit "$dir/sockets.verdict"
}
are_kept
ok $? 'datagrams are kept' || diag "$(cat "$dir"/sockets.*)"
kept=$((($(socket_pages) - pages) * 4096))
# cgroup v1 does not charge them (the README says so): there the number of open files is the bound
bound=$((16 << 20)) what='memory limit of 16 MiB'
if [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
	bound=$((256 * ($(cat /proc/sys/net/core/rmem_default) + 65536))) what='256 sockets with full buffers'
fi
[ "$kept" -le "$bound" ]
ok $? "datagrams that nobody reads are bounded by the $what: $kept bytes"
kill "$pid" 2>/dev/null
wait "$pid"
nothing_left_but_neighbour '... and go with the sandbox'

sleep 0.3
kill "$neighbour"
wait "$neighbour"
diag "the neighbour: $(wc -l <"$dir/neighbour.stdout") rounds, microseconds late:"
worst=$(awk '{ for (i = 2; i <= 6; i += 2) if ($i > w[i]) w[i] = $i } END { print w[2], w[4], w[6] }' "$dir/neighbour.stdout")
diag "worst p50 ${worst/ / us, worst p99 } (worst p99 and max in us)"
read -r p50 p99 _ <<<"$worst"
[ "${p50:-999999}" -le $((pace / 4)) ] && [ "${p99:-999999}" -le $((pace * 5)) ]
ok $? 'the neighbour kept its pace' || diag "$(cat "$dir/neighbour.stdout")"
nothing_left 'nothing is left'
done_testing
