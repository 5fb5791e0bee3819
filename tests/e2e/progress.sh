#!/bin/bash
# Progress of `cubit image`: a bar on a terminal, lines elsewhere, JSON when asked for, nothing when asked for that.
# timeout: 60
set -u
# shellcheck source=tests/lib/registry.sh
. "$(dirname "$0")/../lib/registry.sh"
need_tools
make_layout

# on_terminal STORE [ARGUMENT...]: what a load writes to its terminal -> $dir/screen; sets status
on_terminal()
{
	local store=$1
	shift
	python3 - "$dir/screen" "$cubit" image load --store "$dir/$store" "$@" "$dir/layout" x:1 <<'P'
import os, pty, sys
screen, argv = sys.argv[1], sys.argv[2:]
with open(screen, "wb") as file:
    def read(fd):
        data = os.read(fd, 65536)
        file.write(data)
        file.flush()
        return data
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # pty.spawn copies the screen there
    sys.exit(os.waitstatus_to_exitcode(pty.spawn(argv, read)))
P
	status=$?
	# as people see it: what stands on each line at the end
	tr -d '\r' <"$dir/screen" | sed 's/.*\x1b\[K//' >"$dir/seen"
}

export TERM=xterm
on_terminal bar
is "$status" 0 'an image is loaded at a terminal'
has "$dir/screen" $'\r\x1b\\[K(copy|unpack) +(config|layer . of 2) +[0-9a-f]{12}  \\[#* *\\] [0-9.]+ ([KM]i)?B of [0-9.]+ ([KM]i)?B' 'with a bar that is drawn over itself'
bars=$(tr '\r' '\n' <"$dir/screen" | grep -oE '\[[# ]*\]' | awk '{ print length($0) }' | sort -u)
is "$bars" 26 'always as wide'
has "$dir/seen" '^copy +layer 2 of 2 +[0-9a-f]{12}  [0-9.]+ [KM]?i?B$' 'each step ends as a line'
has "$dir/seen" '^unpack +layer 2 of 2 +[0-9a-f]{12}  [0-9.]+ [KM]?i?B$' 'also the last'
! grep -q '\[' "$dir/seen"
ok $? 'no bar is left standing'
has "$dir/seen" '^docker.io/library/x:1 sha256:[0-9a-f]{64}$' 'and the result stands below'
on_terminal bar
has "$dir/seen" '^unpack .* already there$' 'a second time it says that it was there'

TERM=dumb on_terminal dumb
! grep -q $'\x1b' "$dir/screen"
ok $? 'a terminal without a cursor gets no bar'
has "$dir/seen" '^unpack +layer 2 of 2' 'but lines'
on_terminal quiet --quiet
is "$(wc -l <"$dir/seen")" 1 '--quiet leaves the result alone'
on_terminal json --json
is "$(tr -d '\r' <"$dir/screen" | python3 -c 'import json, sys; print(*sorted({json.loads(l)["event"] for l in sys.stdin}))')" \
	'image progress' '--json is JSON on every line, at a terminal too'
"$cubit" image load --store "$dir/lines" "$dir/layout" x:1 >"$dir/out" 2>"$dir/err"
! grep -q $'\x1b\|\r' "$dir/err" "$dir/out"
ok $? 'what goes to a file has no bar either'
is "$(sed 's/sha256:[0-9a-f]*$//' "$dir/out")" 'docker.io/library/x:1 ' 'and the result alone on standard output'
printf x >>"$(find "$dir/layout/blobs/sha256" -size +500k | head -n 1)"
on_terminal broken
is "$status" 1 'a damaged image fails'
has "$dir/seen" '^cubit image load: .*layer 1 of 2' 'and the message has a line of its own, not behind a bar'

done_testing
