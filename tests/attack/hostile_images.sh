#!/bin/bash
# Images made to break the supervisor that mounts them: links, files, fifos and devices where it expects directories,
# attributes that tell the overlay to look elsewhere, programs with bits set. A start from one of them works as usual, or
# is refused; nothing of the host is touched, and nothing of the host is seen inside.
# timeout: 100
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

canary=$dir/canary
mkdir "$canary" "$canary/dir"
echo host >"$canary/hosts"
echo host >"$canary/hostname"
chmod 777 "$canary" "$canary/dir"
chmod 666 "$canary"/host*
state_of_canary()
{
	# looking at a directory changes its access time
	find "$canary" -printf '%p %y %m %u %g %s %T@ ' \( -type d -printf '\n' -o -printf '%A@\n' \) | sort
}
canary_before=$(state_of_canary)

image=$dir/image
fresh()
{
	rm -rf "$image"
	make_rootfs "$image"
}
image_run() # OPTION... as run, but from the hostile image
{
	local saved=$rootfs
	rootfs=$image
	run "$@"
	rootfs=$saved
}

devices='fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero '
# Everything a start promises, in one go.
check() # TITLE
{
	image_run --wall 20s -- /bin/payload each ls /dev ';' cwd ';' cat /etc/hostname ';' cat /etc/hosts ';' ids ';' ls / ';' \
		cat /proc/self/mountinfo ';' write /tmp/x x ';' write /work/x x ';' stat /tmp ';' ls "$canary" ';' stat /etc /proc /dev
	is "$(state_of_canary)" "$canary_before" "$1: nothing of the host is touched"
	if [ "$status" -eq 3 ]; then
		diag "refused: $(cat "$dir/stderr")$(field reason)"
		like "$(cat "$dir/stderr")$(field reason)" . '... it is refused with a reason'
		return
	fi
	is "$(answer 'ls /dev' | sort | tr '\n' ' ')" "$devices" '... /dev is ours'
	is "$(answer cwd) $(answer 'cat /etc/hostname')" '/work sandbox' '... so are /work and /etc/hostname'
	like "$(answer 'cat /etc/hosts')" '^127.0.0.1.localhost sandbox' '... and /etc/hosts'
	is "$(answer 'write /tmp/x x')$(answer 'write /work/x x')" '' '... /tmp and /work take writes'
	like "$(answer ids)" '^uid 1000 1000 1000 ' '... the payload is who it should be'
	is "$(awk '{ print $5 }' <(answer 'cat /proc/self/mountinfo') | grep -vE '^/($|proc($|/)|dev($|/))')" '' '... no mount is elsewhere'
	like "$(answer "ls $canary")" ENOENT '... and the host is not seen'
}

# ---- something else where a directory is expected ----
for target in / ../../../../etc /proc/self/root "$canary" "$canary/dir" /proc/self/fd/3 . nowhere; do
	fresh
	for name in proc dev tmp run etc work sys; do
		ln -s "$target" "$image/$name"
	done
	check "links to $target"
done
fresh
for name in proc dev tmp run etc work; do
	echo x >"$image/$name"
done
check 'files'
fresh
for name in proc dev tmp run etc work; do
	mkfifo "$image/$name"
done
check 'fifos'
fresh
for name in proc dev tmp run etc work; do
	mknod "$image/$name" c 0 0 # a whiteout, to an overlay
done
check 'whiteouts'
fresh
for name in proc dev tmp run etc work; do
	mkdir -m 0 "$image/$name"
	mkdir "$image/$name/sub"
done
ln -s "$canary/dir" "$image/dev/pts"
ln -s "$canary/dir" "$image/dev/shm"
ln -s "$canary/hosts" "$image/dev/null"
ln -s "$canary/dir" "$image/proc/sys"
chown 12345:12345 "$image"/{proc,dev,tmp,run,etc,work}
check 'directories closed to everybody, of somebody else'

# ---- /etc, whose files are written by the supervisor ----
fresh
mkdir "$image/etc"
for name in hosts hostname resolv.conf; do
	ln -s "$canary/$name" "$image/etc/$name"
done
check 'links in /etc to files of the host'
fresh
mkdir "$image/etc"
mkfifo "$image/etc/hosts" "$image/etc/hostname" "$image/etc/resolv.conf"
check 'fifos in /etc'
fresh
mkdir -p "$image/etc/hosts/x" "$image/etc/hostname/y"
check 'directories in /etc where files should be'

# ---- the program itself ----
fresh
ln -s ../../../../../../../bin/true "$image/bin/out"
ln -s "$payload" "$image/bin/out2"
ln -s /proc/1/root/bin/true "$image/bin/out3"
mkfifo "$image/bin/fifo"
mknod -m 777 "$image/bin/device" c 1 5
printf '#!/bin/fifo\n' >"$image/bin/script"
printf '#!/bin/script2\n' >"$image/bin/script2"
: >"$image/bin/empty"
chmod 755 "$image"/bin/{script,script2,empty}
for program in out out2 out3 fifo device script script2 empty; do
	image_run --wall 3s -- "/bin/$program"
	is "$(field status)" runtime_error "a program that is none, $program: $(field reason)"
done
image_run -- '/bin/../../../../bin/payload' ids
is "$(field status)" ok 'dots do not lead out of the root'
image_run --cwd /bin --env PATH=:.:/nowhere -- payload ids
like "$(field status)" 'ok|runtime_error' "an odd PATH is no trouble: $(field reason)"

# ---- devices of the host in a layer, set-user-id programs ----
fresh
mknod -m 666 "$image/disk" b 8 0
mknod -m 666 "$image/loop" b 7 0
mknod -m 666 "$image/mem" c 1 1
mknod -m 666 "$image/kmsg" c 1 11
mknod -m 666 "$image/null" c 1 3
cp "$payload" "$image/bin/sh"
chmod 4755 "$image/bin/sh"
chmod 4755 "$image/bin/payload"
for root in '' --root; do
	# shellcheck disable=SC2086 # empty or one word
	image_run $root -- /bin/sh each open /disk ';' open /loop rw ';' open /mem ';' open /kmsg w ';' open /null w ';' ids ';' status
	for name in 'disk' 'loop rw' 'mem' 'kmsg w' 'null w'; do
		is "$(answer "open /$name")" 'open: EACCES' "a device in a layer is dead: $name${root:+ for root inside}"
	done
	like "$(answer ids)" "^uid $([ -n "$root" ] && echo 0 0 0 || echo 1000 1000 1000) " 'the set-user-id bit means nothing'
done

# ---- what the overlay believes of its layers ----
# Three layers: the lowest has a secret, the middle one deletes it, the top one asks for it under another name.
lowest=$dir/lowest middle=$dir/middle top=$dir/top
make_rootfs "$lowest"
mkdir -p "$lowest/secret" "$lowest/work2" "$middle" "$top/public" "$top/outside" "$top/dots"
echo flag >"$lowest/secret/flag"
echo metadata >"$lowest/file"
mknod "$middle/secret" c 0 0
: >"$top/meta"
attribute() # FILE NAME VALUE
{
	[ "$("$payload" call setxattr "$1" "trusted.overlay.$2" "$3" "${#3}" 0)" = 'call: DONE' ]
}
if attribute "$top/public" redirect /secret; then
	attribute "$top/outside" redirect "$canary"
	attribute "$top/dots" redirect ../canary
	attribute "$top/meta" metacopy ''
	attribute "$top/meta" redirect /secret/flag
	truncate -s 5 "$top/meta"
	saved=$rootfs rootfs=$lowest
	run --layer "$middle" --layer "$top" -- /bin/payload each ls /secret ';' ls /public ';' ls /outside ';' ls /dots ';' cat /meta ';' \
		cat /public/flag ';' ls /
	rootfs=$saved
	if [ "$status" -eq 3 ]; then
		diag "refused: $(cat "$dir/stderr")"
	else
		like "$(answer 'ls /secret')" ENOENT 'what a layer deletes is gone'
		is "$({ answer 'ls /public' && answer 'cat /public/flag'; } | grep flag)" '' 'a redirect of a layer is not followed to what another deleted'
		is "$({ answer 'ls /outside' && answer 'ls /dots'; } | grep -E 'dir|host')" '' '... nor out of the layers'
		is "$(answer 'cat /meta' | grep flag)" '' 'a file that is only metadata does not borrow the content of another'
	fi
	is "$(state_of_canary)" "$canary_before" 'nothing of the host is touched'
else
	diag 'no attributes can be set here'
fi
# an opaque mark and a whiteout at the top of a layer
fresh
attribute "$image" opaque y
attribute "$image/bin" origin rubbish
attribute "$image/bin" impure y
check 'marks of an upper directory in a layer'
is "$(field status)" ok 'an opaque root of a layer is no trouble'

# ---- many and deep ----
fresh
( # a subshell: it goes far away
	cd "$image" || exit
	for _ in {1..60}; do
		mkdir directory-with-a-rather-long-name-so-that-the-path-exceeds-every-bound && cd directory-with-a-rather-long-name-so-that-the-path-exceeds-every-bound || exit
	done
) 2>/dev/null
check 'a path longer than any bound'
for _ in {1..70}; do # --layer is bounded at 64 by the command line
	extra+=(--layer "$dir/lowest")
done
run "${extra[@]}" -- /bin/payload true
is "$status" 2 'more layers than there may be are bad usage'
run "${extra[@]:0:40}" -- /bin/payload true
like "$status $(cat "$dir/stderr")" '^0 |^3 .*(overlay|layers)' 'twenty times the same layer works or is refused by name'
nothing_left 'nothing is left'
done_testing
