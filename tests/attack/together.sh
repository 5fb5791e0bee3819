#!/bin/bash
# A sandbox dies as one, whatever ends it: its program, a limit, a cancel, a kill of pid 1 or of one of many. No daemon in a
# session of its own outlives it, deaf or not.
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

none_alive()
{
	local tries=60
	while [ -n "$(own_processes)" ] && [ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.05
	done
	is "$(own_processes)" '' "$1"
}

run -- /bin/payload daemons
is "$(field status)" ok 'the program ends, its daemons would not'
none_alive '... and are gone with it'

run --wall 500ms -- /bin/payload daemons stay
is "$(field status)" time_limit 'the wall clock ends it'
like "$(field reason)" '^wall time over 500 ms' '... and no other limit'
none_alive '... and the daemons'

# One of many is chosen by the kernel for memory: all have to go, and nobody may be left to look at the remains.
run --memory 32M --wall 10s -- /bin/payload each daemons ';' memory-child ';' echo survived
is "$(field status)" memory_limit 'memory ends it'
unlike "$(output)" survived '... before the next step of the program'
none_alive '... and the daemons'

# from outside
crowd() # -> $pid of the supervisor, $init of pid 1 inside
{
	start crowd --wall 30s "$@" -- /bin/payload daemons stay
	wait_for "$dir/crowd.stdout" 'are out' 20
	ok $? 'a crowd is there' || diag "$(cat "$dir/crowd.stderr")"
	init=$(ps -o pid= --ppid "$pid")
	[ "$(own_processes | wc -l)" -ge 9 ]
	ok $? '... of nine at least' || diag "$(own_processes)"
}

crowd
kill "$pid"
wait "$pid"
is "$(field status "$dir/crowd.verdict")" cancelled 'a cancel ends it'
none_alive '... and the daemons'

crowd
# shellcheck disable=SC2086 # a number
kill -KILL $init
wait "$pid"
is "$(field status "$dir/crowd.verdict")" internal_error 'a kill of pid 1 from outside ends it, and is not blamed on the program'
none_alive '... and the daemons'

crowd --root
kill "$pid"
wait "$pid"
is "$(field status "$dir/crowd.verdict")" cancelled 'with root inside it is the same'
none_alive '... and the daemons'

# from inside: nobody can end pid 1, and ending everybody else is the program's own business
run --wall 3s -- /bin/payload each call kill -1 9 ';' echo alive
like "$(field status) $(field signal)" 'signaled 9|ok' 'a program that kills all it can kills itself at most'
none_alive '... and nothing stays'
nothing_left 'nothing is left'
done_testing
