#!/bin/bash
# A host with fs.suid_dumpable = 1 (a debugging setting) makes every process that changed its ids readable again for its new
# uid: pid 1 and the helpers of a sandbox must not be, not for root inside either. Only in the guest: it is the whole
# machine's setting.
# where: vm
# timeout: 30
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

saved=$(cat /proc/sys/fs/suid_dumpable)
# shellcheck disable=SC2317 # called by the trap
restore()
{
	echo "$saved" >/proc/sys/fs/suid_dumpable
	finish
}
trap restore EXIT
for value in 0 1 2; do
	echo "$value" >/proc/sys/fs/suid_dumpable
	for root in '' --root; do
		# shellcheck disable=SC2086 # empty or one word
		run $root -- /bin/payload each ps ';' ls /proc/1/fd ';' open /proc/1/mem ';' open /proc/1/environ ';' open /proc/1/exe
		is "$(field status)" ok "suid_dumpable=$value: a sandbox starts${root:+, root inside}"
		like "$(answer ps)" '^[0-9]+' '... sees processes of its own'
		is "$(answer ps | grep -x 1)" '' '... pid 1 is not to be seen'
		for what in 'ls /proc/1/fd' 'open /proc/1/mem' 'open /proc/1/environ' 'open /proc/1/exe'; do
			like "$(answer "$what")" 'ENOENT$|EACCES$|EPERM$' "... $what is refused"
		done
	done
done
nothing_left 'nothing is left'
done_testing
