#!/bin/bash
# Whatever is pushed that cannot be run ends in cubit:dead with its exact bytes and a sentence, at once, through the list and
# through the stream; the next good job is not kept waiting.
# timeout: 180
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"
need_images bash
start_redis
export REDIS_URL=$redis_tcp CUBIT_MAX_BODY=256K
start_daemon
is_dead() # ID
{
	[ "$(rcli HGET "cubit:job:$1" state)" = dead ]
}

# For each kind: push it, then a good job; both must be done within 10 s. One line each: STATUS TITLE.
cat >"$dir/malformed.py" <<'END'
import json, sys, time
from importlib.machinery import SourceFileLoader
p = SourceFileLoader("producer", sys.argv[1]).load_module()
r = p.Redis(sys.argv[2])
r.connect()

def ask(*words):
    reply = r.exchange([words])[0]
    if isinstance(reply, Exception):
        raise reply
    return reply

def request(mode, **more):
    base = {"id": f"{mode}-bad", "user_id": "u", "name": "n", "cube_type": "bash", "source": "echo never"} \
        if mode == "list" else {"id": f"{mode}-bad", "runtime": "bash", "source": "echo never"}
    base.update(more)
    return json.dumps({k: v for k, v in base.items() if v is not ...}).encode()

def language(mode, value):
    return request(mode, **{"cube_type" if mode == "list" else "runtime": value})

KINDS = [
    ("nothing", lambda m: b""),
    ("blanks", lambda m: b" \t\r\n "),
    ("text", lambda m: b"hello world"),
    ("bytes", lambda m: bytes(range(256))),
    ("a zero byte behind a good request", lambda m: request(m, id="zero") + b"\0"),
    ("JSON that is cut", lambda m: request(m)[:-9]),
    ("two documents", lambda m: request(m) + request(m)),
    ("an array", lambda m: b"[" + request(m) + b"]"),
    ("a string", lambda m: b'"execution"'),
    ("a number", lambda m: b"42"),
    ("null", lambda m: b"null"),
    ("an empty object", lambda m: b"{}"),
    ("bytes that are no UTF-8 in the source", lambda m: request(m, source="XX").replace(b"XX", b"\xff\xfe")),
    ("half a surrogate pair", lambda m: request(m, source="XX").replace(b"XX", b"\\ud800")),
    ("a hundred thousand brackets", lambda m: b"[" * 100000),
    ("an id with a slash", lambda m: request(m, id="../../etc/passwd")),
    ("an id of 65 letters", lambda m: request(m, id="i" * 65)),
    ("an id that is a number", lambda m: request(m, id=7)),
    ("an id with a line break", lambda m: request(m, id="a\nb")),
    ("no language", lambda m: language(m, ...)),
    ("a language that nobody has", lambda m: language(m, "no-such-language")),
    ("a language that is a number", lambda m: language(m, 7)),
    ("a source that is a list", lambda m: request(m, source=["echo"])),
    ("more than a request may have", lambda m: request(m, source="#" * 300000)),
]
STREAM_ONLY = [
    ("a limit above the ceiling", lambda m: request(m, limits={"memory": "100G"})),
    ("two names that say different things", lambda m: request(m, language="python")),
    ("a file outside", lambda m: request(m, source=..., files=[{"path": "../x", "content": ""}])),
    ("a policy that nobody knows", lambda m: request(m, policy="no-such-policy")),
]

n = 0
for mode in "list", "stream":
    push = ("LPUSH", "execution") if mode == "list" else ("XADD", "cubit:jobs", "*", "job")
    for title, make in KINDS + (STREAM_ONLY if mode == "stream" else []):
        n += 1
        bad, good = make(mode), request(mode, id=f"good-{n}", source=f"echo {n}")
        last = ask("XREVRANGE", "cubit:dead", "+", "-", "COUNT", 1)
        since = b"(" + last[0][0] if last else b"-"
        ask(*push, bad), ask(*push, good)
        end, letters, result = time.monotonic() + 10, [], None
        while time.monotonic() < end and not (letters and result):
            letters = [dict(zip(v[::2], v[1::2])) for _, v in ask("XRANGE", "cubit:dead", since, "+")]
            result = ask("HGET", f"cubit:result:good-{n}", "stdout")
            time.sleep(0.005)
        problems = []
        if len(letters) != 1:
            problems.append(f"{len(letters)} dead letters")
        elif letters[0].get(b"payload") != bad:
            problems.append(f"its bytes became {letters[0].get(b'payload')!r:.200}")
        reason = letters[0].get(b"reason", b"").decode(errors="replace") if letters else ""
        if letters and not (len(reason) >= 10 and " " in reason and reason.isprintable()):
            problems.append(f"the reason is no sentence: {reason!r}")
        if result != b"%d\n" % n:
            problems.append(f"the good job behind it: {result!r}")
        print("1" if problems else "0", f"{mode}: {title}: {reason or 'nothing'}".replace("\n", " ")[:200])
        for problem in problems:
            print("#", problem.replace("\n", " "))
# an entry that has no field `job` at all
ask("XADD", "cubit:jobs", "*", "other", "x")
ask("XADD", "cubit:jobs", "*", "job", request("stream", id="good-0", source="echo 0"))
end = time.monotonic() + 10
while time.monotonic() < end and not ask("HGET", "cubit:result:good-0", "stdout"):
    time.sleep(0.01)
letter = ask("XREVRANGE", "cubit:dead", "+", "-", "COUNT", 1)[0][1]
is_there = ask("HGET", "cubit:result:good-0", "stdout") == b"0\n" and b"job" in dict(zip(letter[::2], letter[1::2]))[b"reason"]
print("0" if is_there else "1", "stream: an entry without the field:", dict(zip(letter[::2], letter[1::2])))
left = ask("LLEN", "execution"), ask("XPENDING", "cubit:jobs", "cubit:workers")[0], len(ask("KEYS", "cubit:result:*bad*"))
print("0" if left == (0, 0, 0) else "1", "nothing is left in the list, nothing is pending, nothing of them has a result", left)
END
timeout 150 python3 -B "$dir/malformed.py" "$producer" "$redis_url" >"$dir/out" 2>"$dir/err"
ok $? 'all kinds were tried' || diag "$(tail -n 5 "$dir/err")"
while read -r what title; do
	case $what in
	'#') diag "$title" ;;
	*) ok "$what" "$title" ;;
	esac
done <"$dir/out"

# ---- what can be done about them ----
api '/v1/dead?source=redis'
like "$body" 'list-bad' 'GET /v1/dead?source=redis lists them'
is "$(get jobs.0.reason)" "the entry has no field 'job'" 'with their reasons, the newest first'
api '/v1/dead?limit=3'
is "$(get jobs.0.reason) $(get next | cut -d: -f1)" "the entry has no field 'job' 1" 'the list of all has them too, page by page'
letter=$(get jobs.0.id)
CUBIT_URL=unix:$sock "$CUBIT_BUILD/bin/cubit" dead ls >"$dir/out" 2>&1
like "$(cat "$dir/out")" "list-bad.*no field 'job'|no field 'job'.*list-bad" 'and so has cubit dead'
api /v1/keys -d '{"owner": "eve", "scopes": ["run"]}'
eve=$(get key)
is "$(curl -s -H "Authorization: Bearer $eve" "$url/v1/dead" | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["jobs"]))')" 0 \
	'they are for administrators'
is "$(curl -s -o /dev/null -w '%{http_code}' -X DELETE -H "Authorization: Bearer $eve" "$url/v1/dead/$letter")" 404 '... each of them'
is "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $eve" "$url/v1/dead?source=redis")" 403 '... in words'
api '/v1/dead?source=nobody'
is "$status $(get error.field)" '400 source' 'a source that is none is refused'
api '/v1/dead?cursor=7'
is "$status $(get error.field)" '400 cursor' 'and so is a cursor that is none'
api '/v1/jobs?source=redis&state=done&limit=2'
is "$status $(get jobs.0.state) $(get jobs.0.owner)" '200 done redis' 'the list of jobs has those of Redis'
first=$(get jobs.0.id) next=$(get next)
api "/v1/jobs?source=redis&state=done&limit=2&cursor=$next"
ok "$([ "$(get jobs.0.id)" != "$first" ] && [ "$(get jobs.0.state)" = 'done' ]; echo $?)" 'page by page'
rcli XADD cubit:jobs '*' job '{"id":"again","runtime":"bash","source":"echo again","limits":{"memory":"100G"}}' >/dev/null
within 10 is_dead again
api '/v1/dead/again/replay' -X POST
is "$status" 202 'one can be run again'
within 10 is_dead again
is "$(rcli --raw XRANGE cubit:dead - + | grep -cx again)" 1 'and is a dead letter again'
api '/v1/dead/again?source=redis' -X DELETE
is "$status $(rcli --raw XRANGE cubit:dead - + | grep -cx again)" '204 0' 'or forgotten'
api '/v1/dead/good-0/replay?source=redis' -X POST
is "$status" 404 'what is none is not run again'
is "$(grep -c 'Sanitizer\|assert' "$daemon_log")" 0 'and nobody died of anything'
stop_daemon
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
