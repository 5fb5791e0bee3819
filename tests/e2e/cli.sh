#!/bin/bash
# The client commands against a real cubitd: run, jobs, keys, callbacks, and a front that dies under them.
# What a daemon seldom does is in cli_fake.sh.
# timeout: 300
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash python c
export CUBIT_CALLBACK_NETWORKS=127.0.0.0/8
start_daemon 200
export CUBIT_RUN=$dir/run
unset CUBIT_CALLBACK_NETWORKS CUBIT_URL CUBIT_KEY
cubit=$CUBIT_BUILD/bin/cubit

run() # ARGUMENT...: -> $status, $dir/out, $dir/err
{
	timeout 60 "$cubit" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
}

program() # TEXT: -> $dir/program
{
	printf '%s\n' "$1" >"$dir/program"
}

# ---- run ----
program 'echo hi; echo oh >&2'
run run bash "$dir/program"
is "$status $(cat "$dir/out") $(cat "$dir/err")" '0 hi oh' 'a program runs as if it ran here'
while IFS='|' read -r want text title; do
	program "$text"
	run run bash "$dir/program" --limit wall=4s --limit memory=32M --limit output=4K
	like "$status" "^(${want/,/|})\$" "$title: $want"
done <<-'END'
	0|true|a good end
	7|exit 7|its status
	139|kill -SEGV $$|its signal
	124|while :; do :; done|the time limit
	137,125|x=$(printf "%0100000000d" 0); echo ${#x}|the memory limit
END
like "$(cat "$dir/err")" '^cubit run: memory_limit: .*\(job j' 'the verdict is said'
program 'int main(void) { return x; }'
run run c "$dir/program"
is "$status" 1 'a program that does not compile'
like "$(cat "$dir/err")" 'error:.*x' 'the compiler is heard'
program 'import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])'
head -c 100000 /dev/urandom >"$dir/data"
run run python "$dir/program" --stdin "$dir/data"
is "$(sha256sum <"$dir/out")" "$(python3 -c 'import sys; sys.stdout.buffer.write(open(sys.argv[1], "rb").read()[::-1])' "$dir/data" |
	sha256sum)" 'bytes in, bytes out'
# shellcheck disable=SC2016  # for the shell inside
program 'echo "$A $1 $2"; cat two.txt; mkdir out; printf "\0\1" >out/x.bin'
echo two >"$dir/two.txt"
run run bash "$dir/program" one --file "$dir/two.txt" --env A=a --output 'out/*' --output-dir "$dir/back" -- --three
is "$status $(tr '\n' ' ' <"$dir/out")" '0 a one --three two ' 'arguments, variables, further files'
is "$(od -An -tx1 "$dir/back/out/x.bin" | tr -d " \n")" 0001 'files are handed back'
program 'echo one; sleep 2; echo two'
"$cubit" run bash "$dir/program" 2>&1 | while read -r line; do echo "$SECONDS $line"; done >"$dir/out"
is "$(awk 'NR == 1 { a = $1 } NR == 2 { print ($1 - a >= 1) }' "$dir/out")" 1 'output comes while it runs'
run run bash "$dir/program" --json
is "$(python3 -c 'import json,sys; r = json.load(sys.stdin); print(r["status"], r["stdout"].split())' <"$dir/out")" "ok ['one', 'two']" \
	'--json prints the result'
run run cobol "$dir/program"
is "$status" 3 'an unknown language is refused'
like "$(cat "$dir/err")" 'cobol.*bash' 'with those there are'
run run bash "$dir/program" --limit wall=1h
is "$status" 3 'a limit above its ceiling is refused'
like "$(cat "$dir/err")" 'wall_ms' 'by name'

# ---- Ctrl-C ----
program 'echo start; sleep 60'
python3 - "$cubit" "$dir/program" >"$dir/out" 2>"$dir/err" <<-'END'
	import signal, subprocess, sys
	p = subprocess.Popen([sys.argv[1], "run", "bash", "--limit", "wall=60s", sys.argv[2]], stdout=subprocess.PIPE)
	p.stdout.readline()
	p.send_signal(signal.SIGINT)
	print(p.wait(timeout=20))
END
is "$(cat "$dir/out")" 130 'Ctrl-C: 130'
id=$(grep -o 'j[0-9a-f]*)' "$dir/err" | tr -d ')')
run job wait "$id"
like "$(cat "$dir/out")" "^$id cancelled" 'and the job is cancelled'

# ---- jobs ----
program 'echo done; exit 3'
id=$("$cubit" job submit bash "$dir/program")
run job wait "$id"
is "$status" 3 'job wait ends as the job does'
run job logs "$id"
is "$(cat "$dir/out")" 'done' 'job logs'
run job show "$id"
like "$(cat "$dir/out")" 'status +runtime_error' 'job show'
run job ls --state 'done' --limit 1
like "$(cat "$dir/out")" "$id +done +runtime_error" 'job ls: the newest first'
program 'sleep 60'
id=$("$cubit" job submit bash "$dir/program" --delay 1h)
run job show "$id"
like "$(cat "$dir/out")" 'state +waiting' 'a delayed job waits'
run job cancel "$id"
run job wait "$id"
is "$status" 130 'and can be cancelled'
program 'echo start; sleep 30'
id=$("$cubit" job submit bash "$dir/program" --limit wall=40s)
for ((i = 0; i < 50; i++)); do run job logs "$id" && [ -s "$dir/out" ] && break; sleep 0.1; done
is "$status $(cat "$dir/out")" '0 start' 'job logs without -f shows what a running job has written'
run job cancel "$id"
a=$("$cubit" job submit bash "$dir/program" --idempotency-key same --delay 1h)
b=$("$cubit" job submit bash "$dir/program" --idempotency-key same --delay 1h)
is "$a" "$b" 'the same idempotency key is one job'
run job cancel "$a"
run dead ls
is "$status" 0 'dead ls'

# ---- the front dies ----
program 'echo before; sleep 4; echo after'
"$cubit" run bash "$dir/program" --limit wall=30s >"$dir/out" 2>"$dir/err" </dev/null &
pid=$!
within 10 grep -q before "$dir/out"
kill -KILL "$(pgrep -P "$daemon" -f -- --front | head -n 1)"
wait "$pid"
is "$?" 0 'a run survives the death of the front'
is "$(tr '\n' ' ' <"$dir/out")" 'before after ' 'and misses and repeats nothing'
wait_ready 200

# ---- keys ----
k=$("$cubit" key make ann --scope run --quota jobs=3 --note 'of a test' 2>"$dir/err")
like "$k" '^cubit_' 'key make'
id=$(grep -oE 'id [^;]+' "$dir/err" | cut -c4-)
run key ls
like "$(cat "$dir/out")" "$id +ann +run +jobs=3 +of a test" 'key ls'
program 'echo hi'
printf '%s\n' "$k" >"$dir/key"
run run bash "$dir/program" --url "$url" --key "@$dir/key"
is "$status $(cat "$dir/out")" '0 hi' 'the key opens the TCP door'
CUBIT_URL=$url CUBIT_KEY=$k run key ls
is "$status" 3 'but not what it has no right to'
like "$(cat "$dir/err")" 'admin' 'which is named'
run run bash "$dir/program" --url "$url"
is "$status" 3 'no key: 3'
like "$(cat "$dir/err")" '\-\-key or CUBIT_KEY' 'with what to do'
run key rm "$id"
run run bash "$dir/program" --url "$url" --key "@$dir/key"
is "$status" 3 'a revoked key opens nothing'
! grep -q "$k" "$daemon_log"
ok $? 'and was never in the log'

# ---- login, pool, audit, stats ----
run login --url "$url" --key "@$dir/state/admin.key"
is "$(curl -s -o /dev/null -w '%{http_code}' "$(cat "$dir/out")")" 303 'the login link works'
like "$(curl -s -o /dev/null -w '%{http_code}' "$(cat "$dir/out")")" '^40[0-9]$' 'once'
run pool
like "$(cat "$dir/out")" 'RUNTIME.*READY' 'pool'
run audit --action key.make
like "$(cat "$dir/out")" 'key.make' 'audit'
run stats
like "$(cat "$dir/out")" 'verdicts .*ok [0-9]' 'stats'
run stats --json
is "$(python3 -c 'import json,sys; print(any(s["name"] == "cubit_jobs_total" for s in json.load(sys.stdin)))' <"$dir/out")" True \
	'stats --json'

# ---- callbacks ----
start_receiver s3cr3t
id=$("$cubit" job submit bash "$dir/program" --callback "$hook_url/hook" --callback-secret s3cr3t)
within 10 grep -qs ' 2 ' "$dir/received"
is "$(tr '\n' '|' <"$dir/received")" "$id 1 True ok|$id 2 True ok|" 'a callback is signed, and made again after a failure'
run job submit bash "$dir/program" --callback http://169.254.169.254/
is "$status" 3 'one to a metadata address is refused'
like "$(cat "$dir/err")" 'link-local' 'with the reason'
! grep -q s3cr3t "$daemon_log"
ok $? 'the secret is not in the log'
kill "$receiver"

# ---- stopped ----
program 'echo hi'
stop_daemon
run run bash "$dir/program"
is "$status" 3 'without a daemon: 3'
done_testing
