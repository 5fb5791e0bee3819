#!/bin/bash
# Hostile layer archives: none writes outside of its directory, none gets more than its budget, each refusal names the entry,
# and a refused layer leaves nothing.
# where: host
# timeout: 200
# shellcheck disable=SC2016 # what held() evaluates expands there
set -u

src=${CUBIT_SRC:-$PWD}
unpack=${CUBIT_BUILD:-build}/tests/root/unpack
dir=$(mktemp -d /tmp/layers.XXXXXX) # short: a name in a plain tar header has 100 bytes
trap 'rm -rf "$dir"' EXIT
count=0 failed=0

ok() # CONDITION-STATUS TITLE
{
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		sed 's/^/# /' "$dir/out" | cut -c 1-300 | head -n 5
		failed=1
	fi
}

# What the archives would change: content, mode, owner, times, names, attributes.
canary()
{
	python3 "$src/tests/lib/tree.py" list "$dir/outside"
	stat -c '%n %a %u %g %Y %Z %h' "$dir/outside" "$dir/outside/secret" /etc/passwd
}

try() # NAME [BUDGET...]: unpacks into a fresh $dir/layer; true when that worked
{
	local name=$1
	shift
	rm -rf "$dir/layer"
	mkdir "$dir/layer"
	"$unpack" "$dir/tars/$name" "$dir/layer" "$@" >"$dir/out" 2>&1
}

refused() # NAME MESSAGE [BUDGET...]
{
	local name=$1 message=$2
	shift 2
	! try "$name" "$@" && grep -qF -- "$message" "$dir/out" && [ "$(canary)" = "$before" ]
	ok $? "$name is refused: $message"
}

held() # NAME CHECK TITLE
{
	try "$1" && (cd "$dir/layer" && eval "$2") && [ "$(canary)" = "$before" ]
	ok $? "$1: $3"
}

[ "$(id -u)" -eq 0 ] || { echo '1..0 # SKIP not root'; exit 0; }
command -v zstd >/dev/null || { echo '1..0 # SKIP no zstd'; exit 0; }
umask 022
mkdir "$dir/tars" "$dir/outside"
echo secret >"$dir/outside/secret"
before=$(canary)
python3 "$src/tests/lib/hostile_tars.py" "$dir/tars" "$dir/outside" || { echo 'Bail out! no archives'; exit 1; }
inside=.$dir/outside/secret # where an absolute path leads in the layer

# ---- ways out ----

refused dotdot.tar "secret' is refused"
held absolute.tar "[ \"\$(cat $inside)\" = overwritten ]" 'an absolute name stays below the layer'
held symlink-parent.tar "[ \"\$(cat $inside)\" = overwritten ]" 'so does a name through an absolute link'
held relative-symlink.tar "[ \"\$(cat $inside)\" = overwritten ]" 'or through one that goes up'
refused hardlink-out.tar "entry 'h': '..' in"
refused hardlink-absolute.tar "entry 'h': a hard link to"
refused hardlink-via-symlink.tar "entry 'h': a hard link to 's/secret', which is not in this layer"
refused root-as-symlink.tar "entry '.': the root of a layer must be a directory"
refused root-as-symlink-slash.tar "entry '/': the root of a layer must be a directory"
refused root-as-file.tar "entry './': the root of a layer must be a directory"
held file-over-symlink.tar '[ ! -L f ] && [ "$(cat f)" = overwritten ]' 'a file takes the place of a link, it does not go through it'
held dir-over-symlink.tar '[ ! -L f ] && [ "$(cat f/secret)" = overwritten ]' 'so does a directory'
held dir-replaced-by-link.tar "[ -L d ] && [ \"\$(cat $inside)\" = overwritten ]" 'a directory known before it became a link is looked up again'
held chmod-through-hardlink.tar '[ -L l ] && [ "$(stat -c %a:%u m)" = 4777:7 ]' 'mode and owner stop at a link to a link'
held symlink-attributes.tar '[ -L l ] && [ "$(stat -c %u l)" = 4242 ]' 'the attributes of a link are its own'
refused hardlink-to-dir.tar "entry 'h': link: Operation not permitted"
refused hardlink-missing.tar "entry 'h': a hard link to 'not/there', which is not in this layer"
held hardlink-to-self.tar '[ "$(cat f)" = x ]' 'a hard link to itself keeps the file'
refused symlink-loop.tar "entry 'a/x'"
held symlink-dangling-parent.tar '[ "$(cat made/here/x)" = inside ]' 'a link to nothing is made good inside'
held symlink-proc.tar '[ -f proc/self/root/x ]' '/proc in a link is a directory of the layer'
held symlink-grows.tar true 'links that grow are followed within bounds'
refused file-as-parent.tar "entry 'f/x': its parent 'f' is not a directory"

# ---- whiteouts, devices, attributes ----

for d in device-char:dev/mem device-block:sda device-whiteout:hidden; do
	held "${d%:*}.tar" "[ ! -e ${d#*:} ] && [ ! -L ${d#*:} ] && grep -qx 'devices 1' \"\$dir/out\"" \
		"the device node '${d#*:}' is left out and counted"
done
held device-over-file.tar '[ "$(stat -c %F,%s f)" = "regular file,1" ]' 'a device node takes nobody else'"'"'s place'
refused device-many.tar "entry 'd4096': more than 4096 device nodes"
refused whiteout-dotdot.tar "entry 'd/.wh...': a whiteout of nothing"
refused whiteout-dot.tar "entry '.wh..': a whiteout of nothing"
refused whiteout-bare.tar "entry 'd/.wh.': a whiteout of nothing"
refused whiteout-directory.tar "entry '.wh.d/x': a reserved name"
held whiteout-through-link.tar "[ -c $inside ]" 'a whiteout through a link stays below the layer'
held opaque-through-link.tar "[ -d ${inside%/secret} ]" 'so does an opaque mark'
held overlay-xattrs.tar 'python3 -c "import os; exit(os.listxattr(\"d\") != [\"user.kept\"])"' \
	'attributes that overlayfs or the host would believe are dropped, others kept'
held default-acl.tar '[ "$(stat -c %a d/f)" = 640 ] && python3 -c "import os; exit(os.listxattr(\"d/f\") != [] or os.listxattr(\"d\") != [\"system.posix_acl_default\"])"' \
	'a default ACL is set, but not inherited by what the archive itself holds'

# ---- archives that say two things, or nonsense ----

held pax-size-desync.tar '[ "$(ls)" = "$(printf "a\nafter")" ]' 'the pax size decides where the next entry is (CVE-2025-62518)'
held dir-with-size.tar '[ -d dir ] || [ "$(ls | wc -l)" = 3 ]' 'a directory has no data, whatever it says'
refused negative-size.tar "entry 'n': the size is not a number"
refused huge-size.tar "entry 'n': its 9223372036854775807 bytes would be more"
refused huge-uid.tar "'uid' is not valid"
refused pax-path-nul.tar "'path' is not valid"
refused pax-malformed.tar 'pax header: a record is malformed'
refused unknown-type.tar "entry 'odd': unknown type 0x5a"
refused wrong-checksum.tar "after entry 'fine': not a valid tar archive: the checksum of a header is wrong"
refused lone-zero-block.tar "after entry 'a': not a valid tar archive"
refused truncated.tar "entry 'cut': the archive is cut off"
refused not-an-archive.tar 'not a valid tar archive'
refused sparse-overlap.tar "entry 'overlap': the map of a sparse file is not valid"
refused sparse-beyond.tar "entry 'beyond': the map of a sparse file is not valid"
refused escape-codes.tar "entry 'bad\\x1b[2J\\x0a\\x27name/x'"
for f in gzip-truncated.tar.gz gzip-no-trailer.tar.gz zstd-truncated.tar.zst; do
	refused $f 'the compressed stream is cut off'
done
for f in gzip-corrupt.tar.gz gzip-wrong-crc.tar.gz; do refused $f 'the gzip stream is damaged'; done
for f in zstd-corrupt.tar.zst zstd-wrong-sum.tar.zst zstd-garbage.tar.zst; do refused $f 'the zstd stream is damaged'; done
refused gzip-garbage.tar.gz 'something that is not gzip follows the gzip stream'

# ---- budgets ----

refused bomb.tar.gz "entry 'bomb': its 10737418240 bytes would be more than the 1073741824 the layer may have" out_bytes=1073741824
began=$(date +%s%N)
refused bomb.tar.gz "entry 'bomb': the layer inflates to more than 1000 times its size"
[ $(($(date +%s%N) - began)) -lt 5000000000 ]
ok $? 'within five seconds'
[ "$(du -sm "$dir/layer" | cut -f 1)" -lt 100 ]
ok $? 'and has written less than 100 MB by then'
refused bomb.tar.gz 'compressed bytes it may have' in_bytes=50000
refused bomb.tar.gz "entry 'bomb': unpacking took longer than 300 ms" ratio=100000 wall_ms=300
refused million.tar.zst "entry 'n0020000': more than 20000 entries and parents" entries=20000
refused sparse-huge.tar "entry 'sparse-huge': its 9000000000000000000 bytes would be more"
refused path-too-long.tar 'a path of 4999 bytes, the limit is 4096'
refused pax-path-too-long.tar 'a path of 5000 bytes, the limit is 4096'
refused name-too-long.tar 'a name of 300 bytes, the limit is 255'
refused longname-huge.tar "entry 'huge-longname': an extended header of 2097152 bytes"
refused xattr-bomb.tar "entry 'xattrs': 160310 bytes of extended attributes, the limit is 65536"
refused xattr-bomb-huge.tar "entry 'xattrs-huge': an extended header of"
refused xattr-bomb.tar "entry 'xattrs': more than 3000 bytes of extended attributes in the layer" xattr_entry=1000000 xattr_bytes=3000

# ---- and nothing stays ----

children=$(pgrep -P $$ -c cubit-worker || true)
[ "${children:-0}" = 0 ] && ! grep -qF "$dir" /proc/self/mounts
ok $? 'no worker and no mount is left'

echo "1..$count"
exit "$failed"
