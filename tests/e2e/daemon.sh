#!/bin/bash
# cubitd from the outside: programs of every kind through POST /v1/run, their verdicts, jobs, refusals, the doors.
# timeout: 600
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash python node c
start_daemon

# ---- the doors ----

api /healthz
is "$status" 200 'it is alive'
api /readyz
is "$(get ready)" true 'and ready'
is "$(curl -s -o /dev/null -w '%{http_code}' "$url/v1/runtimes")" 401 'TCP without a key is refused'
is "$(curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer cubit_no' "$url/v1/runtimes")" 401 'a wrong key as well'
is "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $key" "$url/v1/runtimes")" 200 'the admin key is not'
is "$(curl -s -o /dev/null -w '%{http_code}' -H "X-API-Key: $key" "$url/v1/runtimes")" 200 'nor as X-API-Key'
is "$(stat -c %a "$dir/state/admin.key")" 600 'the key is a file of root'
api /nowhere
is "$status" 404 'a path that is none'
api /v1/run
is "$status" 405 'a method that is none'
api /openapi.json
is "$(get openapi | cut -c1-2)" 3. 'the API describes itself'
front=$(pgrep -P "$daemon" -f -- --front | head -n 1)
is "$(awk '/^Uid:/ { print $2 }' "/proc/$front/status")" 64642 'under an account of its own'
is "$(awk '/^CapEff:/ { print $2 }' "/proc/$front/status")" 0000000000000000 'without capabilities'
is "$(awk '/^NoNewPrivs:/ { print $2 }' "/proc/$front/status")" 1 'or a way to get some'
is "$(awk '/^Seccomp:/ { print $2 }' "/proc/$front/status")" 2 'behind a filter'
is "$(find "/proc/$front/fd" -lname '*io_uring*' | wc -l)" 0 'and with no io_uring, which its loop would have made before it was confined'

# ---- programs ----

# RUNTIME SOURCE [MORE FIELDS]: -> $status, $body
program()
{
	api /v1/run -d "{\"runtime\":\"$1\",\"source\":$(printf '%s' "$2" | json)${3:+,$3}}"
}
verdict() # STATUS TITLE
{
	[ "$status" = 200 ] && [ "$(get status)" = "$1" ]
	ok $? "$2" || diag "HTTP $status: ${body:0:1500}"
}

while IFS='|' read -r runtime source wanted; do
	program "$runtime" "$(printf '%b' "$source")"
	verdict ok "$runtime says hello"
	is "$(get stdout)" "$wanted" "$runtime: what it says"
done <<'END'
python|print("hello")|hello
node|console.log("hello")|hello
bash|echo hello|hello
c|#include <stdio.h>\nint main(void) { puts("hello"); }|hello
cpp|#include <iostream>\nint main() { std::cout << "hello\\n"; }|hello
END
is "$(get compile.status)" ok 'a compiled program has a compile stage'
is "$(get processes_peak | grep -c '^[0-9]')" 1 'and its processes were counted'
program cpp "$(printf '%b' '#include <iostream>\nint main() { std::cout << "hello\\n"; }')"
is "$(get compile.cached)" true 'compiled once, the artefact is there the second time'

for runtime in python node bash; do
	case $runtime in
	python) source='import sys; print(sys.stdin.read().upper(), end="")' ;;
	node) source='process.stdin.on("data", d => process.stdout.write(d.toString().toUpperCase()))' ;;
	bash) source='tr a-z A-Z' ;;
	esac
	program "$runtime" "$source" '"stdin":"abc\n"'
	is "$(get stdout)" ABC "$runtime reads standard input"
done
program c 'int main(void) { return x; }'
verdict compile_error 'a C program that does not compile'
like "$(get compile.stderr)" 'x.* undeclared' 'with what the compiler said'
program python 'import sys; sys.stderr.write("oh\n"); sys.exit(3)'
verdict runtime_error 'a status other than 0'
is "$(get exit_code) $(get stderr)" '3 oh' 'with status and standard error'
program python 'raise ValueError("x")'
verdict runtime_error 'an exception'
like "$(get stderr)" 'File "/work/main.py", line 1, in <module>' 'its traceback starts in the program'
unlike "$(get stderr)" 'cubit' 'and shows nothing of ours'
program bash 'kill -SEGV $$'
verdict signaled 'a signal'
program python 'while True: pass' '"limits":{"cpu_ms":300,"wall_ms":3000}'
verdict time_limit 'endless: cpu'
like "$(get reason)" cpu 'the reason says so'
program bash 'sleep 30' '"limits":{"wall_ms":300}'
verdict time_limit 'asleep: wall'
like "$(get reason)" wall 'the reason says so'
program python 'a = []
while True: a.append(bytearray(b"x") * (1 << 20))' '"limits":{"memory":"64M"}'
verdict memory_limit 'greedy'
program python 'while True: print("x" * 1000)' '"limits":{"output":"64K"}'
verdict output_limit 'talkative'
is "$(get stdout_truncated) $(get stdout | wc -c)" "true 65537" 'cut at the limit'
program python 'import os
while True: os.fork()' '"limits":{"processes":16}'
verdict process_limit 'a fork bomb'
program bash 'head -c 50M /dev/zero >big' '"limits":{"disk":"8M"}'
verdict disk_limit 'a full disk'
program python 'print("äöü 日本 🎈")'
is "$(get stdout)" 'äöü 日本 🎈' 'unicode'
program python 'import sys; sys.stdout.buffer.write(bytes(range(256)))'
is "$(get stdout_encoding) $(get stdout | base64 -d | wc -c)" 'base64 256' 'binary output'
api /v1/run -d '{"runtime":"python","files":[{"path":"main.py","content":"import pkg.m; print(pkg.m.x)"},{"path":"pkg/m.py","content":"x = 42"}]}'
is "$(get stdout)" 42 'several files'
program python 'import sys, os; print(sys.argv[1:], os.environ["A"], os.getcwd())' '"args":["x","y z"],"env":{"A":"b"}'
is "$(get stdout)" "['x', 'y z'] b /work" 'arguments, environment, directory'
program python 'open("a.txt","w").write("out"); import os; os.mkdir("d"); open("d/b.bin","wb").write(b"\xff")' '"outputs":["*.txt","d/**"]'
is "$(get outputs.0.path) $(get outputs.0.content) $(get outputs.1.path) $(get outputs.1.encoding)" 'a.txt out d/b.bin base64' 'files come back'
for i in 1 2 3 4 5 6 7 8; do
	curl -sS --unix-socket "$sock" http://cubit/v1/run -d '{"runtime":"bash","source":"sleep 0.3; echo '$i'"}' >"$dir/par.$i" &
	pids[i]=$!
done
wait "${pids[@]}"
is "$(cat "$dir"/par.* | grep -o '"stdout": *"[0-9]' | wc -l)" 8 'eight at once'

# ---- refusals ----

refused() # HTTP FIELD WORDS TITLE
{
	[ "$status" = "$1" ] && [ "$(get error.field)" = "$2" ] && [[ $(get error.message) =~ $3 ]]
	ok $? "$4" || diag "HTTP $status: ${body:0:600}"
}
api /v1/run -d '{"runtime":"cobol","source":""}'
refused 400 runtime cobol 'an unknown language'
api /v1/run -d '{"runtime":"bash","source":"","typo":1}'
refused 400 typo typo 'an unknown field'
program bash '' '"limits":{"memory":"900G"}'
refused 400 limits.memory CUBIT_MAX_MEMORY 'a limit above its ceiling'
program bash '' '"policy":"../../etc/passwd"'
refused 400 policy '.' 'a policy that is a path'
api /v1/run -d '{"runtime":"bash","files":[{"path":"../x","content":""}]}'
refused 400 'files[0].path' '.' 'a path that leaves'
api /v1/run -d 'nonsense'
is "$status" 400 'a body that is not JSON'
python3 -c 'print("[" * 100000)' >"$dir/brackets"
api /v1/run --data-binary @"$dir/brackets"
is "$status" 400 'a body of brackets'
head -c 40M /dev/zero >"$dir/large"
api /v1/run --data-binary @"$dir/large"
is "$status" 413 'a body that is too large'
api /v1/run -H 'Transfer-Encoding: chunked' -d '{"runtime":"bash","source":"echo chunked"}'
is "$(get stdout)" chunked 'a chunked body'

# ---- jobs ----

api /v1/jobs -d '{"runtime":"bash","source":"echo out; echo err >&2; exit 4"}'
is "$status $(get state)" '202 waiting' 'a job is accepted'
job=$(get id)
events=$(curl -sSN --max-time 30 --unix-socket "$sock" -H 'Accept: application/x-ndjson' "http://cubit/v1/jobs/$job/events")
is "$(grep -c '"type": *"stdout"' <<<"$events") $(grep -c '"type": *"stderr"' <<<"$events")" '1 1' 'its events as lines'
like "$(tail -n 1 <<<"$events")" '"type":"exit".*runtime_error' 'the last one is the end'
# shellcheck disable=SC2001 # a line each
is "$(sed 's/.*"n":\([0-9]*\).*/\1/' <<<"$events" | tr '\n' ' ')" "$(seq -s' ' "$(wc -l <<<"$events")") " 'numbered without gaps'
again=$(curl -sSN --max-time 30 --unix-socket "$sock" -H 'Accept: application/x-ndjson' "http://cubit/v1/jobs/$job/events?from=2")
is "$again" "$(tail -n +2 <<<"$events")" 'from a number on, the same'
sse=$(curl -sSN --max-time 30 --unix-socket "$sock" -H 'Last-Event-ID: 1' "http://cubit/v1/jobs/$job/events")
is "$(grep -c '^id: ' <<<"$sse")" "$(($(wc -l <<<"$events") - 1))" 'as server-sent events behind Last-Event-ID'
api "/v1/jobs/$job"
is "$(get state) $(get status) $(get exit_code) $(get stdout) $(get stderr)" 'done runtime_error 4 out err' 'its result'
api '/v1/jobs?state=done&limit=1'
is "$(get jobs.0.id)" "$job" 'it is listed'
api /v1/jobs -H 'Idempotency-Key: k1' -d '{"runtime":"bash","source":"echo 1"}'
first=$(get id)
api /v1/jobs -H 'Idempotency-Key: k1' -d '{"runtime":"bash","source":"echo 1"}'
is "$status $(get id)" "202 $first" 'the same key and request: the same job'
api /v1/jobs -H 'Idempotency-Key: k1' -d '{"runtime":"bash","source":"echo 2"}'
is "$status" 409 'the same key with another request'
api /v1/jobs -d '{"runtime":"bash","source":"sleep 20"}'
job=$(get id)
sleep 0.5
api "/v1/jobs/$job" -X DELETE
is "$status" 202 'a running job is cancelled'
for _ in {1..300}; do
	api "/v1/jobs/$job"
	[ "$(get state)" = cancelled ] && break
	sleep 0.1
done
is "$(get state) $(get status)" 'cancelled cancelled' 'and ends as cancelled'
api /v1/jobs -d '{"runtime":"bash","source":"echo late","delay_ms":60000}'
job=$(get id)
api "/v1/jobs/$job" -X DELETE
is "$status $(get state)" '200 cancelled' 'a waiting one at once'
api "/v1/jobs/$job"
is "$(get status)" cancelled 'it has a result that says so'
api /v1/jobs/j00000000000000000000000000000000
is "$status" 404 'a job that is none'

# ---- a client that leaves ----

curl -sS --max-time 0.5 --unix-socket "$sock" http://cubit/v1/run -d '{"runtime":"bash","source":"sleep 15","limits":{"wall_ms":20000}}' >/dev/null 2>&1
sleep 0.5
api /v1/nodes
is "$(get nodes.0.running)" 0 'a run whose client left is ended'

# ---- keys ----

api /v1/keys -d '{"owner":"ann","scopes":["run"]}'
is "$status" 201 'a key is made'
ann=$(get key)
is "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $ann" "$url/v1/keys")" 403 'it has no right to others'
is "$(curl -s -H "Authorization: Bearer $ann" "$url/v1/run" -d '{"runtime":"bash","source":"echo ann"}' | grep -c '"stdout": *"ann')" 1 'but to run'
is "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $ann" "$url/v1/jobs/$first")" 404 'the jobs of others are not there for it'
like "$(curl -sI -X GET -H "Authorization: Bearer $ann" "$url/v1/runtimes")" 'RateLimit-Limit' 'answers say what is left'

# ---- and its end ----

api /metrics
like "$body" 'cubit_jobs_total.*time_limit' 'metrics count verdicts'
api /v1/pool
is "$status" 200 'the pool is shown'
stop_daemon
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
