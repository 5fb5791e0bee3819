#!/bin/bash
# What was done on a node, and what was refused, is in its audit log: every endpoint that changes something, and every one
# that asks for a key, is walked as /openapi.json lists them. A line says who, what, to what, and what came of it.
#
# where: host (what it asks is decided above the kernel; the guest has no images)
# timeout: 120
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"

need_images bash
export CUBIT_JOBS=4 CUBIT_RATE=0
# shellcheck disable=SC2119 # its argument is a number of tries
start_daemon

# The newest line of an action: "OWNER OBJECT OUTCOME"; waits until there is one whose object or outcome matches.
line() # ACTION REGEX
{
	local i body status
	for ((i = 0; i < 25; i++)); do
		api "/v1/audit?action=$1&limit=200"
		found=$(python3 -c 'import json, re, sys
for l in json.load(sys.stdin)["audit"]:
    text = " ".join((l["owner"] or "-", l["object"] or "-", l["outcome"] or "-", "from", l["peer"] or "-", l["key_id"] or "-"))
    if re.search(sys.argv[1], text):
        print(text)
        break' "$2" <<<"$body")
		[ -z "$found" ] || return 0
		sleep 0.1
	done
	return 1
}

has_line() # ACTION REGEX TITLE
{
	line "$1" "$2"
	ok $? "$3" || { api "/v1/audit?limit=10" && diag "$body"; }
}

as() # METHOD PATH [OPTION of curl...]: with mallory's key
{
	local method=$1 path=$2
	shift 2
	api "$path" -X "$method" -H "Authorization: Bearer $mallory" "$@"
}

# ---- what an owner did, and what came of it ----
api /v1/keys -d '{"owner":"mallory","scopes":["run"]}'
mallory=$(get key) id=$(get id)
has_line key.make "^admin $id ok" 'a key that is made'
as POST /v1/run -d '{"runtime":"bash","source":"exit 3"}'
has_line run "^mallory $(get id) runtime_error, policy default from .+ $id" 'a run, with its verdict, its policy and the key'
as POST /v1/run -d '{"runtime":"bash","policy":"strict","source":"echo"}'
has_line run "^mallory $(get id) [a-z_]+, policy strict" '... of another policy'
as POST /v1/jobs -d '{"runtime":"bash","source":"sleep 30"}'
job=$(get id)
has_line job.submit "^mallory $job accepted, policy default from .+ $id" 'a job that is accepted'
as DELETE "/v1/jobs/$job"
has_line job.cancel "^mallory $job done" 'a job that is cancelled'
has_line job.end "^mallory $job cancelled, policy default" '... and its end'
as DELETE "/v1/jobs/nothing"
has_line job.cancel '^mallory nothing not_found' 'what was not there is said to have been not there'
as POST /v1/run -d '{"runtime":"bash","policy":"unconfined","source":"echo"}'
has_line policy.refused '^mallory - policy.*(unconfined|CUBIT_ALLOW_UNCONFINED)' 'a policy that they may not name'
as POST /v1/jobs -d '{"runtime":"bash","policy":"nothing","source":"echo"}'
has_line policy.refused "^mallory - policy: there is no 'nothing'" '... and one that is not there'

# ---- every endpoint ----
api /openapi.json
routes=$(python3 -c 'import json, sys
for path, methods in json.load(sys.stdin)["paths"].items():
    for method, what in methods.items():
        print(method.upper(), path)' <<<"$body")
[ "$(wc -l <<<"$routes")" -ge 30 ]
ok $? "the node has $(wc -l <<<"$routes") endpoints"

# Without a key: each that answers 401 has a line with its name.
unsaid=
while read -r method path; do
	concrete=$(sed -E 's/\{[^}]*\}/x/g' <<<"$path")
	code=$(curl -s -o /dev/null -w '%{http_code}' --max-time 10 -X "$method" "$url$concrete")
	[ "$code" = 401 ] || continue
	n=$((${n:-0} + 1))
	# the pattern of the document may write a parameter otherwise than the route
	want=$(sed -E 's/\{[^}]*\}/.+/g' <<<"$path")
	line refused "^- $method $want 401" || unsaid="$unsaid $method $path;"
done <<<"$routes"
[ "${n:-0}" -ge 20 ]
ok $? "${n:-0} of them need a key"
is "$unsaid" '' 'each of them tells the audit log when there was none'

# Every one that changes something has an action of its own.
declare -A action=(
	['POST /v1/run']=run ['POST /v1/jobs']=job.submit ['DELETE /v1/jobs/{id}']=job.cancel
	['POST /v1/dead/{id}/replay']=dead.replay ['DELETE /v1/dead/{id}']=dead.delete
	['POST /v1/nodes/{name}/drain']=node.drain ['DELETE /v1/nodes/{name}/drain']=node.resume
	['POST /v1/keys']=key.make ['DELETE /v1/keys/{id}']=key.delete
	['POST /v1/jobs/{id}/ticket']=ticket.make
	['POST /v1/login']=login.make ['POST /v1/logout']=''
	['POST /api/run']=job.submit ['POST /run']=job.submit ['POST /trpc/{procedures}']=job.submit
)
declare -A sent=(
	['POST /v1/run']='{"runtime":"bash","source":"echo"}' ['POST /v1/jobs']='{"runtime":"bash","source":"echo"}'
	['POST /v1/keys']='{"owner":"eve","scopes":["run"]}' ['POST /api/run']='{"language":"bash","code":"echo"}'
	['POST /run']='{"language":"bash","source":"echo"}' ['POST /trpc/{procedures}']='{"language":"bash","source":"echo"}'
)
silent='' unknown=''
while read -r method path; do
	[ "$method" != GET ] || continue
	if [ -z "${action["$method $path"]+there}" ]; then
		unknown="$unknown $method $path;"
		continue
	fi
	[ -n "${action["$method $path"]}" ] || continue
	concrete=$(sed -E 's/\{procedures\}/runCode/; s/\{[^}]*\}/walked/g' <<<"$path")
	api "$concrete" -X "$method" -H "X-Request-Id: walk-${#silent}-$RANDOM$RANDOM" -H 'Content-Type: application/json' \
		-d "${sent["$method $path"]:-}" -D "$dir/head"
	request=$(sed -n 's/^[Xx]-[Rr]equest-[Ii]d: *\([^\r]*\)\r*$/\1/p' "$dir/head")
	answer=$status
	for ((i = 0; i < 60; i++)); do
		api "/v1/audit?action=${action["$method $path"]}&limit=50"
		[[ $body != *"\"$request\""* ]] || break
		sleep 0.1
	done
	[ "$i" -lt 60 ] || silent="$silent $method $path ($answer);"
done <<<"$routes"
is "$unknown" '' 'no endpoint changes something that this test does not know'
is "$silent" '' 'each of them has a line, whatever came of it'
stop_daemon
nothing_left 'nothing is left'
done_testing
