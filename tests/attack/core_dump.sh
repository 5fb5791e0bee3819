#!/bin/bash
# A host that pipes core dumps to a program (systemd-coredump, apport) runs it as root, outside of every limit, on what a
# crashing process left: a sandbox must not be able to start it. RLIMIT_CORE 0 does not prevent it, core(5).
# Only in the guest: the pattern is the whole machine's.
# where: vm
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

pattern=$(cat /proc/sys/kernel/core_pattern)
# shellcheck disable=SC2317 # called by the trap
restore()
{
	echo "$pattern" >/proc/sys/kernel/core_pattern
	finish
}
trap restore EXIT
cat >/run/core-handler <<END
#!/bin/sh
echo "\$(id -u) \$*" >>/run/core-ran
cat >/dev/null
END
chmod 755 /run/core-handler
echo '|/run/core-handler %p %u' >/proc/sys/kernel/core_pattern
rm -f /run/core-ran

bash -c 'kill -SEGV $$' 2>/dev/null
wait_for /run/core-ran . 5
ok $? 'the handler runs for a crash on the host'
rm -f /run/core-ran

tries=(
	'selfkill 11'
	'each call prlimit64 0 4 buf 0 ; selfkill 11'
	'each call prctl 4 1 0 0 0 ; selfkill 6'
)
for try in "${tries[@]}"; do
	read -ra words <<<"$try"
	run -- /bin/payload "${words[@]}"
	sleep 1
	[ ! -e /run/core-ran ]
	ok $? "no handler runs as root for: $try" || diag "it ran: $(cat /run/core-ran)"
	rm -f /run/core-ran
done
nothing_left 'nothing is left'
done_testing
