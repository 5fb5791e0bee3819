#!/bin/bash
# Build every fuzz target with libFuzzer and the sanitizers and run it for SECONDS on its corpus.
# New inputs go to build/fuzz/NAME; a crash stops the run and leaves its input there, to be kept as a corpus file.
# usage: tests/fuzz.sh SECONDS [NAME]
set -eu
cd "$(dirname "$0")/.."
seconds=$1 only=${2:-}
lib=build/fuzz/lib
make --no-print-directory -j"$(nproc)" CC=clang BUILD=$lib SANITIZE=address,undefined \
	CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' INIT_CFLAGS='-O2 -g' libs
pkgs='libuv sqlite3 hiredis libssl jansson libseccomp ext2fs com_err libcurl libcrypto libzstd libisal zlib'
! pkg-config --exists libllhttp || pkgs+=' libllhttp' # otherwise it is part of our library
for target in tests/fuzz/*.c; do
	name=$(basename "$target" .c)
	[ -z "$only" ] || [ "$only" = "$name" ] || continue
	mkdir -p "build/fuzz/$name"
	# shellcheck disable=SC2046,SC2086  # lists of words
	clang -std=gnu17 -D_GNU_SOURCE -I. -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		$(pkg-config --cflags $pkgs) -o "build/fuzz/$name.bin" "$target" \
		$lib/lib/libsupervisor.a $lib/lib/libimages.a $lib/lib/libpolicies.a $lib/lib/libruntime.a $lib/lib/libbase.a \
		-Wl,--as-needed $(pkg-config --libs $pkgs) -lwslay
	echo "fuzz: $name for $seconds s"
	"build/fuzz/$name.bin" -max_total_time="$seconds" -print_final_stats=1 -rss_limit_mb=2048 \
		-artifact_prefix="build/fuzz/$name/crash-" "build/fuzz/$name" "tests/fuzz/corpus/$name" 2>&1 | tail -n 12
done
