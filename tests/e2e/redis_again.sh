#!/bin/bash
# A job that is pushed again while it runs is the same job, and one whose entry was trimmed ends as lost.
#
# NEED: root, redis-server
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"

need_images bash
start_redis
export CUBIT_JOBS=1 CUBIT_REDIS_STREAMS=jobs/workers/payload CUBIT_REDIS_LIST=pushed REDIS_URL=$redis_tcp
start_daemon

push() # ID OWNER WORD
{
	rcli XADD jobs '*' payload "{\"id\":\"$1\",\"user_id\":\"$2\",\"runtime\":\"bash\",\"source\":\"sleep 3; echo $3\"}" >/dev/null
}
is_running() { [ "$(rcli HGET cubit:job:a state)" = running ]; }
push a ann one
within 10 is_running
push a ann one
within 15 has_result a
is "$(result a status)" ok 'it ran'
sleep 1
is "$(rcli XLEN cubit:dead)" 0 'the copy that was pushed while it ran is no dead letter'

rcli HSET cubit:job:lost id lost state waiting owner ann kind stream source jobs group workers entry 1-1 spec '{}' >/dev/null
api /v1/jobs/lost
is "$status $(get state)" '200 dead' 'a job whose entry was trimmed does not wait for ever'
[[ $(get reason) == *trimmed* ]]; is $? 0 'and says why'

stop_daemon
done_testing
