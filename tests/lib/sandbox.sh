#!/bin/bash
# Sourced by tests that run cubit-sandbox from a shell: TAP, a root file system with the payload in it, ids of its own,
# and a look at what a sandbox may leave behind.
#
#   . tests/lib/sandbox.sh
#   run --wall 2s -- /bin/payload sleep 9     # -> $status, $dir/verdict, $dir/stdout, $dir/stderr
#   is "$(field status)" time_limit 'the wall clock ends it'
#   nothing_left 'nothing of it is left'
#   done_testing
#
# Every test works below $dir, with sandboxes named $prefix... in a range of ids that no other running test has: a
# lock file below the build tree stands for each range.

export LC_ALL=C
tap_count=0 tap_failed=0

# ---- TAP ----

ok() # STATUS TITLE: 0 is good; meant for `[ ... ]` followed by `ok $? 'title'`
{
	local word=ok
	tap_count=$((tap_count + 1))
	[ "$1" -eq 0 ] || { word='not ok' && tap_failed=1; }
	echo "$word $tap_count - ${2//#/\\#}"
	[ "$1" -eq 0 ]
}

is() # GOT WANTED TITLE
{
	[ "$1" = "$2" ]
	ok $? "$3" || diag "got '$1', wanted '$2'"
}

like() # GOT REGEX TITLE
{
	[[ $1 =~ $2 ]]
	ok $? "$3" || diag "'$1' is not like '$2'"
}

unlike() # GOT REGEX TITLE
{
	! [[ $1 =~ $2 ]]
	ok $? "$3" || diag "'$1' is like '$2'"
}

diag()
{
	local line
	while IFS= read -r line; do
		printf '# %s\n' "$line"
	done <<<"$*"
}

skip_all() # REASON
{
	echo "1..0 # SKIP $1"
	exit 0
}

done_testing()
{
	echo "1..$tap_count"
	exit "$tap_failed"
}

# ---- a place to work, ids, a root file system ----

[ "$(id -u)" -eq 0 ] || skip_all 'needs root'
build=${CUBIT_BUILD:-$PWD/build}
sandbox=$build/bin/cubit-sandbox
payload=$build/tests/payload
if [ -n "${CUBIT_TEST_DIR:-}" ]; then
	dir=$CUBIT_TEST_DIR
else
	dir=$(mktemp -d "$build/tmp/attack.XXXXXX")
fi
test_name=${0##*/}
test_name=${test_name%.sh}
prefix=$test_name-$$
run_dir=$dir/run
rootfs=$dir/rootfs
background=()

is_guest()
{
	[ "${CUBIT_TEST_TIER:-host}" = vm ]
}

# shellcheck disable=SC2317 # called by the trap
finish()
{
	[ ${#background[@]} -eq 0 ] || kill "${background[@]}" 2>/dev/null
	wait
	if [ -z "${CUBIT_TEST_DIR:-}" ]; then
		rm -rf --one-file-system "$dir"
	fi
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

id_count=64
mkdir -p "$build/tmp/ids"
for slot in {0..190}; do
	exec {slot_fd}>"$build/tmp/ids/$slot"
	! flock -n "$slot_fd" || break
	exec {slot_fd}>&-
done
id_base=$((0x40000000 + slot * id_count * 65536))
id_end=$((id_base + id_count * 65536))

make_rootfs() # DIR: /bin/payload and nothing else
{
	mkdir -p "$1/bin"
	cp "$payload" "$1/bin/payload"
	chmod 755 "$1" "$1/bin" "$1/bin/payload"
}
make_rootfs "$rootfs"

# ---- running ----

runs=0
# Run cubit-sandbox to its end. The first word "--" is the program, whatever comes before are options.
run()
{
	runs=$((runs + 1))
	rm -f "$dir/verdict"
	"$sandbox" --run-dir "$run_dir" --id-base "$id_base" --id-count "$id_count" --id "$prefix-$runs" \
		--rootfs "$rootfs" --live --verdict "$dir/verdict" "$@" \
		>"$dir/stdout" 2>"$dir/stderr" {slot_fd}>&-
	# shellcheck disable=SC2034 # for whoever sourced this
	status=$?
}

# The same in the background, with files of its own: start NAME OPTION... -> $dir/NAME.{stdout,stderr,verdict}, $pid
start()
{
	local name=$1
	shift
	runs=$((runs + 1))
	rm -f "$dir/$name.verdict"
	: >"$dir/$name.stdout"
	"$sandbox" --run-dir "$run_dir" --id-base "$id_base" --id-count "$id_count" --id "$prefix-$runs" \
		--rootfs "$rootfs" --live --verdict "$dir/$name.verdict" "$@" \
		>"$dir/$name.stdout" 2>"$dir/$name.stderr" {slot_fd}>&- &
	pid=$!
	background+=("$pid")
}

# The verdict is JSON with one field a line.
field() # NAME [FILE]
{
	sed -n "s/^ *\"$1\": \"\{0,1\}\([^\"]*[^\",]\)\"\{0,1\},\{0,1\}\$/\1/p" "${2:-$dir/verdict}" 2>/dev/null
}

# What `payload each` answered, without the empty lines that it puts between the parts.
answers()
{
	grep -v '^$' "$dir/stdout"
}

# ... to one of its parts, all lines of it.
answer() # PART
{
	awk -v part="[$1] " 'index($0, "[") == 1 { on = 0 } index($0, part) == 1 { on = 1; $0 = substr($0, length(part) + 1) }
		on && $0 != ""' "$dir/stdout"
}

wait_for() # FILE REGEX SECONDS
{
	local tries=$(($3 * 20))
	until grep -Eq "$2" "$1" 2>/dev/null; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.05
	done
}

# Whole milliseconds of a number such as 12.345
ms()
{
	local whole=${1%%.*}
	echo "${whole:-0}"
}

# ---- what is left ----

# Processes with ids of our ranges
own_processes()
{
	ps -eo uid=,pid=,stat=,args= | awk -v base="$id_base" -v end="$id_end" '$1 >= base && $1 < end'
}

own_groups()
{
	find /sys/fs/cgroup -maxdepth 7 -type d -name "cubit-$prefix-*" 2>/dev/null
}

# Mounts that everybody sees; those of tests that run beside us lie below their own directories.
own_mounts()
{
	awk -v dir="$dir" -v tmp="$build/tmp/" 'index($5, tmp) != 1 || index($5, dir) == 1' /proc/1/mountinfo |
		grep -v ' /run/netns'
}
mounts_before=$(own_mounts)

whatever_left()
{
	own_processes | sed 's/^/process: /'
	own_groups | sed 's/^/cgroup: /'
	[ ! -d "$run_dir/ids" ] || find "$run_dir/ids" -mindepth 1 -printf 'claim: %f %l\n'
	grep -H "^$dir/" /sys/block/loop*/loop/backing_file 2>/dev/null | sed 's/^/loop device: /'
	diff <(echo "$mounts_before") <(own_mounts) | sed -n 's/^[<>]/mount: &/p'
}

# The kernel takes some of it down behind our back: give it a moment.
nothing_left() # TITLE
{
	local left tries=60
	left=$(whatever_left)
	while [ -n "$left" ] && [ "$tries" -gt 0 ]; do
		sleep 0.05
		tries=$((tries - 1))
		left=$(whatever_left)
	done
	[ -z "$left" ]
	ok $? "$1" || diag "$left"
}
