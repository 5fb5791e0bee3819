#!/bin/bash
# Sourced by tests that start a cubitd of their own: TAP and ids of sandbox.sh, the default images made once for all of
# them, a daemon with its own port, state, claims and id range, curl on its doors.
#
#   . tests/lib/daemon.sh
#   need_images bash python
#   start_daemon                        # -> $url, $sock, $key, $daemon; settings by the environment before
#   api /v1/run -d '{"runtime":"bash","source":"echo hi"}'   # -> $status, $body (admin over the unix socket)
#   is "$(get stdout)" hi 'it runs'
#   stop_daemon; done_testing
#
# shellcheck disable=SC2034 # what it sets is for whoever sources it

# shellcheck source=tests/lib/sandbox.sh
. "$(dirname "${BASH_SOURCE[0]}")/sandbox.sh"

daemon='' daemon_log=$dir/cubitd.log url='' sock='' key='' status='' body=''

# The images NAME... in a store that all tests of this build share. Made by whoever comes first; the others wait.
need_images()
{
	local state=$CUBIT_BUILD/images-state
	mkdir -p "$state"
	echo '# clock: stops'
	if ! (flock 9 && CUBIT_STATE=$state CUBIT_BUILD=$CUBIT_BUILD "$CUBIT_SRC/tools/mkimage" "$@") \
		9>"$state/lock" >"$dir/mkimage.log" 2>&1; then
		diag "$(tail -n 20 "$dir/mkimage.log")"
		echo 'Bail out! the images cannot be made'
		exit 1
	fi
	echo '# clock: goes on'
	mkdir -p "$dir/state"
	[ -e "$dir/state/images" ] || ln -s "$state/images" "$dir/state/images"
}

# Start it and wait until it is ready. More settings: in the environment.
start_daemon()
{
	mkdir -p "$dir/state" "$dir/run"
	CUBIT_STATE=$dir/state CUBIT_RUN=$dir/run CUBIT_LISTEN=${CUBIT_LISTEN:-127.0.0.1:0} CUBIT_USER=${CUBIT_USER:-64642} \
		"$CUBIT_BUILD/bin/cubitd" >>"$daemon_log" 2>&1 </dev/null &
	daemon=$!
	background+=("$daemon") # ended with the test
	sock=$dir/run/cubit.sock
	wait_ready "${1:-200}" || {
		diag "$(tail -n 30 "$daemon_log")"
		echo 'Bail out! cubitd does not start'
		exit 1
	}
	url=http://$(head -n 1 "$dir/run/listen")
	key=$(cat "$dir/state/admin.key")
}

# Each front names its sandboxes by a prefix of its own, which stands in their claims: look while it has some.
note_groups()
{
	local name
	while read -r name; do
		[[ " ${group_names[*]} " == *" cubit-$name-* "* ]] || group_names+=("cubit-$name-*")
	done < <(own_claims | awk '{ sub("-[0-9]+$", "", $NF); print $NF }' | sort -u)
}

wait_ready() # TRIES of 50 ms
{
	local i
	for ((i = 0; i < $1 * ${TEST_PATIENCE:-1}; i++)); do
		[ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$sock" http://cubit/readyz 2>/dev/null)" = 200 ] && return 0
		kill -0 "$daemon" 2>/dev/null || return 1
		sleep 0.05
	done
	return 1
}

stop_daemon() # -> $status
{
	note_groups
	kill -TERM "$daemon" 2>/dev/null
	wait "$daemon"
	status=$?
	local pid others=()
	for pid in "${background[@]}"; do
		[ "$pid" = "$daemon" ] || others+=("$pid")
	done
	background=("${others[@]}")
	daemon=''
}

# One request as admin over the unix socket: PATH and options of curl. -> $status (HTTP), $body
# What is answered is noted, and held against the document of the API at the end of the test.
api()
{
	local path=$1 tail
	shift
	body=$(curl -sS --max-time 60 --unix-socket "$sock" -w '\n%{http_code} %{method} %{content_type}' "http://cubit$path" "$@" \
		2>"$dir/curl.err")
	local was_whole=$?
	tail=${body##*$'\n'}
	body=${body%$'\n'*}
	status=${tail%% *}
	[ "$was_whole" -eq 0 ] && note_answer "$path" "$tail" "$@"
	return 0
}

note_answer() # PATH "STATUS METHOD TYPE" OPTION...
{
	local path=$1 status method type sent=''
	read -r status method type <<<"$2"
	shift 2
	while [ $# -gt 1 ]; do
		case $1 in
		-i | --head | -I) return ;;
		-d | --data | --data-raw | --data-binary | --json) sent=$2 ;;
		esac
		shift
	done
	[[ $sent == @* ]] && sent=''
	[ -s "$dir/openapi.json" ] || curl -sf --max-time 10 --unix-socket "$sock" http://cubit/openapi.json >"$dir/openapi.json"
	printf '%s\0' "$status" "$method" "$path" "$type" "$sent" "$body" >>"$dir/answers"
}

check_answers()
{
	local said
	[ -s "$dir/answers" ] && [ -s "$dir/openapi.json" ] || return
	said=$(python3 "$CUBIT_SRC/tests/lib/openapi_check.py" "$dir/openapi.json" "$dir/answers" 2>&1)
	ok $? 'every answer is as /openapi.json says' || diag "$said"
}
tap_last+=(check_answers)

# A field of the last answer; nested with dots: error.field, outputs.0.path
get()
{
	python3 -c '
import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1].split("."):
    v = v[int(k)] if isinstance(v, list) else v.get(k)
    if v is None: break
print(json.dumps(v) if isinstance(v, (dict, list, bool)) or v is None else v)' "$1" <<<"$body" 2>/dev/null
}

# Somebody who takes callbacks, on loopback: what comes is told in $dir/received. -> $hook_url, $receiver
start_receiver() # SECRET
{
	python3 "$CUBIT_SRC/tests/lib/receiver.py" "$dir/received" "$1" >"$dir/receiver.port" &
	receiver=$!
	background+=("$receiver")
	within 10 test -s "$dir/receiver.port"
	hook_url=http://127.0.0.1:$(cat "$dir/receiver.port")
}

# A JSON string of standard input, for request bodies.
json()
{
	python3 -c 'import json, sys; print(json.dumps(sys.stdin.read()), end="")'
}
