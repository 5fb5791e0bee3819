#!/bin/bash
# What docs/producers.md promises to producers, row by row: each field and each key of its tables is pushed or read here,
# a row that the page gets and this test does not know fails, and both sample clients run as they stand on the page.
# timeout: 400
# shellcheck disable=SC2016,SC2317 # programs of the sandboxes have dollars; `within` calls functions
set -u
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"
# shellcheck source=tests/e2e/node/modules
. "$(dirname "$0")/node/modules"
if ! command -v npm >/dev/null || ! /usr/bin/python3 -c 'import redis' 2>/dev/null; then
	skip_all 'needs npm and python3-redis: tools/setup e2e node'
fi
need_node_modules
need_images bash python node
page=$CUBIT_SRC/docs/producers.md
start_redis
export REDIS_URL=$redis_tcp CUBIT_RATE=0
# a callback may go to this machine only where the operator says so
CUBIT_CALLBACK_NETWORKS=127.0.0.0/8 start_daemon

push() # JSON: into the stream
{
	rcli XADD cubit:jobs '*' job "$1"
}
state_is() # ID STATE
{
	[ "$(rcli HGET "cubit:job:$1" state)" = "$2" ]
}
letter_of() # ID -> the reason of its dead letter
{
	rcli --raw HGET "cubit:job:$1" reason
}
has_ended() # ID: the last of its events
{
	rcli --raw XREVRANGE "cubit:events:$1" + - COUNT 1 | grep -qx end
}
declare -A known=()
row() # NAME...: these rows of the tables are tried by what follows
{
	local name
	for name in "$@"; do known[$name]=1; done
}
# Pushes a job to the stream and one to the list; both must say the same.
says() # TITLE WANT FIELDS
{
	n=$((n + 1))
	push "{\"id\": \"s$n\", $3}" >/dev/null
	rcli RPUSH execution "{\"id\": \"l$n\", $3}" >/dev/null
	within 20 has_result "s$n" "l$n"
	is "$(result "s$n" stdout)|$(result "l$n" stdout)" "$2|$2" "$1, through the stream and the list" ||
		diag "$(letter_of "s$n") / $(letter_of "l$n") / $(result "s$n" reason)"
}
n=0

# ---- what to push ----
row id runtime source owner
says 'runtime and source' hello '"runtime": "bash", "source": "echo hello"'
says 'language and code' hello '"language": "bash", "code": "echo hello"'
says 'cube_type and source' hello '"cube_type": "bash", "source": "echo hello", "user_id": "ann"'
is "$(rcli HGET cubit:job:s3 owner) $(rcli HGET cubit:job:s1 owner)" 'ann redis' 'user_id is the owner, and redis is without one'
push '{"job_id": "named", "owner": "bob", "runtime": "bash", "source": "echo named"}' >/dev/null
within 20 has_result named
is "$(result named stdout) $(rcli HGET cubit:job:named owner)" 'named bob' 'job_id is an id, owner an owner'
entry=$(push '{"runtime": "bash", "source": "echo entry"}')
within 20 has_result "$entry"
is "$(result "$entry" stdout)" entry 'a job without an id is called as its entry is'
row 'the rest'
says files file '"runtime": "bash", "files": [{"path": "main.sh", "content": "cat other"}, {"path": "other", "content": "file"}], "main": "main.sh"'
says args 'a b' '"runtime": "bash", "source": "echo $1 $2", "args": ["a", "b"]'
says stdin typed '"runtime": "bash", "source": "cat", "stdin": "typed"'
says env set '"runtime": "bash", "source": "echo $V", "env": {"V": "set"}'
says policy strict '"runtime": "bash", "source": "echo strict", "policy": "strict"'
says delay_ms late '"runtime": "bash", "source": "echo late", "delay_ms": 300'
says 'priority' first '"runtime": "bash", "source": "echo first", "priority": 5'
push '{"id": "limited", "runtime": "bash", "source": "sleep 20", "limits": {"wall_ms": 300}}' >/dev/null
push '{"id": "made", "runtime": "bash", "source": "echo file >a.txt", "outputs": ["a.txt"]}' >/dev/null
within 20 has_result limited made
is "$(result limited status)" time_limit 'limits'
like "$(result made outputs)" '"a.txt"' 'outputs'

# kept as long as it asks, in the stream, in the list and through the API; the others stay
says retention_ms short '"runtime": "bash", "source": "echo short", "retention_ms": 3000'
for id in s$n l$n; do
	for key in result events job; do
		[ "$(rcli PTTL "cubit:$key:$id")" -le 3000 ]
		ok $? "cubit:$key of $id goes when it asked for it"
	done
done
[ "$(rcli PTTL cubit:result:s1)" -gt 3600000 ]
ok $? '... and that of others later'
api /v1/jobs -d '{"runtime": "bash", "source": "echo short", "retention_ms": 1000}'
short=$(get id)
api /v1/jobs -d '{"runtime": "bash", "source": "echo long"}'
long=$(get id)
is_known() # ID
{
	api "/v1/jobs/$1"
	[ "$status" = 200 ]
}
is_unknown() # ID
{
	! is_known "$1"
}
is_known "$short"
ok $? 'a job of the API that is not to be kept is there'
within 30 is_unknown "$short"
ok $? '... and goes when it asked for it'
is_known "$long"
ok $? '... and another one stays'
api /v1/jobs -d '{"runtime": "bash", "source": "echo hi", "retention_ms": 86400001}'
is "$status $(get error.field)" '400 retention_ms' 'the API refuses more than the node gives as Redis does'
like "$(get error.message)" 'above the ceiling of 86400000 .CUBIT_RETENTION' '... in the same words'
api /v1/run -d '{"runtime": "bash", "source": "echo hi", "retention_ms": 2000}'
is "$status $(get error.field)" '400 retention_ms' '... and a direct run has none'

# ---- what can never be run is refused by name, and its events end ----
refused() # TITLE REASON FIELDS
{
	n=$((n + 1))
	push "{\"id\": \"bad$n\", \"runtime\": \"bash\", \"source\": \"echo hi\", $3}" >/dev/null
	within 10 state_is "bad$n" dead
	like "$(letter_of "bad$n")" "$2" "$1 makes a dead letter that names it"
	within 5 has_ended "bad$n"
	ok $? '... and ends its events'
	is "$(rcli --raw XREVRANGE "cubit:events:bad$n" + - COUNT 1 | tail -n 1)" dead '... with the word dead'
	is "$(rcli EXISTS "cubit:result:bad$n")" 0 '... without a result'
}
refused 'input that nobody could type' '^interactive: ' '"interactive": true'
refused 'a terminal' '^(tty|interactive): ' '"interactive": true, "tty": {"cols": 80, "rows": 24}'
refused 'a policy that is not listed' '^policy: ' '"policy": "unconfined"'
refused 'a limit above the ceiling' 'memory' '"limits": {"memory": "100G"}'
refused 'to be kept longer than the node keeps anything' '^retention_ms: .*above the ceiling of 86400000 .CUBIT_RETENTION' '"retention_ms": 86400001'
refused 'to be kept for no time' '^retention_ms: .*below the minimum of 1000' '"retention_ms": 0'
refused 'a callback to a metadata address' '^callback.url: .*link-local' '"callback": {"url": "http://169.254.169.254/"}'
refused 'a callback that is no URL' 'url' '"callback": {"url": "ftp://example.org/"}'
bad=bad$n

# ---- callbacks ----
start_receiver s3cr3t
hook="{\"url\": \"$hook_url/hook\", \"secret\": \"s3cr3t\"}"
push "{\"id\": \"called\", \"runtime\": \"bash\", \"source\": \"exit 3\", \"callback\": $hook}" >/dev/null
within 20 grep -qs ' 2 ' "$dir/received"
is "$(tr '\n' '|' <"$dir/received")" 'called 1 True runtime_error|called 2 True runtime_error|' \
	'a callback of a job from the stream is signed, and made again after a failure'
: >"$dir/received"
rcli RPUSH execution "{\"id\": \"called-2\", \"runtime\": \"bash\", \"source\": \"echo hi\", \"callback\": $hook}" >/dev/null
within 20 grep -qs called-2 "$dir/received"
is "$(cat "$dir/received")" 'called-2 1 True ok' 'so is one of the list'
: >"$dir/received"
# the front dies while the job runs: what it armed is kept, and the job's next owner answers
push "{\"id\": \"called-3\", \"runtime\": \"bash\", \"source\": \"sleep 3; echo hi\", \"callback\": $hook}" >/dev/null
within 10 state_is called-3 running
front=$(pgrep -P "$daemon" -f -- --front | head -n 1)
kill -KILL "$front"
within 40 grep -qs called-3 "$dir/received"
like "$(cat "$dir/received")" '^called-3 1 True ok' 'one whose front dies is made by the next front'
: >"$dir/received"
is "$(grep -c s3cr3t "$daemon_log")" 0 'no secret is in the log'

# ---- cancel ----
wait_ready 200
push '{"id": "endless", "runtime": "bash", "source": "echo on; sleep 50", "limits": {"wall_ms": 60000}}' >/dev/null
within 10 state_is endless running
rcli ZADD cubit:cancel 0 endless >/dev/null
within 10 has_result endless
is "$(result endless status)" cancelled 'a job that runs is cancelled by its producer'
push '{"id": "later", "runtime": "bash", "source": "echo never", "delay_ms": 600000}' >/dev/null
within 10 state_is later waiting
rcli ZADD cubit:cancel 0 later >/dev/null
within 10 has_result later
is "$(result later status)|$(result later stdout)" 'cancelled|' 'so is one that waits'
rcli ZADD cubit:cancel 0 unread >/dev/null
sleep 2
push '{"id": "unread", "runtime": "bash", "source": "sleep 30; echo never"}' >/dev/null
within 15 has_result unread
is "$(result unread status)|$(result unread stdout)" 'cancelled|' 'and one that no node has read yet'
rcli ZADD cubit:cancel 0 s1 >/dev/null
gone() # no wish is left but of what is unknown
{
	[ "$(rcli ZCARD cubit:cancel)" = 0 ]
}
within 10 gone
is $? 0 'a wish is taken away with its job, also when that was over'
is "$(result s1 status)" ok '... whose result stays'

# ---- the same id ----
push '{"id": "s1", "runtime": "bash", "source": "echo hello"}' >/dev/null
push '{"id": "s2", "runtime": "bash", "source": "echo other"}' >/dev/null
refused_copy()
{
	rcli --raw XREVRANGE cubit:dead + - COUNT 1 | grep -q 'duplicate id'
}
within 10 refused_copy
ok $? 'an id that has its result, with another program, is refused by letter'
is "$(rcli --raw XREVRANGE cubit:dead + - COUNT 1 | grep -A1 -x id | tail -n 1)" s2 '... of that id'
is "$(result s2 stdout)" hello '... and the first result stays'
within 10 test "$(rcli XLEN cubit:jobs)" = 0
is "$(rcli --raw XRANGE cubit:dead - + | grep -cx s1)" 0 'with the same program it is no dead letter'

# ---- what comes back ----
row 'cubit:result:<id>'
fields=$(rcli --raw HKEYS cubit:result:s1)
for field in status exit_code signal stdout stderr stdout_truncated wall_ms cpu_ms memory_peak attempt node json; do
	grep -qx "$field" <<<"$fields"
	ok $? "cubit:result has $field"
done
# output stands once: in its field, and in the stream of events as it came
push '{"id": "once", "runtime": "bash", "source": "echo marked-$((40 + 2)); echo file-$((40 + 3)) >f; echo other-$((40 + 4)) >&2", "outputs": ["f"]}' >/dev/null
within 20 has_result once
for word in marked-42 file-43 other-44; do
	is "$(rcli --raw HVALS cubit:result:once | grep -ac "$word")" 1 "$word stands once in a result"
done
is "$(rcli HEXISTS cubit:result:once journal)" 0 '... which has no journal beside the stream of events'
is "$(result once json | python3 -c 'import json, sys; o = json.load(sys.stdin); print(o["status"], o["exit_code"], "stdout" in o)')" \
	'ok 0 False' 'json is the rest of it'
api /v1/jobs/once
is "$(get stdout) $(get stderr) $(get outputs.0.content) $(get compile)" 'marked-42 other-44 file-43 null' 'the API has the whole of it'
api /v1/jobs/once/events -H 'Accept: application/x-ndjson'
like "$(tr '\n' ' ' <<<"$body")" 'marked-42.*"type": ?"exit"' '... and its events, from the stream'
is "$(python3 -c 'import json, sys; print([json.loads(l)["n"] for l in sys.stdin if l.strip()])' <<<"$body")" \
	"$(rcli --raw XRANGE cubit:events:once - + | python3 -c 'import sys; l = sys.stdin.read().split("\n"); print([int(l[i + 1]) for i in range(len(l)) if l[i] == "n" and l[i + 1] != "0"])')" \
	'... with the numbers that they have there'
push '{"id": "bytes", "runtime": "bash", "source": "printf \"\\\\377\""}' >/dev/null
within 10 has_result bytes
is "$(result bytes stdout_encoding) $(result bytes stdout)" 'base64 /w==' 'output that is no UTF-8 is base64'
row 'cubit:events:<id>'
is "$(rcli --raw XRANGE cubit:events:s1 - + | grep -cx 'n\|type\|at_ms\|attempt\|data')" \
	"$(($(rcli XLEN cubit:events:s1) * 5 - 2))" 'cubit:events has n, type, at_ms, attempt, data; the end only n, type, data'
is "$(rcli --raw XREVRANGE cubit:events:s1 + - COUNT 1 | tail -n 3 | tr '\n' ' ')" 'end data ok ' '... and ends with the status'
row 'cubit:events' 'X:logs'
timeout 30 redis-cli -s "$redis_socket" --raw SUBSCRIBE cubit:events goxec:logs >"$dir/heard" &
background+=("$!")
within 5 grep -qs goxec:logs "$dir/heard"
push '{"id": "heard", "runtime": "bash", "source": "echo loud"}' >/dev/null
rcli XADD goxec:jobs '*' job '{"id": "engine", "language": "bash", "code": "echo engine"}' >/dev/null
push '{"id": "dead-heard", "runtime": "nobody", "source": "x"}' >/dev/null
within 15 grep -q '"completed"' "$dir/heard"
within 5 grep -q '"dead-heard"' "$dir/heard"
like "$(grep '"heard"' "$dir/heard")" 'loud.*"result"' 'cubit:events on the channel, with the result'
like "$(grep '"dead-heard"' "$dir/heard")" '"dead"' '... and dead letters'
like "$(grep '"engine"' "$dir/heard" | grep job_id)" '"output": ?"engine.*"type": ?"log".*"status": ?"completed"' \
	'X:logs has the logs and states of a stream X:jobs'
row 'cubit:dead'
letter=$(rcli --raw XREVRANGE cubit:dead + - COUNT 1)
for field in id payload reason attempts node kind source group field; do
	grep -qx "$field" <<<"$letter"
	ok $? "cubit:dead has $field"
done
row 'cubit:job:<id>'
is "$(rcli HMGET cubit:job:s1 state attempt | tr '\n' ' ')" 'done 1 ' 'cubit:job has state and attempt'
is "$(rcli HGET cubit:job:later state)|$(rcli HGET "cubit:job:$bad" state)" 'cancelled|dead' '... of what never ran as well'
row 'cubit:cancel'

# ---- the page ----
while read -r name; do
	[ "${known[$name]:-}" = 1 ]
	ok $? "the row '$name' of docs/producers.md is tried"
done < <(sed -n 's/^| \(`\([^`]*\)`\|\(the rest\)\) |.*/\2\3/p' "$page")
is "$(sed -n 's/^| \(`\([^`]*\)`\|\(the rest\)\) |.*/\2\3/p' "$page" | wc -l)" "${#known[@]}" 'and every row that is tried is there'

# A dead job: both samples must say so at once. The clients talk to the port that the page names, so it is put in.
sample() # LANGUAGE -> the code
{
	sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" "$page" | sed '1d;$d' | sed "s|redis://127.0.0.1:6379|$redis_tcp|"
}
sample python >"$dir/sample.py"
timeout 30 /usr/bin/python3 "$dir/sample.py" >"$dir/out" 2>&1
like "$(tr '\n' ' ' <"$dir/out")" '^0 1 2 ok [0-9.]+ ms ' 'the python client of the page runs as it stands' || diag "$(cat "$dir/out")"
sed 's/run("python", .*/run("nobody", "x")/' "$dir/sample.py" >"$dir/sample-dead.py"
timeout 10 /usr/bin/python3 "$dir/sample-dead.py" >"$dir/out" 2>&1
is "$?" 1 '... and does not wait for a job that is dead'
like "$(cat "$dir/out")" 'RuntimeError: runtime' '... and says why' || diag "$(cat "$dir/out")"
sample js >"$dir/sample.cjs"
timeout 30 node "$dir/sample.cjs" >"$dir/out" 2>&1
like "$(tr '\n' ' ' <"$dir/out")" '^42 ok [0-9.]+ ms ' 'the node client of the page runs as it stands' || diag "$(cat "$dir/out")"
sed 's/run("node", .*)\.then/run("nobody", "x").then/' "$dir/sample.cjs" >"$dir/sample-dead.cjs"
timeout 10 node "$dir/sample-dead.cjs" >"$dir/out" 2>&1
is "$?" 1 '... and does not wait for a job that is dead'
like "$(cat "$dir/out")" 'Error: runtime' '... and says why' || diag "$(cat "$dir/out")"

stop_daemon
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
