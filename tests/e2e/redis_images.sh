#!/bin/bash
# Two nodes on one Redis, one of them without images: what it cannot run the other one does, in the first attempt, and what
# no node can run is a dead letter that names the image.
# timeout: 180
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"
need_images bash
start_redis
export CUBIT_RATE=0 CUBIT_JOBS=2 CUBIT_IMAGE_WAIT=60s CUBIT_ATTEMPTS=2
mkdir -p "$dir/bare/state/images"

reasons_of() # NODE WORDS
{
	node_api "$1" /readyz
	[[ $(get reasons) =~ $2 ]]
}
start_node bare
within 20 reasons_of bare 'cubit setup'
ok $? 'a node without images says so' || diag "$body"

# ---- it alone: nothing dies, nothing is tried ----

for i in 1 2 3 4 5 6; do
	rcli XADD cubit:jobs '*' job "{\"id\":\"s$i\",\"runtime\":\"bash\",\"source\":\"echo s$i\"}" >/dev/null
	rcli RPUSH execution "{\"id\":\"l$i\",\"user_id\":\"ann\",\"name\":\"x\",\"cube_type\":\"bash\",\"source\":\"echo l$i\"}" >/dev/null
done
waits() # ID
{
	[ "$(rcli --raw HGET "cubit:job:$1" state)" = waiting ] && [[ $(rcli --raw HGET "cubit:job:$1" reason) == *localhost/bash*'cubit setup'* ]]
}
within 20 waits s6
ok $? 'a job of the stream waits, with the reason' || diag "$(rcli HGETALL cubit:job:s6)"
within 20 waits l6
ok $? 'and one of the list' || diag "$(rcli HGETALL cubit:job:l6)"
node_api bare /v1/jobs/s6
is "$(get state) $(get attempt)" 'waiting 0' 'which is no attempt'
sleep 3
is "$(rcli XLEN cubit:dead)" 0 'not one is a dead letter'
[ "$(redis_jobs bare taken)" -le 40 ]
ok $? 'and they are not taken again and again' || diag "taken $(redis_jobs bare taken) times"

# ---- another one has it ----

start_node full
await_node full
within 30 has_result s1 s2 s3 s4 s5 s6 l1 l2 l3 l4 l5 l6
ok $? 'a node that has the image runs all of them' || diag "$(rcli KEYS 'cubit:result:*')"
bad=''
for id in s1 s2 s3 s4 s5 s6 l1 l2 l3 l4 l5 l6; do
	got="$(result $id status) $(result $id stdout) $(result $id node) $(result $id attempt)"
	[ "$got" = "ok $id full 1" ] || bad+="$got; "
done
is "$bad" '' 'each in its first attempt'
ids=()
for i in {1..40}; do
	rcli XADD cubit:jobs '*' job "{\"id\":\"m$i\",\"runtime\":\"bash\",\"source\":\"echo m$i\"}" >/dev/null
	ids+=("m$i")
done
within 40 has_result "${ids[@]}"
ok $? 'with both at work 40 jobs are done' || diag "$(rcli KEYS 'cubit:result:m*' | wc -l)"
is "$(for id in "${ids[@]}"; do result "$id" node; done | sort -u)" full 'all by the node that can'
is "$(for id in "${ids[@]}"; do result "$id" attempt; done | sort -u)" 1 'in the first attempt'
is "$(rcli XLEN cubit:dead)" 0 'and none is dead'
stop_node bare
stop_node full

# ---- nobody has it ----

export CUBIT_IMAGE_WAIT=3s
mkdir -p "$dir/languages"
sed 's/"bash"/"nowhere"/; s/localhost.bash/localhost\/nowhere/; s/\["sh", "shell"\]/[]/' images/runtimes/bash.json >"$dir/languages/nowhere.json"
export CUBIT_RUNTIMES=$dir/languages
start_node full
await_node full
rcli XADD cubit:jobs '*' job '{"id":"never","runtime":"nowhere","source":"echo"}' >/dev/null
is_dead()
{
	[ "$(rcli --raw HGET cubit:job:never state)" = dead ]
}
within 30 is_dead
ok $? 'what no node can run is a dead letter after CUBIT_IMAGE_WAIT' || diag "$(rcli HGETALL cubit:job:never)"
like "$(rcli --raw XREVRANGE cubit:dead + - COUNT 1 | tr '\n' ' ')" 'localhost/nowhere' 'whose reason names the image'

# ---- a node that can make no sandboxes at all ----

start_node bad
node_api full /v1/nodes/full/drain -X POST
within 20 is_ready bad
soft=$(prlimit --pid "${node_pid[bad]}" --nofile --output SOFT --noheadings | tr -d ' ')
prlimit --pid "${node_pid[bad]}" --nofile=8:
within 5 reasons_of bad '.'
for i in {1..10}; do
	rcli XADD cubit:jobs '*' job "{\"id\":\"b$i\",\"runtime\":\"bash\",\"source\":\"echo b$i\"}" >/dev/null
	rcli RPUSH execution "{\"id\":\"c$i\",\"user_id\":\"ann\",\"name\":\"x\",\"cube_type\":\"bash\",\"source\":\"echo c$i\"}" >/dev/null
done
within 15 reasons_of bad 'cannot make sandboxes'
ok $? 'a node that can make no sandboxes finds out' || diag "$body"
sleep 2
is "$(rcli XLEN cubit:dead)" 1 'no job of it is dead'
node_state() # NODE STATE
{
	node_api full /v1/nodes
	python3 -c '
import json, sys
sys.exit(not any(n["name"] == sys.argv[1] and n["state"] == sys.argv[2] for n in json.load(sys.stdin)["nodes"]))' "$1" "$2" <<<"$body"
}
within 5 node_state bad unable
ok $? 'the other node knows that it is unable' || diag "$body"
node_api full /v1/nodes/full/drain -X DELETE
within 30 has_result b1 b2 b3 b4 b5 b6 b7 b8 b9 b10 c1 c2 c3 c4 c5 c6 c7 c8 c9 c10
ok $? 'another node runs them all' || diag "$(rcli KEYS 'cubit:result:[bc]*')"
is "$(for i in {1..10}; do result "b$i" node; result "c$i" node; done | sort -u | grep -vx bad)" full 'it does'
is "$(for i in {1..10}; do result "b$i" attempt; result "c$i" attempt; done | sort -u)" 1 'each in its first attempt'
prlimit --pid "${node_pid[bad]}" --nofile="$soft":
within 30 is_ready bad
ok $? 'and the first is ready again when it can' || diag "$body"
for n in bad full; do
	is "$(grep -c 'Sanitizer\|assert' "$dir/$n/log")" 0 "$n died of nothing else"
	stop_node "$n"
	is "$status" 0 "SIGTERM ends $n well"
done
nothing_left 'nothing of them is left'
done_testing
