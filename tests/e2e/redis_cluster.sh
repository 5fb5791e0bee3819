#!/bin/bash
# Three nodes share one Redis while nodes and Redis are killed at random: every job has exactly one result. Then a node is cut
# off with a job at work: another one finishes it, and what the first one says later does not count.
# CLUSTER_JOBS (2500), CLUSTER_SECONDS (60) of killing.
# timeout: 600
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"
need_images bash
jobs=${CLUSTER_JOBS:-2500} killing=${CLUSTER_SECONDS:-60}
nodes=(n1 n2 n3)
make_hub
for i in 1 2 3; do
	add_net "n$i" "$i"
done
start_redis
export CUBIT_LEASE=4s CUBIT_ATTEMPTS=50 CUBIT_JOBS=3 CUBIT_POOL=3 CUBIT_RATE=0
for n in "${nodes[@]}"; do
	start_node "$n"
done
for n in "${nodes[@]}"; do
	await_node "$n" 30
done
all_nodes() # NAME
{
	node_api "$1" /v1/nodes
	[ "$(grep -o '"name": *"n[123]"' <<<"$body" | sort -u | wc -l)" -eq 3 ]
}
for n in "${nodes[@]}"; do
	within 10 all_nodes "$n"
	ok $? "$n knows of all three" || diag "$body"
done
is "$(grep -o '"state": *"serving"' <<<"$body" | wc -l)" 3 'and that they serve'

# ---- jobs, and everything dies ----
# Pushed evenly over the time of the killing. The list takes one job in five.
rate=$(awk -v n="$jobs" -v s="$killing" 'BEGIN { print n / s * 0.8 }')
"$producer" stream --url "$redis_url" --ids s --count $((jobs * 4 / 5)) --rate "$rate" --mix ok=88,failing=4,slow=4,malformed=4 \
	--twice 20 --patience 60 --verify 240 >"$dir/stream.out" 2>&1 &
stream=$!
"$producer" list --url "$redis_url" --ids l --count $((jobs / 5)) --rate "$(awk -v r="$rate" 'BEGIN { print r / 4 }')" \
	--mix ok=88,failing=4,slow=4,malformed=4 --twice 20 --patience 60 --verify 240 >"$dir/list.out" 2>&1 &
list=$!
background+=("$stream" "$list")
start=$SECONDS kills=0 hows=(both monitor front both) redis_kills=0
while [ $((SECONDS - start)) -lt "$killing" ]; do
	sleep "$((RANDOM % 3 + 1)).$((RANDOM % 10))"
	n=${nodes[RANDOM % 3]}
	how=${hows[kills % 4]}
	kill_node "$n" "$how"
	kills=$((kills + 1))
	if [ "$redis_kills" -lt 2 ] && [ $((SECONDS - start)) -ge $((killing * (redis_kills + 1) / 3)) ]; then
		kill_redis
		redis_kills=$((redis_kills + 1))
		sleep 0.7
		redis_options=(--appendfsync always)
		start_redis
	fi
	if [ "$how" != front ]; then
		sleep "0.$((RANDOM % 8))"
		start_node "$n"
	fi
done
diag "killed: nodes $kills times, Redis $redis_kills times, in $((SECONDS - start)) s"
for n in "${nodes[@]}"; do
	await_node "$n" 30
done
wait "$stream"
ok $? 'every job of the stream has one result, every malformed one is a dead letter with its bytes' ||
	diag "$(head -n 12 "$dir/stream.out")"
forget "$stream"
wait "$list"
ok $? 'and so has every job of the list' || diag "$(head -n 12 "$dir/list.out")"
forget "$list"
diag "stream: $(tail -n 1 "$dir/stream.out")"
diag "list: $(tail -n 1 "$dir/list.out")"
field_of() # FILE NAME
{
	tail -n 1 "$dir/$1.out" | tr ' ' '\n' | sed -n "s/^$2=//p"
}
diag "deliveries: $(($(field_of stream attempts) + $(field_of list attempts))) for" \
	"$(($(field_of stream results) + $(field_of list results))) results," \
	"after $((SECONDS - start)) s; since their last start:"
for n in "${nodes[@]}"; do
	for event in taken claimed finished fenced dead duplicate; do
		printf '%s %s ' "$event" "$(redis_jobs "$n" "$event")"
	done >"$dir/counts"
	diag "$n: $(cat "$dir/counts")"
done
none_pending()
{
	[ "$(rcli XPENDING cubit:jobs cubit:workers | head -n 1)" = 0 ] && [ "$(rcli LLEN execution)" = 0 ]
}
within 20 none_pending
ok $? 'nothing is pending, nothing is left in the list' || diag "$(rcli XPENDING cubit:jobs cubit:workers)"

# ---- a node is cut off ----
for n in n2 n3; do
	node_api n1 "/v1/nodes/$n/drain" -X POST
	like "$status" '^2' "$n is asked through n1 to take nothing" || diag "$body"
done
sleep 2
rcli XADD cubit:jobs '*' job '{"id":"cut","runtime":"bash","source":"echo one; sleep 9; echo two","limits":{"wall_ms":20000}}' >/dev/null
runs_on() # ID NODE
{
	[ "$(rcli --raw HGET "cubit:job:$1" state) $(rcli --raw HGET "cubit:job:$1" node)" = "running $2" ]
}
within 10 runs_on cut n1
ok $? 'so n1 runs the job' || diag "$(rcli HGETALL cubit:job:cut)"
fenced=$(redis_jobs n1 fenced)
cut_net n1
for n in n2 n3; do
	node_api n2 "/v1/nodes/$n/drain" -X DELETE
done
within 5 runs_on cut n1
is "$(rcli EXISTS cubit:result:cut)" 0 'n1 is cut off while it runs'
within 40 has_result cut
ok $? 'another node finishes it' || diag "$(rcli HGETALL cubit:job:cut)"
like "$(result cut node) $(result cut status)" '^n[23] ok$' 'which is not n1'
[ "$(result cut attempt)" -ge 2 ]
ok $? 'in a later attempt'
before=$(rcli HGETALL cubit:result:cut | sha256sum)
node_api n1 /v1/run -d '{"runtime":"bash","source":"echo alone"}'
is "$status $(get stdout)" '200 alone' 'n1 alone still serves what needs no Redis'
sleep 3 # its own run of the job has ended by now
heal_net n1
await_node n1 40
sleep 2
is "$(rcli HGETALL cubit:result:cut | sha256sum)" "$before" 'when n1 is back, its late result changes nothing'
is "$(rcli --raw XRANGE cubit:events:cut - + | grep -cx end)" 1 'and the job has one end'
after=$(redis_jobs n1 fenced)
[ "${after:-0}" -gt "${fenced:-0}" ]
ok $? 'it was fenced off' || diag "fenced: before ${fenced:-none}, after ${after:-none}"
node_api n1 /v1/jobs/cut
is "$(get status) $(get node)" "ok $(result cut node)" 'n1 itself says what the other node found'
rcli XADD cubit:jobs '*' job '{"id":"after","runtime":"bash","source":"echo after"}' >/dev/null
within 20 has_result after
ok $? 'and work goes on'

for n in "${nodes[@]}"; do
	is "$(grep -c 'Sanitizer\|assert' "$dir/$n/log")" 0 "$n died of nothing else"
	stop_node "$n"
	is "$status" 0 "SIGTERM ends $n well"
done
nothing_left 'nothing of them is left'
done_testing
