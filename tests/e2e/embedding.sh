#!/bin/bash
# What a page of somebody else's needs: a key that many may see, with an end and an allow-list, and tickets for the streams
# of one job, because an EventSource and a WebSocket of a page cannot send a header.
# timeout: 200
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash python c
export CUBIT_ORIGINS=https://page.example CUBIT_RATE=0
start_daemon

ask() # PATH OPTION...: over TCP, as a page -> $status $body
{
	body=$(curl -sS --max-time 20 -w '\n%{http_code}' -H 'Origin: https://page.example' "$url$1" "${@:2}" 2>"$dir/curl.err")
	status=${body##*$'\n'} body=${body%$'\n'*}
}
as() # KEY PATH OPTION...
{
	ask "$2" -H "Authorization: Bearer $1" "${@:3}"
}
key_with() # FIELDS -> $made $made_id
{
	api /v1/keys -d "{\"owner\": \"page\", $1}"
	made=$(get key) made_id=$(get id)
}
runs() # FIELDS: by the key $page
{
	as "$page" /v1/run -d "{\"source\": \"echo hi\", $1}"
}

# ---- what it may run ----
key_with '"allow": {"runtimes": ["bash"], "policies": ["default"], "limits": {"wall_ms": 2000, "memory": 67108864, "processes": 16}}, "note": "the page"'
page=$made
is "$status $(get allow.limits.memory)" '201 67108864' 'a key with an allow-list'
runs '"runtime": "bash"'
is "$status $(get stdout)" '200 hi' 'it runs what it may, and defaults are lowered to its bounds'
refused() # TITLE STATUS WHERE FIELDS
{
	runs "$4"
	is "$status $(get error.field)" "$2 $3" "$1 is refused by name" || diag "$body"
	as "$page" /v1/jobs -d "{\"source\": \"echo hi\", $4}"
	is "$status $(get error.field)" "$2 $3" '... as a job too'
}
refused 'another language' 403 runtime '"runtime": "python"'
refused 'another policy' 403 policy '"runtime": "bash", "policy": "strict"'
refused 'more memory' 400 limits.memory '"runtime": "bash", "limits": {"memory": "128M"}'
like "$(get error.message)" 'ceiling of 67108864 of this key$' '... of the key, not of a setting'
refused 'more files than the node gives' 400 limits.open_files '"runtime": "bash", "limits": {"open_files": 100000}'
like "$(get error.message)" '[(]CUBIT_MAX_OPEN_FILES[)]$' '... of the node: the key says nothing of it'
refused 'more disk than the node gives' 400 limits.disk '"runtime": "bash", "limits": {"disk": "100G"}'
like "$(get error.message)" '[(]CUBIT_MAX_DISK[)]$' '... nor of that'
refused 'more time' 400 limits.wall_ms '"runtime": "bash", "limits": {"wall_ms": 2001}'
refused 'more processes' 400 limits.processes '"runtime": "bash", "limits": {"processes": 17}'
refused 'more for the compiler' 400 compile_limits.memory '"runtime": "bash", "compile_limits": {"memory": "128M"}'
as "$page" /api/run -d '{"language": "python", "code": "print(1)"}'
is "$status" 403 'and at another door'
as "$page" /run -d '{"language": "python", "source": "print(1)"}'
is "$status" 403 'and at a third'
as "$page" /v1/login -d ''
login=$(get url)
curl -s -o /dev/null -c "$dir/cookies" "http://${login#http://}"
body=$(curl -sS -b "$dir/cookies" -w '\n%{http_code}' "$url/v1/run" -d '{"runtime": "python", "source": "print(1)"}')
is "${body##*$'\n'}" 403 'a session of it has the same bounds'
api /v1/keys -d '{"owner": "page", "scopes": ["run", "admin"], "allow": {"runtimes": ["bash"]}}'
is "$status" 400 'a key that could make another one has no allow-list'
for bad in '{"runtimes": []}' '{"runtimes": ["a b"]}' '{"languages": ["bash"]}' '{"limits": {"memory": 0}}' '{"limits": {"wall": 5}}' '[]'; do
	api /v1/keys -d "{\"owner\": \"page\", \"allow\": $bad}"
	is "$status" 400 "an allow-list that means nothing is refused: $bad"
done
stop_daemon
start_daemon
refused 'another language, after a restart,' 403 runtime '"runtime": "python"'

# ---- until when ----
key_with '"expires_s": 4'
short=$made
like "$body" '"expires_at": ?"20' 'a key with an end says when'
as "$short" /v1/run -d '{"runtime": "bash", "source": "echo hi"}'
is "$status" 200 'until then it is a key'
as "$short" /v1/jobs -d '{"runtime": "bash", "source": "sleep 30", "limits": {"wall_ms": 40000}}'
job=$(get id)
curl -sN --max-time 30 -H "Authorization: Bearer $short" "$url/v1/jobs/$job/events" >"$dir/stream" &
stream=$!
background+=("$stream")
has_expired()
{
	as "$short" /v1/runtimes
	[ "$status" = 401 ]
}
within 10 has_expired
like "$(get error.message)" 'expired' 'then it is none, and says so'
is_over()
{
	! kill -0 "$stream" 2>/dev/null
}
within 10 is_over
ok $? 'and its streams end'
api /v1/jobs/"$job" -X DELETE
api /v1/keys -d '{"owner": "page", "expires_s": 0}'
is "$status $(get error.field)" '400 expires_s' 'a key that ends before it begins is refused'

# ---- what a key may not name, its compiler has not either ----
program='{"runtime": "c", "policy": "strict", "source": "#include <stdio.h>\nint main(void) { puts(\"made\"); }"}'
api /v1/keys -d '{"owner": "strict", "allow": {"policies": ["strict"]}}'
bound=$(get key)
api /v1/keys -d '{"owner": "free"}'
free=$(get key)
as "$free" /v1/run -d "$program"
is "$(get status) $(get stdout)" 'ok made' 'a strict program is compiled under the default policy'
as "$bound" /v1/run -d "$program"
is "$status $(get stdout)" '200 ' '... but not for a key that may use strict alone'
unlike "$(get status)" '^ok$' '... and that is said'
as "$bound" /v1/jobs -d "$program"
job=$(get id)
waiting_is_over()
{
	as "$bound" "/v1/jobs/$job"
	[[ $(get state) == @(done|dead) ]]
}
within 30 waiting_is_over
unlike "$(get status)" '^ok$' '... nor when it was stored between'
as "$bound" /v1/run -d "${program/\"policy\"/\"one_policy\": false, \"policy\"}"
is "$status" 400 '... and nobody can say otherwise'

# ---- tickets ----
as "$page" /v1/jobs -d '{"runtime": "bash", "source": "echo streamed"}'
job=$(get id)
as "$page" "/v1/jobs/$job/ticket" -X POST
ticket=$(get ticket)
is "$status ${#ticket}" '201 43' 'a ticket for the streams of a job'
streams() # PATH
{
	curl -sN --max-time 20 -H 'Origin: https://page.example' "$url$1"
}
like "$(streams "/v1/jobs/$job/events?ticket=$ticket")" 'streamed' 'it opens them without a header'
like "$(streams "/v1/jobs/$job/events?ticket=$ticket")" 'streamed' '... as often as the connection breaks'
is "$(curl -s -o /dev/null -D - --max-time 20 -H 'Origin: https://page.example' "$url/v1/jobs/$job/events?ticket=$ticket" |
	grep -ci '^access-control-allow-origin: https://page.example')" 1 '... and a page of a listed origin may read it'
cat >"$dir/ws.py" <<'P'
import base64, os, socket, sys
host, path, origin = sys.argv[1:]
name, port = host.split(":")
s = socket.create_connection((name, int(port)), 10)
s.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n").encode())
data = b""
try:
    while more := s.recv(65536):
        data += more
        if b"streamed" in data:
            break
except OSError:
    pass
print(data.split(b" ")[1].decode(), b"streamed" in data)
P
ws()
{
	python3 "$dir/ws.py" "${url#http://}" "$1" "${2:-https://page.example}"
}
is "$(ws "/v1/jobs/$job/stream?ticket=$ticket")" '101 True' 'a WebSocket too'
is "$(ws "/v1/jobs/$job/stream?ticket=$ticket" https://other.example)" '403 False' '... not of a page that is not listed'
is "$(ws "/api/ws?job_id=$job&ticket=$ticket")" '101 True' '... at the doors of others as well'
ask "/v1/jobs/$job?ticket=$ticket"
is "$status" 401 'it opens nothing but streams'
ask /v1/run?ticket="$ticket" -d '{"runtime": "bash", "source": "echo hi"}'
is "$status" 401 '... and runs nothing'
as "$page" /v1/jobs -d '{"runtime": "bash", "source": "echo another"}'
other=$(get id)
ask "/v1/jobs/$other/events?ticket=$ticket"
is "$status" 401 'nor those of another job'
for path in "/stream?id=$job&jobId=$other" "/api/ws?id=$job&job_id=$other" "/api/ws?jobId=$job&job_id=$other" \
	"/stream/$other?id=$job" "/v1/jobs/$other/stream?jobId=$job"; do
	is "$(ws "$path&ticket=$ticket")" '401 False' "nor by another name for it: ${path%%[?]*}"
done
ask "/v1/jobs/$job/events?ticket=${ticket:0:42}x"
is "$status" 401 'a ticket that nobody made opens nothing'
key_with '"note": "of another owner"'
api /v1/keys -d '{"owner": "other"}'
foreign=$(get key)
as "$foreign" "/v1/jobs/$job/ticket" -X POST
ask "/v1/jobs/$job/events?ticket=$(get ticket)"
is "$status" 404 'one that another owner made does not open a job that is not theirs'
key_with '"note": "to be deleted"'
as "$made" "/v1/jobs/$job/ticket" -X POST
gone=$(get ticket)
api "/v1/keys/$made_id" -X DELETE
ask "/v1/jobs/$job/events?ticket=$gone"
is "$status" 401 'a ticket ends with its key'
! grep -q "$ticket" "$daemon_log"
ok $? 'no ticket is in the log'
stop_daemon
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
