#!/bin/bash
# What producers push into Redis with nothing but redis-cli is taken at once: the list `execution`, the stream cubit:jobs, the
# stream of an existing engine; results and events can be read with redis-cli as well.
# timeout: 180
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"
# shellcheck source=tests/e2e/node/modules
. "$(dirname "$0")/node/modules"
need_node_modules
need_images bash python
start_redis
export REDIS_URL=$redis_tcp CUBIT_NODE=pickup
start_daemon

state_of() # ID
{
	rcli --raw HGET "cubit:job:$1" state
}

# ---- the list ----
# One connection that pushes and looks without a pause: what is measured is the daemon, not the start of redis-cli.
cat >"$dir/pickup.py" <<'END'
import sys, time
from importlib.machinery import SourceFileLoader
p = SourceFileLoader("producer", sys.argv[1]).load_module()
r = p.Redis(sys.argv[2])
r.connect()
lags = []
for i in range(21):
    name, start = b"cube_%d" % i, time.monotonic()
    r.exchange([("LPUSH", "execution", b'{"id":"%s","user_id":"user_xyz","name":"PythonSandbox","cube_type":"python"}' % name)])
    while not r.exchange([("EXISTS", b"cubit:job:" + name)])[0] and time.monotonic() - start < 5:
        pass
    lags.append((time.monotonic() - start) * 1000)
    time.sleep(0.02 + 0.01 * (i % 7))
lags.sort()
print(f"{lags[len(lags) // 2]:.1f} {lags[-1]:.1f}")
END
is "$(rcli LPUSH execution '{"id":"cube_abc123","user_id":"user_xyz","name":"PythonSandbox","cube_type":"python"}')" 1 \
	'redis-cli LPUSH execution is taken by Redis'
within 5 exists cubit:job:cube_abc123
is "$(rcli LLEN execution)" 0 'and taken out of the list'
is "$(state_of cube_abc123)" pending 'a cube without a program is kept as a request that waits'
is "$(rcli --raw LRANGE cubit:cubes 0 -1 | grep -c cube_abc123)" 1 'and is in the list of cubes'
read -r half most < <(python3 -B "$dir/pickup.py" "$producer" "$redis_url" 2>/dev/null)
[ "$(ms "${half:-9999}")" -lt 50 ]
ok $? 'within 50 ms, half of the time'
diag "picked up after ${half:-?} ms in the middle, ${most:-?} ms at most, of 21"
rcli LPUSH execution '{"id":"cube_abc123","user_id":"user_xyz","name":"PythonSandbox","cube_type":"python"}' >/dev/null
sleep 0.3
is "$(rcli LLEN execution) $(rcli XLEN cubit:dead) $(rcli --raw LRANGE cubit:cubes 0 -1 | grep -c cube_abc123)" '0 0 1' \
	'the same cube asked for twice is one request, and no dead letter'

rcli RPUSH execution '{"id":"run1","user_id":"user_xyz","name":"n","cube_type":"python","source":"print(6 * 7)"}' >/dev/null
within 20 has_result run1
ok $? 'with a source it is a job, by RPUSH as by LPUSH'
is "$(result run1 status) $(result run1 exit_code) $(result run1 stdout)" 'ok 0 42' 'its result is a hash'
is "$(result run1 node) $(result run1 attempt) $(result run1 runtime)" 'pickup 1 python' 'that says where it ran'
[ "$(rcli TTL cubit:result:run1)" -gt 0 ]
ok $? 'and goes away by itself'

# ---- the stream ----
rcli XADD cubit:jobs '*' job '{"id":"run2","runtime":"bash","source":"echo out; echo err >&2; exit 3"}' >/dev/null
within 20 has_result run2
ok $? 'XADD cubit:jobs * job ... is a job'
is "$(result run2 status) $(result run2 exit_code)" 'runtime_error 3' 'its verdict'
is "$(result run2 stdout) $(result run2 stderr)" 'out err' 'its output'
like "$(result run2 wall_ms)" '^[0-9]+(\.[0-9]+)?$' 'its time'
is "$(rcli XPENDING cubit:jobs cubit:workers | head -n 1)" 0 'nothing is pending for the group'

has_ended() # ID
{
	rcli --raw XRANGE "cubit:events:$1" - + | grep -qx end
}
within 5 has_ended run2
ok $? 'its events are a stream'
is "$(rcli --raw XRANGE cubit:events:run2 - + | grep -cx -e stdout -e stderr)" 2 'with each output'
is "$(rcli --raw XRANGE cubit:events:run2 - + | grep -cx end)" 1 'and one end'
[ "$(rcli TTL cubit:events:run2)" -gt 0 ]
ok $? 'that goes away by itself'

redis-cli -s "$redis_socket" --raw SUBSCRIBE cubit:events >"$dir/sub" 2>&1 &
background+=("$!")
wait_for "$dir/sub" subscribe 5
# shellcheck disable=SC2016 # the variable is the program's
rcli XADD cubit:jobs '*' job '{"id":"run3","runtime":"bash","source":"for i in 1 2 3; do echo tick$i; sleep 0.3; done"}' >/dev/null
wait_for "$dir/sub" tick1 20
is "$(rcli EXISTS cubit:result:run3)" 0 'who only listens hears output while it runs'
wait_for "$dir/sub" '"result"' 20
ok $? 'and its result' || diag "$(cat "$dir/sub")"

bytes=$(rcli XADD cubit:jobs '*' job '{"id":"run4","runtime":"bash","source":"printf \"\\\\xff\\\\x00\\\\xfe\""}')
within 20 has_result run4
is "$(result run4 stdout_encoding) $(result run4 stdout)" 'base64 /wD+' 'bytes that are no text come as base64'
like "$bytes" '^"?[0-9]+-' 'and the push was answered'

rcli XADD cubit:jobs '*' job '{"id":"run2","runtime":"bash","source":"echo again"}' >/dev/null
sleep 1
is "$(result run2 stdout)" out 'an id that has a result is not run again'
is "$(rcli XPENDING cubit:jobs cubit:workers | head -n 1)" 0 'and does not stay pending'

# ---- the stream of an existing engine ----
redis-cli -s "$redis_socket" --raw SUBSCRIBE goxec:logs >"$dir/logs" 2>&1 &
background+=("$!")
wait_for "$dir/logs" subscribe 5
rcli XADD goxec:jobs '*' job '{"id":"job-1","code":"print('\''Hello from Redis Job 1'\'')","language":"python"}' >/dev/null
within 20 has_result job-1
is "$(result job-1 stdout)" 'Hello from Redis Job 1' 'goxec:jobs, with code and language'
wait_for "$dir/logs" '"type": ?"status"' 5
wait_for "$dir/logs" '"output": ?"Hello from Redis Job 1' 5
ok $? 'its listeners of goxec:logs get what they know' || diag "$(cat "$dir/logs")"
diag "$(grep job_id "$dir/logs")"

# ---- a real client ----
body=$(node tests/e2e/node/redis.cjs "$redis_tcp" 2>"$dir/node.err") || diag "$(cat "$dir/node.err")"
is "$(get io_list) $(get io_stream)" 'list stream' 'ioredis pushes to list and stream, and reads the results'
diag "picked up: $body"

# ---- a door of ours that pushes ----
api /api/run -d '{"language":"bash","code":"echo through the stream"}'
job=$(get job_id)
within 20 has_result "$job"
is "$(result "$job" stdout) $(rcli --raw HGET "cubit:job:$job" source)" 'through the stream cubit:jobs' 'POST /api/run goes through the first stream'

# ---- what the daemon says ----
api /v1/jobs/run1
is "$status $(get status) $(get stdout)" '200 ok 42' 'GET /v1/jobs has a job that came through Redis'
api /v1/jobs/run2/events -H 'Accept: application/x-ndjson'
is "$(grep -c '"type":"exit"' <<<"$body")" 1 'and its events'
api /v1/nodes
is "$(get nodes.0.name) $(get nodes.0.state)" 'pickup serving' 'the node is in GET /v1/nodes'
"$CUBIT_BUILD/bin/cubit" node ls --url "unix:$sock" >"$dir/out" 2>&1
like "$(cat "$dir/out")" 'pickup +serving' 'cubit node ls shows it'
"$CUBIT_BUILD/bin/cubit" node drain pickup --url "unix:$sock" >"$dir/out" 2>&1
is "$? $(cat "$dir/out")" '0 pickup takes no more work' 'cubit node drain'
sleep 0.5
rcli XADD cubit:jobs '*' job '{"id":"run5","runtime":"bash","source":"echo late"}' >/dev/null
sleep 1
is "$(rcli EXISTS cubit:result:run5)" 0 'a drained node takes nothing'
"$CUBIT_BUILD/bin/cubit" node resume pickup --url "unix:$sock" >/dev/null 2>&1
within 20 has_result run5
is "$(result run5 stdout)" late 'until it is resumed'
"$CUBIT_BUILD/bin/cubit" node drain nobody --url "unix:$sock" >"$dir/out" 2>&1
is "$?" 3 'a node that nobody knows is refused'

"$producer" list --url "$redis_url" --count 40 --mix ok=6,failing=2,slow=1,malformed=1 --verify 60 >"$dir/out" 2>&1
ok $? 'cubit-producer finds everything through the list' || diag "$(cat "$dir/out")"
diag "$(tail -n 1 "$dir/out")"
"$producer" stream --url "$redis_url" --count 40 --mix ok=6,failing=2,slow=1,malformed=1 --twice 4 --verify 60 >"$dir/out" 2>&1
ok $? 'and through the stream, with jobs that come twice' || diag "$(cat "$dir/out")"
diag "$(tail -n 1 "$dir/out")"
"$producer" stream --url "$redis_url" --key goxec:jobs --format goxec --count 20 --verify 60 >"$dir/out" 2>&1
ok $? 'and through the stream of the engine' || diag "$(cat "$dir/out")"
is "$(grep -c 'Sanitizer\|assert' "$daemon_log")" 0 'and nobody died of anything'
stop_daemon
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
