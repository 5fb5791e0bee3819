#!/bin/bash
# Policies of an operator on a running node: read at the start and at SIGHUP, wrong ones told of and never in the place of
# good ones, none of the names that are built in, listed for whom they are, and no call of ours behind them.
# timeout: 200
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash python
cubit=$CUBIT_BUILD/bin/cubit
mkdir "$dir/policies"
export CUBIT_POLICIES=$dir/policies

write() # NAME TEXT
{
	echo "$2" >"$dir/policies/$1.json"
}
allow_but() # NAME NAMES ACTION: everything but these
{
	write "$1" "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[$2],\"action\":$3}]}"
}
run_as() # POLICY [RUNTIME SOURCE]
{
	api /v1/run -d "{\"runtime\":\"${2:-bash}\",\"source\":\"${3:-echo hi}\",\"policy\":\"$1\"}"
}
seen() # POLICY FIELD... -> their values
{
	local field said=''
	api "/v1/policies/$1"
	shift
	for field; do
		said+="$(get "$field") "
	done
	echo "${said% }"
}
state_of() # POLICY
{
	seen "$1" state
}
reload()
{
	kill -HUP "$daemon"
}
state_is() # POLICY STATE
{
	[ "$(state_of "$1")" = "$2" ]
}

# shellcheck disable=SC2317
ready_again()
{
	api /readyz
	[ "$status" = 200 ]
}

# ---- what is there at the start ----

allow_but mine '"ptrace"' '"SCMP_ACT_ERRNO"'
write broken '{"defaultAction":"SCMP_ACT_ALLOW",'
write misspelt '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["opneat"],"action":"SCMP_ACT_KILL"}]}'
write strict '{"defaultAction":"SCMP_ACT_ALLOW"}'
start_daemon
run_as mine
is "$status $(get status) $(get policy)" '200 ok mine' 'one of the operator is used'
mine=$(get policy_digest)
is "$(seen mine state digest)" "good $mine" 'it is shown, with the digest that results have'
for name in broken misspelt strict; do
	run_as "$name"
	is "$status $(get error.code) $(get error.field)" '400 invalid_request policy' "$name: a request that names it is refused"
	is "$(state_of "$name")" refused '... it is listed as such'
done
run_as broken
like "$body" "'broken' cannot be used: broken.json: line [0-9]" 'bad JSON: with its line'
run_as misspelt
like "$body" "misspelt.json: syscalls\[0\].names\[0\]: 'opneat' is no system call" 'a call that no kernel has: with its place'
run_as strict
like "$body" 'CUBIT_POLICIES_REPLACE' 'the name of a built-in policy: with the setting that allows it'
api /v1/jobs -d '{"runtime":"bash","source":"echo","policy":"broken"}'
is "$status" 400 'a queued job is refused as well'
run_as nowhere
is "$status" 400 'one that is not there is refused'
api /readyz
is "$status" 200 'the node takes work'
like "$body" "policy 'broken': .*it cannot be used" '... and /readyz says what is wrong'

# ---- SIGHUP ----

write mine '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_FLY"}]}'
write broken '{"defaultAction":"SCMP_ACT_ALLOW"}'
write new '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}'
reload
within 10 state_is broken good
ok $? 'a file that was mended is taken at SIGHUP' || diag "$body"
is "$(seen mine state digest)" "kept $mine" 'one that was broken meanwhile is the old one still'
like "$(seen mine error)" "mine.json: syscalls\[0\].action: 'SCMP_ACT_FLY' is not an action" '... and says why'
for _ in 1 2 3; do
	run_as mine
	is "$status $(get status) $(get policy_digest)" "200 ok $mine" '... it is used as before'
done
api /readyz
like "$status $body" "^200 .*policy 'mine': .*the one read before is in use" '... and /readyz says so'
grep -q "keeping the one that was read before" "$daemon_log"
ok $? '... and the log'
run_as new
is "$status $(get status)" '200 ok' 'a new file is there'
rm "$dir/policies/new.json"
allow_but mine '"ptrace","kcmp"' '"SCMP_ACT_ERRNO"'
reload
within 10 state_is mine good
ok $? 'mended, it is the new one'
[ "$(seen mine digest)" != "$mine" ]
ok $? '... with another digest'
run_as mine
is "$status $(get status)" '200 ok' '... and is used'
run_as new
is "$status" 400 'a file that is gone is no policy any more'
write new '{'
cp "$dir/policies/mine.json" "$dir/policies/default.json"
reload
within 10 state_is new refused
is "$(state_of default)" kept 'a file default.json at SIGHUP does not replace what is built in'
run_as default
is "$status $(get status)" '200 ok' '... which goes on'
rm "$dir/policies/default.json"
pkill -KILL -P "$daemon" -f -- --front
within 20 ready_again
is "$(state_of new) $(state_of mine)" 'refused good' 'a new front knows the same'

# ---- who sees which ----

api /v1/keys -d '{"owner": "course", "scopes": ["run"], "allow": {"policies": ["default", "mine"]}, "note": ""}'
some=$(get key)
api /v1/keys -d '{"owner": "all", "scopes": ["run"], "note": ""}'
any=$(get key)
names() # KEY
{
	curl -s --max-time 10 -H "Authorization: Bearer $1" "$url/v1/policies" |
		python3 -c 'import json, sys; print(*sorted(p["name"] for p in json.load(sys.stdin)["policies"]))'
}
is "$(names "$some")" 'default mine' 'a key with a list sees what is on it'
is "$(names "$any")" 'broken build default mine misspelt net new strict' 'another all but those of administrators'
is "$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $some" "$url/v1/policies/net")" 404 \
	'what is not on the list is not shown either'
is "$(curl -s -o /dev/null -w '%{http_code}' "$url/v1/policies")" 401 'without a key there is no list'
api /v1/policies/mine
like "$body" '"profile":\{"defaultAction":"SCMP_ACT_ALLOW"' 'one is shown with its profile'
api /v1/policies/nowhere
is "$status $(get error.code)" '404 not_found' 'one that is not there is not found'

# ---- the command ----

like "$("$cubit" policy ls --url "unix:$sock")" 'mine +good' 'cubit policy ls'
"$cubit" policy show --url "unix:$sock" strict >"$dir/out" 2>&1
is $? 1 'cubit policy show of one that is refused fails'
like "$(cat "$dir/out")" 'CUBIT_POLICIES_REPLACE' '... in words'
"$cubit" policy show --url "unix:$sock" net >"$dir/net.json"
is $? 0 'cubit policy show'
"$cubit" policy check "$dir/net.json" default strict >"$dir/out"
is $? 0 'what it prints is a profile again'
"$cubit" policy check "$dir/policies/misspelt.json" >"$dir/out"
is $? 1 'cubit policy check refuses a call that no kernel has'
like "$(cat "$dir/out")" "syscalls\[0\].names\[0\]: 'opneat'" '... with its place'
echo '{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["mseal","read"],"action":"SCMP_ACT_ALLOW"}]}' >"$dir/none.json"
"$cubit" policy check "$dir/none.json" >"$dir/out"
is $? 0 'what is allowed and not meant is a warning'
like "$(cat "$dir/out")" 'refuses execve \(SCMP_ACT_KILL' '... that no program can start'
like "$("$cubit" policy check --json "$dir/none.json")" '"good": ?true' 'and as JSON'
"$cubit" policy check "$dir/nothing.json" >/dev/null 2>&1
is $? 1 'a file that is not there is not good'

# ---- nothing of ours behind a filter ----

n=0
for action in '"SCMP_ACT_ERRNO"' '"SCMP_ACT_KILL_PROCESS"' '"SCMP_ACT_TRAP"'; do
	for names in '"open","openat","openat2"' '"write","writev","pwrite64"' '"read","readv","pread64"' '"close","close_range"' \
		'"exit","exit_group"' '"execve"' '"prctl"' '"seccomp"' '"dup","dup2","dup3"' '"mmap"' '"chdir","getcwd"' \
		'"open","openat","read","write","close","exit","exit_group","execve","execveat"'; do
		n=$((n + 1))
		allow_but "hostile-$n" "$names" "$action"
	done
done
write hostile-0 '{"defaultAction":"SCMP_ACT_KILL_PROCESS","syscalls":[]}'
reload
within 10 state_is "hostile-$n" good
ok $? "$((n + 1)) policies that refuse what we might call" || diag "$body"
bad=''
for ((i = 0; i <= n; i++)); do
	for runtime in bash python; do
		run_as "hostile-$i" "$runtime" 'print(1)'
		[ "$status" = 200 ] || bad+="hostile-$i $runtime: $status $body; "
		[[ $(get status) =~ ^(ok|runtime_error|signaled|policy_violation)$ ]] || bad+="hostile-$i $runtime: $(get status) $(get reason); "
	done
done
is "$bad" '' 'under each a program of each kind has a verdict of its own'
run_as hostile-0
is "$(get status)" policy_violation 'where nothing may start,'
like "$(get reason)" '^the policy refuses execve' '... the reason says so'
api /v1/run -d '{"runtime":"bash","main":"main.sh","policy":"hostile-1","files":[{"path":"main.sh","content":":"},{"path":"in.txt","content":"x"}],"outputs":["in.txt"]}'
like "$status $(get status) $body" '^200 (ok|runtime_error|signaled|policy_violation) .*"in.txt"' \
	'files go in and come out where the program may open none'
api /readyz
is "$status" 200 'and the node is as able as before'
stop_daemon

# ---- may replace ----

write strict '{"defaultAction":"SCMP_ACT_ALLOW"}'
CUBIT_POLICIES_REPLACE=yes start_daemon
is "$(seen strict state origin)" "good $dir/policies/strict.json" 'with the setting a file replaces what is built in'
run_as strict
is "$status $(get status)" '200 ok' '... and is used'
write default '{"defaultAction":'
reload
within 10 state_is default kept
ok $? 'a replacement that is wrong keeps what was there'
stop_daemon
nothing_left 'nothing is left'
done_testing
