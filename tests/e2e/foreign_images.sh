#!/bin/bash
# Images made by umoci and by buildah run here and show, seen from inside a sandbox, the very trees that those tools
# show: many layers, whiteouts, opaque directories, hard links, setuid, file capabilities, 10,000 files.
# timeout: 500
set -u
# shellcheck source=tests/lib/registry.sh
. "$(dirname "$0")/../lib/registry.sh"
need_tools
for t in buildah busybox getcap setcap; do
	command -v "$t" >/dev/null || { echo "1..0 # SKIP no $t" && exit 0; }
done
export CUBIT_STATE=$dir/state CUBIT_RUN=$dir/run
umask 022

# ---- what is put into every image: the means to look at it ----

tools=$dir/tools
mkdir -p "$tools/tools"
cp "$(command -v busybox)" "$tools/tools/busybox"
cp "$(command -v getcap)" "$(command -v setcap)" "$tools/tools/"
ldd "$(command -v setcap)" | awk '$3 ~ /^\// { print $3 }' | xargs -I{} cp -L {} "$tools/tools/"
cp -L "$(ldd "$(command -v setcap)" | awk '$1 ~ /^\// { print $1 }')" "$tools/tools/ld.so"
# What a sandbox puts above the image is left out: these directories, and three files of /etc.
cat >"$tools/tools/list" <<'SH'
#!/tools/busybox sh
cd / || exit 1
PATH=/tools
b=/tools/busybox
own='-path ./proc -o -path ./dev -o -path ./sys -o -path ./run -o -path ./tmp -o -path ./work -o -path ./etc/hosts
	-o -path ./etc/hostname -o -path ./etc/resolv.conf'
$b find . -xdev \( $own \) -prune -o -type d ! -path . ! -path ./etc -print0 | $b sort -z | $b xargs -0 $b stat -c 'dir %f %u %g %Y %n'
$b find . -xdev \( $own \) -prune -o ! -type d -print0 | $b sort -z | $b xargs -0 $b stat -c '%f %u %g %h %s %Y %N'
$b find . -xdev \( $own \) -prune -o -type f -print0 | $b sort -z | $b xargs -0 $b sha256sum
for d in *; do
	case $d in
	proc | dev | sys | run | tmp | work) ;;
	*) /tools/ld.so --library-path /tools /tools/getcap -r "$d" ;;
	esac
done
# which names are one file: by the first of them, not by a number
$b find . -xdev \( $own \) -prune -o -type f -links +1 -print0 | $b sort -z | $b xargs -0 $b stat -c '%i %n' |
	$b awk '{ n = $1; sub(/^[0-9]* /, ""); if (!(n in first)) first[n] = $0; print $0 " is " first[n] }'
SH
chmod 755 "$tools/tools/list"

theirs() # ROOT: the same list, in a chroot
{
	chroot "$1" /tools/busybox sh /tools/list >"$dir/theirs" 2>&1
}

ours() # NAME
{
	"$build/bin/cubit-sandbox" --image "$1" --root --live --wall 60s --cpu 60s --output 64M --memory 512M --verdict "$dir/verdict" \
		--entrypoint /tools/busybox -- sh /tools/list >"$dir/ours" 2>"$dir/err"
	is $? 0 "'$1' runs, and lists itself"
	[ ! -s "$dir/err" ] || head -n 5 "$dir/err" | sed 's/^/# /'
}

same() # TITLE
{
	[ "$(wc -l <"$dir/theirs")" -gt 20 ] && diff "$dir/theirs" "$dir/ours" >"$dir/diff"
	ok $? "$1"
	head -n 20 "$dir/diff" | cut -c 1-200 | sed 's/^/# /'
}

seen() # PATTERN TITLE
{
	grep -qE -- "$1" "$dir/ours"
	ok $? "$2"
}

layers() # NAME
{
	"$cubit" image inspect "$1" | grep -c diff_id
}

# ---- umoci ----

for l in 1 2 3; do
	mkdir "$dir/in$l"
	python3 "$here/tree.py" make $l "$dir/in$l" || { echo 'Bail out! no tree' && exit 1; }
done
cp -a "$tools/tools" "$dir/in3/tools"
(
	cd "$dir" || exit 1
	umoci init --layout oci && umoci new --image oci:trees || exit 1
	for l in 1 2 3; do
		tar --create --numeric-owner --xattrs '--xattrs-include=*' --format=posix --directory "in$l" --file "layer$l.tar" .
		umoci raw add-layer --image oci:trees "layer$l.tar" || exit 1
	done
	umoci unpack --image oci:trees three || exit 1
	# and forty of umoci's own, each a change of the tree before it
	umoci new --image oci:many && umoci unpack --image oci:many bundle || exit 1
	r=bundle/rootfs
	cp -a tools/tools "$r/tools"
	for ((i = 1; i <= 40; i++)); do
		mkdir -p "$r/steps/$i" && echo "$i" >"$r/steps/$i/file" && echo "$i" >"$r/steps/last"
		ln "$r/steps/$i/file" "$r/steps/$i/link"
		[ $((i % 3)) -ne 0 ] || rm -r "$r/steps/$((i - 1))"
		[ $((i % 7)) -ne 0 ] || { rm -r "$r/steps/$((i - 3))" 2>/dev/null; echo again >"$r/steps/$((i - 3))"; }
		umoci repack --refresh-bundle --image oci:many bundle || exit 1
	done
) >"$dir/log" 2>&1 || { echo "Bail out! umoci: $(tail -n 1 "$dir/log")" && exit 1; }
umoci unpack --image "$dir/oci:many" "$dir/again" >"$dir/log" 2>&1

for tag in trees many; do
	skopeo copy -q "oci:$dir/oci:$tag" "oci:$dir/one-$tag:$tag"
	"$cubit" image load --quiet "$dir/one-$tag" "umoci:$tag" >"$dir/out" 2>"$dir/err"
	is $? 0 "umoci's image '$tag' is loaded"
done
theirs "$dir/three/rootfs"
ours umoci:trees
same 'three layers look inside as umoci unpacks them'
[ "$(grep -c '^[0-9a-f]* .*many/' "$dir/ours")" -gt 9990 ]
ok $? 'ten thousand files among them'
seen '^89ed .*bin/su$' 'with a setuid program'
seen 'bin/ping cap_net_bind_service=ep' 'one with a capability'
seen 'etc/su-too is ./bin/su' 'and hard links'
is "$(layers umoci:many)" 40 'the other has forty layers'
theirs "$dir/again/rootfs"
ours umoci:many
same 'and looks as umoci unpacks it'
seen 'steps/40/link is ./steps/40/file' 'to the last one'

# ---- buildah ----

b()
{
	buildah --root "$dir/buildah" --runroot "$dir/buildah-run" --storage-driver "$driver" "$@"
}
# shellcheck disable=SC2317 # called by the trap
finish_buildah()
{
	b rm --all >/dev/null 2>&1
	! mountpoint -q "$dir/buildah/overlay" || umount "$dir/buildah/overlay"
	finish
}
trap finish_buildah EXIT

driver=overlay # vfs copies every layer, and is what remains where overlay cannot be
b images >/dev/null 2>&1 || driver=vfs
mkdir "$dir/context"
mkdir -p "$dir/context/root/bin" "$dir/context/many"
cp -a "$tools/tools" "$dir/context/root/tools"
ln -s /tools/busybox "$dir/context/root/bin/sh"
for ((i = 0; i < 2000; i++)); do
	echo "$i" >"$dir/context/many/$i"
done
{
	echo 'FROM scratch'
	echo 'COPY root /'
	echo 'ENV PATH=/tools'
	echo 'COPY many /many'
	echo 'RUN busybox mkdir -p /etc /opq/deep && busybox cp /tools/busybox /bin/su && busybox chmod 4755 /bin/su &&' \
		'busybox ln /bin/su /bin/su2 && echo old > /opq/old && echo old > /opq/deep/old && echo x > /etc/gone'
	echo 'RUN ld.so --library-path /tools /tools/setcap cap_net_bind_service=ep /tools/busybox'
	echo 'RUN busybox rm -r /opq && busybox mkdir /opq && echo new > /opq/new' # an opaque directory
	echo 'RUN busybox rm /etc/gone /many/7 && busybox chown -R 12:34 /many/1000 && busybox chmod 2750 /opq'
	echo 'RUN busybox ln -s /bin/su /etc/link && busybox rm -r /etc/link && busybox mkdir /etc/link && busybox mkfifo /etc/fifo'
	echo 'RUN busybox ln /bin/su2 /bin/su3'
	for ((i = 1; i <= 32; i++)); do
		echo "RUN echo $i > /step-$i && busybox rm -f /step-$((i - 5)) /many/$((i * 10)) && echo $i > /many/last"
	done
	echo 'USER 1000'
	echo 'CMD ["/tools/busybox", "id", "-u"]'
} >"$dir/context/Dockerfile"
b bud --layers --isolation chroot -t made:1 "$dir/context" >"$dir/log" 2>&1 ||
	{ echo "Bail out! buildah: $(tail -n 2 "$dir/log")" && exit 1; }
container=$(b from made:1)
theirs "$(b mount "$container")"
b umount "$container" >/dev/null

start_registry open
b push --tls-verify=false made:1 "docker://localhost:$port/made:1" >"$dir/log" 2>&1
"$cubit" image pull --quiet "localhost:$port/made:1" >"$dir/out" 2>"$dir/err"
is $? 0 "buildah's image is pulled"
[ "$(layers "localhost:$port/made:1")" -ge 40 ]
ok $? 'with its forty layers'
ours "localhost:$port/made:1"
same 'and looks inside as buildah mounts it'
seen '^89ed .*bin/su$' 'with a setuid program'
seen 'tools/busybox cap_net_bind_service=ep' 'one with a capability'
seen 'bin/su3 is ./bin/su2$' 'and hard links'
grep -qE 'opq/(old|deep)|etc/gone|many/7$|step-27$' "$dir/ours"
is $? 1 'nothing that was deleted shows'
"$build/bin/cubit-sandbox" --image "localhost:$port/made:1" --live --verdict "$dir/verdict" >"$dir/out" 2>"$dir/err"
is "$(cat "$dir/out")" 1000 'its command runs as its user'

for form in oci-archive docker-archive; do
	b push made:1 "$form:$dir/$form.tar:made:2" >"$dir/log" 2>&1
	CUBIT_STATE=$dir/state-$form "$cubit" image load --quiet "$dir/$form.tar" "made:$form" >"$dir/out" 2>"$dir/err"
	is $? 0 "the same as $form is loaded"
	mv "$dir/ours" "$dir/theirs"
	CUBIT_STATE=$dir/state-$form ours "made:$form"
	same 'and is the same'
done

done_testing
