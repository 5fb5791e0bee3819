#!/bin/bash
# The examples of the README, as written: only the socket, port and key file are those of the test's daemon. The answer on its
# first screen has the fields that the daemon sends, and where they do not depend on time and place their values.
# timeout: 300
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash python c
start_daemon
python3 - README.md "$dir" "$sock" "${url#http://}" <<'P'
import re, sys
text, out, sock, address = open(sys.argv[1]).read(), sys.argv[2], sys.argv[3], sys.argv[4]
block = re.search(r"```sh\n(.*?)```", text, re.S).group(1)
block = block.replace("/run/cubit/cubit.sock", sock).replace("127.0.0.1:7070", address)
block = block.replace("build/run/state/admin.key", f"{out}/state/admin.key")
for i, example in enumerate(re.split(r"\n\n(?=# )", block.strip())):
    open(f"{out}/example.{i}", "w").write(example + "\n")
first, answer = re.search(r"```console\n\$ (.*?)\n(.*?)```", text, re.S).groups()
open(f"{out}/example.first", "w").write(first.replace("/run/cubit/cubit.sock", sock) + "\n")
open(f"{out}/answer", "w").write(answer)
P
example() # NUMBER -> $status (curl's), $body
{
	body=$(bash "$dir/example.$1" 2>"$dir/err")
	status=$?
}
# What is left of a result when figures, names and moments are taken away: every field, and what is the same each time.
lasting() # FILE
{
	python3 -c '
import json, sys
v = json.load(open(sys.argv[1]))
for k in v:
    if k in ("id", "version", "policy_digest", "node", "pooled", "prestarted") or k.endswith(("_ms", "_at", "_peak", "_bytes")):
        v[k] = "there"
print(json.dumps(v, sort_keys=True))' "$1"
}
example first
printf '%s' "$body" >"$dir/answered"
is "$status" 0 'the first example'
like "$(lasting "$dir/answer")" '"stdout": "42' 'its answer in the README is a result'
is "$(lasting "$dir/answered")" "$(lasting "$dir/answer")" '... and the one that comes has the same fields and the same words'
example 0
is "$status $(get stdout) $(get status)" '0 42 ok' 'a program'
example 1
is "$status $(get outputs.0.content) $(get status)" '0 abab ok' 'several files'
example 2
is "$status $(get stdout) $(get compile.status)" '0 hello ok' 'over TCP with the key'
example 3
is "$status $(get state)" '0 waiting' 'a job'
example 4
like "$(get jobs.0.id)" '^j' 'the list'
example 5
is "$status $(get owner)" '0 ann' 'a key'
stop_daemon
done_testing
