#!/bin/bash
# The daemon's part of `make bench`: latency and throughput of its doors beside bare processes, memory of what it adds.
# Called by tests/bench.sh. Raw samples in build/bench/api.csv.
set -eu
export CUBIT_BUILD=${CUBIT_BUILD:-$PWD/build} CUBIT_SRC=$PWD
CUBIT_TEST_DIR=$(mktemp -d)
export CUBIT_TEST_DIR CUBIT_RATE=0 CUBIT_POOL=${CUBIT_POOL:-8}
trap 'rm -rf "$CUBIT_TEST_DIR"' EXIT
(
	set +e
	# shellcheck source=tests/lib/daemon.sh
	. tests/lib/daemon.sh
	need_images bash python c node
	start_daemon
	for body in '{"runtime":"bash","source":":"}' '{"runtime":"python","source":""}'; do
		api /v1/run -d "$body"
	done
	languages=''
	if command -v node >/dev/null; then # the bare side
		api /v1/run -d '{"runtime":"node","source":""}'
		[[ $body != *'"status":"ok"'* ]] || languages=node
	fi
	sleep 2
	front=$(pgrep -P "$daemon" -f -- --front | head -n 1)
	pss()
	{
		awk '/^Pss:/ { s += $2 } /^Private_Dirty:/ { d += $2 } END { printf "PSS %d KiB, private dirty %d KiB\n", s, d }' \
			"/proc/$1/smaps_rollup"
	}
	"$CUBIT_BUILD/tests/bench/api" "$sock" "${url#http://}" "$key" "${ROUNDS:-100}" "$CUBIT_BUILD/bench/api.csv" \
		"$CUBIT_BUILD/tests/payload" "$daemon" "$languages"
	echo
	echo "monitor: $(pss "$daemon")"
	echo "front:   $(pss "$front")"
	for pid in $(pgrep -P "$daemon" | grep -v "^$front\$" | head -n 1); do
		echo "pid 1 of a pooled sandbox: $(pss "$pid")"
	done
	stop_daemon
)
