#!/bin/bash
# The standard streams by the names people use for them: /dev/stdin, /dev/stdout, /dev/stderr, /dev/fd/N and
# /proc/self/fd/N can be opened anew, in every language, in cold and in waiting sandboxes, with and without input.
#
# timeout: 400
# NEED: root
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"

need_images bash python node c
CUBIT_JOBS=2 start_daemon

# run LANGUAGE SOURCE [STDIN] -> "verdict: stdout|stderr"
run()
{
	local request
	request=$(python3 -c 'import json, sys; print(json.dumps({"runtime": sys.argv[1], "source": sys.argv[2], "stdin": sys.argv[3]}))' \
		"$1" "$2" "${3-}")
	api /v1/run -d "$request"
	printf '%s: %s|%s' "$(get status)" "$(get stdout)" "$(get stderr)"
}

for turn in first second; do
	is "$(run bash 'read -r a </dev/stdin; echo "$a" >/dev/stdout; echo e >/dev/stderr; cat /dev/fd/0 /proc/self/fd/0' $'one\ntwo\n')" \
		'ok: one
two|e' "bash, $turn"
	is "$(run python "a = open('/dev/stdin').read()
open('/dev/stdout', 'w').write(a.upper())
open('/dev/stderr', 'w').write('e')" one)" 'ok: ONE|e' "python, $turn"
	is "$(run node "const fs = require('fs');
const a = fs.readFileSync('/dev/stdin', 'utf8').split(' ').map(Number);
fs.writeFileSync('/dev/stdout', String(a[0] + a[1]));
fs.writeFileSync('/dev/stderr', 'e');" '3 4')" 'ok: 7|e' "node, $turn"
	is "$(run c '#include <stdio.h>
int main(void) { int a; FILE *in = fopen("/dev/stdin", "r"), *out = fopen("/dev/stdout", "w"), *err = fopen("/dev/stderr", "a");
if (!in || !out || !err) return 9; if (fscanf(in, "%d", &a) != 1) return 8; fprintf(out, "%d", a + 1); fputs("e", err); return 0; }' 41)" \
		'ok: 42|e' "c, $turn"
	is "$(run bash 'cat /dev/stdin; echo end >/dev/stdout')" 'ok: end|' "without input, $turn"
	is "$(run bash 'awk "{ print \$1 > \"/dev/stderr\" }" /dev/stdin || echo none; tee /dev/stderr </dev/null; echo a | cat - /dev/stdin' x)" \
		'ok: a|x' "awk and tee, $turn"
done

# Only its own identity: what another user inside holds is not to be opened.
is "$(run bash 'for f in /proc/1/fd/*; do cat "$f" && echo opened; done 2>/dev/null; echo end')" 'ok: end|' \
	'the descriptors of pid 1 stay closed'
stop_daemon
done_testing
