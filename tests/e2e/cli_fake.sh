#!/bin/bash
# The client commands against a daemon that only pretends (tests/lib/fake_daemon.py): connections that break off, answers
# that are none, bytes, escape sequences and names of files that should do harm.
# timeout: 120
set -u
# shellcheck source=tests/lib/sandbox.sh
. "$(dirname "$0")/../lib/sandbox.sh"

cubit=$CUBIT_BUILD/bin/cubit
log=$dir/requests
export CUBIT_URL=unix:$dir/sock
unset CUBIT_KEY CUBIT_RUN
python3 "$(dirname "$0")/../lib/fake_daemon.py" "$dir/sock" "$log" 2>"$dir/fake.err" &
background+=("$!")
within 10 test -S "$dir/sock"
echo 'print("hi")' >"$dir/a.py"

run() # ARGUMENT...: -> $status, $dir/out, $dir/err
{
	: >"$log"
	timeout 60 "$cubit" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
}

sent() # PYTHON EXPRESSION over `r`, the first POST
{
	python3 -c '
import json, sys
r = [x for x in map(json.loads, open(sys.argv[1])) if x["method"] == "POST"][0]
print(eval(sys.argv[2]))' "$log" "$1" 2>&1
}

# ---- run: output and exit status ----
run run hello "$dir/a.py"
is "$status" 0 'a program that ends well: 0'
is "$(cat "$dir/out")" hi 'its standard output is ours'
is "$(cat "$dir/err")" oh 'its standard error too, and no word of ours'
is "$(sent 'r["body"]')" "{'runtime': 'hello', 'source': 'print(\"hi\")\\n'}" 'the request has what was said, no more'
run run bytes "$dir/a.py"
is "$(sha256sum <"$dir/out")" "$(python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(256)))' | sha256sum)" \
	'bytes arrive as they are'
while read -r name want title; do
	run run "$name" "$dir/a.py"
	is "$status" "$want" "$title: $want"
done <<-'END'
	seven 7 its own status
	signal 139 128 and its signal
	slow 124 a time limit
	hog 137 the memory limit, by its signal
	loud 125 another limit
	compile 1 a program that does not compile
	ours 3 a failure of the daemon's
	dead 3 a job that never ran
END
run run slow "$dir/a.py"
is "$(cat "$dir/err")" 'cubit run: time_limit: wall time of 2 s used up (job j-slow)' 'the verdict is a line on standard error'
run run slow --quiet "$dir/a.py"
is "$(cat "$dir/err")" '' 'which --quiet leaves out'
run run escape "$dir/a.py"
unlike "$(cat "$dir/err")" $'[\e\r]' 'a verdict cannot move the cursor'
run run hello --json "$dir/a.py"
is "$(python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])' <"$dir/out")" j-hello '--json prints the result'
is "$(cat "$dir/err")" '' 'and nothing else'

# ---- run: connections ----
run run cut "$dir/a.py"
is "$status" 0 'events that break off again and again are come back to'
is "$(tr '\n' ' ' <"$dir/out")" 'one two three ' 'with nothing lost and nothing twice'
run run restart "$dir/a.py"
is "$status $(tr '\n' ' ' <"$dir/out")" '0 before after ' 'a daemon that restarts is waited for'
started=$(date +%s%N)
run run later "$dir/a.py"
is "$status $(tr '\n' ' ' <"$dir/out")" '0 before after ' 'one that says when it will be back is come back to'
is "$((($(date +%s%N) - started) / 100000000 >= 20)) $(grep -c '/stream' "$log")" '1 3' 'then, and not before'
run run flaky "$dir/a.py"
is "$status" 0 'a submission that broke off is sent again'
is "$(python3 -c '
import json, sys
k = [x["headers"].get("Idempotency-Key") for x in map(json.loads, open(sys.argv[1])) if x["method"] == "POST"]
print(len(k), k[0] == k[1], len(k[0]) > 30)' "$log")" '2 True True' 'with the same idempotency key'
run run garbage "$dir/a.py"
is "$status" 3 'what is no event is refused'
run run full "$dir/a.py"
is "$status $(cat "$dir/err")" '3 cubit run: the queue is full' 'a refusal is one sentence'
run run nonsense "$dir/a.py"
is "$status" 3 'an unknown language is refused'
has_escape=$(grep -c $'\e' "$dir/err")
is "$has_escape" 0 'and the words cannot move the cursor'
run run nonsense --json "$dir/a.py"
is "$(python3 -c 'import json,sys; print(json.load(sys.stdin)["error"]["field"])' <"$dir/out")" runtime '--json prints the refusal too'
run run html "$dir/a.py"
like "$(cat "$dir/err")" "does not speak Cubit's API" 'something else than a daemon is told apart'
CUBIT_URL=unix:$dir/none run run hello "$dir/a.py"
is "$status" 3 'no daemon: 3'
like "$(cat "$dir/err")" 'No such file or directory; is cubitd running' 'and says so'

# ---- run: signals and pipes ----
: >"$log"
"$cubit" run endless "$dir/a.py" >"$dir/out" 2>"$dir/err" </dev/null &
pid=$!
within 10 grep -q start "$dir/out"
kill -TERM "$pid"
wait "$pid"
is "$?" 143 'SIGTERM ends it'
is "$(grep -c '"DELETE", "path": "/v1/jobs/j-endless"' "$log")" 1 'and cancels the job'
: >"$log"
python3 - "$cubit" "$dir/a.py" >"$dir/out" 2>"$dir/err" <<-'END'
	import signal, subprocess, sys
	p = subprocess.Popen([sys.argv[1], "run", "endless", sys.argv[2]], stdout=subprocess.PIPE)
	p.stdout.readline()
	p.send_signal(signal.SIGINT)
	print(p.wait(timeout=20))
END
is "$(cat "$dir/out")" 130 'Ctrl-C: 130'
is "$(grep -c '"DELETE"' "$log")" 1 'and cancels the job'
: >"$log"
"$cubit" run bytes "$dir/a.py" 2>"$dir/err" >&- </dev/null
like "$?" '^[1-9]' 'output that cannot be written is a failure'
python3 - "$cubit" "$dir/a.py" >"$dir/out" 2>"$dir/err" <<-'END'
	import os, subprocess, sys
	r, w = os.pipe()
	p = subprocess.Popen([sys.argv[1], "run", "hello", sys.argv[2]], stdout=w, stderr=subprocess.DEVNULL)
	os.close(r), os.close(w)
	print(p.wait(timeout=20))
END
is "$(cat "$dir/out")" 141 'a reader that goes away ends it as SIGPIPE would'

# ---- run: the request ----
printf 'a\0b' >"$dir/data"
mkdir -p "$dir/sub"
echo two >"$dir/sub/two.txt"
chmod +x "$dir/data"
(cd "$dir" && SECRET_ENV=x "$cubit" run hello a.py one --file sub/two.txt --file "$dir/data" --stdin data --env A=b=c \
	--env SECRET_ENV --limit wall=1.5s >/dev/null 2>&1)
is "$?" 2 'a limit that is none is refused before anything is sent'
: >"$log"
(cd "$dir" && SECRET_ENV=x "$cubit" run hello a.py one --file sub/two.txt --file "$dir/data" --stdin data --env A=b=c \
	--env SECRET_ENV --limit wall=1500ms --limit memory=64M --limit cpus=0.5 --limit compile.cpu=2s --policy strict \
	-- --two -) >"$dir/out" 2>"$dir/err"
is "$(sent 'r["body"]["args"]')" "['one', '--two', '-']" 'arguments, with options behind --'
is "$(sent '[f["path"] for f in r["body"]["files"]]')" "['a.py', 'sub/two.txt', 'data']" 'files, the program first'
is "$(sent 'r["body"]["files"][2]')" "{'path': 'data', 'mode': '0755', 'content': 'YQBi', 'encoding': 'base64'}" 'bytes and modes'
is "$(sent 'r["body"]["stdin"] + r["body"]["stdin_encoding"]')" YQBibase64 'standard input'
is "$(sent 'r["body"]["env"]')" "{'A': 'b=c', 'SECRET_ENV': 'x'}" 'variables'
is "$(sent 'r["body"]["limits"]')" "{'wall_ms': 1500, 'memory': 67108864, 'cpus': 0.5}" 'limits'
is "$(sent 'r["body"]["compile_limits"], r["body"]["policy"]')" "({'cpu_ms': 2000}, 'strict')" 'compile limits and policy'
: >"$log"
echo 'echo piped' | "$cubit" run hello - >/dev/null 2>&1
is "$(sent 'r["body"]["source"]')" 'echo piped' 'a program from standard input'
echo x | "$cubit" run hello - --stdin - 2>/dev/null
is "$?" 2 'which cannot be both program and input'
run run hello "$dir/a.py" --frobnicate
is "$status" 2 'an unknown option is a usage error'
: >"$log"
"$cubit" job submit hello "$dir/a.py" --priority -5 --delay 2s --callback http://example.org/ --callback-secret s3cr3t \
	--idempotency-key k7 >"$dir/out"
is "$(cat "$dir/out")" j-hello 'job submit prints the id'
is "$(sent 'r["body"]["priority"], r["body"]["delay_ms"], r["body"]["callback"]')" \
	"(-5, 2000, {'url': 'http://example.org/', 'secret': 's3cr3t'})" 'and queues it as said'
is "$(sent 'r["headers"]["Idempotency-Key"]')" k7 'with the key given'

# ---- files handed back ----
mkdir "$dir/back"
run run files "$dir/a.py" --output '**' --output-dir "$dir/back"
is "$status $(cat "$dir/back/a.txt") $(od -An -tx1 "$dir/back/out/deep/b.bin" | tr -d " \n")" '0 hi 0001' 'files that are handed back are written'
run run files "$dir/a.py" --output '**' --output-dir "$dir/back"
is "$status" 1 'but replace none'
like "$(cat "$dir/err")" "'a.txt' is there already; --overwrite replaces it" 'unless told to'
run run files "$dir/a.py" --output '**' --output-dir "$dir/back" --overwrite
is "$status" 0 '--overwrite does'
mkdir "$dir/outside"
ln -s "$dir/outside" "$dir/back/link"
for how in up absolute link dots; do
	printf '%s' "$how" >"$log.hostile"
	run run files "$dir/a.py" --output '**' --output-dir "$dir/back" --overwrite
	is "$status" 1 "a file whose name leads elsewhere ($how) is refused"
done
rm "$log.hostile"
[ ! -e "$dir/evil" ] && [ ! -e /tmp/cubit-cli-evil ] && [ -z "$(ls "$dir/outside")" ]
ok $? 'and nothing was written there'

# ---- the other commands ----
run job ls
is "$(wc -l <"$dir/out")" 5 'job ls follows pages'
run job ls --limit 2 --state 'done' --owner 'a b&c'
is "$(wc -l <"$dir/out")" 3 'up to a limit'
like "$(cat "$dir/err")" 'there are more' 'and says that there are more'
like "$(head -n 1 "$log")" '/v1/jobs\?state=done&owner=a%20b%26c&limit=2' 'filters are encoded'
run job ls --json
is "$(python3 -c 'import json,sys; print(len(json.load(sys.stdin)["jobs"]))' <"$dir/out")" 4 'job ls --json is one object'
run job show j-hello
like "$(cat "$dir/out")" 'state +done' 'job show prints facts'
run job show '../keys'
is "$status" 2 'an id that cannot be one is not sent'
run job show j-none
is "$status $(cat "$dir/err")" "3 cubit job show: there is no job 'j-none'" 'a job that is not there: 3'
run job logs j-hello
is "$(cat "$dir/out") $(cat "$dir/err")" 'hi oh' 'job logs prints both streams'
run job logs j-endless
is "$status $(cat "$dir/out")" '0 start' 'job logs without -f shows what there is'
run job logs --json j-hello
is "$(wc -l <"$dir/out")" 4 'job logs --json prints events'
run job wait j-hello j-seven
is "$status $(tr '\n' '|' <"$dir/out")" '7 j-hello ok|j-seven runtime_error: it ended with status 7|' 'job wait ends as the jobs do'
run job cancel j-hello
is "$status $(cat "$dir/out")" '0 j-hello cancelled' 'job cancel'
run dead ls
is "$(wc -l <"$dir/out")" 5 'dead ls'
run dead replay d1 d2
is "$status $(grep -c replay "$log")" '0 2' 'dead replay'
run dead rm d1
is "$status $(cat "$dir/out")" '0 d1 forgotten' 'dead rm'
run key make ann --scope run,cubes --quota jobs=5 --note 'a note'
is "$(cat "$dir/out")" cubit_thekey 'key make prints the key alone'
is "$(sent 'r["body"]')" "{'owner': 'ann', 'note': 'a note', 'scopes': ['run', 'cubes'], 'quota': {'jobs': 5}}" 'of what was asked for'
run key ls
like "$(cat "$dir/out")" 'ann +run,cubes +jobs=5' 'key ls'
unlike "$(cat "$dir/out")" $'\e' 'a note cannot move the cursor'
run login
is "$(cat "$dir/out")" 'http://127.0.0.1:7070/login?token=x' 'login prints the link'
run pool
like "$(cat "$dir/out")" 'bash +2 +7 +1.0 MiB' 'pool'
run audit --owner ann
like "$(cat "$dir/out")" '2026-01-31 12:00:00 +ann +key.make' 'audit'
run stats
like "$(cat "$dir/out")" 'running 3 +waiting 5' 'stats prints gauges'
like "$(cat "$dir/out")" 'verdicts +ok 111 +time_limit 2' 'sums'
like "$(cat "$dir/out")" 'run +half within 100 ms' 'and quantiles'
like "$(cat "$dir/out")" 'memory 12.0 MiB' 'and bytes'
TERM=xterm timeout 20 script -qec "timeout -s INT 2.5 $cubit stats" /dev/null >"$dir/out" 2>&1 </dev/null
like "$(cat "$dir/out")" 'submitted 0.0/s' 'on a terminal it goes on, with rates'

# ---- keys ----
: >"$log"
CUBIT_KEY=cubit_env "$cubit" job ls >/dev/null
like "$(cat "$log")" '"Authorization": "Bearer cubit_env"' 'the key of the environment is sent'
printf 'cubit_file\n' >"$dir/key"
run job ls --key "@$dir/key"
like "$(cat "$log")" '"Authorization": "Bearer cubit_file"' 'so is one of a file'
"$cubit" job logs -f j-endless --key cubit_on_the_command_line >/dev/null 2>&1 </dev/null &
pid=$!
background+=("$pid")
sleep 0.5
unlike "$(tr '\0' ' ' <"/proc/$pid/cmdline")" 'on_the_command' 'a key on the command line is wiped from it'
kill "$pid"
run job ls --key 'a b'
is "$status" 2 'a key with a blank is none'

# ---- completion ----
for shell in bash zsh fish; do
	run completion "$shell"
	is "$status" 0 "completion for $shell"
done
"$cubit" completion bash >"$dir/completion"
bash -n "$dir/completion"
ok $? 'bash reads its own'
complete_words() # WORD...: what the last one may become
{
	bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _cubit; echo "${COMPREPLY[*]}"' _ "$dir/completion" "$@"
}
like "$(complete_words cubit jo)" '^job$' 'a command is completed'
like "$(complete_words cubit job '')" 'submit ls show logs wait cancel' 'subcommands are'
like "$(complete_words cubit job submit --pri)" '^--priority$' 'options of subcommands are'
like "$(complete_words cubit run python --li)" '^--limit$' 'options of a command without subcommands are'
command -v zsh >/dev/null && { "$cubit" completion zsh | zsh -n; ok $? 'zsh reads its own'; }
command -v fish >/dev/null && { "$cubit" completion fish | fish -n; ok $? 'fish reads its own'; }
# the words of commands with tables of their own: neither more nor less than --help says
wrong=''
while read -r name; do
	complete_words cubit "$name" x >/dev/null
	offered=$(bash -c '. "$1"; _cubit_words "$2"; a=$cubit_words; for s in $a; do _cubit_words "$2 $s"; a="$a $cubit_words"; done
		printf "%s\n" $a' _ "$dir/completion" "$name" | grep '^--' | sort -u)
	known=$("$cubit" "$name" --help | grep -oE '(^|[[ ])--[a-z][a-z-]*' | grep -oE '\-\-[a-z-]+' | sort -u)
	[ "$offered" = "$known" ] || wrong="$wrong $name: $(diff <(echo "$offered") <(echo "$known") | tr '\n' ' ')"
done < <("$cubit" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
is "$wrong" '' 'each option of --help is completed, and no other'
done_testing
