#!/bin/bash
# Redis that is not there, dies, refuses, is full or slow: what needs no Redis is served all the time, /readyz says in words
# what is wrong, and when it is over every job that Redis had accepted has its one result.
# timeout: 600
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/redis.sh
. "$(dirname "$0")/../lib/redis.sh"
need_images bash
redis_password=outage-s3cr3t redis_port=$(free_port)
redis_options=(--requirepass "$redis_password")

# Between daemon and Redis; $dir/proxy.mode says what it does to each piece of data, both ways: a delay in seconds, or
# "stall": nothing goes through, and no connection breaks.
cat >"$dir/proxy.py" <<'END'
import asyncio, sys
port, target, mode_file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def mode():
    with open(mode_file) as file:
        return file.read().strip()

async def send(queue, writer):
    try:
        while item := await queue.get():
            due, data = item
            while mode() == "stall" or asyncio.get_running_loop().time() < due:
                await asyncio.sleep(0.01)
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def copy(reader, writer):
    queue = asyncio.Queue()
    sender = asyncio.create_task(send(queue, writer))
    try:
        while data := await reader.read(65536):
            delay = 0 if mode() == "stall" else float(mode())
            queue.put_nowait((asyncio.get_running_loop().time() + delay, data))
    except OSError:
        pass
    queue.put_nowait(None)
    await sender

async def serve(reader, writer):
    try:
        other = await asyncio.open_connection("127.0.0.1", target)
    except OSError:
        writer.close()
        return
    await asyncio.gather(copy(reader, other[1]), copy(other[0], writer))

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()
asyncio.run(main())
END
proxy_mode() # MODE
{
	echo "$1" >"$dir/proxy.mode.new"
	mv "$dir/proxy.mode.new" "$dir/proxy.mode"
}
proxy_mode 0
proxy_port=$(free_port)
python3 "$dir/proxy.py" "$proxy_port" "$redis_port" "$dir/proxy.mode" 2>"$dir/proxy.err" &
background+=("$!")

# A client of the direct door, all through the test; what it saw since the last look is in $dir/runs.
cat >"$dir/runs.py" <<'END'
import http.client, json, os, socket, sys, time
path, folder = sys.argv[1:]

class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20 * int(os.environ.get("TEST_PATIENCE", "1")))
        self.sock.connect(path)

n = 0
while not os.path.exists(folder + "/stop"):
    n += 1
    start = time.monotonic()
    try:
        c = Connection("cubit")
        c.request("POST", "/v1/run", json.dumps({"runtime": "bash", "source": f"echo {n}"}))
        answer = c.getresponse()
        text = answer.read()
        good = answer.status == 200 and json.loads(text)["stdout"] == f"{n}\n"
        c.close()
    except (OSError, http.client.HTTPException) as e:
        good, text = False, repr(e)
    with open(folder + "/runs", "a") as file:
        file.write(f"{'good' if good else 'bad'} {(time.monotonic() - start) * 1000:.0f} {'' if good else text}\n")
    time.sleep(0.25)
END
served() # TITLE: since the last call, every run was
{
	local bad slowest
	mv "$dir/runs" "$dir/runs.now" 2>/dev/null || : >"$dir/runs.now"
	bad=$(grep -v '^good' "$dir/runs.now")
	[ -z "$bad" ] && [ -s "$dir/runs.now" ]
	ok $? "POST /v1/run is served $1" || diag "$(head -n 3 <<<"$bad")"
	slowest=$(awk '$2 > most { most = $2 } END { print most + 0 }' "$dir/runs.now")
	[ "$slowest" -lt $((15000 * ${TEST_PATIENCE:-1})) ] # what runs beside it on a busy machine may take a slot for some seconds
	ok $? "and none of them waits for Redis"
	diag "$(wc -l <"$dir/runs.now") runs, the slowest $slowest ms"
}

ready_says() # REGEX
{
	node_api n /readyz
	[[ $body =~ $1 ]]
}

load() # NAME COUNT: jobs that go on through what comes next; judged by `all_there`
{
	local patience=$((120 * ${TEST_PATIENCE:-1}))
	"$producer" stream --url "$redis_url" --ids "$1" --count "$2" --rate 20 --mix ok=3,slow=1 --patience "$patience" \
		--verify "$patience" >"$dir/$1.out" 2>&1 &
	load_pid=$! load_name=$1
	background+=("$load_pid")
}

all_there() # TITLE
{
	wait "$load_pid"
	ok $? "$1: every job has its one result" || diag "$(head -n 10 "$dir/$load_name.out")"
	forget "$load_pid"
	diag "$(tail -n 1 "$dir/$load_name.out")"
}
redis_url=unix://:$redis_password@localhost$redis_socket

# ---- not there ----
export REDIS_URL=redis://:$redis_password@127.0.0.1:$proxy_port CUBIT_LEASE=5s CUBIT_ATTEMPTS=30 CUBIT_RATE=0
start_node n
is_alive()
{
	[ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 5 --unix-socket "$(node_sock n)" http://cubit/healthz)" = 200 ]
}
within 20 is_alive
ok $? 'a node starts without Redis' || diag "$(tail -n 20 "$dir/n/log")"
python3 "$dir/runs.py" "$(node_sock n)" "$dir" 2>"$dir/runs.err" &
background+=("$!")
within 40 ready_says '[Rr]edis'
ok $? '/readyz says in words that Redis is not there' || diag "$body"
diag "/readyz: $status $body"
sleep 2
served 'without Redis'
node_api n /v1/jobs -d '{"runtime":"bash","source":"echo queued"}'
is "$status" 202 'and jobs are queued by the embedded queue'
node_api n /v1/jobs/order-18
is "$status" 503 'of a job that only Redis may know, nobody can say that it is not there'
like "$body" "'order-18' is not known here, but redis-[a-z]+ cannot be asked" '... and the answer says who cannot be asked'
start_redis
within 40 is_ready n
ok $? 'when Redis comes it is ready' || diag "$(curl -s --unix-socket "$(node_sock n)" http://cubit/readyz)"
node_api n /v1/jobs/order-18
is "$status" 404 '... and the same job is known not to be there'
load first 10
all_there 'after a late start'

# ---- killed ----
load killed 80
sleep 1
kill_redis
within 40 ready_says '[Rr]edis'
ok $? 'killed: /readyz says so' || diag "$body"
diag "/readyz: $status $body"
sleep 2
start_redis
sleep 2
kill_redis
start_redis
all_there 'killed in the middle of jobs, twice'
served 'while Redis is killed'
within 40 is_ready n
ok $? 'and it is ready again'

# ---- another password ----
load password 40
sleep 0.5
right=$redis_password
rcli CONFIG SET requirepass another-s3cr3t >/dev/null
redis_password=another-s3cr3t
rcli CLIENT KILL TYPE pubsub >/dev/null
rcli CLIENT KILL TYPE normal >/dev/null
within 40 ready_says '([Pp]assword|[Aa]uth|AUTH|WRONGPASS)'
ok $? 'another password: /readyz says so' || diag "$body"
diag "/readyz: $status $body"
sleep 1
rcli CONFIG SET requirepass "$right" >/dev/null
redis_password=$right
all_there 'another password for a while'
served 'while the password is wrong'

# ---- a replica ----
load replica 40
sleep 0.5
rcli REPLICAOF 127.0.0.1 1 >/dev/null
sleep 4
within 40 ready_says '(READONLY|[Rr]ead.only|replica|[Rr]edis)'
ok $? 'a replica: /readyz says so' || diag "$body"
diag "/readyz: $status $body"
rcli REPLICAOF NO ONE >/dev/null
all_there 'a replica for a while'
served 'while Redis is a replica'

# ---- no memory ----
load memory 40
sleep 0.5
rcli CONFIG SET maxmemory 1 >/dev/null
sleep 4
within 40 ready_says '(OOM|[Mm]emory|[Rr]edis)'
ok $? 'no memory: /readyz says so' || diag "$body"
diag "/readyz: $status $body"
rcli CONFIG SET maxmemory 0 >/dev/null
all_there 'no memory for a while'
served 'while Redis has no memory'

# ---- slow ----
proxy_mode 0.3
load slow 20
all_there 'slow by 300 ms each way'
served 'while Redis is slow'
load stalled 20
sleep 0.5
proxy_mode stall
within 30 ready_says '[Rr]edis'
ok $? 'silent: /readyz says so' || diag "$body"
diag "/readyz: $status $body"
proxy_mode 0
all_there 'silent for a while'
served 'while Redis is silent'
within 40 is_ready n
ok $? 'in the end it is ready'

touch "$dir/stop"
is "$(rcli XPENDING cubit:jobs cubit:workers | head -n 1)" 0 'nothing is pending'
is "$(rcli XLEN cubit:dead)" 0 'nothing is a dead letter'
is "$(grep -c 's3cr3t' "$dir/n/log")" 0 'no password is in the log'
is "$(grep -c 'Sanitizer\|assert' "$dir/n/log")" 0 'and nobody died of anything'
diag "log lines: $(wc -l <"$dir/n/log")"
stop_node n
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
