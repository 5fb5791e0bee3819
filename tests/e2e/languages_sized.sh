#!/bin/bash
# Programs that size themselves by the machine get the size of their sandbox, cold and from one that waited: memory and
# processors, in every language whose image is here.
# timeout: 300
# shellcheck disable=SC2016 # the sandbox expands it
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
languages=(bash python node c java go php ruby typescript)
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

# LANGUAGE MEMORY WANTED SOURCE: it prints what it was told it has, makes several times its memory of garbage while it
# holds little or half of it, and lives
lives_in()
{
	limits="\"limits\":{\"memory\":\"$2\",\"cpus\":1,\"wall_ms\":50000,\"cpu_ms\":30000}"
	run_in "$1" "$4" >/dev/null
	like "$(get status) $(get stdout)" "^ok $3\$" "$1 in $2 knows what it has, and collects its garbage in time" ||
		diag "$(get reason) $(get stderr) $(get compile.stderr)"
}

half='import java.util.*;
public class Main {
	public static void main(String[] args) {
		Runtime r = Runtime.getRuntime();
		byte[][] keep = new byte[(int)(r.maxMemory() >> 17)][]; // of 64 KiB: half of the heap
		for (int i = 0; i < 20 * keep.length; i++)
			keep[i % keep.length] = new byte[1 << 16];
		System.out.println(r.availableProcessors() + " " + (r.maxMemory() >> 20));
	}
}'
lives_in java 64M '1 (29|3[0-2])' "$half"
lives_in java 256M '1 17[0-9]' "$half"
# Go doubles what it holds before it collects, unless it is told
half='package main
import (
	"fmt"
	"os"
	"runtime"
)
var keep [][]byte
func main() {
	data, _ := os.ReadFile("/proc/meminfo")
	var kib int
	fmt.Sscanf(string(data), "MemTotal: %d", &kib)
	n := kib * 6 / 10 / 256 // of 256 KiB: six tenths of the memory
	for i := 0; i < 10*n; i++ {
		b := make([]byte, 1<<18)
		for j := 0; j < len(b); j += 4096 {
			b[j] = 1
		}
		if i < n {
			keep = append(keep, b)
		} else {
			keep[i%n] = b
		}
	}
	fmt.Println(runtime.GOMAXPROCS(0), os.Getenv("GOMEMLIMIT"), len(keep))
}'
lives_in go 64M '1 57MiB 153' "$half"
lives_in go 256M '1 230MiB 614' "$half"
lives_in php 64M '-1 209715200' '<?php
$keep = []; $s = 0;
for ($i = 0; $i < 200; $i++) { $keep[$i % 8] = str_repeat("x", 1 << 20); $s += strlen($keep[$i % 8]); }
for ($i = 0; $i < 200000; $i++) { $o = new stdClass; $o->self = $o; $o->data = [1, 2, $i]; }
echo ini_get("memory_limit"), " $s\n";'
# Ruby lets 16 to 128 MiB be allocated before it collects, unless it is told
half='n = File.read("/proc/meminfo")[/MemTotal:\s+(\d+)/, 1].to_i * 3 / 10 / 64 # of 64 KiB: three tenths of the memory
keep = []
(n * 20).times { |i| keep[i % n] = "x" * 65536 }
puts "#{ENV["RUBY_GC_OLDMALLOC_LIMIT_MAX"]} #{keep.size}"'
lives_in ruby 64M '8m 307' "$half"
lives_in ruby 256M '32m 1228' "$half"
lives_in typescript 64M '1 64 4[0-9] 19660800' 'import * as os from "os";
import * as v8 from "v8";
const keep: number[][] = [];
let s = 0;
for (let i = 0; i < 150; i++) {
	keep[i % 4] = new Array<number>(1 << 17).fill(i);
	s += keep[i % 4].length;
}
console.log(os.cpus().length, os.totalmem() >> 20, v8.getHeapStatistics().heap_size_limit >> 20, s);'
lives_in node 64M '209715200' 'const keep = [];
let s = 0;
for (let i = 0; i < 200; i++) { keep[i % 8] = Buffer.alloc(1 << 20, 120); s += keep[i % 8].length; }
console.log(s);'
lives_in python 64M '1 209715200' 'import os
keep, s = [b""] * 8, 0
for i in range(200):
    keep[i % 8] = bytearray(b"x") * (1 << 20)
    s += len(keep[i % 8])
for i in range(100000):
    a = [i]
    a.append(a)
print(os.cpu_count(), s)'

limits='"limits":{"memory":"128M","cpus":1.5}'
is "$(run_in bash 'nproc')" 2 'a part of a processor counts as one'
stop_daemon
nothing_left 'nothing of it is left'
done_testing
