#!/bin/bash
# SIGTERM, full disks, reloads: what runs is finished or given back, what was accepted is kept.
# timeout: 300
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash
state_of() # JOB -> $body, $(get state)
{
	for _ in {1..600}; do
		api "/v1/jobs/$1"
		[[ $(get state) =~ waiting|running ]] || return 0
		sleep 0.1
	done
}
submit() # SOURCE [FIELDS] -> $job
{
	api /v1/jobs -d "{\"runtime\":\"bash\",\"source\":\"$1\",\"limits\":{\"wall_ms\":60000}${2:-}}"
	job=$(get id)
}

# ---- drain ----

CUBIT_JOBS=2 CUBIT_DRAIN=10s start_daemon
submit 'sleep 2; echo finished'
running=$job
submit 'echo later' ',"delay_ms":3000'
waiting=$job
sleep 0.5
stop_daemon
is "$status" 0 'SIGTERM waits for what runs'
start_daemon
state_of "$running"
is "$(get status) $(get stdout) $(get attempt)" 'ok finished 1' 'it was finished, in its first attempt'
state_of "$waiting"
is "$(get status) $(get stdout)" 'ok later' 'what waited is run by the next one'
stop_daemon

CUBIT_DRAIN=500ms start_daemon
submit 'sleep 3; echo again'
long=$job
sleep 0.5
stop_daemon
is "$status" 0 'what takes too long is given back'
start_daemon
state_of "$long"
is "$(get status) $(get stdout) $(get attempt)" 'ok again 2' 'and run again'

# ---- reload ----

mkdir -p "$dir/runtimes"
stop_daemon
export CUBIT_RUNTIMES=$dir/runtimes
start_daemon
sed 's/"name": "bash"/"name": "myshell"/; s/"aliases": \[[^]]*\]/"aliases": []/' images/runtimes/bash.json >"$dir/runtimes/myshell.json"
api /v1/run -d '{"runtime":"myshell","source":"echo hi"}'
is "$status" 400 'a language that is not known yet'
kill -HUP "$daemon"
for _ in {1..300}; do
	api /v1/run -d '{"runtime":"myshell","source":"echo hi"}'
	[ "$status" = 200 ] && break
	sleep 0.1
done
is "$(get stdout)" hi 'SIGHUP reads definitions again'
echo '{"name": "broken"' >"$dir/runtimes/broken.json"
kill -HUP "$daemon"
sleep 0.5
api /v1/runtimes
like "$(get problems.0)" 'broken.json' 'a bad one is named, and takes nothing else down'
stop_daemon

# ---- a full disk ----

mkdir -p "$dir/state/front"
mount -t tmpfs -o size=3m,mode=0700 full "$dir/state/front"
rm -rf "$dir/state/front"/* 2>/dev/null
start_daemon
submit 'echo kept'
kept=$job
head -c 4M /dev/zero >"$dir/state/front/ballast" 2>/dev/null
refused=0
for i in {1..600}; do
	api /v1/jobs -d "{\"runtime\":\"bash\",\"source\":\"echo $i $(head -c 20000 /dev/zero | tr '\0' x)\",\"delay_ms\":60000}"
	[ "$status" = 507 ] && { refused=1 && break; }
done
is "$refused" 1 'a full disk refuses jobs with 507'
api /readyz
is "$status" 503 'it is not ready'
like "$(get reasons)" 'disk' 'and says why'
api /v1/run -d '{"runtime":"bash","source":"echo still"}'
is "$(get stdout)" still 'what needs no disk goes on'
rm -f "$dir/state/front/ballast"
for _ in {1..300}; do
	api /readyz
	[ "$status" = 200 ] && break
	sleep 0.2
done
is "$status" 200 'with room again it is ready'
submit 'echo after'
state_of "$job"
is "$(get stdout)" after 'and takes jobs'
state_of "$kept"
is "$(get stdout)" kept 'what was accepted before is there'
stop_daemon
umount "$dir/state/front"
nothing_left 'nothing of it is left'
done_testing
