#!/bin/bash
# Budgets of the whole machine: what a sandbox takes of them is measured on the host, not by its own control group.
# Socket memory (which cgroup v1 counts apart and netlink nowhere), text of compiled filters, contexts of asynchronous
# I/O, terminals. Each hog is a crowd, because open files are bounded for each process alone.
# alone
# timeout: 150
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

memory_mb=64
# apart from memory on v1, part of it on v2
[ -e /sys/fs/cgroup/cgroup.controllers ] && sockets_share_mb=$memory_mb || sockets_share_mb=$((memory_mb / 8))
slack_mb=96 # what else the machine does meanwhile
common=(--memory "${memory_mb}M" --processes 32 --wall 100s --cpu 100s)
is_guest && settle=12 || settle=4

available_mb()
{
	awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo
}

# Pages that TCP and UDP hold in all network namespaces
sockets_mb()
{
	awk '/^(TCP|UDP): / { for (i = 1; i < NF; i++) if ($i == "mem") pages += $(i + 1) } END { print int(pages / 256) }' \
		/proc/net/sockstat
}

slab_mb()
{
	awk '/^Slab:/ { print int($2 / 1024) }' /proc/meminfo
}

filters_kb()
{
	awk '/bpf_jit_alloc_exec|bpf_prog_pack|bpf_jit_binary|bpf_prog_alloc/ { sum += $2 } END { print int(sum / 1024) }' \
		/proc/vmallocinfo
}

# What the host lost since `before`, in the variables took_...
look()
{
	local now
	# what it took it holds: the least of the second half, so that what others do for a moment does not count
	now=$((before_available - $(available_mb)))
	[ "$SECONDS" -lt $((end - settle / 2)) ] || { [ "$took_mb" -ne 0 ] && [ "$now" -ge "$took_mb" ]; } || took_mb=$now
	now=$(($(sockets_mb) - before_sockets)) && [ "$now" -le "$took_sockets_mb" ] || took_sockets_mb=$now
	now=$(($(slab_mb) - before_slab)) && [ "$now" -le "$took_slab_mb" ] || took_slab_mb=$now
	now=$(($(filters_kb) - before_filters)) && [ "$now" -le "$took_filters_kb" ] || took_filters_kb=$now
	now=$(($(cat /proc/sys/fs/aio-nr) - before_aio)) && [ "$now" -le "$took_aio" ] || took_aio=$now
}

# hog NAME PROFILE VERB...: run it, and look at the host until it has settled or ended
hog()
{
	local name=$1 profile=$2 before_available before_sockets before_slab before_filters before_aio end
	shift 2
	took_mb=0 took_sockets_mb=0 took_slab_mb=0 took_filters_kb=0 took_aio=0
	before_available=$(available_mb) before_sockets=$(sockets_mb) before_slab=$(slab_mb) before_filters=$(filters_kb)
	before_aio=$(cat /proc/sys/fs/aio-nr)
	start "$name" "${common[@]}" --policy "$profile" -- /bin/payload crowd 24 "$@"
	end=$((SECONDS + settle))
	while [ "$SECONDS" -lt "$end" ] && kill -0 "$pid" 2>/dev/null; do
		look
		sleep 0.2
	done
	kill "$pid" 2>/dev/null
	wait "$pid"
	diag "$name under $profile: memory $took_mb MB, sockets $took_sockets_mb MB, slab $took_slab_mb MB," \
		"filters $took_filters_kb kB, aio $took_aio; $(head -n 1 "$dir/$name.stdout") $(field status "$dir/$name.verdict")"
	[ -e "$dir/$name.verdict" ]
	ok $? "$name under $profile ran" || diag "$(cat "$dir/$name.stderr")"
}

below() # NUMBER BOUND TITLE
{
	[ "$1" -le "$2" ]
	ok $? "$3" || diag "$1, not at most $2"
}

for kind in udp tcp netlink unix; do
	granted_mb=0
	[ "$kind" != tcp ] || granted_mb=$((24 * 126 * 48 / 1024)) # to each connection on v1, see runtime/loopback.h
	hog "$kind" default "$kind-hog"
	below "$took_mb" $((memory_mb + slack_mb + granted_mb)) "$kind: the machine loses no more than the sandbox may have"
	below "$took_sockets_mb" $((sockets_share_mb + 8 + granted_mb)) '... nor do its sockets hold more'
	below "$took_slab_mb" $((memory_mb + slack_mb)) '... nor do the tables of the kernel'
done

for profile in default net build; do
	hog filter "$profile" filter-hog
	below "$took_filters_kb" 4096 "$profile: packet filters take no text of the kernel"
	hog seccomp "$profile" seccomp-hog
	below "$took_filters_kb" 4096 '... nor do filters of system calls'
	hog prctl "$profile" seccomp-hog prctl
	below "$took_filters_kb" 4096 '... the old way either'
	hog aio "$profile" aio-hog
	is "$took_aio" 0 '... and there are no contexts of asynchronous I/O'
done
hog filter unconfined filter-hog
below "$took_filters_kb" 4096 'unconfined: packet filters take no text of the kernel'
hog aio unconfined aio-hog
is "$took_aio" 0 '... and there are no contexts of asynchronous I/O'

nothing_left 'nothing is left'
done_testing
