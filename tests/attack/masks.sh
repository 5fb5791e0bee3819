#!/bin/bash
# /proc and /dev: what is masked is masked by the real null device and an empty directory (CVE-2025-31133), devices are
# our own (CVE-2025-52565, CVE-2026-41579), nothing of /proc can be written to (CVE-2025-52881, CVE-2019-19921), and the
# table of mounts is the fixed one (CVE-2023-27561).
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

files='kcore keys key-users timer_list latency_stats sched_debug interrupts kallsyms modules sysrq-trigger kmsg locks
	vmstat zoneinfo buddyinfo diskstats softirqs schedstat cmdline config.gz partitions
	sys/fs/file-nr sys/fs/inode-nr sys/fs/inode-state sys/fs/dentry-state sys/fs/aio-nr sys/kernel/pty/nr'
dirs='acpi asound bus driver fs irq scsi pressure sys/fs/quota'
made='meminfo cpuinfo stat uptime loadavg sys/kernel/random/boot_id' # by us: counters.sh looks into them
# What the kernel of this machine has besides, and may stay
kept='sys sysvipc filesystems version devices misc consoles execdomains fb dma iomem ioports mtrr tty net mounts self thread-self'
unknown=$(find /proc -mindepth 1 -maxdepth 1 -name '[a-z]*' -perm /o=rwx -printf '%f\n' |
	grep -vxF "$(tr -s ' \t' '\n' <<<"$files $dirs $made $kept")" | tr '\n' ' ')

words=()
for name in $files $dirs; do
	words+=(stat "/proc/$name" ';')
done
for name in $dirs; do
	words+=(count "/proc/$name" ';')
done
for name in $files; do
	words+=(cat "/proc/$name" ';')
done
run -- /bin/payload each "${words[@]}"
is "$(field status)" ok 'looking at all of them works'
# What the host has is there and masked; only what this kernel has not may be missing.
for name in $files; do
	if [ -e "/proc/$name" ]; then
		like "$(answer "stat /proc/$name")" '^char mode 666 uid 0 gid 0 rdev 1:3 ' "/proc/$name is the null device"
		is "$(answer "cat /proc/$name")" '' '... and says nothing'
	else
		is "$(answer "stat /proc/$name")" 'stat: ENOENT' "this kernel has no /proc/$name"
	fi
done
for name in $dirs; do
	if [ -e "/proc/$name" ]; then
		like "$(answer "stat /proc/$name")" '^dir mode 555 uid 0 ' "/proc/$name is a directory nobody can write to"
		is "$(answer "count /proc/$name")" '0 entries' '... and empty'
	else
		is "$(answer "stat /proc/$name")" 'stat: ENOENT' "this kernel has no /proc/$name"
	fi
done

# ---- what no table knows (modules, kernels to come) is covered as well ----
words=()
for name in $unknown; do
	words+=(stat "/proc/$name" ';')
done
run -- /bin/payload each "${words[@]}" echo
for name in $unknown; do
	like "$(answer "stat /proc/$name")" '^char mode 666 uid 0 gid 0 rdev 1:3 |^dir mode 555 uid 0 ' "/proc/$name, of which we know nothing, is covered"
done

# ---- nothing in /proc takes a write ----
targets='/proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/kernel/domainname /proc/sys/kernel/ns_last_pid
	/proc/sys/kernel/shmmax /proc/sys/fs/mqueue/queues_max /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ping_group_range
	/proc/sys/user/max_user_namespaces /proc/sys/vm/drop_caches /proc/sys/vm/overcommit_memory /proc/self/oom_score_adj
	/proc/self/uid_map /proc/self/gid_map /proc/self/setgroups /proc/self/comm /proc/self/mem /proc/self/clear_refs
	/proc/self/coredump_filter /proc/self/timerslack_ns /proc/self/attr/current /proc/self/attr/exec
	/proc/pressure/cpu /proc/mtrr /proc/1/oom_score_adj /proc/1/mem /proc/thread-self/attr/current'
for root in '' --root; do
	words=()
	for name in $targets; do
		words+=(open "$name" w ';')
	done
	# shellcheck disable=SC2086 # empty or one word
	run $root -- /bin/payload each "${words[@]}"
	opened=
	for name in $targets; do
		case $(answer "open $name w") in
		*EROFS | *EACCES | *EPERM) ;;
		*ENOENT) # pid 1 is not to be seen and pressure is masked; of the rest, only what the host has not may be missing
			[[ $name = /proc/@(1|pressure)/* ]] || [ ! -e "$name" ] || opened="$opened $name is not there;"
			;;
		*) opened="$opened $name: $(answer "open $name w");" ;;
		esac
	done
	is "$opened" '' "nothing in /proc can be opened for writing${root:+ by root inside}"
done

# ---- what is counted per user is bounded for the sandbox's own, and nothing of the host was written to ----
bounds='max_inotify_instances 16
max_inotify_watches 8192
max_fanotify_groups 0
max_user_namespaces 0'
host_before=$(grep -H . /proc/sys/user/* /proc/sys/net/ipv4/ip_unprivileged_port_start)
for root in '' --root; do
	words=()
	while read -r name _; do
		words+=(cat "/proc/sys/user/$name" ';')
	done <<<"$bounds"
	# shellcheck disable=SC2086 # empty or one word
	run $root --pooled-net -- /bin/payload each "${words[@]}" cat /proc/sys/net/ipv4/ip_unprivileged_port_start
	while read -r name value; do
		is "$(answer "cat /proc/sys/user/$name")" "$value" "user.$name is $value${root:+ for root inside}"
	done <<<"$bounds"
	is "$(answer 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start')" 0 'every port may be used inside'
done
is "$(grep -H . /proc/sys/user/* /proc/sys/net/ipv4/ip_unprivileged_port_start)" "$host_before" '... and those of the host are as they were'

# ---- devices ----
run -- /bin/payload each ls /dev ';' stat /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty ';' \
	write /dev/x x ';' call mknod /tmp/n 020666 0x103 ';' call mknod /tmp/n 060666 0x800 ';' call mknod /tmp/n 010666 0 ';' \
	open /dev/console ';' open /dev/mem ';' open /dev/kmsg ';' open /dev/fuse ';' open /dev/net/tun
is "$(answer 'ls /dev' | sort | tr '\n' ' ')" \
	'fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ' '/dev has the fixed list of things'
is "$(answer 'stat /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty' | cut -d' ' -f1,3,9 | tr '\n' ' ')" \
	'char 666 1:3 char 666 1:5 char 666 1:7 char 666 1:8 char 666 1:9 char 666 5:0 ' '... each the device its name says'
like "$(answer 'write /dev/x x')" 'EROFS|EACCES' '/dev takes nothing new'
is "$(answer 'call mknod /tmp/n 020666 0x103')" 'call: EPERM' 'a character device cannot be made'
is "$(answer 'call mknod /tmp/n 060666 0x800')" 'call: EPERM' '... nor a block device'
is "$(answer 'call mknod /tmp/n 010666 0')" 'call: DONE' 'a fifo can'
for name in console mem kmsg fuse net/tun; do
	is "$(answer "open /dev/$name")" 'open: ENOENT' "/dev/$name is not there"
done
run --root -- /bin/payload each call mknod /tmp/n 020666 0x103 ';' write /dev/x x ';' open /dev/null rw ';' call chmod /dev/null 0 \
	';' call setxattr /dev/null trusted.x v 1 0 ';' call chmod /dev/pts 0
is "$(answer 'call mknod /tmp/n 020666 0x103')" 'call: EPERM' 'root inside cannot make a device either'
like "$(answer 'write /dev/x x')" EROFS '... nor write to /dev'
like "$(answer 'call chmod /dev/null 0')" EROFS '... nor change a mode there'

# ---- mounts ----
run -- /bin/payload cat /proc/self/mountinfo
mounts=$(output | awk '{ print $5, $6 }' | sort)
# twice: made files of /proc lie where the queues cover them
is "$(grep -oE '^/(proc|dev|dev/pts|dev/shm|dev/mqueue)? ' <<<"$mounts" | tr -d '\n')" \
	'/ /dev /dev/mqueue /dev/mqueue /dev/pts /dev/shm /proc ' 'the mount table has each file system of a sandbox'
allowed='^/( |proc |dev |dev/pts |dev/shm |dev/mqueue |proc/('$(tr -s ' \t\n' '|' <<<"$files $dirs $made $unknown" | sed 's/|$//')') )'
is "$(grep -Ev "$allowed" <<<"$mounts")" '' 'the mount table has what it needs and nothing else'
is "$(grep -v nosuid <<<"$mounts")" '' 'every mount is nosuid'
is "$(grep -Ev '^/dev( |/pts )|^/proc/[a-z_./-]+ ' <<<"$mounts" | grep -v nodev)" '' 'every mount without devices of ours is nodev'
is "$(grep -Ev '^/ |^/dev(/shm|/mqueue|/pts) ' <<<"$mounts" | grep -v ' ro,')" '' 'every mount that is not for writing is read-only'
is "$(grep -E 'shared:|master:|propagate_from' "$dir/stdout")" '' 'no mount receives or sends events'
unlike "$(output)" "$dir" 'no path of the host shows in it'

run -- /bin/payload each mount ';' call mount none /proc tmpfs 0 0 ';' call mount /proc /tmp none 4096 0 ';' \
	call mount none /proc proc 32 0 ';' call umount2 /proc/keys 2 ';' call umount2 /proc 2 ';' call pivot_root / /tmp
is "$(answers | grep -vc 'EPERM$')" 0 'every mount call is refused' || diag "$(cat "$dir/stdout")"
run --root -- /bin/payload each mount ';' call mount none /proc tmpfs 0 0 ';' call umount2 /proc/keys 2 ';' call umount2 / 2 ';' \
	call pivot_root / /tmp ';' call chroot /tmp
is "$(answers | grep -vc 'EPERM$')" 0 '... to root inside as well' || diag "$(cat "$dir/stdout")"
nothing_left 'nothing is left'
done_testing
