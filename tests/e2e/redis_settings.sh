#!/bin/bash
# What is wrong in the settings of Redis is said once, by the monitor, with the name of the setting: it ends with status 2,
# which systemd does not restart, and no front was started. What is right but not there is waited for.
#
# timeout: 200
# NEED: root
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"

mkdir -p "$dir/state" "$dir/run"
daemon_says() # SETTING=VALUE... -> $status, $dir/said
{
	env CUBIT_STATE="$dir/state" CUBIT_RUN="$dir/run" CUBIT_LISTEN=127.0.0.1:0 CUBIT_USER=64642 CUBIT_ID_BASE="$id_base" \
		"$@" timeout -s KILL 20 "$CUBIT_BUILD/bin/cubitd" >"$dir/said" 2>&1 </dev/null
	status=$?
}

good=REDIS_URL=redis://127.0.0.1:1
while IFS='|' read -r setting value; do
	words=("$good" "$setting=$value")
	[ "$setting" != REDIS_URL ] || words=("$setting=$value")
	[ "$setting" != CUBIT_REDIS_CA ] || words=("REDIS_URL=rediss://127.0.0.1:1" "$setting=$value")
	daemon_says "${words[@]}"
	is "$status" 2 "$setting=$value: status 2"
	is "$(grep -c . "$dir/said") $(grep -c "$setting" "$dir/said")" '1 1' '... in one line, which names the setting' ||
		diag "$(head -n 8 "$dir/said")"
done <<'END'
REDIS_URL|http://127.0.0.1
REDIS_URL|127.0.0.1:6379
REDIS_URL|redis://
REDIS_URL|redis://h:99999
REDIS_URL|redis://h/x
REDIS_URL|unix://relative
CUBIT_REDIS_STREAMS|jobs
CUBIT_REDIS_STREAMS|jobs/group
CUBIT_REDIS_STREAMS|a/g/f a/g/f
CUBIT_REDIS_STREAMS|a/g/f b/g/f c/g/f d/g/f e/g/f
CUBIT_REDIS_CA|/nowhere/ca.pem
END
daemon_says 'REDIS_URL=redis://user:secret@h:99999'
unlike "$(cat "$dir/said")" secret 'a password in it is not said'

wait_ready() # it never is: that it answers is enough
{
	within 20 eval '[ "$(curl -s -o /dev/null -w "%{http_code}" --unix-socket "$sock" http://cubit/readyz)" = 503 ]'
}
need_images bash
REDIS_URL=redis://127.0.0.1:1 start_daemon
api /readyz
like "$body" 'Redis cannot be reached|the database' 'a server that is not there is waited for'
stop_daemon
done_testing
