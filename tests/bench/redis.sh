#!/bin/bash
# Jobs through Redis beside the direct API: how many a second, and how long until the first output. One node, then three on
# this machine (which has no more processors for that: what shows is what sharing costs). Called by hand:
#
#   CUBIT_BUILD=$PWD/build tests/bench/redis.sh [JOBS]
#
# Prints one line a way: jobs a second with JOBS waiting, and the first output of single jobs on an idle node.
set -eu
cd "$(dirname "$0")/../.."
export CUBIT_BUILD=${CUBIT_BUILD:-$PWD/build} CUBIT_SRC=$PWD
CUBIT_TEST_DIR=$(mktemp -d)
export CUBIT_TEST_DIR CUBIT_RATE=0 CUBIT_POOL=${CUBIT_POOL:-8}
trap 'rm -rf "$CUBIT_TEST_DIR"' EXIT
(
	set +e
	# shellcheck source=tests/lib/redis.sh
	. tests/lib/redis.sh
	need_images bash
	jobs=${1:-600}
	lib=$dir/direct.py
	cat >"$lib" <<-'END'
		"""usage: direct.py CLIENTS JOBS SOCKET...: POST /v1/run by so many clients, each with one connection."""
		import http.client, json, socket, sys, threading, time
		clients, jobs, paths = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
		lags, lock, todo = [], threading.Lock(), iter(range(jobs))

		class Connection(http.client.HTTPConnection):
		    def connect(self):
		        self.sock = socket.socket(socket.AF_UNIX)
		        self.sock.connect(self.host_path)

		def client(number):
		    c = Connection("cubit")
		    c.host_path = paths[number % len(paths)]
		    while True:
		        with lock:
		            n = next(todo, None)
		        if n is None:
		            return
		        start = time.monotonic()
		        c.request("POST", "/v1/run", json.dumps({"runtime": "bash", "source": f"echo {n}"}))
		        assert json.loads(c.getresponse().read())["stdout"] == f"{n}\n"
		        lags.append((time.monotonic() - start) * 1000)
		        if clients == 1:
		            time.sleep(0.1)

		start = time.monotonic()
		threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
		for t in threads: t.start()
		for t in threads: t.join()
		lags.sort()
		print(round(jobs / (time.monotonic() - start), 1), round(lags[len(lags) // 2], 1), round(lags[int(len(lags) * .99)], 1))
	END
	value() # NAME, of the producer's report
	{
		tr ' ' '\n' <"$dir/report" | sed -n "s/^$1=//p"
	}
	through() # TITLE MODE: prints one line
	{
		local per_s
		"$producer" "$2" --url "$redis_url" --count "$jobs" --verify 300 "${more[@]}" >"$dir/report" || cat "$dir/report"
		per_s=$(value results_per_s)
		"$producer" "$2" --url "$redis_url" --count 50 --rate 10 --verify 60 "${more[@]}" >"$dir/report" || cat "$dir/report"
		row "$1" "${per_s:--}" "$(value first_output_p50_ms)" "$(value first_output_p99_ms)"
	}
	row()
	{
		printf '%-34s %10s %10s %10s\n' "$@"
	}

	echo "# $(uname -sr), $(nproc) cpus, $jobs jobs of bash, load $(cut -d' ' -f1 /proc/loadavg)"
	start_redis
	for nodes in 1 3; do
		row "nodes: $nodes" 'jobs/s' 'p50 ms' 'p99 ms'
		socks=() more=()
		export CUBIT_JOBS=$((6 / nodes))
		for ((i = 1; i <= nodes; i++)); do
			start_node "n$i"
			socks+=("$(node_sock "n$i")")
		done
		for ((i = 1; i <= nodes; i++)); do
			await_node "n$i" 30
		done
		sleep 3 # the pools fill
		python3 "$lib" 6 "$((jobs / 4))" "${socks[@]}" >/dev/null # and know the demand
		read -r per_s _ < <(python3 "$lib" 6 "$jobs" "${socks[@]}")
		read -r _ p50 p99 < <(python3 "$lib" 1 50 "${socks[@]}")
		row 'direct: POST /v1/run (to result)' "$per_s" "$p50" "$p99"
		through 'stream (to first output)' stream
		through 'list' list
		for ((i = 1; i <= nodes; i++)); do
			stop_node "n$i"
		done
		if [ "$nodes" = 1 ]; then
			CUBIT_REDIS_EVENTS=0 start_node n1
			await_node n1 30
			sleep 2
			"$producer" stream --url "$redis_url" --count "$jobs" --verify 300 --no-events >"$dir/report"
			row 'stream, no events published' "$(value results_per_s)" - -
			stop_node n1
		fi
	done
)
