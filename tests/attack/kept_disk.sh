#!/bin/bash
# A disk that is kept (--disk-dir) holds files under the ids inside, so a set-user-id program made by root inside belongs
# to uid 0 on the host as well: no other user of the host may get at it. And what one run leaves there must not fool the
# supervisor in the next.
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

disk=$dir/disk
mkdir -m 755 "$disk"
run --root --disk-dir "$disk" --cwd / -- /bin/payload each call chmod /bin/payload 04755 ';' stat /bin/payload ';' stat /
like "$(answer 'stat /bin/payload')" '^file mode 4755 uid 0 ' 'root inside can make a set-user-id program of uid 0'
if program=$(find "$disk" -perm -4000 -type f | grep .); then
	diag "it is a file of the host: $(stat -c '%n %u %a' "$program")"
	at=${program%/*}
	while [ "$at" != "$disk" ] && [ "$(stat -c %a "$at" | tail -c 2)" != 0 ]; do
		at=${at%/*}
	done
	[ "$at" != "$disk" ]
	ok $? 'a directory above it is closed to other users of the host' || diag "$program can be reached"
	# by way of a shell: setpriv itself keeps its capabilities until it executes something
	unlike "$(setpriv --reuid 12345 --regid 12345 --clear-groups bash -c "$program ids" 2>&1)" 'uid 12345' 'none of them can execute it'
else
	[ -n "$(find "$disk" -type f)" ]
	ok $? 'what it made is on the disk'
	is "$(find "$disk" -type f -perm /077)" '' '... on the host it is inside an image that only root can open'
	is "$(find "$disk" -type d -mindepth 1 -perm /077)" '' '... as is all else there'
fi
is "$(grep -l "$disk" /sys/block/loop*/loop/backing_file 2>/dev/null)" '' 'no loop device stays'

# ---- what a cube leaves for the next start ----
canary=$dir/canary
mkdir "$canary"
echo canary >"$canary/hosts"
before=$(find "$canary" -printf '%p %m %u %g %s %T@\n' -exec sha256sum {} \; 2>/dev/null)
leave() # TITLE WORDS... : run them on a fresh disk, then start again on it
{
	local title=$1
	shift
	rm -rf "$disk"
	mkdir -m 700 "$disk"
	run --root --disk-dir "$disk" --cwd / -- /bin/payload each "$@"
	run --root --disk-dir "$disk" --cwd / -- /bin/payload each ls /dev ';' cat /proc/self/mountinfo ';' ids
	is "$(find "$canary" -printf '%p %m %u %g %s %T@\n' -exec sha256sum {} \; 2>/dev/null)" "$before" "$title: nothing of the host is touched"
	if [ "$(field status)" = ok ]; then
		is "$(answer 'ls /dev' | grep -c .)" 14 '... and the next start has its own /dev'
	else
		diag "$title: the next start says: $(field status) $(field reason) $(cat "$dir/stderr")"
		like "$(cat "$dir/stderr" "$dir/verdict" 2>/dev/null)" 'etc|proc|dev|run|tmp|work' '... and the refusal names what is wrong'
	fi
}
for name in proc dev tmp run etc work; do
	if [ "$name" = proc ] || [ "$name" = dev ]; then
		continue # in use: they cannot be moved away from inside
	fi
	leave "/$name as a link to the host" call 82 "/$name" "/was-$name" ';' call symlink "$canary" "/$name"
	leave "/$name as a file" call 82 "/$name" "/was-$name" ';' write "/$name" x
done
leave '/etc/hosts as a link' call 87 /etc/hosts ';' call symlink "$canary/hosts" /etc/hosts
leave '/etc/hosts as a fifo' call 87 /etc/hosts ';' call mknod /etc/hosts 010666 0
leave 'the root closed to everybody' call chmod / 0
nothing_left 'nothing is left'
done_testing
