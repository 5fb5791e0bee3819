#!/bin/bash
# The guest's pid 1 once its root file system is there: finishes what a booted system has, runs /.vm/command, says how
# it ended. Started by the initrd that tests/vm/guest makes, never by hand.
# shellcheck disable=SC1091,SC2154 # /.vm/env is written by tests/vm/guest, and names the vm_* variables

exec </dev/null >/dev/console 2>&1
. /.vm/env

mkdir -p "/lib/modules/$(uname -r)"
mount --bind "$vm_kernel/lib/modules/$(uname -r)" "/lib/modules/$(uname -r)"
modprobe -a virtio_console virtio_blk veth bridge nf_tables nft_masq nft_ct nft_chain_nat loop quota_v2

# The source tree may itself live below /tmp or /run, which get a tmpfs: keep a handle on it.
for dir in "$vm_src" "$vm_build"; do
	mkdir -p "/.vm/keep$dir"
	mount --rbind "$dir" "/.vm/keep$dir"
done
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /tmp
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
for dir in "$vm_src" "$vm_build"; do
	[ -d "$dir" ] || { mkdir -p "$dir" && mount --rbind "/.vm/keep$dir" "$dir"; }
done
umount -R -l "/.vm/keep$vm_src"
[ ! -d "/.vm/keep$vm_build" ] || umount -R -l "/.vm/keep$vm_build" 2>/dev/null

mkdir -p /run/lock /dev/pts /dev/shm /mnt/ext4
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
ln -sfn /proc/self/fd /dev/fd
for i in 0:stdin 1:stdout 2:stderr; do
	ln -sfn "/proc/self/fd/${i%%:*}" "/dev/${i##*:}"
done
mount -o prjquota /dev/vda /mnt/ext4
hostname cubit-vm
ip link set lo up
mount --make-rshared / # as systemd does; code that forgets to make its own tree private is to fail here too

# Options and layout as systemd makes them. The command's group has all controllers and no child: like a unit with
# Delegate=yes, which has to move its processes into a leaf before it may enable anything below itself.
mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
read -r controllers </sys/fs/cgroup/cgroup.controllers
for controller in $controllers; do
	echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
mkdir /sys/fs/cgroup/cubit-test

# The port takes one opener, and /dev/stdout of a program would be a second one: give programs a pipe. The status goes
# through the same pipe, so it comes after all output; then we wait to be killed.
for port in /sys/class/virtio-ports/*; do
	[ "$(cat "$port/name")" != out ] || port_dev=/dev/${port##*/}
done
mkfifo /run/vm-out
cat /run/vm-out >"$port_dev" &
exec 3>/run/vm-out
ulimit -Hn 524288 2>/dev/null || :
cd "$vm_src" || :
(
	echo "$BASHPID" >/sys/fs/cgroup/cubit-test/cgroup.procs
	echo "vm: kernel $(uname -r) controllers $controllers"
	exec bash /.vm/command
) >&3 2>&3 3>&-
rc=$?
printf '@@exit-%s %s\n' "$vm_nonce" "$rc" >&3
exec 3>&-
sleep 60
busybox reboot -f
