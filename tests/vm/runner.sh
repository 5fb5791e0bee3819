#!/bin/bash
# Runs test files one after the other inside the guest and writes what tests/run reads: for each
#   @@begin NAME
#   the TAP of the test, and then what it wrote to stderr as comments
#   @@end NAME STATUS SECONDS
#
# usage: tests/vm/runner.sh LIST      a line of LIST is TIMEOUT <tab> NAME <tab> PATH
#
# Each test gets what a service with Delegate=yes and DelegateSubgroup=supervisor gets: a fresh cgroup with all
# controllers, no other process in it, and itself in the sub-group "supervisor". So a test may be a shell script that
# starts many programs of ours. And it gets its own CUBIT_TEST_DIR.
set -u

cgroups=/sys/fs/cgroup
base=$CUBIT_TEST_DIR
count=0
while IFS=$'\t' read -r -u 3 limit name path; do
	count=$((count + 1))
	group=$cgroups/cubit-test-$count
	dir=$base/$count
	mkdir "$group" "$group/supervisor" "$dir"
	printf '@@begin %s\n' "$name"
	start=${EPOCHREALTIME/./}
	# shellcheck disable=SC2016 # the inner shell expands its own arguments
	CUBIT_TEST_DIR=$dir timeout -k 5 "$limit" \
		bash -c 'echo $$ >"$1/supervisor/cgroup.procs" && exec "$2"' - "$group" "$path" \
		</dev/null 2>/tmp/stderr 3<&-
	status=$?
	took=$((${EPOCHREALTIME/./} - start))

	# Whatever it left running would write into the next one's output.
	echo 1 >"$group/cgroup.kill"
	for _ in {1..50}; do
		! grep -q '^populated 1' "$group/cgroup.events" || { sleep 0.1 && continue; }
		break
	done
	find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
	rm -rf --one-file-system "$dir" 2>/dev/null

	echo # its last line may lack an end
	[ ! -s /tmp/stderr ] || sed 's/^/# stderr: /' /tmp/stderr
	printf '@@end %s %s %d.%02d\n' "$name" "$status" $((took / 1000000)) $((took / 10000 % 100))
done 3<"$1"
