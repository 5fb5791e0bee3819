#!/bin/bash
# tools/mkimage makes images from Debian packages, twice the same bytes; they hold what they should and nothing of this
# machine; and a program runs in one. Needs the package mirror: a minute or two, most of it packages.
# timeout: 900
# alone
set -u
count=0 failed=0
build=${CUBIT_BUILD:-$PWD/build}
dir=${CUBIT_TEST_DIR:-$(mktemp -d)}

ok() # STATUS TITLE
{
	local word=ok
	count=$((count + 1))
	[ "$1" -eq 0 ] || { word='not ok' && failed=1; }
	echo "$word $count - $2"
	[ "$1" -eq 0 ]
}

is() # GOT WANTED TITLE
{
	[ "$1" = "$2" ]
	ok $? "$3" || printf '# got %q, wanted %q\n' "$1" "$2"
}

[ "$(id -u)" -eq 0 ] || {
	echo '1..0 # SKIP needs root'
	exit 0
}
command -v mmdebstrap >/dev/null || {
	echo '1..0 # SKIP no mmdebstrap'
	exit 0
}

# mkimage STATE ARGUMENT...: $status, $dir/out, $dir/err
mkimage()
{
	local state=$1
	shift
	CUBIT_BUILD=$build CUBIT_STATE=$dir/$state tools/mkimage "$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
	sed 's/^/# /' "$dir/out"
}

# query LAYOUT NAME EXPRESSION: of the image's manifest m and configuration c
query()
{
	python3 - "$@" <<'END'
import json, sys
layout, name, expression = sys.argv[1:]
blob = lambda d: json.load(open(f"{layout}/blobs/sha256/{d['digest'][7:]}"))
entry, = [e for e in json.load(open(f"{layout}/index.json"))["manifests"]
          if e["annotations"]["org.opencontainers.image.ref.name"] == name]
m = blob(entry)
c = blob(m["config"])
print(eval(expression))
END
}

# ---- refusals, before anything is made ----

while IFS='|' read -r arguments message; do
	# shellcheck disable=SC2086 # a list of words
	mkimage none $arguments
	is "$status $(cat "$dir/err")" "2 mkimage: $message (see --help)" "refused: mkimage $arguments"
done <<'END'
|name an image: base bash debian python python-numpy node c go java ruby php perl lua typescript
cobol|no image 'cobol'; there are: base bash debian python python-numpy node c go java ruby php perl lua typescript
--fast bash|unknown option '--fast'
--compress lzma bash|--compress: zstd or gzip, not 'lzma'
--suite ../x bash|--suite: '../x' is not the name of a release
bash -o|-o needs a value
END
mkimage none --list
is "$status $(grep -c . "$dir/out")" '0 14' '--list names every image'
while read -r id name java; do
	printf 'ID=%s\nVERSION_CODENAME=%s\n' "$id" "$name" >"$dir/os-release"
	OS_RELEASE=$dir/os-release mkimage none --list
	is "$(sed -n 's/^java *//p' "$dir/out")" "base + $java" "on $id $name java is $java"
done <<'END'
debian bookworm openjdk-17-jdk-headless
debian trixie openjdk-21-jdk-headless
ubuntu noble openjdk-21-jdk-headless
END
CUBIT_IMAGE_SUITE=trixie mkimage none --suite bookworm --list
is "$(sed -n 's/^java *//p' "$dir/out")" 'base + openjdk-17-jdk-headless' 'the option is stronger than the setting'
CUBIT_IMAGE_SUITE=bookworm mkimage none --list
is "$(sed -n 's/^java *//p' "$dir/out")" 'base + openjdk-17-jdk-headless' 'which is stronger than the machine'
[ ! -e "$dir/none" ]
ok $? 'and none of that left a file'

# ---- twice the same ----

mkimage one --no-load bash python
is "$status" 0 'bash and python are made' || tail -n 20 "$dir/err"
mkimage two --no-load python bash
is "$status" 0 'and made again from nothing, in another order'
one=$dir/one/mkimage/layout two=$dir/two/mkimage/layout
for name in bash python; do
	is "$(query "$one" "localhost/$name:latest" 'c["rootfs"]["diff_ids"]')" \
		"$(query "$two" "localhost/$name:latest" 'c["rootfs"]["diff_ids"]')" "$name has the same layers both times"
done
is "$(md5sum <"$one/index.json")" "$(md5sum <"$two/index.json")" 'down to the index, every byte is the same'
is "$(query "$one" localhost/python:latest 'len(m["layers"])') $(query "$one" localhost/bash:latest 'len(m["layers"])')" '2 1' \
	'python is one layer above the base'
[ "$(query "$one" localhost/python:latest 'm["layers"][0]["digest"]')" = \
	"$(query "$one" localhost/bash:latest 'm["layers"][0]["digest"]')" ]
ok $? 'which both share'
is "$(query "$one" localhost/python:latest '(lambda c: (c["User"], c["WorkingDir"], c["Env"][1], c["Labels"]["org.opencontainers.image.title"]))(c["config"])')" \
	"('1000:1000', '/work', 'LANG=C.UTF-8', 'python')" 'the configuration says who, where, and what it is'
mkimage one --no-load python
is "$status $(cat "$dir/out")" "0 mkimage: python: already in $one (--force makes it again)" 'what is there is not made again'

# ---- of the release of this machine ----

release=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME" || echo trixie)
is "$(query "$one" localhost/python:latest 'c["config"]["Labels"]["io.cubit.release"]')" "$release" 'the image says of which release it is'
mkimage one --no-load --suite "$release" bash
is "$status $(cat "$dir/out")" "0 mkimage: bash: already in $one (--force makes it again)" 'asked for by its name it is the same'
sed -i "s/\"io.cubit.release\": \"$release\"/\"io.cubit.release\": \"older\"/" "$one/index.json"
mkimage one --no-load bash
is "$(cat "$dir/out")" "mkimage: bash: already in $one (--force makes it again)" 'an image of another release is taken as it is'
mkimage one --no-load --suite "$release" bash
like_made=$(grep -c "localhost/bash:latest version .* of $release, " "$dir/out")
is "$status $like_made" '0 1' 'unless one release is asked for: then it is made again'
mkimage one --no-load --suite "$release" python
is "$(md5sum <"$one/index.json")" "$(md5sum <"$two/index.json")" 'with the same bytes'

# ---- what is inside ----

root=$dir/root
mkdir "$root"
for digest in $(query "$one" localhost/python:latest '" ".join(l["digest"][7:] for l in m["layers"])'); do
	zstd -dc "$one/blobs/sha256/$digest" | tar -x -p --numeric-owner -C "$root"
done
is "$(find "$root" -name '.wh.*')" '' 'installing python hid nothing of the base'
is "$(grep ^cubit: "$root/etc/passwd") $(stat -c '%u:%g %a' "$root/work")" 'cubit:x:1000:1000:,,,:/work:/bin/bash 1000:1000 755' \
	'the user and the working directory are there'
is "$(find "$root" \( -type b -o -type c -o -type p -o -type s \) | wc -l)" 0 'no device, pipe or socket'
is "$(find "$root"/{dev,proc,run,tmp,var/log,var/cache} -mindepth 1)" '' \
	'nothing in what is mounted over, nor in logs and caches'
is "$(ls "$root"/etc/{hostname,resolv.conf,machine-id} "$root"/etc/apt/apt.conf.d/99mmdebstrap 2>/dev/null)" '' \
	'no name and no setting of this machine'
is "$(grep -rhoE 'https?://[^/ ]+' "$root/etc/apt" | sort -u)" 'http://deb.debian.org' 'packages come from where everybody gets them'
is "$(find "$root/usr/share/man" "$root/usr/share/locale" -type f 2>/dev/null | wc -l)" 0 'no manuals, no translations'
[ "$(find "$root/usr/share/doc" -name copyright | wc -l)" -gt 50 ]
ok $? 'but every licence'
is "$(dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${db:Status-Abbrev}\n' | sort -u)" 'ii ' 'every package is installed and configured'
[ "$(find "$root"/usr/lib/python3.* -name '*.pyc' | wc -l)" -gt 100 ]
ok $? 'modules are compiled'
now=$(date +%s)
is "$(find "$root" -newermt "@$((now - 600))" ! -path "$root" | wc -l)" 0 'no file is of today'

# ---- other tools and ours ----

mkimage one --no-load --compress gzip -o "$dir/gzip" bash
is "$status $(query "$dir/gzip" localhost/bash:latest 'm["layers"][0]["mediaType"]')" \
	'0 application/vnd.oci.image.layer.v1.tar+gzip' 'layers with gzip for those who want it'
is "$(query "$dir/gzip" localhost/bash:latest 'c["rootfs"]["diff_ids"]')" \
	"$(query "$one" localhost/bash:latest 'c["rootfs"]["diff_ids"]')" 'are the same layers'
if command -v skopeo >/dev/null; then
	skopeo inspect "oci:$one:localhost/python:latest" >"$dir/out" 2>"$dir/err"
	ok $? 'skopeo reads the layout' || cat "$dir/err"
fi
if "$build/bin/cubit" image --help >/dev/null 2>&1; then
	mkimage one python bash
	is "$status" 0 'images are loaded into the store' || cat "$dir/err"
	mkimage one python
	is "$(cat "$dir/out")" 'mkimage: python: already in the store (--force makes it again)' 'once'
	CUBIT_STATE=$dir/one CUBIT_RUN=$dir/run "$build/bin/cubit" runtime test python bash >"$dir/out" 2>&1
	ok $? 'python and bash pass their tests in sandboxes'
	sed 's/^/# /' "$dir/out"
fi
echo "1..$count"
exit "$failed"
