#!/bin/bash
# The stack and the file size of a program, and what a signal proves: nothing. Judges set a stack as large as the memory;
# a recursion that needs more than 8 MiB ends well, one that never ends meets the memory limit. A program that sends itself
# the signal of a limit is ended by a signal.
#
# timeout: 400
# NEED: root
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"

need_images bash python node c
CUBIT_JOBS=2 start_daemon

# run LANGUAGE LIMITS SOURCE -> $body
run()
{
	api /v1/run -d "$(python3 -c 'import json, sys; print(json.dumps({"runtime": sys.argv[1], "limits": json.loads(sys.argv[2]), "source": sys.argv[3]}))' "$@")"
}

deep='#include <stdio.h>
#include <stdlib.h>
static long down(long n) { volatile char room[1000]; room[n % 1000] = 1; return n ? down(n - 1) + room[n % 1000] : 0; }
int main(void) { printf("%ld", down(NUMBER)); return 0; }'
hundred=${deep/NUMBER/100000L} # about 100 MiB
forever=${deep/NUMBER/1L << 40}

run c '{"memory":"256M"}' "$hundred"
is "$(get status) $(get stdout)" 'ok 100000' 'a recursion of 100 MiB in 256 MiB of memory'
run c '{"memory":"256M","stack":"8M"}' "$hundred"
is "$(get status) $(get signal)" 'signaled 11' 'not in a stack of 8 MiB, when that is asked for'
run c '{"memory":"64M"}' "$forever"
is "$(get status)" memory_limit 'one that never ends meets the memory limit'
run bash '{}' 'ulimit -s'
is "$(get stdout)" 262144 'the stack is as large as the memory'
run bash '{"memory":"64M"}' 'ulimit -s; ulimit -Hs'
is "$(get stdout | xargs)" '65536 65536' 'whatever that is'
run bash '{"stack":"16M"}' 'ulimit -s'
is "$(get stdout)" 16384 'or as said'
run python '{}' 'import sys
sys.setrecursionlimit(10**6)
def down(n): return 0 if n == 0 else 1 + down(n - 1)
print(down(100000))'
is "$(get status) $(get stdout)" $'ok 100000' 'python, a depth of 100000'
run python '{"stack":"16M"}' 'import resource
print(resource.getrlimit(resource.RLIMIT_STACK)[0] >> 20)'
is "$(get stdout)" 16 'python with a stack of its own'
run python '{"memory":"512M"}' 'import threading
l = []
for i in range(20):
    t = threading.Thread(target=lambda: l.append(1)); t.start(); t.join()
print(len(l))'
is "$(get status) $(get stdout)" 'ok 20' 'threads, whose stacks are as large'

for bad in '"stack":1000 65536' '"stack":"100T" CUBIT_MAX_MEMORY' '"file_size":"100T" CUBIT_MAX_DISK' '"file_size":-1 below' '"stack":"x" stack'; do
	run bash "{${bad% *}}" 'echo'
	is "$status" 400 "${bad% *} is refused"
	[[ $body == *"${bad##* }"* ]]; is $? 0 "and says ${bad##* }"
done

# ---- the size of a file ----

run bash '{"file_size":4096}' 'head -c 4096 /dev/zero >f && echo fits; trap "" XFSZ; head -c 5000 /dev/zero >g || echo refused'
is "$(get status) $(get stdout | xargs)" 'ok fits refused' 'a file may have so many bytes'
run c '{"file_size":4096}' '#include <stdio.h>
int main(void) { FILE *f = fopen("f", "w"); for (int i = 0; i < 9000; i++) putc(65, f); fclose(f); return 0; }'
is "$(get status) $(get signal)" 'disk_limit 25' 'one more ends the program, which is a disk limit'
run bash '{}' 'head -c 30000000 /dev/zero >f && echo fits'
is "$(get stdout)" fits 'without the limit it is the disk that counts'

# ---- what a program does to itself ----

for s in XCPU XFSZ KILL SEGV TERM; do
	run bash '{}' "kill -$s \$\$"
	is "$(get status) $(get signal)" "signaled $(kill -l $s)" "SIG$s that it sent itself is no limit"
done
run python '{}' 'import os, signal
os.kill(os.getpid(), signal.SIGXFSZ)'
is "$(get status)" ok 'python ignores SIGXFSZ, waiting or cold'
stop_daemon

# ---- a host that gives less ----

# from here on for good: who may raise it does, and the others make do with it
ulimit -s 65536
want=65536
(((0x$(sed -n 's/^CapEff:\t//p' /proc/self/status) >> 24) & 1)) && want=262144
start_daemon
for memory in 256M 64M; do
	for more in '' ',"open_files":99'; do # a waiting interpreter, and a cold one
		run python "{\"memory\":\"$memory\"$more}" 'import resource
print(resource.getrlimit(resource.RLIMIT_STACK)[0] >> 10)'
		[ "$memory" = 256M ] || want=65536
		is "$(get status) $(get stdout)" "ok $want" "the stack is what the host gives, at most: $memory$more"
	done
done
stop_daemon
done_testing
