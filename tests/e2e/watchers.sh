#!/bin/bash
# Two hundred WebSocket watchers of one job get every event in order; some that do not read neither stall the others nor
# make the front grow.
# timeout: 200
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash
export CUBIT_RATE=0
start_daemon
front=$(pgrep -P "$daemon" -f -- --front | head -n 1)
rss()
{
	awk '/^VmRSS:/ { print $2 }' "/proc/$front/status"
}
api /v1/run -d '{"runtime":"bash","source":"echo warm"}'
before=$(rss)
# 4 MiB in pieces, over some seconds
api /v1/jobs -d '{"runtime":"bash","source":"for i in {1..400}; do head -c 10000 /dev/zero | tr \"\\\\0\" x; echo; sleep 0.005; done","limits":{"output":"8M","wall_ms":60000,"cpu_ms":60000}}'
is "$status" 202 'the job is accepted'
python3 tests/lib/watchers.py "$sock" "$(get id)" 200 10 >"$dir/out" 2>&1
is $? 0 'all get everything, in order, the same' || diag "$(cat "$dir/out")"
diag "$(tail -n 1 "$dir/out")"
after=$(rss)
[ $((after - before)) -lt 65536 ]
ok $? 'the front did not keep a copy for each'
diag "front: $before KiB before, $after KiB after"
stop_daemon
is "$status" 0 'SIGTERM ends it well'
done_testing
