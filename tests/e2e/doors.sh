#!/bin/bash
# Doors that exist already in the world, with the real clients of each: the stream engine, the code cell, tRPC v11.
# timeout: 400
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
# shellcheck source=tests/e2e/node/modules
. "$(dirname "$0")/node/modules"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	skip_all 'needs node and npm: tools/setup node'
fi
need_node_modules
need_images python node
export RUN_TIMEOUT_MS=3000 MAX_MEM_MB=64 MAX_VCPUS=0.5
start_daemon

# ---- with curl, as people try things ----

api /api/run -H 'Content-Type: application/json' -d '{"language":"python","code":"print(6 * 7)"}'
is "$status $(get status)" '202 queued' 'curl: a program for the stream engine'
job=$(get job_id)
api /run -d '{"jobId":"by-curl","language":"py","source":"print(6 * 7)"}'
is "$status $body" '200 {"jobId":"by-curl"}' 'curl: a program for the code cell'
api '/trpc/runCode?batch=1' -d '{"0":{"language":"py","source":"print(6 * 7)"}}'
is "$status $(get 0.result.data.jobId | grep -c '^j[0-9a-f]*$')" '200 1' 'curl: a batch of tRPC'
for id in "$job" by-curl "$(get 0.result.data.jobId)"; do
	events=$(curl -sSN --max-time 30 --unix-socket "$sock" -H 'Accept: application/x-ndjson' "http://cubit/v1/jobs/$id/events")
	like "$events" '"type":"stdout"[^}]*"data":"42' "curl: the native API shows $id as well"
done
api /api/ws?job_id="$job"
is "$status" 426 'curl: a WebSocket is asked for as one'
api /run
is "$status" 405 'curl: GET is not the method of the code cell'

# ---- with their clients ----

end=
while IFS= read -r line; do
	end=$line
	case $line in
	'ok '*) ok 0 "${line#ok }" ;;
	'not ok '*) ok 1 "${line#not ok }" ;;
	*) diag "${line#\# }" ;;
	esac
done < <(URL=$url KEY=$key node tests/e2e/node/doors.cjs 2>&1; echo "ended with $?")
is "$end" 'ended with 0' 'the clients come to their end'

api /readyz
is "$(get ready)" true 'the node is as it was'
stop_daemon
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
