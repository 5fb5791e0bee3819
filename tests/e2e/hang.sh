#!/bin/bash
# A front that hangs is replaced. While a node is stopped, new clients are answered, and told why there is no work.
# timeout: 200
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash

front_pid()
{
	pgrep -P "$daemon" -f -- --front | head -n 1
}

CUBIT_DRAIN=20s start_daemon
first=$(front_pid)
sleep 5
is "$(front_pid)" "$first" 'a front that answers is left alone'
kill -STOP "$first"
for _ in {1..60}; do
	sleep 1
	[ -n "$(front_pid)" ] && [ "$(front_pid)" != "$first" ] && break
done
[ "$(front_pid)" != "$first" ]; ok $? 'a front that is stopped is replaced'
like "$(cat "$daemon_log")" 'the front hangs' 'and the log says why'
wait_ready 400
api /v1/run -d '{"runtime":"bash","source":"echo alive"}'
is "$(get stdout)" alive 'the next one serves'

# ---- while it drains ----

api /v1/jobs -d '{"runtime":"bash","source":"sleep 6; echo done","limits":{"wall_ms":20000}}'
job=$(get id)
for _ in {1..400}; do
	api "/v1/jobs/$job"
	[ "$(get state)" = running ] && break
	sleep 0.1
done
kill -TERM "$daemon"
sleep 1
api /readyz
is "$status" 503 'a node that is being stopped is not ready, and a new client hears it'
like "$(get reasons)" 'being stopped' 'with the reason'
for path in run jobs; do
	head=$(curl -sS --max-time 5 -D - -o /dev/null "$url/v1/$path" -H "Authorization: Bearer $key" \
		-d '{"runtime":"bash","source":"echo no"}')
	like "$head" 'HTTP/1.1 503' "POST /v1/$path is refused with 503"
	like "$head" 'Retry-After: ' '... and Retry-After'
done
api "/v1/jobs/$job"
is "$status $(get state)" '200 running' 'what runs can still be asked for'
stop_daemon
is "$status" 0 'then it ends well'
nothing_left 'nothing of it is left'
done_testing
