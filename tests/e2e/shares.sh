#!/bin/bash
# One owner's load does not keep others waiting, and root is held by no rate.
# timeout: 120
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash
CUBIT_JOBS=1 start_daemon

new_key() # OWNER -> $new
{
	api /v1/keys -d "{\"owner\":\"$1\",\"scopes\":[\"run\"]}"
	new=$(get key)
}
new_key ann
ann=$new
new_key bob
bob=$new

run_as() # KEY NAME
{
	curl -sS --max-time 60 "$url/v1/run" -H "Authorization: Bearer $1" -d '{"runtime":"bash","source":"sleep 0.5"}' >/dev/null
	echo "$2" >>"$dir/ended"
}
: >"$dir/ended"
clients=()
for _ in {1..12}; do
	run_as "$ann" ann &
	clients+=($!)
done
sleep 0.8
run_as "$bob" bob &
clients+=($!)
wait "${clients[@]}"
at=$(grep -n bob "$dir/ended" | cut -d: -f1)
is "$(wc -l <"$dir/ended")" 13 'all direct runs end'
ok "$((at > 5))" "one run behind twelve of another owner is number $at to end"

limited=0
for _ in {1..300}; do
	code=$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$sock" -H "Authorization: Bearer $key" http://cubit/v1/runtimes)
	[ "$code" = 200 ] || limited=$((limited + 1))
done
is "$limited" 0 'three hundred requests of root with the admin key are served'

# more idle connections than there are: the front closes the oldest of them
cat >"$dir/idle.py" <<'PY'
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
host, port = sys.argv[1].rsplit(":", 1)
held = [socket.create_connection((host, int(port))) for _ in range(4300)]
print("held", flush=True)
time.sleep(60)
PY
python3 "$dir/idle.py" "${url#http://}" >"$dir/idle.out" 2>&1 &
idle=$!
background+=("$idle")
for _ in {1..200}; do
	grep -q held "$dir/idle.out" && break
	sleep 0.1
done
is "$(cat "$dir/idle.out")" held '4300 connections of one address that say nothing'
api /healthz
is "$status" 200 'root is served on the unix socket'
is "$(curl -s -o /dev/null -w '%{http_code}' --max-time 5 --interface 127.0.0.5 "$url/healthz")" 200 'another address is served'
kill "$idle"

# ---- forty watchers of one finished job that read nothing ----

api /v1/jobs -d '{"runtime":"bash","source":"head -c 7000000 /dev/zero | tr \"\\0\" x","limits":{"output":"8M"}}'
job=$(get id)
for _ in {1..400}; do
	api "/v1/jobs/$job"
	[ "$(get state)" = 'done' ] && break
	sleep 0.1
done
is "$(get status)" ok 'a job writes 7 MB'
rss() # -> MiB of the front
{
	awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$(pgrep -P "$daemon" -f -- --front | head -n 1)/status"
}
cat >"$dir/watch.py" <<'PY'
import socket, sys, time
host, port = sys.argv[1].rsplit(":", 1)
held = []
for _ in range(40):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect((host, int(port)))
    s.sendall(f"GET /v1/jobs/{sys.argv[2]}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {sys.argv[3]}\r\n\r\n".encode())
    held.append(s)
print(sum(s.recv(12) == b"HTTP/1.1 200" for s in held), flush=True)
time.sleep(30)
PY
before=$(rss)
python3 "$dir/watch.py" "${url#http://}" "$job" "$key" >"$dir/watch.out" 2>&1 &
watch=$!
background+=("$watch")
for _ in {1..400}; do
	[ -s "$dir/watch.out" ] && break
	sleep 0.1
done
sleep 3
is "$(cat "$dir/watch.out")" 40 'forty watchers are served'
grown=$(($(rss) - before))
ok "$((grown >= 100))" "they take $grown MiB together"
kill "$watch"
stop_daemon
nothing_left 'nothing of it is left'
done_testing
