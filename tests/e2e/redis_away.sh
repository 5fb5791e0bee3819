#!/bin/bash
# A node whose Redis is not there: every question that needs Redis is answered at once and names Redis, and what can be
# known without it is known. None blames the database, which is well.
# timeout: 120
set -u
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"
need_images bash
redis_port=$(free_port)
REDIS_URL=redis://127.0.0.1:$redis_port start_node n
is_alive()
{
	[ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 5 --unix-socket "$(node_sock n)" http://cubit/healthz)" = 200 ]
}
within 20 is_alive || {
	diag "$(tail -n 20 "$dir/n/log")"
	echo 'Bail out! the node does not start'
	exit 1
}

# ---- what nobody but Redis can say ----
says_redis() # TITLE PATH OPTION...
{
	local title=$1
	shift
	node_api n "$@"
	is "$status" 503 "$title is 503 while Redis is away"
	like "$(get error.message)" '[Rr]edis' '... and says so'
	is "$(grep -c 'database' <<<"$body")" 0 '... not the database' || diag "$body"
}
says_redis 'a job that only Redis may know' /v1/jobs/order-18
says_redis 'its events' /v1/jobs/order-18/events
says_redis 'the end of it' /v1/jobs/order-18 -X DELETE
says_redis 'a job of the form of ours, which another node may have taken' "/v1/jobs/j$(printf '0%.0s' {1..32})"
says_redis 'the list of dead letters' '/v1/dead?source=redis'
says_redis 'a dead letter that is to be run again' '/v1/dead/order-18/replay?source=redis' -X POST
says_redis 'a dead letter that is to go' '/v1/dead/order-18?source=redis' -X DELETE
says_redis 'a dead letter of whatever source' /v1/dead/order-18/replay -X POST
says_redis 'the list of jobs from Redis' '/v1/jobs?source=redis'
says_redis 'another node that is to rest' /v1/nodes/other/drain -X POST
says_redis 'a job for any node' /api/run -d '{"language": "bash", "code": "echo hi"}'

# ---- what is known all the same ----
known() # TITLE PATH OPTION...
{
	local title=$1
	shift
	node_api n "$@"
	is "$status" 404 "$title is not there, and that is known" || diag "$body"
}
known 'a job with a name that no job can have' '/v1/jobs/-order'
known 'one with a name that is too long' "/v1/jobs/$(printf 'a%.0s' {1..80})"
known 'the events of one' "/v1/jobs/_x/events"
known 'the end of one' '/v1/jobs/.hidden' -X DELETE
known 'a dead letter of the embedded queue' '/v1/dead/order-18/replay?source=embedded' -X POST
node_api n /v1/jobs -d '{"runtime": "bash", "source": "echo queued"}'
is "$status" 202 'a job of the embedded queue is taken'
id=$(get id)
is_over()
{
	node_api n "/v1/jobs/$id"
	[ "$(get state)" = "done" ]
}
within 20 is_over
is "$(get stdout)" queued '... runs, and is found'
node_api n "/v1/jobs/$id" -X DELETE
is "$status" 409 '... and that it is over is known'
node_api n /v1/nodes
is "$status $(get nodes.0.name)" '200 n' 'the list of nodes has this one'
like "$(get incomplete)" 'Redis' '... and says that it is not all'

for path in /v1/jobs /v1/dead; do
	node_api n $path
	is "$status" 200 "$path has what is known here"
	like "$(get incomplete)" 'Redis' '... and says that it is not all'
done
node_api n '/v1/jobs?source=embedded'
is "$(get jobs.0.id) $(get incomplete)" "$id null" 'who asks for the embedded queue alone gets all of it'

# ---- and it comes ----
start_redis
within 15 is_ready n
ok $? 'when Redis comes the node is ready'
node_api n /v1/jobs/order-18
is "$status" 404 'then the job is known not to be there'
node_api n /api/run -d '{"language": "bash", "code": "echo hi"}'
is "$status" 202 'and a job for any node is taken'
stop_node n
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
