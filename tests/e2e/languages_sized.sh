#!/bin/bash
# Programs that size themselves by the machine get the size of their sandbox, cold and from one that waited: memory and
# processors, in every language whose image is here.
# timeout: 240
# shellcheck disable=SC2016 # the sandbox expands it
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
languages=(bash python node c)
need_images "${languages[@]}"
export MAX_VCPUS=1
start_daemon

limits='"limits":{"memory":"128M","cpus":1}'
run_in() # LANGUAGE SOURCE -> stdout
{
	api /v1/run -d "{\"runtime\":\"$1\",\"source\":$(printf '%s' "$2" | json),$limits}"
	get stdout
}

is "$(run_in bash 'nproc')" 1 'nproc says the processors of the limit'
is "$(run_in bash 'awk "/MemTotal/ { print \$2 }" /proc/meminfo')" 131072 '/proc/meminfo has the memory of the limit'
is "$(run_in python 'import os; print(os.cpu_count())')" 1 'os.cpu_count() of Python'
is "$(run_in node 'console.log(require("os").cpus().length)')" 1 'os.cpus() of Node'
heap=$(run_in node 'console.log(Math.floor(require("v8").getHeapStatistics().heap_size_limit / 1048576))')
ok "$([ "$heap" -gt 20 ] && [ "$heap" -le 128 ]; echo $?)" "the heap of Node fits into 128 MiB: $heap"
# of a job that does not say, from an interpreter that waited, and of one that starts cold: the same
source='console.log(Math.floor(require("v8").getHeapStatistics().heap_size_limit / 1048576), process.env.NODE_OPTIONS)'
# shellcheck disable=SC2317 # called by within
was_waiting()
{
	api /v1/run -d "{\"runtime\":\"node\",\"source\":$(printf '%s' "$source" | json)}"
	[ "$(get prestarted)" = true ]
}
within 30 was_waiting
ok $? 'a job that does not say how much memory gets an interpreter that waited'
waited=$(get stdout)
like "$waited" '^1[0-9][0-9] --max-old-space-size=160$' '... whose heap fits into the 256 MiB of such a job'
api /v1/run -d "{\"runtime\":\"node\",\"source\":$(printf '%s' "$source" | json),\"env\":{\"NODE_X\":\"\"}}"
is "$(get prestarted) $(get stdout)" "false $waited" '... as in one that starts cold'
is "$(run_in c '#include <stdio.h>
#include <unistd.h>
int main(void) { printf("%ld\n", sysconf(_SC_NPROCESSORS_ONLN)); return 0; }')" 1 'sysconf(_SC_NPROCESSORS_ONLN) of C'
is "$(run_in bash 'echo $GOMAXPROCS $OMP_NUM_THREADS')" '1 1' 'Go and OpenMP are told'

# what fills its memory with garbage is not killed for it
limits='"limits":{"memory":"128M","cpus":1,"wall_ms":40000,"cpu_ms":20000}'
run_in node 'let s = 0; for (let i = 0; i < 300; i++) { const a = new Array(1 << 17).fill(i); s += a.length; } console.log(s)' >/dev/null
is "$(get status) $(get stdout)" 'ok 39321600' 'Node collects its garbage in time'
limits='"limits":{"memory":"128M","cpus":1.5}'
is "$(run_in bash 'nproc')" 2 'a part of a processor counts as one'
stop_daemon
nothing_left 'nothing of it is left'
done_testing
