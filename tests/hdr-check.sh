#!/bin/bash
# Every header compiles alone, and includes point one way:
#   runtime/base <- netsetup, images, policies, runtime <- supervisor, tools, tests <- nothing
#   within supervisor/ and images/: the tables `below` and `below_images`
# and tests/include-graph finds nothing that goes round.
# usage: CC=cc FLAGS='...' tests/hdr-check.sh HEADER...
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0

alone() # HEADER
{
	# shellcheck disable=SC2086  # CC and FLAGS are lists of words
	printf '#include "%s"\n' "$1" | ${CC:-cc} ${FLAGS:-} -fsyntax-only -x c - && return
	echo "hdr-check: $1 does not compile alone"
	return 1
}
export -f alone
printf '%s\n' "$@" | xargs -P "$(nproc)" -I '{}' bash -c 'alone "$1"' - '{}' || failed=1

# What each room of supervisor/ may know of the others, beside itself, settings.h and what lies below supervisor/.
#   daemon -> doors -> front -> redis -> auth -> jobs -> pool -> {spec, protocol} -> {journal, queue, metrics}
declare -A below=(
	[metrics]='' [queue]='' [journal]='' [http]=''
	[protocol]=''
	[spec]=''
	[callback]='queue'
	[monitor]='protocol'
	[pool]='spec protocol'
	[jobs]='pool spec protocol journal queue' # of queue: what a job is called
	[auth]='http queue'
	[redis]='jobs spec journal queue'
	[front]='redis auth callback http jobs pool spec protocol journal queue metrics'
	[doors]='front http jobs spec journal queue'
	[daemon]='doors front monitor auth http protocol'
)

# The same for images/, beside a room itself and the files on the ground, which know no room.
declare -A below_images=(
	[languages]='' [registry]='' [store]='' [unpack]=''
	[whole]='registry store unpack'
	[archive]='whole unpack' # of unpack: what it says of foreign names
)

image_room_allows() { # ROOM
	local other
	[ -n "${below_images[$1]+there}" ] || { echo 'nothing' && return; }
	printf 'runtime/base/|images/[a-z_]*\\.h|images/%s/' "$1"
	for other in ${below_images[$1]}; do
		printf '|images/%s/' "$other"
	done
}

room_allows() { # ROOM
	local other
	[ -n "${below[$1]+there}" ] || { echo 'nothing' && return; } # a new room says here what it may know
	printf 'runtime/|netsetup/|images/|policies/|supervisor/[a-z_]*\\.h|supervisor/%s/' "$1"
	for other in ${below[$1]}; do
		printf '|supervisor/%s/' "$other"
	done
}

# which folders a file of a folder may include from
allowed() {
	case $1 in
	runtime/base/*) echo 'runtime/base/' ;;
	runtime/*) echo 'runtime/' ;;
	netsetup/*) echo 'runtime/base/|netsetup/' ;;
	images/*/*) image_room_allows "$(cut -d/ -f2 <<<"$1")" ;;
	images/*) echo 'runtime/base/|images/[a-z_]*\.h' ;;
	policies/*) echo 'runtime/base/|policies/' ;;
	supervisor/*/*) room_allows "$(cut -d/ -f2 <<<"$1")" ;;
	supervisor/*) echo 'runtime/|netsetup/|images/|policies/|supervisor/[a-z_]*\.h' ;;
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

# Who may end because there is no memory: nobody who has others' lives in hand.
while read -r file; do
	case $file in
	runtime/base/* | tools/cubit/* | tools/fetch/* | tools/worker/* | tests/*) ;;
	supervisor/monitor/* | supervisor/protocol/proto.?) ;&
	runtime/* | netsetup/* | policies/* | images/* | tools/*)
		echo "hdr-check: $file includes runtime/base/alloc.h: it runs where memory that is not there must be handled"
		failed=1
		;;
	supervisor/*/*) ;;
	*)
		echo "hdr-check: $file includes runtime/base/alloc.h: the monitor uses it too"
		failed=1
		;;
	esac
done < <(git ls-files -co --exclude-standard '*.c' '*.h' | xargs grep -l '^#include "runtime/base/alloc.h"' /dev/null)

tests/include-graph --check || failed=1
[ "$failed" = 0 ] && echo "hdr-check: $# headers compile alone, all includes point one way"
exit "$failed"
