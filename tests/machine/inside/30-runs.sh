# shellcheck shell=bash disable=SC2154 # the functions before it set these
# Programs in four languages, by the command line, the unix socket and TCP. Limits are wide: the machine is emulated.

declare -A program=(
	[bash]='echo "hello $((6 * 7))"'
	[python]='print("hello", 6 * 7)'
	[node]='console.log("hello", 6 * 7)'
	[c]='#include <stdio.h>
int main(void) { printf("hello %d\n", 6 * 7); }'
)
key=$(cat /var/lib/cubit/admin.key)
for name in bash python node c; do
	printf '%s' "${program[$name]}" >/tmp/program
	is "$(cubit run --limit wall=60s --limit cpu=60s --limit compile.wall=60s --limit compile.cpu=60s "$name" /tmp/program 2>/tmp/err)" 'hello 42' "$name by the command line" || diag "$(cat /tmp/err)"
	request=$(python3 -c 'import json, sys; print(json.dumps({"runtime": sys.argv[1], "source": open("/tmp/program").read(),
		"limits": {"wall_ms": 60000, "cpu_ms": 60000}, "compile_limits": {"wall_ms": 60000, "cpu_ms": 60000}}))' "$name")
	api /v1/run -d "$request"
	is "$status $(get status) $(get stdout)" '200 ok hello 42' "$name by the unix socket" || diag "$body"
	body=$(curl -sS --max-time 120 -H "Authorization: Bearer $key" http://127.0.0.1:7070/v1/run -d "$request")
	is "$(get status) $(get stdout)" 'ok hello 42' "$name by TCP" || diag "$body"
done
like "$(curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1:7070/v1/run -d '{}')" 401 'TCP without a key is refused'
# in this session's own scope, without the daemon; the limits that it tries are too narrow for an emulated machine
RUN_TIMEOUT_MS=60000 cubit runtime test bash python >/tmp/test.log 2>&1
for name in bash python; do
	like "$(grep "^$name " /tmp/test.log)" " ok " "cubit runtime test $name says hello" || diag "$(tail -n 20 /tmp/test.log)"
done
done_testing
