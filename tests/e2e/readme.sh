#!/bin/bash
# The curl examples of the README, as written: only the socket, port and key file are those of the test's daemon.
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
P
example() # NUMBER -> $status (curl's), $body
{
	body=$(bash "$dir/example.$1" 2>"$dir/err")
	status=$?
}
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
