#!/bin/bash
# Guests: who comes without a key runs nothing, unless CUBIT_GUESTS names a key; then each address has the rights of that
# key and quotas of its own.
# timeout: 120
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash python
# every guest is one behind a proxy, whose word is believed
export CUBIT_TRUSTED_PROXIES=127.0.0.1 CUBIT_JOBS=4
start_daemon

as() # ADDRESS PATH OPTION... -> $status $body
{
	body=$(curl -sS --max-time 30 -w '\n%{http_code}' -H "X-Forwarded-For: $1" "$url$2" "${@:3}" 2>"$dir/curl.err")
	status=${body##*$'\n'} body=${body%$'\n'*}
}
run='{"runtime": "bash", "source": "echo hi"}'

# ---- nobody, unless the operator says so ----
for path in /v1/run /v1/jobs; do
	as 192.0.2.1 $path -d "$run"
	is "$status $(get error.code)" '401 unauthorized' "$path without a key is 401"
done
api /v1/keys -d '{"owner": "visitors", "scopes": ["run", "images"], "quota": {"jobs": 2, "rate_per_s": 2, "rate_burst": 20}, "note": "guests"}'
is "$status" 201 'a key for guests'
guests=$(get id) guest_key=$(get key)
as 192.0.2.1 /v1/run -d "$run"
is "$status" 401 '... that no setting names lets nobody in'
api /v1/keys -d '{"owner": "guest-192.0.2.1"}'
is "$status $(get error.field)" '400 owner' 'no key has the owner of a guest'
api /v1/keys -d '{"owner": "visitors", "allow": {"runtimes": ["bash"], "limits": {"memory": 67108864}}, "quota": {"jobs": 2, "rate_per_s": 2, "rate_burst": 20}}'
is "$status" 201 'a key with an allow-list'
narrow=$(get id)
stop_daemon

# ---- each guest has its own share ----
CUBIT_GUESTS=$guests start_daemon
as 192.0.2.1 /v1/run -d "$run"
is "$status $(get stdout)" '200 hi' 'a guest runs a program'
for ((i = 0; i < 2; i++)); do
	as 192.0.2.1 /v1/jobs -d '{"runtime": "bash", "source": "sleep 20", "limits": {"wall_ms": 30000}}'
	is "$status" 202 'one takes all it may'
done
taken=$(get id)
as 192.0.2.1 /v1/jobs -d "$run"
is "$status $(get error.code)" '429 quota_exceeded' '... and no more'
as 198.51.100.7 /v1/run -d "$run"
is "$status $(get stdout)" '200 hi' 'another one runs all the same'
as 2001:db8:1:2::7 /v1/run -d "$run"
is "$status $(get stdout)" '200 hi' 'one with IPv6 too'
as 2001:db8:1:2:3::9 /v1/usage
is "$(get owner) $(get jobs)" 'guest-2001-db8-1-2-- 1' '... whose /64 is one guest'
as 198.51.100.7 "/v1/jobs/$taken"
is "$status" 404 'one does not see the jobs of another'
as 198.51.100.7 "/v1/jobs/$taken" -X DELETE
is "$status" 404 '... nor ends them'
as 192.0.2.1 /v1/jobs
is "$status $(get jobs.0.owner)" '200 guest-192.0.2.1' 'but its own'
as 192.0.2.1 "/v1/jobs/$taken" -X DELETE
is "$status" 202 '... which it can end'
as 192.0.2.1 /v1/usage
is "$(get owner) $(get quota.jobs)" 'guest-192.0.2.1 2' 'what it used is its own'
as 203.0.113.5 '/v1/usage?n=[1-40]' # by one client: 40 take so long to start that the bucket fills again
is "$status" 429 'the rate is that of the key'
like "$body" '"rate_limited"' '... by its name'
as 203.0.113.6 /v1/usage
is "$status" 200 '... for each of them'

# ---- and nothing else ----
while read -r method path; do
	as 198.51.100.8 "$path" -X "$method"
	is "$status" 401 "$method $path is not for guests" || diag "$body"
done <<-END
	GET /v1/keys
	GET /v1/nodes
	GET /v1/pool
	GET /v1/audit
END
as 198.51.100.8 /v1/login -X POST
is "$status" 403 'a guest makes no session'
as 198.51.100.8 "/v1/jobs/$taken/ticket" -X POST
is "$status" 403 '... and no ticket'
as 198.51.100.8 /v1/run -H 'Authorization: Bearer cubit_wrong' -d "$run"
is "$status" 401 'a wrong key is wrong'
as 198.51.100.8 /v1/run -H 'Origin: https://evil.example' -d "$run"
is "$status $(get error.code)" '403 cross_origin' 'a page of another origin is no guest'
as 198.51.100.8 /v1/run -H "Authorization: Bearer $guest_key" -d "$run"
is "$status" 200 'the key itself is a key'
body=$(setpriv --reuid 64700 --clear-groups curl -s -o /dev/null -w '%{http_code}' --unix-socket "$sock" http://cubit/v1/run -d "$run")
[ "$body" != 200 ]
ok $? 'an account of this machine is no guest on the socket'
api '/v1/audit?owner=guest-192.0.2.1'
like "$body" '"job.submit"' 'the audit log has what a guest did'
is "$(get audit.1.key_id)" "$guests" '... and by which key' || diag "$body"
api "/v1/keys/$guests" -X DELETE
as 198.51.100.7 /v1/run -d "$run"
is "$status" 401 'without the key nobody is a guest'
stop_daemon

# ---- what the key allows ----
CUBIT_GUESTS=$narrow start_daemon
as 192.0.2.1 /v1/run -d "$run"
is "$status $(get stdout)" '200 hi' 'with an allow-list a guest runs what is on it'
as 192.0.2.1 /v1/run -d '{"runtime": "python", "source": "print(1)"}'
is "$status $(get error.field)" '403 runtime' '... and nothing else'
as 192.0.2.1 /v1/run -d '{"runtime": "bash", "source": "echo hi", "limits": {"memory": "128M"}}'
is "$status $(get error.field)" '400 limits.memory' '... with no more'
stop_daemon
CUBIT_GUESTS=k0 start_daemon
as 192.0.2.1 /v1/run -d "$run"
is "$status" 401 'a key that is not there lets nobody in'
is "$(grep -c 'CUBIT_GUESTS names no key' "$daemon_log")" 1 '... and the log says so'
stop_daemon
is "$status" 0 'SIGTERM ends it well'
nothing_left 'nothing of it is left'
done_testing
