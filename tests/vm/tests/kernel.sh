#!/bin/bash
# What the guest promises to every test that runs in it: a 6.1 kernel, cgroup v2 alone, limits that really kill.
# where: vm
# timeout: 60
set -u

echo 1..6
number=0
check() # TITLE COMMAND...: ok if the command succeeds
{
	local title=$1
	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number - $title"
	else
		echo "not ok $number - $title"
	fi
}

root=/sys/fs/cgroup
[[ $(uname -r) == 6.1.* ]]
check "the kernel is 6.1 ($(uname -r))" [ $? -eq 0 ]

lacking=
for controller in cpuset cpu io memory pids; do
	grep -qw "$controller" $root/cgroup.controllers || lacking="$lacking $controller"
done
check "all controllers are in cgroup v2${lacking:+, lacking:$lacking}" [ -z "$lacking" ]

check 'no cgroup v1 hierarchy is mounted' \
	[ "$(awk '{ for (i = 7; i <= NF; i++) if ($i == "-" && $(i + 1) == "cgroup") n++ } END { print n + 0 }' \
		/proc/self/mountinfo)" -eq 0 ]

# We are in the leaf "supervisor" of a group of our own; with no process in itself that one may hand out controllers.
own=$root$(sed -n 's/^0:://p' /proc/self/cgroup)
own=${own%/supervisor}
mkdir "$own/hog"
# shellcheck disable=SC2016 # eval expands it
check 'the own group can have its controllers enabled' \
	eval 'echo "+memory +pids" >"$own/cgroup.subtree_control"'

echo 16M >"$own/hog/memory.max"
echo 1 >"$own/hog/memory.oom.group"
[ ! -e "$own/hog/memory.swap.max" ] || echo 0 >"$own/hog/memory.swap.max"
# `tail -c 64M` of an endless stream of zeros without a newline keeps 64 MiB in memory
# shellcheck disable=SC2016 # the inner shell expands its own arguments
{ bash -c 'echo $$ >"$1/cgroup.procs" && head -c 64M /dev/zero | tail -c 64M >/dev/null' - "$own/hog"; } 2>/dev/null
status=$?
check "memory.max kills all of the group (status $status)" [ "$status" -eq 137 ]
kills=$(sed -n 's/^oom_kill //p' "$own/hog/memory.events")
check "memory.events counts the kill (oom_kill $kills)" [ "${kills:-0}" -ge 1 ]
