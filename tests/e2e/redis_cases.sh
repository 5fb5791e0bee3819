#!/bin/bash
# A job of cases through Redis: what producers push with `cases` is compiled once and run for each, its result can be read by
# Redis and by the API alike, and one whose cases are wrong is a dead letter that says where.
#
# NEED: root, redis-server
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"

need_images c bash
start_redis
export CUBIT_JOBS=2 CUBIT_REDIS_STREAMS=jobs/workers/payload CUBIT_REDIS_LIST=pushed REDIS_URL=$redis_tcp
start_daemon

square='#include <stdio.h>\nint main(void) { long n; if (scanf(\"%ld\", &n) != 1) return 3; printf(\"%ld\\n\", n * n); return 0; }'
cases='[{"id":"a","stdin":"3","expected":"9"},{"id":"b","stdin":"4","expected":"17"},{"stdin":"5","expected":"25"}]'
rcli XADD jobs '*' payload "{\"id\":\"s\",\"language\":\"c\",\"code\":\"$square\",\"cases\":$cases,\"checker\":\"tokens\"}" >/dev/null
rcli RPUSH pushed "{\"id\":\"l\",\"language\":\"c\",\"code\":\"$square\",\"cases\":$cases,\"stop_at_first_failure\":true}" >/dev/null
rcli XADD jobs '*' payload '{"id":"wrong","language":"bash","code":"1","cases":[{},{"stdin":7}]}' >/dev/null
for id in s l; do
	within 30 has_result "$id"
	ok $? "the job '$id' has a result"
	is "$(result "$id" status) $(result "$id" passed)" 'ok false' 'the verdict of the whole'
done
of_each() # ID FIELD
{
	rcli --raw HGET "cubit:result:$1" cases | python3 -c '
import json, sys
print(*[str(c[sys.argv[1]]).strip() for c in json.load(sys.stdin)])' "$2"
}
is "$(of_each s passed)" 'True False True' 'each is held against what was expected'
is "$(of_each s stdout)" '9 16 25' 'and has its output'
is "$(of_each l status)" 'ok ok None' 'of the list: none after the first that did not pass'
api /v1/jobs/s
is "$status $(get cases.1.reason)" "200 line 1 of the output: '16' where '17' is expected" 'the API shows the same result'
is "$(get compile.status)" ok 'with the compiler of all'
is_dead() { rcli XRANGE cubit:dead - + | grep -q 'cases\[1\].stdin'; }
within 10 is_dead
ok $? 'cases that are wrong are a dead letter, which says where'

stop_daemon
done_testing
