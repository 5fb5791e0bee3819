#!/bin/bash
# How long a layer takes to unpack, beside tar and umoci: the same archive, interleaved rounds, medians and ratios.
#
# usage: [COLD=1] [BENCH_DIR=DIR] tests/bench/unpack.sh [ROUNDS]     3 by default; about 130 MB of /usr/lib are the layer
# COLD drops the page cache before each; BENCH_DIR is where the trees go (default: build/bench), a tmpfs shows the CPU alone
#
# Ours verifies both digests and confines itself; tar does neither; umoci hashes, and writes its own bookkeeping.
set -eu
cd "$(dirname "$0")/../.."
build=${CUBIT_BUILD:-build}
rounds=${1:-3}
out=$build/bench
mkdir -p "$out"
dir=$(mktemp -d "${BENCH_DIR:-$out}/unpack.XXXXXX")
trap 'rm -rf "$dir"' EXIT
chattr +T "$dir" 2>/dev/null || : # as the store does with its layers

# Whole directories of /usr/lib until there are some 130 MB; ordered by name, so two runs have the same.
kb=0 list=()
for d in /usr/lib/python3* /usr/lib/*; do
	if [ ! -d "$d" ] || [ -L "$d" ] || [ "$kb" -ge 130000 ]; then continue; fi
	size=$(du -sk "$d" | cut -f 1)
	[ "$size" -gt 60000 ] && continue
	list+=("${d#/}")
	kb=$((kb + size))
done
tar --create --file "$dir/layer.tar" --format=posix --directory / -- "${list[@]}" 2>/dev/null
gzip -6c "$dir/layer.tar" >"$dir/layer.tar.gz"
zstd -q -3 "$dir/layer.tar" -o "$dir/layer.tar.zst"

now() { date +%s%N; }
drop_caches() { [ -z "${COLD:-}" ] || { sync; echo 3 >/proc/sys/vm/drop_caches; }; }

ours() { "$build/tests/root/unpack" "$dir/layer.tar.$1" "$2" >/dev/null; }
# shellcheck disable=SC2317 # called by name
tar_gz() { tar --extract --gzip --file "$dir/layer.tar.gz" --directory "$1"; }
# shellcheck disable=SC2317
tar_zst() { tar --extract --use-compress-program zstd --file "$dir/layer.tar.zst" --directory "$1"; }
# shellcheck disable=SC2317
ours_gz() { ours gz "$1"; }
# shellcheck disable=SC2317
ours_zst() { ours zst "$1"; }
# shellcheck disable=SC2317
umoci_gz() { umoci unpack --image "$dir/oci:x" "$1/bundle" >/dev/null 2>&1; }

who=(ours_gz tar_gz ours_zst tar_zst)
if command -v umoci >/dev/null; then
	umoci init --layout "$dir/oci" && umoci new --image "$dir/oci:x" && umoci raw add-layer --image "$dir/oci:x" "$dir/layer.tar" &&
		who+=(umoci_gz)
fi >/dev/null 2>&1

csv=$out/unpack.csv
echo who,round,ns >"$csv"
for ((round = 0; round <= rounds; round++)); do # round 0 warms up and is not counted
	for w in "${who[@]}"; do
		mkdir "$dir/target"
		drop_caches
		began=$(now)
		"$w" "$dir/target"
		took=$(($(now) - began))
		[ "$round" -eq 0 ] || echo "$w,$round,$took" >>"$csv"
		mv "$dir/target" "$dir/old" && rm -rf "$dir/old"
	done
done

median() { grep "^$1," "$csv" | cut -d, -f3 | sort -n | awk '{ v[NR] = $1 } END { printf "%.0f\n", v[int((NR + 1) / 2)] / 1e6 }'; }
printf '# %s, %s cpus, %s rounds, load %s; %s MB of tar, %s entries, gz %s MB, zst %s MB\n' "$(uname -sr)" "$(nproc)" "$rounds" \
	"$(cut -d' ' -f1 /proc/loadavg)" $(($(stat -c %s "$dir/layer.tar") >> 20)) "$(tar --list --file "$dir/layer.tar" | wc -l)" \
	$(($(stat -c %s "$dir/layer.tar.gz") >> 20)) $(($(stat -c %s "$dir/layer.tar.zst") >> 20))
row() { # LABEL OURS THEIRS
	local a b
	a=$(median "$2") b=$(median "$3")
	[ -n "$b" ] && [ "$b" -gt 0 ] || return 0
	printf '%-28s %6d ms   %-14s %6d ms   ratio %.2f\n' "$1" "$a" "$3" "$b" "$(awk "BEGIN { print $a / $b }")"
}
row 'gzip, ours : tar xzf' ours_gz tar_gz
row 'zstd, ours : tar -I zstd' ours_zst tar_zst
row 'gzip, ours : umoci unpack' ours_gz umoci_gz
echo "# raw samples: $csv"
