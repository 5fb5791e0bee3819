#!/bin/bash
# Who may see what a node says of itself: figures and reasons name addresses and paths. On this machine, and through the
# socket, anybody; from elsewhere only the networks that the operator lists and keys that are made for it.
# timeout: 120
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash
# a Redis that is away gives /readyz a reason with an address in it
export REDIS_URL=redis://127.0.0.1:1 CUBIT_RATE=0
start_unready()
{
	mkdir -p "$dir/state" "$dir/run"
	CUBIT_STATE=$dir/state CUBIT_RUN=$dir/run CUBIT_LISTEN=127.0.0.1:0 CUBIT_USER=64642 CUBIT_ID_BASE=$id_base \
		"$CUBIT_BUILD/bin/cubitd" >>"$daemon_log" 2>&1 </dev/null &
	daemon=$!
	background+=("$daemon")
	sock=$dir/run/cubit.sock
	within 20 is_serving || {
		diag "$(tail -n 30 "$daemon_log")"
		echo 'Bail out! cubitd does not start'
		exit 1
	}
	url=http://$(head -n 1 "$dir/run/listen")
	key=$(cat "$dir/state/admin.key")
}
is_serving()
{
	[ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$sock" http://cubit/healthz 2>/dev/null)" = 200 ]
}
ask() # PATH OPTION...: over TCP -> $status $body
{
	body=$(curl -sS --max-time 10 -w '\n%{http_code}' "$url$1" "${@:2}")
	status=${body##*$'\n'} body=${body%$'\n'*}
}
sees() # TITLE OPTION...
{
	ask /metrics "${@:2}"
	is "$status $(grep -c '^cubit_ready' <<<"$body")" '200 1' "$1 sees /metrics"
	ask /readyz "${@:2}"
	is "$status" 503 '... and that the node is not ready'
	like "$(get reasons.0)" 'Redis' '... and why not'
}
is_blind() # TITLE OPTION...
{
	ask /metrics "${@:2}"
	is "$status $(get error.code)" "${refusal:-401 unauthorized}" "$1 is refused /metrics"
	is "$(grep -c cubit_ <<<"$body")" 0 '... and sees none of it'
	ask /readyz "${@:2}"
	is "$status $(get ready)" '503 false' '... sees that the node is not ready'
	is "$(grep -c 'Redis\|127.0.0.1' <<<"$body")" 0 '... and not why' || diag "$body"
}
key_of() # SCOPES -> $made
{
	api /v1/keys -d "{\"owner\": \"ann\", \"scopes\": $1}"
	made=$(get key)
}

start_unready
sees 'this machine'
api /metrics
is "$status" 200 'so does the socket'
api /readyz
like "$(get reasons.0)" 'Redis' '... with the reasons'
is_blind 'who comes through a proxy that nobody named' -H 'X-Forwarded-For: 127.0.0.1'
is_blind 'and one that says it in the newer way' -H 'Forwarded: for=127.0.0.1'
stop_daemon

CUBIT_TRUSTED_PROXIES=127.0.0.1 start_unready
is_blind 'who comes from elsewhere through a trusted proxy' -H 'X-Forwarded-For: 192.0.2.7'
sees 'who comes from this machine through it' -H 'X-Forwarded-For: 127.0.0.1'
stop_daemon

export CUBIT_STATUS_NETWORKS=192.0.2.0/24
CUBIT_TRUSTED_PROXIES=127.0.0.1 start_unready
sees 'a listed network' -H 'X-Forwarded-For: 192.0.2.7'
is_blind 'another network' -H 'X-Forwarded-For: 198.51.100.7'
is_blind 'a machine that is not in the list' -H 'Accept: */*'
sees 'the administrator' -H "Authorization: Bearer $key"
key_of '["status"]'
sees 'a key for it' -H "Authorization: Bearer $made"
ask /v1/run -H "Authorization: Bearer $made" -d '{"runtime": "bash", "source": "echo hi"}'
is "$status" 403 '... which may do nothing else'
key_of '["run"]'
refusal='403 forbidden'
is_blind 'a key to run programs' -H "Authorization: Bearer $made"
stop_daemon
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
