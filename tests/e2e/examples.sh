#!/bin/bash
# The examples of docs/examples as they stand, against a daemon of this test; the commands of their README with the names of
# these files; and the Redis example of the README of the project, pasted.
# timeout: 300
# shellcheck disable=SC2016 # fences of Markdown are no commands
set -u
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"
if ! command -v node >/dev/null || ! command -v jq >/dev/null; then
	skip_all 'needs node and jq: tools/setup e2e node'
fi
need_images bash python c
start_redis
export REDIS_URL=$redis_tcp CUBIT_ORIGINS=http://localhost:8000
start_daemon
examples=$CUBIT_SRC/docs/examples
CUBIT_KEY=$("$CUBIT_BUILD/bin/cubit" key make ann --scope run --url "unix:$sock" 2>"$dir/key.err")
export CUBIT_URL=$url CUBIT_KEY PYTHONDONTWRITEBYTECODE=1
run() # COMMAND...: in the folder of the examples -> $status, $dir/out, $dir/err
{
	(cd "$examples" && timeout 100 "$@") >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
}

# ---- a judge ----
mkdir "$dir/cases"
for n in 1 2; do
	echo "$n $n" >"$dir/cases/$n.in"
	echo $((n + n)) >"$dir/cases/$n.out"
done
echo 'print(sum(map(int, input().split())))' >"$dir/right.py"
echo 'print(2)' >"$dir/wrong.py"
echo 'while True: pass' >"$dir/slow.py"
echo 'int main(void) { return x; }' >"$dir/broken.c"
run python3 judge.py python "$dir/right.py" "$dir/cases"
is "$status $(grep -c '^[12] *accepted' "$dir/out")" '0 2' 'judge.py accepts what is right' || diag "$(cat "$dir/err")"
run python3 judge.py python "$dir/wrong.py" "$dir/cases"
is "$status $(grep -c accepted "$dir/out") $(grep -c 'wrong answer' "$dir/out")" '1 1 1' 'tells a wrong answer'
run python3 judge.py python "$dir/slow.py" "$dir/cases"
is "$status $(grep -c 'time limit exceeded' "$dir/out")" '1 2' 'and a slow one'
run python3 judge.py c "$dir/broken.c" "$dir/cases"
like "$(cat "$dir/out")" 'compile error.*undeclared' 'and shows what the compiler says'

# ---- a notebook ----
cat >"$dir/page.md" <<'END'
# A page

```python
x = 6
print("first")
```

Words between.

```python
print(x * 7)
```

```python
1 / 0
```

```python
print("never")
```
END
run python3 notebook.py "$dir/page.md"
is "$(sed -n '/^```output/,/^```$/p' "$dir/out" | grep -v '^```' | head -n 2 | tr '\n' ' ')" 'first 42 ' \
	'notebook.py shows the output of each cell, and later ones see what earlier ones made' || diag "$(cat "$dir/err")"
like "$(cat "$dir/out")" 'ZeroDivisionError' 'a cell that fails shows why'
is "$(grep -c '^never' "$dir/out")" 0 'and the rest is not run'
is "$(grep -c '^Words between' "$dir/out")" 1 'the page is there'

# ---- queues ----
run sh queue.sh bash 'echo 1' 'echo 2; exit 3'
is "$status $(tr '\n' ' ' <"$dir/out" | tr -s ' ')" '0 ok 1 runtime_error 2 ' 'queue.sh' || diag "$(cat "$dir/err")"
run python3 queue.py bash 'echo 1' 'echo 2; exit 3'
is "$status $(tr '\n' ' ' <"$dir/out" | tr -s ' ')" '0 ok 1 runtime_error 2 ' 'queue.py' || diag "$(cat "$dir/err")"
run node queue.mjs bash 'echo 1' 'sleep 1; echo 2; exit 3'
is "$status $(tr '\n' ' ' <"$dir/out")" '0 1 2 program 1: ok program 2: runtime_error ' 'queue.mjs' || diag "$(cat "$dir/err")"
for program in 'sh queue.sh' 'python3 queue.py' 'node queue.mjs'; do
	# shellcheck disable=SC2086 # two words
	CUBIT_KEY=wrong run $program bash 'echo 1'
	ok $((status == 0)) "$program says that a key is wrong"
	like "$(cat "$dir/err")" 'not known|401' '... in words'
done

# ---- a page: what its README says, and what its script does with a daemon of another origin ----
sed -n 's/^sudo \(cubit key make page .*\)/\1/p' "$examples/README.md" >"$dir/make-key"
is "$(wc -l <"$dir/make-key")" 1 'the README makes a key for the page'
page_key=$(env -u CUBIT_KEY PATH="$CUBIT_BUILD/bin:$PATH" CUBIT_URL="unix:$sock" bash "$dir/make-key" 2>"$dir/err")
like "$page_key" '^cubit_' '... with that command' || diag "$(cat "$dir/err")"
cat >"$dir/page.mjs" <<'END'
const [script, url, key] = process.argv.slice(2);
const { run } = await import(script);
let shown = "", pieces = 0;
const show = (text, stream) => { shown += `${stream}:${text}`; pieces++; };
const source = "import sys, time\nprint('one', flush=True)\ntime.sleep(0.5)\nprint('zwö', file=sys.stderr)";
const end = await run(url, key, { runtime: "python", source }, show);
console.log(JSON.stringify([end.status, shown, pieces > 1]));
try {
  await run(url, key, { runtime: "bash", source: "echo 1" }, show);
} catch (e) {
  console.log(e.message);
}
END
run node "$dir/page.mjs" "$examples/page/run.mjs" "$url" "$page_key"
is "$(head -n 1 "$dir/out")" '["ok","stdout:one\nstderr:zwö\n",true]' 'the script of the page shows output as it comes' ||
	diag "$(cat "$dir/err")"
like "$(tail -n 1 "$dir/out")" "may not use 'bash'" '... and the key of the page runs nothing else'
is "$(curl -s -o /dev/null -D - -X OPTIONS -H 'Origin: http://localhost:8000' -H 'Access-Control-Request-Method: POST' \
	-H 'Access-Control-Request-Headers: authorization' "$url/v1/jobs" | grep -ci '^access-control-allow-origin: http://localhost:8000')" \
	1 'a browser may let it'
while read -r file; do
	[ -e "$examples/$file" ]
	ok $? "the README's $file is there"
done < <(sed -n 's/^| \[\([^]]*\)\].*/\1/p' "$examples/README.md")

# ---- the README of the project: jobs through Redis, pasted ----
python3 - "$CUBIT_SRC/README.md" "$redis_socket" >"$dir/pasted" <<'P'
import re, sys
text = next(b for b in re.findall(r"```\w*\n(.*?)```", open(sys.argv[1]).read(), re.S) if "RPUSH execution" in b)
print(text.replace("redis-cli", f"redis-cli -s {sys.argv[2]}"))
P
is "$(timeout 60 bash "$dir/pasted" 2>"$dir/err" | grep -cx 42)" 1 'the Redis example of the README prints what the program printed'
stop_daemon
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
