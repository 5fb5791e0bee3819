#!/bin/bash
# Huge pages that a host keeps ready (for a database, say) are counted by no limit of a sandbox: none of the three ways to
# take one may work. Only in the guest: it changes the host's pool.
# where: vm
# timeout: 30
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

# shellcheck disable=SC2317 # called by the trap
restore()
{
	echo 0 >/proc/sys/vm/nr_hugepages
	finish
}
trap restore EXIT
echo 4 >/proc/sys/vm/nr_hugepages
[ "$(cat /proc/sys/vm/nr_hugepages)" -gt 0 ] || skip_all 'no huge page to be had'
is "$("$payload" huge | head -n 1)" 'mmap: DONE' 'a process of the host gets one'
run --memory 8M -- /bin/payload huge
for way in mmap memfd shm; do
	unlike "$(grep "^$way:" "$dir/stdout")" DONE "a sandbox gets none by $way"
done
nothing_left 'nothing is left'
done_testing
