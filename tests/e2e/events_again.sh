#!/bin/bash
# A browser that comes back to the events of a job: it goes on behind the last one it has, and stops when there is none.
# timeout: 100
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash
start_daemon

events() # ID LAST-EVENT-ID [CURL OPTION...]: -> $status, $dir/events
{
	local id=$1 last=$2
	shift 2
	status=$(curl -sS --max-time 20 --unix-socket "$sock" -o "$dir/events" -w '%{http_code}' ${last:+-H "Last-Event-ID: $last"} \
		"$@" "http://cubit/v1/jobs/$id/events")
}

api /v1/jobs -d '{"runtime":"bash","source":"echo one; echo two >&2"}'
id=$(get id)
events "$id" ''
is "$status" 200 'the events of a job'
last=$(sed -n 's/^id: //p' "$dir/events" | tail -n 1)
like "$(tail -n 3 "$dir/events")" 'event: exit' 'end with its exit'
events "$id" "$((last - 1))"
is "$status $(grep -c '^event: ' "$dir/events") $(grep -c '^event: exit' "$dir/events")" '200 1 1' 'behind the one before the last: the last'
events "$id" "$last"
is "$status $(wc -c <"$dir/events")" '204 0' 'behind the last: 204, so that an EventSource asks no more'
events "$id" 999999999
is "$status" 204 'behind what never was, too'
events "$id" "$last" -H 'Accept: application/x-ndjson'
is "$status $(wc -c <"$dir/events")" '200 0' 'lines of JSON just end'

api /v1/jobs -d '{"runtime":"bash","source":"echo one","delay_ms":3600000}'
id=$(get id)
api "/v1/jobs/$id" -X DELETE
events "$id" ''
is "$status $(grep -c '^event: exit' "$dir/events")" '200 1' 'a job that was cancelled before it ran has an end'
last=$(sed -n 's/^id: //p' "$dir/events" | tail -n 1)
events "$id" ''
is "$(sed -n 's/^id: //p' "$dir/events" | tail -n 1)" "$last" 'with the same number every time'
events "$id" "$last"
is "$status" 204 'and nothing behind it'

api /v1/jobs -d '{"runtime":"bash","source":"echo one; sleep 2; echo two"}'
id=$(get id)
sleep 1
events "$id" 1
is "$status $(grep -c '"two' "$dir/events") $(grep -c '^event: exit' "$dir/events")" '200 1 1' 'a job that runs is waited for'
stop_daemon
is "$status" 0 'SIGTERM ends it well'
done_testing
