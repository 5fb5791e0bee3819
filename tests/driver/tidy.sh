#!/bin/bash
# The house is in order: headers compile alone, includes point one way and in no circle; scripts and C files are as the
# tools of Debian 12 want them.
# timeout: 600
set -u
count=0 failed=0

# TITLE COMMAND...
passes()
{
	local title=$1 word=ok said
	shift
	count=$((count + 1))
	said=$("$@" 2>&1) || { word='not ok' && failed=1; }
	echo "$word $count - $title"
	[ "$word" = ok ] || tail -n 40 <<<"$said" | sed 's/^/# /'
}

passes 'headers compile alone, includes point one way' make -s hdr-check
passes 'no include goes in a circle' tests/include-graph
passes 'scripts are clean for shellcheck' make -s shell-check
if clang-format --version | grep -q 'version 14\.'; then # others write the same style differently
	passes 'C files are as clang-format writes them' make -s format-check
fi
echo "1..$count"
exit "$failed"
