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
# Every test works below $dir, with sandboxes named $prefix... in a range of ids that no other running test has, of any
# tree on this machine: a lock file stands for each range. What is looked at afterwards is told by these and by nothing
# else, so two trees can test side by side.

export LC_ALL=C
# shellcheck source=tests/lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/tap.sh"

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

# shellcheck source=tests/lib/ids.sh
. "$(dirname "${BASH_SOURCE[0]}")/ids.sh"

make_rootfs() # DIR: /bin/payload and nothing else
{
	mkdir -p "$1/bin"
	cp "$payload" "$1/bin/payload"
	chmod 755 "$1" "$1/bin" "$1/bin/payload"
}
make_rootfs "$rootfs"

# ---- running ----

runs=0 asked=0
# Run cubit-sandbox to its end. The first word "--" is the program, whatever comes before are options. It ends with a
# verdict, or with a sentence on stderr: else nothing ran. Processor time is measured in what the machine gives for it: a
# busy one that emulates another is slow, so there is more of it unless the test is about it.
run()
{
	runs=$((runs + 1))
	asked=$(parts "$@")
	rm -f "$dir/verdict"
	"$sandbox" --run-dir "$run_dir" --id-base "$id_base" --id-count "$id_count" --id "$prefix-$runs" \
		--rootfs "$rootfs" --live --cpu 20s --verdict "$dir/verdict" "$@" \
		>"$dir/stdout" 2>"$dir/stderr" {slot_fd}>&-
	# shellcheck disable=SC2034 # for whoever sourced this
	status=$?
	[ -s "$dir/verdict" ] || [ -s "$dir/stderr" ] || unproven "a run without a verdict and without a word: $*"
}

# How many answers `payload each` owes.
parts() # [OPTION...] -- /bin/payload each VERB... ';' VERB...
{
	local word n=0
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		shift
	done
	if [ "${3:-}" = each ]; then
		shift 3
		for word in "$@"; do
			[ "$word" != ';' ] || n=$((n + 1))
		done
		[ "$word" = ';' ] || n=$((n + 1))
	fi
	echo "$n"
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

# What the last run said on stdout. It said something.
output()
{
	[ -s "$dir/stdout" ] || unproven "the program said nothing ($(field status) $(field reason) $(head -n 3 "$dir/stderr"))"
	cat "$dir/stdout"
}

# What `payload each` answered, without the empty lines that it puts between the parts. All of them were answered.
answers()
{
	local got
	got=$(grep -c '^\[[^]]' "$dir/stdout")
	if [ "$asked" -eq 0 ] || [ "$got" -ne "$asked" ]; then
		unproven "$got answers to $asked questions ($(field status) $(field reason))"
	fi
	grep -v '^$' "$dir/stdout"
}

# ... to one of its parts, all lines of it. It was answered, if only with nothing.
answer() # PART
{
	grep -qF -- "[$1] " "$dir/stdout" || unproven "nothing answered '$1' ($(field status) $(field reason))"
	awk -v part="[$1] " 'index($0, "[") == 1 { on = 0 } index($0, part) == 1 { on = 1; $0 = substr($0, length(part) + 1) }
		on && $0 != ""' "$dir/stdout"
}

# Until it is there. When it never comes, that is a failure: what follows would look at nothing.
wait_for() # FILE REGEX SECONDS
{
	local tries=$(($3 * 20 * ${TEST_PATIENCE:-1}))
	until grep -Eq "$2" "$1" 2>/dev/null; do
		tries=$((tries - 1))
		if [ "$tries" -le 0 ]; then
			unproven "'$2' did not come in $3 s: $(tail -n 3 "$1" 2>&1)"
			return 1
		fi
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

# Control groups of sandboxes that cubit-sandbox named after us, and of those that a daemon of ours was seen to have.
group_names=("cubit-$prefix-*")
own_groups()
{
	local name names=()
	for name in "${group_names[@]}"; do
		names+=(-o -name "$name")
	done
	find /sys/fs/cgroup -maxdepth 7 -type d \( "${names[@]:1}" \) 2>/dev/null
}

own_claims()
{
	find "$dir" -maxdepth 4 -path '*/run/ids/*' -printf '%f %l\n' 2>/dev/null # of a node of several as well
}

# Mounts that everybody sees and that have to do with us: our directory is in the line (where it is, what of, made of
# which layers), or it lies over what a sandbox mounts first.
own_mounts()
{
	awk -v dir="$dir" 'index($0, dir "/") || $5 == dir || $5 == "/" || $5 == "/proc" || $5 == "/dev"' /proc/1/mountinfo
}
mounts_before=$(own_mounts)

# The look at what is left sees a sandbox that is there: proven once in each test.
looks_proven=
prove_looks()
{
	looks_proven=yes
	start looked-at --wall 30s -- /bin/payload each echo there ';' sleep 30
	wait_for "$dir/looked-at.stdout" there 20
	[ -n "$(own_processes)" ] || unproven 'no process is seen of a sandbox that is there'
	[ -n "$(own_groups)" ] || unproven 'no control group is seen of a sandbox that is there'
	[ -n "$(own_claims)" ] || unproven 'no claim is seen of a sandbox that is there'
	kill "$pid"
	wait "$pid"
}

whatever_left()
{
	own_processes | sed 's/^/process: /'
	own_groups | sed 's/^/cgroup: /'
	own_claims | sed 's/^/claim: /'
	grep -H "^$dir/" /sys/block/loop*/loop/backing_file 2>/dev/null | sed 's/^/loop device: /'
	diff <(echo "$mounts_before") <(own_mounts) | sed -n 's/^[<>]/mount: &/p'
}

# What is left when the kernel has had a moment: it takes some of it down behind our back.
still_left()
{
	local left tries=$((60 * ${TEST_PATIENCE:-1}))
	left=$(whatever_left)
	while [ -n "$left" ] && [ "$tries" -gt 0 ]; do
		sleep 0.05
		tries=$((tries - 1))
		left=$(whatever_left)
	done
	echo "$left"
}

nothing_left() # TITLE
{
	local left
	left=$(still_left)
	if [ -z "$left" ] && [ -z "$looks_proven" ]; then
		prove_looks
		left=$(still_left)
	fi
	[ -z "$left" ]
	ok $? "$1" || diag "$left"
}
