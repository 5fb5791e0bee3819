#!/bin/bash
# What runs out above a sandbox (the host's memory and processes, MemoryMax= and TasksMax= of the service) is never blamed on
# what runs inside: internal_error, and a queued job is run again. Its own limits stay its own, beside that.
# timeout: 200
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

mib=$((1 << 20))

# The directory of our own group for a controller; v2 if it is there, its parent then: it hands controllers down.
own_group() # CONTROLLER
{
	local path
	if path=$(sed -n "s/^[0-9]*:\([^:]*,\)*$1\(,[^:]*\)*://p" /proc/self/cgroup) && [ -n "$path" ]; then
		echo "/sys/fs/cgroup/$1$path"
	else
		path=$(sed -n 's/^0:://p' /proc/self/cgroup)
		echo "/sys/fs/cgroup${path%/supervisor}"
	fi
}

# On v1 the group above is one that we make and enter; on v2 it is the one we were given, with the leaf we sit in.
made=()
enter() # CONTROLLER
{
	above=$(own_group "$1")
	[ ! -e "$above/cgroup.controllers" ] || return 0
	above=$above/above-$$-$1
	mkdir "$above" && echo "$BASHPID" >"$above/cgroup.procs" && made+=("$above")
}
# shellcheck disable=SC2317 # called by the trap
leave()
{
	local group
	for group in "${made[@]}"; do
		echo "$BASHPID" >"${group%/*}/cgroup.procs"
	done
	finish
	for group in "${made[@]}"; do
		rmdir "$group"
	done
}
trap leave EXIT

# ---- memory ----

enter memory || skip_all 'no memory group can be made'
limit=$above/memory.max
[ -e "$limit" ] || limit=$above/memory.limit_in_bytes
none=$(cat "$limit")
echo $((64 * mib)) >"$limit"
[ ! -e "$above/memory.swap.max" ] || echo 0 >"$above/memory.swap.max"
[ ! -e "$above/memory.swappiness" ] || echo 0 >"$above/memory.swappiness"
for verb in memory memory-child; do
	run --memory 512M --wall 90s --cpu 90s -- /bin/payload $verb 150
	is "$(field status)" internal_error "$verb: memory that runs out above is ours"
	like "$(field reason)" 'memory ran out above the sandbox .*, which was below its limit of 536870912 bytes' '... and the reason says so'
	[ "$(field oom_kills)" -gt 0 ]
	ok $? '... the kernel killed in the sandbox, not beside it'
	[ "$(field memory_peak)" -lt $((68 * mib)) ]
	ok $? '... which had less than the group above may have'
	run --memory 16M --wall 90s --cpu 90s -- /bin/payload $verb 150
	is "$(field status)" memory_limit "$verb: its own limit below that is its own"
done
echo "$none" >"$limit"
run --memory 16M --wall 90s --cpu 90s -- /bin/payload memory 150
is "$(field status)" memory_limit 'without a limit above as well'
run --memory 512M --wall 90s --cpu 90s -- /bin/payload memory 20
is "$(field status)" ok 'and what fits runs'

# ---- processes ----

enter pids || skip_all 'no pids group can be made'
count=$(cat "$above/pids.current")
none=$(cat "$above/pids.max")
echo $((count + 30)) >"$above/pids.max"
run --processes 200 --wall 10s -- /bin/payload fork
is "$(field status)" internal_error 'a process refused above is ours'
like "$(field reason)" 'refused above the sandbox .*, which was below its limit of 20[01]' '... and the reason says so'
run --processes 5 --wall 10s -- /bin/payload fork
is "$(field status)" process_limit 'its own limit below that is its own'
echo "$none" >"$above/pids.max"
run --processes 40 --wall 10s -- /bin/payload fork
is "$(field status)" process_limit 'without a limit above as well'

# ---- cpu: paused above, it is slower and nothing else ----

enter cpu || skip_all 'no cpu group can be made'
if [ -e "$above/cpu.max" ]; then
	none=$(cat "$above/cpu.max")
	echo '20000 100000' >"$above/cpu.max"
else
	echo 20000 >"$above/cpu.cfs_quota_us"
fi
# v1 lets no group have more than the one above
run --cpus 0.2 --cpu 400ms --wall 20s -- /bin/payload spin
is "$(field status)" time_limit 'throttled above, the cpu limit is what it used'
like "$(field reason)" '^cpu time over 400 ms' '... not the time that it waited'
if [ -e "$above/cpu.max" ]; then echo "$none" >"$above/cpu.max"; else echo -1 >"$above/cpu.cfs_quota_us"; fi

# ---- somebody kills ----

start killed --wall 20s -- /bin/payload sleep 15
for _ in {1..400}; do
	init=$(ps -eo pid=,ppid=,comm= | awk -v p="$pid" '$2 == p && $3 == "cubit-init" { print $1 }')
	[ -z "$init" ] || [ -z "$(ps -o pid= --ppid "$init")" ] || break
	sleep 0.1
done
kill -KILL "$init"
wait "$pid"
is "$(field status "$dir/killed.verdict")" internal_error 'pid 1 of a sandbox killed from outside is ours'
run -- /bin/payload selfkill 9
is "$(field status)" signaled 'a program that kills itself is not'

nothing_left 'nothing is left'
done_testing
