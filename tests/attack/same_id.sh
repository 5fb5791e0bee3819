#!/bin/bash
# One name, two owners, every pair of doors: whoever gives a job the name that another's job has sees nothing of the
# other's, says nothing to it and does not end it; and its owner still finds it. One job waits for input under the name
# through one door (native, code cell, stream engine, tRPC, Redis stream, Redis list); the attacker takes the same name
# through each other door that lets clients choose one, and asks through every door.
#
# where: host (what it asks is decided above the kernel; the guest has no images)
# NEED: root, redis-server
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"

need_images bash
start_redis
export CUBIT_JOBS=8 RUN_TIMEOUT_MS=50000 CUBIT_REDIS_STREAMS=jobs/workers/payload CUBIT_REDIS_LIST=pushed
REDIS_URL=$redis_tcp start_daemon

make_key() # OWNER -> $made
{
	api /v1/keys -d "{\"owner\":\"$1\",\"scopes\":[\"run\"]}"
	made=$(get key)
}
make_key alice; alice=$made
make_key mallory; mallory=$made

as() # KEY PATH [OPTION of curl...] -> $status, $body
{
	local k=$1 path=$2
	shift 2
	body=$(curl -sS --max-time 20 -H "Authorization: Bearer $k" -w '\n%{http_code}' "$url$path" "$@" 2>"$dir/curl.err")
	status=${body##*$'\n'}
	body=${body%$'\n'*}
}

# What a WebSocket shows: "refused CODE", or its messages; says $3 when it is given.
ws() # KEY PATH [MESSAGE]
{
	timeout 20 python3 "$CUBIT_SRC/tests/lib/ws_look.py" "$url" "$2" "$1" "${@:3}"
}

runs() # ID
{
	as "$alice" "/v1/jobs/$1"
	[ "$status $(get state)" = '200 running' ]
}

# shellcheck disable=SC2016 # a program of the sandbox's shell
waiting='read -r line; echo "secret of alice: $line"'
push() # stream|list ID OWNER SOURCE
{
	local text
	text=$(printf '{"id":"%s","user_id":"%s","runtime":"bash","source":%s}' "$2" "$3" "$(printf %s "$4" | json)")
	if [ "$1" = stream ]; then rcli XADD jobs '*' payload "$text"; else rcli RPUSH pushed "$text"; fi >/dev/null
}

# The job of alice, waiting for input where the door has any. -> $id
begin() # DOOR NAME
{
	local source
	source=$(printf %s "$waiting" | json)
	id=$2
	case $1 in
	native)
		as "$alice" /v1/jobs -d "{\"runtime\":\"bash\",\"interactive\":true,\"source\":$source}"
		id=$(get id)
		;;
	cell) as "$alice" /run -d "{\"jobId\":\"$2\",\"language\":\"bash\",\"source\":\"echo secret of alice; sleep 45\"}" ;;
	engine)
		as "$alice" /api/run -d '{"language":"bash","code":"echo secret of alice; sleep 45"}'
		id=$(get job_id)
		;;
	trpc)
		as "$alice" /trpc/runCode -d '{"language":"bash","source":"echo secret of alice; sleep 45"}'
		id=$(get result.data.jobId)
		;;
	stream | list) push "$1" "$2" alice 'echo secret of alice; sleep 45' ;;
	esac
	within 15 runs "$id" || diag "$1: $id is not at work: $status $body"
}

# mallory gives a job of hers the name.
take() # DOOR NAME
{
	case $1 in
	cell)
		as "$mallory" /run -d "{\"jobId\":\"$2\",\"language\":\"bash\",\"source\":\"echo of mallory\"}"
		printf '%s ' "$status"
		;;
	stream | list) push "$1" "$2" mallory 'echo of mallory' ;;
	esac
}

# Everything that mallory can ask under that name: nothing of alice's in any of it.
probe() # NAME
{
	as "$mallory" "/v1/jobs/$1"
	echo "get $status $body"
	as "$mallory" "/v1/jobs/$1/events" --max-time 1
	echo "events $status $body"
	ws "$mallory" "/v1/jobs/$1/stream" '{"type":"stdin","data":"from mallory\n"}'
	ws "$mallory" "/stream/$1"
	ws "$mallory" "/stream?jobId=$1"
	ws "$mallory" "/api/ws?job_id=$1"
	as "$mallory" "/v1/jobs/$1" -X DELETE
	echo "cancel $status $body"
}

export LOOK_S=0.4
n=0
for victim in native cell engine trpc stream list; do
	for attacker in cell stream list; do
		case $victim:$attacker in native:list | engine:cell | engine:list | trpc:cell | trpc:stream | cell:list) continue ;; esac # as their neighbours
		n=$((n + 1))
		begin "$victim" "order-$n"
		case $victim:$attacker in
		native:cell | engine:cell | trpc:cell)
			is "$(take cell "$id")" '400 ' "$victim: a name of ours is not for clients to give"
			;;
		*) seen=$(take "$attacker" "$id") ;;
		esac
		[ "$attacker" != cell ] || [ -z "$seen" ] || is "$seen" '200 ' "$victim: the name is free in another owner's space"
		sleep 0.3
		probe "$id" 2>&1 | tr -d '\0' >"$dir/seen"
		is "$(grep -c 'alice\|secret' "$dir/seen")" 0 "$victim, $attacker: nothing of it is shown"
		as "$alice" "/v1/jobs/$id"
		is "$status $(get state)" '200 running' "$victim, $attacker: its owner finds it, it was not cancelled"
		case $victim in
		native)
			ws "$alice" "/v1/jobs/$id/stream" '{"type":"stdin","data":"from alice\n"}' >/dev/null
			want='done secret of alice: from alice'
			;;
		*) # no door of these takes input: its owner ends it
			as "$alice" "/v1/jobs/$id" -X DELETE
			want='cancelled secret of alice'
			;;
		esac
		ended() { as "$alice" "/v1/jobs/$id" && [[ $(get state) != running ]]; }
		within 15 ended
		is "$(get state) $(get stdout)" "$want" "$victim, $attacker: it heard its owner only" || diag "$body"
		seen=''
	done
done

# The same answer for "not there" and "not yours".
as "$alice" /run -d '{"jobId":"mine","language":"bash","source":"echo 1"}'
as "$mallory" /v1/jobs/mine
there=${body//mine/X}
as "$mallory" /v1/jobs/none
is "$there" "${body//none/X}" 'another owner reads the same of what is there and what is not'
as "$mallory" /run -d '{"jobId":"mine","language":"bash","source":"echo 2"}'
is "$status $(get jobId)" '200 mine' 'and may give the name to a job of her own'

stop_daemon
done_testing
