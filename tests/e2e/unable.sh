#!/bin/bash
# A node that cannot make sandboxes, has no image or no disk space: not one job dies of it, it says so in words wherever
# somebody looks, and goes on by itself when the cause is gone. A job that is the cause itself still dies.
# timeout: 600
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash c
cli=$CUBIT_BUILD/bin/cubit

wait_ready() # it may well not be ready: that it answers is enough
{
	within 20 answers
}
answers()
{
	[ "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$sock" http://cubit/readyz)" != 000 ]
}
ready_is() # HTTP WORDS
{
	api /readyz
	[ "$status" = "$1" ] && [[ $(get reasons) =~ $2 ]]
}
said() # WORDS: to the service manager
{
	grep -q "^STATUS=.*$1" "$dir/notified"
}
metric() # NAME
{
	curl -s --unix-socket "$sock" http://cubit/metrics | awk -v name="$1" '$1 == name { print $2 }'
}
submit() # SOURCE [FIELDS] -> $job
{
	api /v1/jobs -d "{\"runtime\":\"bash\",\"source\":\"$1\"${2:+,$2}}"
	job=$(sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' <<<"$body") # cheaper than get: there are many
}
state_is() # ID STATE [REASON]
{
	api "/v1/jobs/$1"
	[ "$(get state)" = "$2" ] && [[ $(get reason) =~ ${3:-} ]]
}
n_in() # STATE
{
	api "/v1/jobs?limit=200&state=$1"
	grep -o '"id": *"' <<<"$body" | wc -l
}
retry_after() # PATH BODY
{
	curl -s -o /dev/null -D - --unix-socket "$sock" "http://cubit$1" -d "$2" | tr -d '\r' | sed -n 's/^[Rr]etry-[Aa]fter: //p'
}
fresh_state()
{
	[ -z "$daemon" ] || stop_daemon
	rm -rf "$dir/state" "$dir/run"
	mkdir -p "$dir/state" "$dir/run"
	: >"$dir/notified"
}

# A service manager that writes down what it is told.
python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    with open(sys.argv[2], "ab") as f: f.write(s.recv(4096) + b"\n")
' "$dir/notify" "$dir/notified" &
background+=("$!")
export NOTIFY_SOCKET=$dir/notify CUBIT_POOL_MEMORY=0 CUBIT_JOBS=4 CUBIT_ATTEMPTS=2 CUBIT_RATE=0
within 5 test -S "$dir/notify"

# ---- an empty store ----

fresh_state
mkdir "$dir/state/images"
export CUBIT_IMAGE_WAIT=60s
start_daemon
within 10 ready_is 503 'cubit setup'
ok $? 'a node without an image is not ready, and says what to do' || diag "$body"
within 5 said 'not ready: .*cubit setup'
ok $? 'it says so to the service manager' || diag "$(cat "$dir/notified")"
is "$(metric cubit_ready)" 0 'and in its metrics'
api /v1/run -d '{"runtime":"bash","source":"echo"}'
is "$status $(get error.code)" '503 image_missing' 'a run is refused'
like "$(get error.message)" 'localhost/bash.*cubit setup' 'with the name of the image and what to do'
is "$(retry_after /v1/run '{"runtime":"bash","source":"echo"}')" 30 'and with a time to come back'
submit 'echo stored'
stored=$job
is "$status" 202 'a job is stored'
within 5 state_is "$stored" waiting 'localhost/bash.*cubit setup'
ok $? 'it waits, with the reason' || diag "$body"
is "$(get attempt)" 0 'without an attempt'
api /v1/runtimes
is "$(python3 -c 'import json,sys; print({r["image_state"] for r in json.load(sys.stdin)["runtimes"]})' <<<"$body")" "{'missing'}" \
	'the languages say that their images are missing'
like "$(CUBIT_STATE=$dir/state "$cli" doctor 2>&1 | grep -A2 -w images)" 'cubit setup' 'cubit doctor says what to do'
for image in bash c; do
	CUBIT_STATE=$CUBIT_BUILD/images-state "$cli" image save "localhost/$image:latest" "$dir/$image.tar" >"$dir/out" 2>&1 &&
		CUBIT_STATE=$dir/state "$cli" image load "$dir/$image.tar" >>"$dir/out" 2>&1
	ok $? "the image $image is made" || diag "$(cat "$dir/out")"
done
within 20 ready_is 200 ''
ok $? 'then it is ready, by itself' || diag "$body"
within 20 state_is "$stored" 'done'
ok $? 'and the job is done' || diag "$body"
is "$(get status) $(get attempt) $(get stdout)" 'ok 1 stored' 'in its first attempt'
within 5 said serving
ok $? 'the service manager hears of it'
like "$(CUBIT_STATE=$dir/state "$cli" doctor 2>&1 | grep -w images)" 'bash' 'cubit doctor finds them'

# ---- an image that nobody has ----

stop_daemon
export CUBIT_IMAGE_WAIT=2s
start_daemon
api /v1/jobs -d '{"runtime":"ruby","source":"puts 1"}'
job=$(get id)
within 20 state_is "$job" dead 'localhost/ruby'
ok $? 'a job whose image nobody has is a dead letter after CUBIT_IMAGE_WAIT, which names it' || diag "$body"
ready_is 200 ''
ok $? 'the node is ready all the same' || diag "$body"

# ---- no sandbox can be made ----

soft=$(prlimit --pid "$daemon" --nofile --output SOFT --noheadings | tr -d ' ')
prlimit --pid "$daemon" --nofile=8:
ids=()
for i in {1..40}; do
	submit "echo $i"
	ids+=("$job")
done
is "${#ids[@]} $(n_in dead)" '40 1' '40 jobs come to a node that cannot make sandboxes'
within 10 ready_is 503 'cannot make sandboxes: .*Too many open files'
ok $? 'it is not ready, and says why' || diag "$body"
within 5 said 'not ready: this node cannot make sandboxes: .*Too many open files'
ok $? 'also to the service manager' || diag "$(cat "$dir/notified")"
sleep 4
is "$(n_in dead) $(n_in waiting)" '1 40' 'seconds later not one is dead, all wait'
[ "$(metric 'cubit_given_back_total{reason="node"}')" -le 8 ]
ok $? 'few of them were taken' || diag "$(metric 'cubit_given_back_total{reason="node"}') given back"
[ "$(metric 'cubit_sandbox_failures_total{reason="descriptors"}')" -ge 3 ]
ok $? 'the failures are counted by their kind' || diag "$(curl -s --unix-socket "$sock" http://cubit/metrics | grep failures)"
api /v1/run -d '{"runtime":"bash","source":"echo"}'
is "$status $(get error.code) $(retry_after /v1/run '{"runtime":"bash","source":"echo"}')" '503 unable 5' 'a run is refused at once'
like "$(get error.message)" 'Too many open files' 'with the reason'
api /v1/nodes
is "$(get nodes.0.state)" unable 'the list of nodes says so'
like "$(CUBIT_RUN=$dir/run "$cli" stats --once 2>&1)" 'not ready.*Too many open files' 'cubit stats says so'
prlimit --pid "$daemon" --nofile="$soft":
within 40 ready_is 200 ''
ok $? 'with the cause gone it is ready by itself' || diag "$body"
all_done()
{
	[ "$(n_in waiting)" -eq 0 ] && [ "$(n_in running)" -eq 0 ]
}
within 30 all_done
ok $? 'and all 40 are run' || diag "$body"
bad=''
for i in "${!ids[@]}"; do
	api "/v1/jobs/${ids[i]}"
	[[ $body =~ '"status":'\ *'"ok"' && $body =~ '"attempt":'\ *1[,}] && $body =~ '"stdout":'\ *"\"$((i + 1))\\n\"" ]] || bad+="$body"$'\n'
done
is "$bad" '' 'each in its first attempt, with its own output'

# ---- a job that is the cause itself ----

stop_daemon
export CUBIT_ALLOW_POLICIES='default strict' # the monitor refuses each sandbox of another
start_daemon
within 10 ready_is 200 ''
submit 'echo poison' '"policy":"net"'
poison=$job
for i in 1 2 3 4 5 6; do
	submit "echo $i"
	within 10 state_is "$job" 'done' || break
	sleep 0.5
done
state_is "$job" 'done'
ok $? 'beside a job whose sandbox fails each time others are run' || diag "$body"
within 20 state_is "$poison" dead .
ok $? 'it is a dead letter after its attempts' || diag "$body"
is "$(get attempt)" 2 'which were counted'
ready_is 200 ''
ok $? 'and the node is ready' || diag "$body"
is "$(grep -c 'cannot make sandboxes' <(tail -n +"$(grep -n 'takes\|serving' "$daemon_log" | tail -n 1 | cut -d: -f1)" "$daemon_log"))" 0 \
	'it never was unable because of it'
api /v1/run -d '{"runtime":"bash","source":"echo","policy":"net"}'
is "$status" 500 'as a run it is an error of its own'

# ---- no room ----

fresh_state
mount -t tmpfs -o size=64m,mode=755 cubit-test "$dir/state"
ln -s "$CUBIT_BUILD/images-state/images" "$dir/state/images"
start_daemon
within 10 ready_is 200 ''
ok $? 'a node with a small disk is ready' || diag "$body"
submit 'sleep 3; echo late'
late=$job
within 5 state_is "$late" running
fallocate -l "$(($(df --output=avail -B1 "$dir/state" | tail -n 1) - (2 << 20)))" "$dir/state/filler"
within 5 ready_is 503 'disk of CUBIT_STATE is full'
ok $? 'when its disk is full it is not' || diag "$body"
within 5 said 'disk of CUBIT_STATE is full'
ok $? 'the service manager hears of it'
submit 'echo no'
is "$status $(get error.code)" '507 storage_full' 'nothing more is accepted'
api /v1/run -d '{"runtime":"bash","source":"echo"}'
is "$status" 200 'a run that needs no disk is served'
within 10 state_is "$late" 'done'
ok $? 'what runs already still gets its result' || diag "$body"
rm "$dir/state/filler"
within 10 ready_is 200 ''
ok $? 'with room again it is ready' || diag "$body"
submit 'echo yes'
within 10 state_is "$job" 'done'
is "$(get stdout)" yes 'and works'

# ---- a front that dies while there is no room ----

front()
{
	pgrep -P "$daemon" -f -- --front
}
starts()
{
	grep -c 'starting another' "$daemon_log"
}
submit 'sleep 2; echo kept'
kept=$job
within 5 state_is "$kept" running
dd if=/dev/zero of="$dir/state/filler" bs=1M 2>/dev/null
kill -9 "$(front)"
started_often() # more often than a front that never came up at all would be
{
	[ "$(starts)" -ge 8 ]
}
within 40 started_often
ok $? 'a front that died while the disk was full is started again and again' || diag "$(tail -n 5 "$daemon_log")"
kill -0 "$daemon"
ok $? 'the monitor lives'
is "$(grep -c 'database or disk is full' <(tail -n 3 "$daemon_log"))" 1 'and the log says of what it dies'
rm "$dir/state/filler"
within 20 ready_is 200 ''
ok $? 'with room again the node is ready, by itself' || diag "$body"
within 20 state_is "$kept" 'done'
is "$(get status) $(get stdout)" 'ok kept' 'and the job that was accepted has its result'

stop_daemon
is "$status" 0 'SIGTERM ends it well'
umount "$dir/state"
is "$(grep -c 'Sanitizer\|assert' "$daemon_log")" 0 'it died of nothing else'
nothing_left 'nothing is left'
done_testing
