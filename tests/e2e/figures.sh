#!/bin/bash
# What operators see of callbacks, restarts of the front, policies and Redis: in /metrics, and in `cubit stats`; and a result
# that a new front finished says which version of the language it was.
# timeout: 200
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"
need_images bash
start_redis
export REDIS_URL=$redis_tcp CUBIT_NODE=ours
CUBIT_CALLBACK_NETWORKS=127.0.0.0/8 start_daemon
cubit=$CUBIT_BUILD/bin/cubit

figure() # SERIES -> its value
{
	curl -s --max-time 10 --unix-socket "$sock" http://cubit/metrics | awk -v name="$1" '$1 == name { print $2 }'
}
figure_is() # SERIES VALUE
{
	[ "$(figure "$1")" = "$2" ]
}
shows() # REGEX TITLE
{
	"$cubit" stats --url "unix:$sock" --once >"$dir/out" 2>&1
	like "$(cat "$dir/out")" "$1" "$2"
}

# ---- callbacks ----
start_receiver unasked
is "$(figure 'cubit_callbacks_total{outcome="delivered"}')" 0 'no callback yet'
api /v1/jobs -d "{\"runtime\": \"bash\", \"source\": \"echo hi\", \"callback\": {\"url\": \"$hook_url/\"}}"
within 20 figure_is 'cubit_callbacks_total{outcome="delivered"}' 1
is "$(figure 'cubit_callbacks_total{outcome="delivered"}') $(figure 'cubit_callbacks_total{outcome="failed"}')" '1 1' \
	'a callback that was made again counts once, and its failed try'
api /v1/jobs -d "{\"runtime\": \"bash\", \"source\": \"echo hi\", \"callback\": {\"url\": \"$hook_url/gone\"}}"
within 20 figure_is 'cubit_callbacks_total{outcome="given_up"}' 1
is "$(figure 'cubit_callbacks_total{outcome="given_up"}')" 1 'one that is refused is given up'
api /v1/jobs -d "{\"runtime\": \"bash\", \"source\": \"sleep 60\", \"limits\": {\"wall_ms\": 60000}, \"callback\": {\"url\": \"$hook_url/\"}}"
armed=$(get id)
is "$(figure 'cubit_callbacks{state="armed"}')" 1 'one whose job is not over is armed'
shows 'callbacks  waiting 0 +delivered 1 +failed 2 +given up 1' 'cubit stats has them'
api "/v1/jobs/$armed" -X DELETE

# ---- policies ----
api /v1/run -d '{"runtime": "bash", "source": "echo hi", "policy": "no-such-policy"}'
is "$status $(figure cubit_policy_refusals_total)" '400 1' 'a policy that is refused counts'

# ---- Redis and nodes ----
start_node other
await_node other
rcli XADD cubit:jobs '*' job '{"id": "a", "runtime": "bash", "source": "echo hi"}' >/dev/null
within 20 has_result a
is "$(figure cubit_redis_up) $(figure cubit_redis_errors_total | grep -c '^[0-9]')" '1 1' 'Redis is up, and its errors count'
shows 'redis +up 1 +waiting [0-9]+ +taken [0-9]+ +finished [0-9]+ +dead 0' 'cubit stats shows Redis'
shows 'nodes +ours serving +running [0-9]+ of [0-9]+' 'and this node'
shows 'other serving' 'and the other'
stop_node other

# ---- the front ----
is "$(figure cubit_front_restarts_total)" 0 'the first front is no restart'
api /v1/run -d '{"runtime": "bash", "source": "echo hi"}'
version=$(get version)
like "$version" '^[0-9]+\.' 'a result says the version of its language'
api /v1/jobs -d '{"runtime": "bash", "source": "sleep 4; echo over"}'
job=$(get id)
is_running()
{
	api "/v1/jobs/$job"
	[ "$(get state)" = running ]
}
within 10 is_running
sleep 1
kill -KILL "$(pgrep -P "$daemon" -f -- --front | head -n 1)"
wait_ready 400
is_over()
{
	api "/v1/jobs/$job"
	[ "$(get state)" = "done" ]
}
within 40 is_over
is "$(get stdout) $(get attempt) $(get version)" "over 1 $version" 'so does one that a new front finished'
is "$(figure cubit_front_restarts_total)" 1 'and the restart counts'
shows 'fronts +restarts 1' 'in cubit stats too'
stop_daemon
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
