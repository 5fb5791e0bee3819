#!/bin/bash
# What is for administrators, asked for by others through every door: the policy `unconfined` is not to be had, neither
# by a key without the scope, nor from Redis, nor on a node whose operator did not allow it. And a right that is taken
# away: the streams that were opened with it end, and nothing more is said to the job.
#
# where: host (what it asks is decided above the kernel; the guest has no images)
# NEED: root, redis-server
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"

need_images bash
start_redis
export CUBIT_JOBS=4 RUN_TIMEOUT_MS=50000 CUBIT_REDIS_STREAMS=jobs/workers/payload CUBIT_REDIS_LIST=pushed REDIS_URL=$redis_tcp
run='{"runtime":"bash","policy":"unconfined","source":"echo out"}'

as() # KEY PATH [OPTION of curl...] -> $status, $body
{
	local k=$1 path=$2
	shift 2
	body=$(curl -sS --max-time 20 -H "Authorization: Bearer $k" -w '\n%{http_code}' "$url$path" "$@" 2>"$dir/curl.err")
	status=${body##*$'\n'}
	body=${body%$'\n'*}
}

dead() # ID
{
	api '/v1/dead?source=redis'
	[[ $body == *"\"$1\""* ]]
}

# ---- a node that allows it to nobody ----

start_daemon
api /v1/run -d "$run"
is "$status" 400 'not allowed on this node: not even to root'
[[ $body == *CUBIT_ALLOW_UNCONFINED* ]]; is $? 0 'and the setting is named'
stop_daemon

# ---- a node that allows it to administrators ----

export CUBIT_ALLOW_UNCONFINED=yes
start_daemon
api /v1/keys -d '{"owner":"mallory","scopes":["run"]}'
mallory=$(get key) mallory_id=$(get id)

api /v1/run -d "$run"
is "$status $(get stdout)" '200 out' 'an administrator may name it'
api /v1/jobs -d "$run"
job=$(get id)
over() { api "/v1/jobs/$job" && [ "$(get state)" = 'done' ]; }
within 15 over
is "$(get stdout)" out 'and the decision is kept with a job that waits'
for path in /v1/run /v1/jobs; do
	as "$mallory" $path -d "$run"
	is "$status" 400 "$path: not with a key without the scope"
	[[ $body == *administrators* ]]; is $? 0 "$path: in words"
	as "$mallory" $path -d '{"runtime":"bash","policy":"unconfined","privileged":true,"source":"echo out"}'
	is "$status" 400 "$path: nor by saying that it was granted"
done
for field in '' ',"privileged":true'; do
	n=${#field}
	rcli XADD jobs '*' payload "{\"id\":\"s$n\",\"runtime\":\"bash\",\"policy\":\"unconfined\"$field,\"source\":\"echo out\"}" >/dev/null
	rcli RPUSH pushed "{\"id\":\"l$n\",\"runtime\":\"bash\",\"policy\":\"unconfined\"$field,\"source\":\"echo out\"}" >/dev/null
	within 10 dead "s$n"; is $? 0 "a stream: a dead letter$field"
	within 10 dead "l$n"; is $? 0 "the list: a dead letter$field"
done
has_result s0 || has_result l0; is $? 1 'and it did not run'

# ---- a key that is revoked ----

# shellcheck disable=SC2016 # a program of the sandbox's shell
as "$mallory" /v1/jobs -d '{"runtime":"bash","interactive":true,"source":"while read -r line; do echo \"got $line\"; done"}'
job=$(get id)
running() { api "/v1/jobs/$job" && [ "$(get state)" = running ]; }
within 15 running
timeout 45 curl -sN -H "Authorization: Bearer $mallory" "$url/v1/jobs/$job/events" >"$dir/events" 2>&1 &
events=$!
background+=("$events")
LOOK_S=40 timeout 45 python3 "$CUBIT_SRC/tests/lib/ws_look.py" "$url" "/v1/jobs/$job/stream" "$mallory" \
	'{"type":"stdin","data":"before\n"}' "@$dir/revoked" '{"type":"stdin","data":"after\n"}' >"$dir/stream" 2>&1 &
stream=$!
background+=("$stream")
heard() { api "/v1/jobs/$job/events?from=1" --max-time 1; [[ $body == *"got before"* ]]; }
within 10 heard; is $? 0 'while the key is there its stream speaks to the job'
api "/v1/keys/$mallory_id" -X DELETE
is "$status" 204 'the key is revoked'
: >"$dir/revoked"
gone() { ! kill -0 "$1" 2>/dev/null; }
within 5 gone "$events"; is $? 0 'events that were opened with it end'
wait "$stream"
grep -q revoked "$dir/stream"; is $? 0 'so does its WebSocket, and says why' || diag "$(cat "$dir/stream")"
api "/v1/jobs/$job/events?from=1" --max-time 1
[[ $body != *'got after'* ]]; is $? 0 'nothing more was said to the job'
as "$mallory" "/v1/jobs/$job"
is "$status" 401 'the key is not known any more'
api "/v1/jobs/$job" -X DELETE

# ---- wrong keys lock nobody out ----

api /v1/keys -d '{"owner":"bob","scopes":["run"]}'
bob=$(get key)
answers=$(curl -sS -o /dev/null -w '%{http_code} ' -H 'Authorization: Bearer wrong-key-of-somebody' "$url/v1/runtimes?n=[1-25]")
is "${answers: -4:3}" 429 'after twenty wrong keys a further wrong one has to wait'
as "$key" /v1/runtimes
is "$status" 200 'the key of the administrator gets in from that address'
as "$bob" /v1/runtimes
is "$status" 200 'and everybody else'

# ---- the account of the front is nobody ----

chmod 755 "$dir" "$dir/run" 2>/dev/null
code=$(python3 - "$sock" <<'END'
import os, socket, sys
where, name = os.path.split(sys.argv[1])
os.chdir(where) # what is above it may be closed to that account, as a clone in somebody's home is
os.setgid(64642)
os.setuid(64642)
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(name)
    s.sendall(b"GET /v1/keys HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    print(s.recv(100).split()[1].decode())
except PermissionError:
    print("no way in")
END
)
is "$code" 401 'the account of the front is no administrator on the socket' || diag "$code"

# ---- the audit log ----

api /v1/jobs/not-there -X DELETE
api '/v1/audit?action=job.cancel&limit=1'
[[ $body == *not_found* && $body != *asked* ]]; is $? 0 'the audit says what came of it'

stop_daemon
done_testing
