#!/bin/bash
# kill -9 of the front, of the monitor, of both, fifty times under the load of twenty clients: what was promised is kept.
# timeout: 900
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash
export CUBIT_LEASE=5s CUBIT_ATTEMPTS=30 CUBIT_QUEUE_MAX=100000 CUBIT_RATE=0
start_daemon
python3 tests/lib/load_client.py "$sock" 20 "$dir/stop" >"$dir/load.out" 2>&1 &
load=$!
background+=("$load")

front_pid()
{
	pgrep -P "$daemon" -f -- --front | head -n 1
}
kills_front=0 kills_monitor=0 kills_both=0
for i in {1..50}; do
	sleep "0.$((RANDOM % 6 + 2))"
	front=$(front_pid)
	case $((i % 5)) in
	0)
		kill -KILL "$daemon"
		kills_monitor=$((kills_monitor + 1))
		;;
	1)
		# shellcheck disable=SC2086 # a front may just not be there
		kill -KILL "$daemon" $front 2>/dev/null
		kills_both=$((kills_both + 1))
		;;
	*)
		# shellcheck disable=SC2086
		kill -KILL $front 2>/dev/null
		kills_front=$((kills_front + 1))
		wait_ready 200 || diag "not ready after kill $i of the front"
		continue
		;;
	esac
	wait "$daemon" 2>/dev/null
	start_daemon
	background+=("$load")
done
touch "$dir/stop"
wait "$load"
is $? 0 'every job answered with 202 ends in exactly one result'
diag "kills: front $kills_front, monitor $kills_monitor, both $kills_both; $(tail -n 1 "$dir/load.out")"
grep '^#' "$dir/load.out" | head -n 20
is "$(grep -c 'Sanitizer\|assert' "$daemon_log")" 0 'and nobody died of anything else'
stop_daemon
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
