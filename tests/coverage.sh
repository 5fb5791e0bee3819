#!/bin/bash
# Lines reached, per source file, from the .gcda files below a coverage build.
# usage: tests/coverage.sh BUILD_DIR
set -eu
cd "$(dirname "$0")/.."
find "$1/obj" -name '*.gcda' -not -path '*/tests/*' -print0 | xargs -0 -n1 gcov --no-output 2>/dev/null |
	awk '/^File/ { gsub(/\047/, "", $2); file = $2 }
	     /^Lines executed/ && file !~ /^\/usr/ && file ~ /\.c$/ {
		split($0, a, /[:% ]+/); pct = a[3]; n = a[5]
		if (!(file in seen)) { seen[file] = 1; printf "%6.1f %%  %5d lines  %s\n", pct, n, file; sum += pct * n; all += n } }
	     END { if (all) printf "%6.1f %%  %5d lines  in all\n", sum / all, all; else exit 1 }' | sort -k4
