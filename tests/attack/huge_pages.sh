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
is "$("$payload" huge | tr '\n' ' ')" 'mmap: DONE memfd: DONE shm: DONE ' 'a process of the host gets one in each way'
ipcs -m | awk '$3 == "root" && $5 == 2097152 { print $2 }' | xargs -rn 1 ipcrm -m
run --memory 8M -- /bin/payload huge
for way in mmap memfd shm; do
	like "$(grep "^$way:" "$dir/stdout")" "^$way: E[A-Z]+\$" "a sandbox gets none by $way"
done
is "$("$payload" huge | head -n 1)" 'mmap: DONE' 'there still was one to be had'
nothing_left 'nothing is left'
done_testing
