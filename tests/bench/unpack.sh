#!/bin/bash
# How long the layers of real images take to unpack, beside tar and umoci: the same archives, interleaved rounds, medians
# and ratios.
#
# usage: [COLD=1] [BENCH_DIR=DIR] [BENCH_LAYOUT=DIR] tests/bench/unpack.sh [ROUNDS [IMAGE...]]
#
# 3 rounds of `python` and `c`, by default; they are made by tools/mkimage, once, unless BENCH_LAYOUT is an OCI layout
# that has them with gzip layers. Where they cannot be made, some 130 MB of /usr/lib are the one layer.
# COLD drops the page cache before each run, and without the right to do so that of the archives alone. BENCH_DIR is where
# the trees go; on a tmpfs the processors' part shows alone. By default each run has a new ext4 of its own on a loop
# device: for minutes after many files were deleted, ext4 takes up to ten times as long to make some, and every round
# deletes what the one before made. Without loop devices: build/bench, and then beware of that.
#
# Ours is what a pull does once a blob is there: it verifies the diff id and confines itself, in a process for each layer,
# two at a time. tar does neither; umoci hashes, and writes its own bookkeeping. `load` is the whole of `cubit image load`: copying blobs, unpacking, flushing to disk, naming.
set -eu
cd "$(dirname "$0")/../.."
build=${CUBIT_BUILD:-build}
rounds=${1:-3}
[ $# -eq 0 ] || shift
images=("${@:-python}")
[ $# -gt 0 ] || images=(python c)
out=$build/bench
mkdir -p "$out"
dir=$(mktemp -d "${BENCH_DIR:-$out}/unpack.XXXXXX")
dir=$(realpath "$dir")
target=$dir/disk
mkdir "$target"

# shellcheck disable=SC2317 # called by the trap
finish()
{
	! mountpoint -q "$target" || umount "$target"
	rm -rf "$dir"
}
trap finish EXIT

disks=0
new_disk() # each of a new name: mount(8) takes up a loop device again that still has the old content
{
	disks=$((disks + 1))
	rm -f "$dir"/image.*
	truncate -s 8G "$dir/image.$disks" && mkfs.ext4 -q -F "$dir/image.$disks" && mount -o loop "$dir/image.$disks" "$target"
}

has_disk=
if [ -z "${BENCH_DIR:-}" ] && new_disk 2>/dev/null; then
	has_disk=1
	umount "$target"
fi

begin_disk()
{
	[ -z "$has_disk" ] || new_disk
	chattr +T "$target" 2>/dev/null || : # as the store does with its layers
}

end_disk()
{
	if [ -n "$has_disk" ]; then
		umount "$target"
	else
		rm -rf "$target" && mkdir "$target"
	fi
}

# ---- the layers: $dir/IMAGE/N.tar, .gz, .zst, and an OCI layout of the gzip ones ----

layout=${BENCH_LAYOUT:-$out/mkimage/layout}
if [ -z "${BENCH_LAYOUT:-}" ] && [ "${images[*]}" ]; then
	mkdir -p "$out/mkimage"
	CUBIT_BUILD=$build tools/mkimage --no-load --compress gzip --output "$layout" "${images[@]}" >"$out/mkimage.log" 2>&1 || {
		echo "# no images: $(tail -n 1 "$out/mkimage.log"); /usr/lib instead"
		images=(usr-lib)
	}
fi

# Whole directories of /usr/lib until there are some 130 MB; ordered by name, so two runs have the same.
usr_lib()
{
	local kb=0 list=() d size
	for d in /usr/lib/python3* /usr/lib/*; do
		if [ ! -d "$d" ] || [ -L "$d" ] || [ "$kb" -ge 130000 ]; then continue; fi
		size=$(du -sk "$d" | cut -f 1)
		[ "$size" -gt 60000 ] && continue
		list+=("${d#/}")
		kb=$((kb + size))
	done
	tar --create --file "$1" --format=posix --directory / -- "${list[@]}" 2>/dev/null
}

# The blobs of an image's layers, lowest first.
blobs()
{
	python3 - "$layout" "$1" <<'P'
import json, sys
layout, name = sys.argv[1:]
blob = lambda d: f"{layout}/blobs/sha256/{d['digest'][7:]}"
for m in json.load(open(f"{layout}/index.json"))["manifests"]:
    if m.get("annotations", {}).get("org.opencontainers.image.ref.name", "").split("/")[-1].split(":")[0] == name:
        print(*(blob(l) for l in json.load(open(blob(m)))["layers"]), sep="\n")
        break
else:
    sys.exit(f"no image {name} in {layout}")
P
}

for image in "${images[@]}"; do
	i=$dir/$image n=0
	mkdir "$i"
	if [ "$image" = usr-lib ]; then
		usr_lib "$i/1.tar"
	else
		blobs "$image" >"$i/list"
		while read -r blob; do
			n=$((n + 1))
			gzip -dc "$blob" >"$i/$n.tar" 2>/dev/null || zstd -qdc "$blob" >"$i/$n.tar"
		done <"$i/list"
	fi
	for t in "$i"/*.tar; do
		gzip -6nc "$t" >"$t.gz"
		zstd -q -3 "$t" -o "$t.zst"
	done
	if command -v umoci >/dev/null; then # which compresses for itself: gzip
		umoci init --layout "$i/oci" && umoci new --image "$i/oci:x"
		for t in "$i"/*.tar; do umoci raw add-layer --image "$i/oci:x" "$t"; done
	fi >/dev/null 2>&1
done

# ---- who unpacks ----

now() { date +%s%N; }

drop_caches()
{
	[ -n "${COLD:-}" ] || return 0
	sync
	(echo 3 >/proc/sys/vm/drop_caches) 2>/dev/null && return
	find "$dir/$image" -type f -exec dd if={} iflag=nocache count=0 status=none \; # posix_fadvise(2), DONTNEED
}

ours() # IMAGE FORMAT TARGET
{
	local t n=0
	for t in "$dir/$1"/*.tar; do
		n=$((n + 1))
		mkdir "$3/$n"
		[ "$n" -le 2 ] || wait -n
		"$build/tests/root/unpack" "$t.$2" "$3/$n" skip_compressed >/dev/null &
	done
	wait
}

theirs() # the same with tar, one over the other
{
	local t
	for t in "$dir/$1"/*.tar; do
		tar --extract --use-compress-program "$2" --file "$t.$3" --directory "$4"
	done
}

# shellcheck disable=SC2317 # all of these are called by name
{
	ours_gz() { ours "$1" gz "$2"; }
	ours_zst() { ours "$1" zst "$2"; }
	tar_gz() { theirs "$1" gzip gz "$2"; }
	tar_zst() { theirs "$1" zstd zst "$2"; }
	umoci_gz() { umoci unpack --image "$dir/$1/oci:x" "$2/bundle" >/dev/null 2>&1; }
	load_gz() { "$build/bin/cubit" image load --quiet --store "$2/store" "$dir/$1/oci" bench/x:1 >/dev/null; }
}

who=(ours_gz tar_gz ours_zst tar_zst)
[ ! -d "$dir/${images[0]}/oci" ] || who+=(umoci_gz load_gz)

csv=$out/unpack.csv
echo image,who,round,ns >"$csv"
for image in "${images[@]}"; do
	for ((round = 0; round <= rounds; round++)); do # round 0 warms up and is not counted
		for w in "${who[@]}"; do
			begin_disk
			drop_caches
			began=$(now)
			"$w" "$image" "$target"
			took=$(($(now) - began))
			[ "$round" -eq 0 ] || echo "$image,$w,$round,$took" >>"$csv"
			end_disk
		done
	done
done

# ---- the table ----

median() # IMAGE WHO: milliseconds
{
	grep "^$1,$2," "$csv" | cut -d, -f4 | sort -n | awk '{ v[NR] = $1 } END { if (NR) printf "%.0f\n", v[int((NR + 1) / 2)] / 1e6 }'
}

mb() # FILE...
{
	cat "$@" | wc -c | awk '{ printf "%.0f", $1 / 1048576 }'
}

row() # LABEL IMAGE OURS THEIRS [BUDGET]
{
	local a b
	a=$(median "$2" "$3") b=$(median "$2" "$4")
	[ -n "$a" ] && [ -n "$b" ] && [ "$b" -gt 0 ] || return 0
	printf '%-30s %6d ms   %-9s %6d ms   ratio %.2f%s\n' "$1" "$a" "$4" "$b" "$(awk "BEGIN { print $a / $b }")" \
		"${5:+   (budget $5)}"
}

printf '# %s, %s cpus, %s rounds, %s, load %s\n' "$(uname -sr)" "$(nproc)" "$rounds" "${COLD:+cold}${COLD:-warm}" \
	"$(cut -d' ' -f1 /proc/loadavg)" | sed 's/cold1/cold/'
for image in "${images[@]}"; do
	i=$dir/$image
	printf '# %s: %s layers, %s entries, %s MB of tar, gzip %s MB, zstd %s MB\n' "$image" "$(find "$i" -maxdepth 1 -name '*.tar' | wc -l)" \
		"$(for t in "$i"/*.tar; do tar --list --file "$t"; done | wc -l)" "$(mb "$i"/*.tar)" "$(mb "$i"/*.gz)" "$(mb "$i"/*.zst)"
	row "$image gzip, ours : tar" "$image" ours_gz tar_gz
	row "$image zstd, ours : tar" "$image" ours_zst tar_zst
	row "$image gzip, ours : umoci" "$image" ours_gz umoci_gz 0.15
	row "$image zstd, ours : umoci gzip" "$image" ours_zst umoci_gz 0.12
	row "$image gzip, load : umoci" "$image" load_gz umoci_gz
done
echo "# raw samples: $csv"
