#!/bin/bash
# One key fills the queue with delayed jobs, with due ones, and with all priorities at their highest. Another's job is
# taken and done within seconds, and what is refused is refused in words.
#
# where: host (the rule is the front's; the guest has no images)
# timeout: 300
# NEED: root
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"

need_images bash
CUBIT_JOBS=1 CUBIT_QUEUE_MAX=160 start_daemon

make_key() # OWNER -> $made
{
	api /v1/keys -d "{\"owner\":\"$1\",\"scopes\":[\"run\"]}"
	made=$(get key)
}
make_key mallory; mallory=$made
make_key alice; alice=$made

submit_as() # KEY FIELDS [SECONDS] -> $status, $body
{
	body=$(curl -sS --max-time 20 -H "Authorization: Bearer $1" -w '\n%{http_code}' "$url/v1/jobs" \
		-d "{\"runtime\":\"bash\",\"source\":\"sleep ${3:-0.2}\"$2}" 2>"$dir/curl.err")
	status=${body##*$'\n'}
	body=${body%$'\n'*}
}

flood() # FIELDS N -> $taken, and the first refusal in $refusal
{
	taken=0 refusal=
	for ((i = 0; i < $2; i++)); do
		submit_as "$mallory" "$1" 2 # long enough that few are done before the last one comes, also on a slow machine
		if [ "$status" = 202 ]; then
			taken=$((taken + 1))
		else
			refusal=$status\ $(get error.message)
			break
		fi
	done
}

# How long until alice's job is done, in tenths of a second.
done_in() # -> $tenths
{
	local id begin=$((${EPOCHREALTIME/./} / 100000))
	submit_as "$alice" ''
	id=$(get id)
	is "$status" 202 "another's job is taken $1"
	for _ in {1..900}; do
		api "/v1/jobs/$id"
		[ "$(get state)" = "done" ] && break
		sleep 0.05
	done
	tenths=$((${EPOCHREALTIME/./} / 100000 - begin))
	is "$(get state) $(get status)" 'done ok' "and done $1"
	ok "$((tenths > 150))" "within seconds ($tenths tenths)"
}

flood ',"delay_ms":3600000' 160
ok "$((taken < 20 || taken > 35))" "of 160 places, delayed jobs of one key take $taken"
like "$refusal" '429 your share of the queue is used up: .* wait for their time' 'and then are refused in words'
done_in 'beside delayed ones'

flood ',"priority":100' 160
ok "$((taken < 60 || taken > 150))" "urgent jobs of the same key take $taken more"
like "$refusal" '429 your share of the queue is used up: .* are yours' 'and then are refused in words'
done_in 'behind a hundred urgent ones'
submit_as "$alice" ',"delay_ms":3600000'
is "$status" 202 "a delayed job of another is taken too"

api /v1/jobs -d '{"runtime":"bash","source":"echo x","priority":-100}'
is "$status" 202 "root's is taken"
stop_daemon
nothing_left 'nothing of it is left'
done_testing
