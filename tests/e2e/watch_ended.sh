#!/bin/bash
# Many who watch different ended jobs and read nothing: what they hold is bounded, also for others; who is sent away comes
# back and gets everything.
# timeout: 200
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash
export CUBIT_RATE=0 CUBIT_MAX_OUTPUT=8M
start_daemon
front=$(pgrep -P "$daemon" -f -- --front | head -n 1)
rss()
{
	awk '/^VmRSS:/ { print $2 }' "/proc/$front/status"
}
make_key() # OWNER -> $made
{
	api /v1/keys -d "{\"owner\":\"$1\",\"scopes\":[\"run\"]}"
	made=$(get key)
}
make_key mallory; mallory=$made
make_key alice; alice=$made
submit_as() # KEY -> $id
{
	id=$(curl -sS --max-time 20 -H "X-API-Key: $1" "$url/v1/jobs" -d '{"runtime":"bash","source":"head -c 3000000 /dev/zero | tr \"\\0\" x",
		"limits":{"output":"8M"}}' | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
}
ids=()
for _ in {1..40}; do
	submit_as "$mallory"
	ids+=("$id")
done
submit_as "$alice"
hers=$id
all_done()
{
	api "/v1/jobs?limit=200&state=done"
	[ "$(grep -o '"id": *"' <<<"$body" | wc -l)" -eq 41 ]
}
within 60 all_done
ok $? '41 jobs of 3 MB are done' || diag "$body"
before=$(rss)

# one connection for each, which reads the head of the answer at most
cat >"$dir/watch.py" <<'PY'
import socket, sys, time
host, port = sys.argv[1].split(":")
socks = []
for job in sys.argv[3:]:
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect((host, int(port)))
    s.sendall(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: x\r\nX-API-Key: {sys.argv[2]}\r\n\r\n".encode())
    assert s.recv(12) == b"HTTP/1.1 200", job
    socks.append(s)
print(len(socks), flush=True)
time.sleep(100)
PY
python3 "$dir/watch.py" "${url#http://}" "$mallory" "${ids[@]}" >"$dir/watched" 2>&1 &
background+=("$!")
watched()
{
	[ -s "$dir/watched" ]
}
within 30 watched
is "$(cat "$dir/watched")" 40 '40 of them are watched by somebody who does not read'
sleep 2
grown=$(($(rss) - before))
[ "$grown" -lt 49152 ]
ok $? "the front grew by $grown KiB for 120 MB" || diag "$before KiB before"

got=$(curl -sSN --max-time 10 -H "X-API-Key: $alice" -H 'Accept: application/x-ndjson' "$url/v1/jobs/$hers/events" | tail -n 1)
like "$got" '"type": *"exit"' 'another reads hers to the end meanwhile'
closed=$(LOOK_S=2 python3 tests/lib/ws_look.py "$url" "/v1/jobs/${ids[39]}/stream" "$mallory" 2>&1 | tr -d "\0")
like "$closed" 'too many ended jobs are being read' 'on a WebSocket one too many is told to come back' || diag "${closed:0:300}"

kill "${background[-1]}"
whole()
{
	[[ $(curl -sSN --max-time 10 -H "X-API-Key: $mallory" -H 'Accept: application/x-ndjson' "$url/v1/jobs/${ids[39]}/events" |
		tail -n 1) =~ \"type\":\ *\"exit\" ]]
}
within 30 whole
ok $? 'with room again it is read to its end'
stop_daemon
is "$status" 0 'SIGTERM ends it well'
done_testing
