#!/bin/bash
# Every header compiles alone, and includes point one way:
#   runtime/base <- netsetup, images, policies, runtime <- supervisor, tools, tests <- nothing
# usage: CC=cc FLAGS='...' tests/hdr-check.sh HEADER...
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0

for h in "$@"; do
	# shellcheck disable=SC2086  # FLAGS is a list of words
	if ! printf '#include "%s"\n' "$h" | ${CC:-cc} ${FLAGS:-} -fsyntax-only -x c - ; then
		echo "hdr-check: $h does not compile alone"
		failed=1
	fi
done

# which folders a file of a folder may include from
allowed() {
	case $1 in
	runtime/base/*) echo 'runtime/base/' ;;
	runtime/*) echo 'runtime/' ;;
	netsetup/*) echo 'runtime/base/|netsetup/' ;;
	images/*) echo 'runtime/base/|images/' ;;
	policies/*) echo 'runtime/base/|policies/' ;;
	supervisor/*) echo 'runtime/|netsetup/|images/|policies/|supervisor/' ;;
	tools/*) echo 'runtime/|netsetup/|images/|policies/|supervisor/|tools/' ;;
	tests/*) echo '.*' ;;
	*) echo 'nothing' ;;
	esac
}

while IFS=: read -r file _ line; do
	target=${line#*\"} target=${target%%\"*}
	if ! grep -qE "^($(allowed "$file"))" <<<"$target"; then
		echo "hdr-check: $file includes $target: the arrow points the wrong way"
		failed=1
	fi
done < <(git ls-files -co --exclude-standard '*.c' '*.h' | xargs grep -nE '^#include "' /dev/null)

[ "$failed" = 0 ] && echo "hdr-check: $# headers compile alone, all includes point one way"
exit "$failed"
