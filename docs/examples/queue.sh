#!/bin/sh
# A queue: sh queue.sh LANGUAGE PROGRAM...
# Pushes each program as a job, waits for all of them, and prints what they printed. Needs curl and jq.
set -eu
url=${CUBIT_URL:-http://127.0.0.1:7070}
language=$1
shift

call() # PATH OPTION...
{
	path=$1
	shift
	curl -sS --fail-with-body --max-time 60 -H "Authorization: Bearer $CUBIT_KEY" "$url$path" "$@"
}

ids=
for program in "$@"; do
	# the same key again is the same job: a push whose answer was lost can be made again
	id=$(jq -n --arg runtime "$language" --arg source "$program" '$ARGS.named' |
		call /v1/jobs -H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)" -d @- | jq -r .id)
	ids="$ids $id"
done
for id in $ids; do
	# the events end with the job; what they say is not needed here
	call "/v1/jobs/$id/events" -H 'Accept: application/x-ndjson' >/dev/null
	call "/v1/jobs/$id" | jq -r '"\(.status) \(.stdout)"'
done
