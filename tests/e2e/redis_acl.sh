#!/bin/bash
# A node works with the Redis user of docs/producers.md, which has no right too many that a node needs; and what is
# missing or of the wrong type is said in words.
# timeout: 180
# NEED: root, redis-server
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"
need_images bash
start_redis
acl=$(sed -n 's/^ *\(ACL SETUSER cubit .*\)$/\1/p' "$CUBIT_SRC/docs/producers.md")
ok "$((${#acl} < 200))" 'the documents have a user for nodes'
# shellcheck disable=SC2086 # a command of redis-cli is a list of words
is "$(rcli ${acl//PASSWORD/secret})" OK 'which Redis takes'
REDIS_URL=redis://cubit:secret@${redis_tcp#redis://} CUBIT_NODE=acl start_daemon

says() # WORD: /readyz has it
{
	api /readyz
	[[ $body == *"$1"* ]]
}

# ---- every way in ----
rcli XADD cubit:jobs '*' job '{"id":"a1","runtime":"bash","source":"echo one"}' >/dev/null
rcli RPUSH execution '{"id":"a2","user_id":"u","runtime":"bash","source":"echo two"}' >/dev/null
rcli XADD goxec:jobs '*' job '{"id":"a3","runtime":"bash","source":"echo three"}' >/dev/null
rcli XADD cubit:jobs '*' job '{"id":"a4","runtime":"bash","source":"echo four","delay_ms":700}' >/dev/null
rcli XADD cubit:jobs '*' job '{"id":"a5","runtime":"bash","source":"sleep 60","limits":{"wall_ms":60000}}' >/dev/null
rcli XADD cubit:jobs '*' job 'this is no job' >/dev/null
ok "$(within 30 has_result a1 a2 a3 a4; echo $?)" 'jobs of both streams and of the list have results, a delayed one too'
is "$(result a1 stdout) $(result a2 stdout) $(result a3 stdout) $(result a4 stdout)" 'one two three four' 'their own'
ok "$((! $(rcli XLEN cubit:events:a1)))" 'their events are there'
api '/v1/jobs/a5' -X DELETE
ok "$(within 15 has_result a5; echo $?)" 'one is cancelled'
is "$(result a5 status)" cancelled 'with that result'
api '/v1/dead?source=redis'
is "$status" 200 'dead letters are listed'
like "$body" 'this is no job' 'the malformed one is among them'
refused=$(rcli ACL LOG 100 | grep -c '^cubit$')
is "$refused" 0 'Redis refused that user nothing'
api /readyz
is "$status" 200 'the node is ready'

# ---- what is missing, and what is wrong ----
rcli ACL SETUSER cubit -evalsha -eval >/dev/null
ok "$(within 20 says evalsha; echo $?)" 'a right that was taken away is named'
ok "$(($(rcli ACL LOG 100 | grep -c '^cubit$') == 0))" 'and in the log of Redis, which is where we looked above'
rcli ACL SETUSER cubit +evalsha +eval >/dev/null
ok "$(within 20 eval 'api /readyz; [ "$status" = 200 ]'; echo $?)" 'and all is well when it is back'
rcli DEL cubit:jobs >/dev/null
rcli SET cubit:jobs text >/dev/null
ok "$(within 20 says WRONGTYPE; echo $?)" 'a key of another type is named'
ok "$(within 20 says cubit:jobs; echo $?)" 'by its name'
stop_daemon
nothing_left 'nothing of it is left'
done_testing
