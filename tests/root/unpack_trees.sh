#!/bin/bash
# Unpacking makes what GNU tar and umoci make of the same archives: names, modes, owners, times, extended attributes, hard
# links, holes; one layer in every dialect, and three over each other with whiteouts and opaque directories.
# where: host
# timeout: 900
set -u

src=${CUBIT_SRC:-$PWD}
unpack=${CUBIT_BUILD:-build}/tests/root/unpack
dir=$(mktemp -d "${CUBIT_TEST_DIR:-/tmp}/trees.XXXXXX")
count=0 failed=0
mounted=()

# shellcheck disable=SC2317 # called by the trap
finish()
{
	for m in "${mounted[@]}"; do umount "$m"; done
	rm -rf "$dir"
}
trap finish EXIT

ok() # CONDITION-STATUS TITLE
{
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		failed=1
	fi
}

same() # TREE TREE TITLE
{
	python3 "$src/tests/lib/tree.py" list "$1" >"$dir/a.txt"
	python3 "$src/tests/lib/tree.py" list "$2" >"$dir/b.txt"
	[ -s "$dir/a.txt" ] && diff "$dir/a.txt" "$dir/b.txt" >"$dir/diff.txt"
	ok $? "$3"
	head -n 20 "$dir/diff.txt" 2>/dev/null | cut -c 1-300 | sed 's/^/# /'
}

for tool in tar umoci zstd; do
	command -v "$tool" >/dev/null || { echo "1..0 # SKIP no $tool"; exit 0; }
done
[ "$(id -u)" -eq 0 ] || { echo '1..0 # SKIP not root'; exit 0; }
umask 022

for l in 1 2 3; do
	mkdir "$dir/in$l"
	python3 "$src/tests/lib/tree.py" make $l "$dir/in$l" || { echo 'Bail out! no tree'; exit 1; }
done
tar=(tar --create --numeric-owner --xattrs '--xattrs-include=*' --directory "$dir/in1")
"${tar[@]}" --format=posix --sparse --file "$dir/posix.tar" .
"${tar[@]}" --format=posix --sparse --sparse-version=0.0 --file "$dir/sparse00.tar" .
"${tar[@]}" --format=posix --sparse --sparse-version=0.1 --file "$dir/sparse01.tar" .
tar --create --numeric-owner --directory "$dir/in1" --format=gnu --sparse --file "$dir/gnu.tar" .
tar --create --numeric-owner --directory "$dir/in1" --format=ustar --exclude="$(printf 'n%.0s' {1..255})" --exclude=long-link \
	--exclude=directory-of-some-length --file "$dir/ustar.tar" .
tar --create --numeric-owner --directory "$dir/in1" --format=v7 --exclude="$(printf 'n%.0s' {1..255})" --exclude=long-link \
	--exclude=directory-of-some-length --exclude=run-fifo --file "$dir/v7.tar" .

for dialect in posix sparse00 sparse01 gnu ustar v7; do
	mkdir "$dir/theirs" "$dir/ours"
	tar --extract --preserve-permissions --same-owner --numeric-owner --xattrs '--xattrs-include=*' --file "$dir/$dialect.tar" \
		--directory "$dir/theirs"
	"$unpack" "$dir/$dialect.tar" "$dir/ours" >"$dir/out" 2>&1
	ok $? "an archive in $dialect format is unpacked"
	grep -v ' ' "$dir/out" | sed 's/^/# /'
	same "$dir/theirs" "$dir/ours" "and the tree is the one that GNU tar makes"
	[ "$(stat -c %b "$dir/theirs/sparse")" = "$(stat -c %b "$dir/ours/sparse")" ] || [ "$dialect" = ustar ] || [ "$dialect" = v7 ]
	ok $? 'holes are holes again'
	rm -rf "$dir/theirs" "$dir/ours"
done

mkdir "$dir/plain"
"$unpack" "$dir/posix.tar" "$dir/plain" >"$dir/plain.out"
gzip -nc "$dir/posix.tar" >"$dir/posix.tar.gz"
zstd -qc "$dir/posix.tar" >"$dir/posix.tar.zst"
(head -c 1000000 "$dir/posix.tar" | gzip -nc; tail -c +1000001 "$dir/posix.tar" | gzip -1nc) >"$dir/members.tar.gz"
for f in posix.tar.gz posix.tar.zst members.tar.gz; do
	mkdir "$dir/ours"
	"$unpack" "$dir/$f" "$dir/ours" >"$dir/out" 2>&1
	same "$dir/plain" "$dir/ours" "$f gives the same tree as the plain archive"
	[ "$(grep diff_id "$dir/out")" = "diff_id sha256:$(sha256sum <"$dir/posix.tar" | cut -d' ' -f1)" ]
	ok $? 'the diff id is the sha256 of the plain archive'
	[ "$(grep compressed "$dir/out")" = "compressed sha256:$(sha256sum <"$dir/$f" | cut -d' ' -f1)" ]
	ok $? 'the other digest that of the file'
	rm -rf "$dir/ours"
done
mkdir "$dir/ours"
# shellcheck disable=SC2002 # a pipe, not the file
cat "$dir/posix.tar.gz" | "$unpack" /dev/stdin "$dir/ours" >"$dir/out" 2>&1
same "$dir/plain" "$dir/ours" 'a pipe will do as well'

# ---- three layers ----

for l in 1 2 3; do
	tar --create --numeric-owner --xattrs '--xattrs-include=*' --format=posix --directory "$dir/in$l" --file "$dir/layer$l.tar" .
	mkdir "$dir/l$l"
	"$unpack" "$dir/layer$l.tar" "$dir/l$l" >"$dir/out" 2>&1
	ok $? "layer $l is unpacked"
done
(
	cd "$dir" || exit 1
	umoci init --layout oci && umoci new --image oci:x
	for l in 1 2 3; do umoci raw add-layer --image oci:x "layer$l.tar"; done
	umoci unpack --image oci:x bundle
) >"$dir/out" 2>&1
ok $? 'umoci unpacks the same three'
mkdir "$dir/merged"
mount -t overlay overlay -o "ro,lowerdir=$dir/l3:$dir/l2:$dir/l1" "$dir/merged" && mounted+=("$dir/merged")
ok $? 'the three directories are layers of an overlay'
same "$dir/bundle/rootfs" "$dir/merged" 'and show the tree that umoci makes'
[ -z "$(find "$dir/l2/opaque" -type c)" ] && [ "$(find "$dir/l2" -type c | wc -l)" -eq 4 ]
ok $? 'whiteouts are 0:0 devices, and there is none in an opaque directory'

# ---- meanings that depend on order ----

python3 - "$dir" <<'END'
import io, sys, tarfile
def make(name, *entries):
    with tarfile.open(f"{sys.argv[1]}/{name}.tar", "w", format=tarfile.PAX_FORMAT) as t:
        for e in entries:
            i = tarfile.TarInfo(e[0]); i.type = e[1]; i.mtime = 1000
            i.mode = e[3] if len(e) > 3 else 0o755
            data = b""
            if e[1] == tarfile.REGTYPE: data = e[2]; i.size = len(data)
            elif len(e) > 2: i.linkname = e[2]
            if len(e) > 4: i.pax_headers = e[4]
            t.addfile(i, io.BytesIO(data))
F, D, S = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE
make("order", ("d", D), ("d/.wh.x", F, b""), ("d/new", F, b"n"), ("d/.wh..wh..opq", F, b""),
     ("late", D), ("late/f", F, b"f"), (".wh.late", F, b""),
     (".wh.early", F, b""), ("early/f", F, b"f"), (".wh.file", F, b""), ("file", F, b"stays"),
     (".wh..wh.plnk/1.2", F, b"aufs"), ("a/.wh..wh.aufs", F, b""), ("tmp/made", F, b"x"), ("no/parents/f", F, b"x"))
make("twice", ("f", F, b"first"), ("f", F, b"second", 0o600), ("d", D), ("d/x", F, b"x"), ("d", D, "", 0o700), ("s", S, "d"),
     ("s", F, b"no link any more"), ("e", D), ("e/deep/x", F, b"x"), ("e", F, b"a file now"), ("g", F, b"x"), ("g", D), ("g/x", F, b"x"))
make("links", ("lib", S, "usr/lib"), ("lib/x", F, b"through a link to what comes later"), ("usr/lib", D, "", 0o711), ("b", S, "/usr/../usr/bin"),
     ("b/y", F, b"absolute"))
END
mkdir "$dir/order" "$dir/twice" "$dir/links"
"$unpack" "$dir/order.tar" "$dir/order" >"$dir/out" 2>&1 || cat "$dir/out"
getopaque() { python3 -c 'import os, sys
try: print(os.getxattr(sys.argv[1], "trusted.overlay.opaque").decode())
except OSError: print("-")' "$1"; }
[ "$(getopaque "$dir/order/d")" = y ] && [ ! -e "$dir/order/d/x" ] && [ -e "$dir/order/d/new" ]
ok $? 'an opaque mark at the end hides the lower directory and keeps what this layer has'
[ "$(getopaque "$dir/order/late")" = y ] && [ -e "$dir/order/late/f" ]
ok $? 'a whiteout after a directory of its name makes it opaque'
[ "$(getopaque "$dir/order/early")" = y ] && [ -e "$dir/order/early/f" ]
ok $? 'and so does one before it'
[ "$(cat "$dir/order/file")" = stays ]
ok $? 'a whiteout does not touch a file of its own layer'
[ ! -e "$dir/order/.wh..wh.plnk" ] && [ -z "$(find "$dir/order" -name '.wh*')" ]
ok $? 'what aufs kept for itself is passed over'
[ "$(stat -c '%a %u %g %Y' "$dir/order/no/parents") $(stat -c %a "$dir/order/tmp")" = '755 0 0 0 1777' ]
ok $? 'parents that a layer omits are made: 0755, root, time 0; /tmp as everybody knows it'
"$unpack" "$dir/twice.tar" "$dir/twice" >"$dir/out" 2>&1 || cat "$dir/out"
[ "$(cat "$dir/twice/f") $(stat -c %a "$dir/twice/f")" = 'second 600' ]
ok $? 'of two entries for a file the last one wins'
[ "$(stat -c %a "$dir/twice/d")" = 700 ] && [ -e "$dir/twice/d/x" ]
ok $? 'a directory again takes the new mode and keeps what is in it'
[ "$(cat "$dir/twice/s")" = 'no link any more' ] && [ -f "$dir/twice/e" ] && [ -f "$dir/twice/g/x" ]
ok $? 'a file replaces a link and a tree, a directory a file'
"$unpack" "$dir/links.tar" "$dir/links" >"$dir/out" 2>&1 || cat "$dir/out"
[ -f "$dir/links/usr/lib/x" ] && [ "$(stat -c %a "$dir/links/usr/lib")" = 711 ] && [ -f "$dir/links/usr/bin/y" ]
ok $? 'a parent that is a link to what does not exist yet is made where it points, within the layer'

echo "1..$count"
exit "$failed"
