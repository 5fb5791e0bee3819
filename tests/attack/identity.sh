#!/bin/bash
# Becoming somebody else: setgroups is denied before the gid map is written (CVE-2014-8989), no call gives another id or
# a capability, set-user-id programs and file capabilities mean nothing.
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

cp "$payload" "$rootfs/bin/suid"
chmod 6755 "$rootfs/bin/suid"
cp "$payload" "$rootfs/bin/fcap"
PATH=$PATH:/usr/sbin:/sbin setcap all=ep "$rootfs/bin/fcap" 2>/dev/null || diag 'no setcap here: no file capabilities tried'

run -- /bin/payload each ids ';' status ';' cat /proc/self/setgroups ';' cat /proc/self/uid_map ';' cat /proc/self/gid_map ';' \
	setuid0 ';' call setgroups 0 0 ';' call setgroups 1 buf ';' call setresuid 0 0 0 ';' call setresuid 1001 1001 1001 ';' \
	call setresuid 70000 -1 -1 ';' call setresgid 0 -1 -1 ';' call setresgid 5 5 5 ';' \
	call unshare 0x10000000 ';' call clone 0x10000011 0 0 0 0 ';' \
	call prctl 8 1 0 0 0 ';' call prctl 28 0x2f 0 0 0 ';' call prctl 24 1 0 0 0 ';' call prctl 47 2 21 0 0 ';' \
	call prctl 38 0 0 0 0
like "$(answer ids)" '^uid 1000 1000 1000 gid 1000 1000 1000 groups 0 ' 'a payload is uid and gid 1000, three times each, in no group'
is "$(answer 'cat /proc/self/setgroups')" deny 'setgroups is denied'
for map in uid_map gid_map; do
	read -r inside outside count < <(answer "cat /proc/self/$map")
	[ "$inside" = 0 ] && [ "$count" = 65536 ] && [ "$outside" -ge "$id_base" ] && [ "$outside" -lt "$id_end" ]
	ok $? "$map is one range of 65536 ids of nobody" || diag "$(answer "cat /proc/self/$map")"
done
status_text=$(answer status)
for want in 'NoNewPrivs:.1' 'Seccomp:.2' 'CapInh:.0000000000000000' 'CapPrm:.0000000000000000' 'CapEff:.0000000000000000' \
	'CapBnd:.0000000000000000' 'CapAmb:.0000000000000000' 'Uid:.1000.1000.1000.1000' 'Gid:.1000.1000.1000.1000' \
	'SigIgn:.0000000000000000' 'SigBlk:.0000000000000000'; do
	like "$status_text" "$want" "the kernel says: $want"
done
like "$(answer setuid0)" 'setuid: EPERM.*setgid: EPERM.*setgroups: EPERM' 'uid 0, gid 0 and setgroups are refused'
for call in 'setgroups 0 0' 'setgroups 1 buf' 'setresuid 0 0 0' 'setresuid 1001 1001 1001' 'setresgid 0 -1 -1' 'setresgid 5 5 5' \
	'unshare 0x10000000' 'clone 0x10000011 0 0 0 0'; do
	is "$(answer "call $call")" 'call: EPERM' "$call is refused"
done
is "$(answer 'call setresuid 70000 -1 -1')" 'call: EINVAL' 'an id outside of the map is none'
like "$(answer 'call prctl 28 0x2f 0 0 0')" EPERM 'securebits cannot be set'
like "$(answer 'call prctl 47 2 21 0 0')" EPERM 'an ambient capability cannot be raised'
like "$(answer 'call prctl 38 0 0 0 0')" EINVAL 'no_new_privs cannot be taken back'

for program in suid fcap; do
	[ -n "$(getcap "$rootfs/bin/fcap" 2>/dev/null)" ] || [ "$program" = suid ] || continue
	run -- "/bin/$program" each ids ';' status ';' setuid0
	like "$(answer ids)" '^uid 1000 1000 1000 gid 1000 1000 1000 ' "a $program program of the image runs as the payload"
	like "$(answer status)" 'CapEff:.0000000000000000' '... without a capability'
	like "$(answer setuid0)" 'setuid: EPERM' '... and cannot become root'
done
# one made inside, in every directory that can be written to
run --cwd /tmp -- /bin/payload each write /tmp/x x ';' call chmod /tmp/x 06755 ';' stat /tmp/x ';' call setxattr /tmp/x security.capability v 1 0 ';' \
	call setxattr /tmp/x trusted.overlay.opaque y 1 0
like "$(answer 'call setxattr /tmp/x security.capability v 1 0')" 'EPERM|EINVAL' 'file capabilities cannot be given'
like "$(answer 'call setxattr /tmp/x trusted.overlay.opaque y 1 0')" EPERM 'attributes of the overlay cannot be set'

# ---- root inside: only the short list, only inside ----
run --root -- /bin/payload each status ';' ids ';' call setresuid 70000 -1 -1 ';' call unshare 0x10000000 ';' ptrace1 ';' \
	call kill 1 9 ';' call kill 1 19 ';' ls /proc/1/fd ';' open /proc/1/mem ';' open /proc/1/exe ';' open /proc/1/root/bin ';' \
	call setxattr /bin/payload trusted.overlay.opaque y 1 0 ';' write /bin/new x ';' call chmod /bin/new 04755 ';' \
	call sethostname x 1 ';' call syslog 3 buf 100 ';' call bpf 0 buf 64 ';' call setns 0 0 ';' \
	call open_by_handle_at 0 buf 0 ';' call reboot 0 0 0 0 ';' ids
is "$(field status)" ok 'root inside lives through all of it'
like "$(answer status)" 'CapEff:.00000000800405fb' 'it has the short list of capabilities'
like "$(answer status)" 'CapBnd:.00000000800405fb' '... and can have no more'
like "$(answer status)" 'NoNewPrivs:.1.*Seccomp:.2' '... and the filter'
for call in 'unshare 0x10000000' 'setns 0 0' 'sethostname x 1' 'syslog 3 buf 100' 'bpf 0 buf 64' 'open_by_handle_at 0 buf 0' 'reboot 0 0 0 0' \
	'setxattr /bin/payload trusted.overlay.opaque y 1 0'; do
	is "$(answer "call $call")" 'call: EPERM' "root inside: $call is refused"
done
like "$(answer ptrace1)" EPERM 'root inside cannot trace pid 1'
for path in 'ls /proc/1/fd' 'open /proc/1/mem' 'open /proc/1/exe' 'open /proc/1/root/bin'; do
	like "$(answer "$path")" 'ENOENT|EACCES|EPERM' "root inside: $path is refused"
done
nothing_left 'nothing is left'
done_testing
