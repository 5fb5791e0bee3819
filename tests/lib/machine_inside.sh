# What the scripts of tests/machine/inside share, after tests/lib/tap.sh. They run on the machine itself.
# shellcheck shell=bash

export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
sock=/run/cubit/cubit.sock body='' status=''

# One request as admin over the unix socket: PATH and options of curl. -> $status (HTTP), $body
api()
{
	local path=$1
	shift
	body=$(curl -sS --max-time 120 --unix-socket "$sock" -w '\n%{http_code}' "http://cubit$path" "$@" 2>&1)
	status=${body##*$'\n'}
	body=${body%$'\n'*}
}

# A field of the last answer; nested with dots: error.field
get()
{
	python3 -c '
import json, sys
v = json.load(sys.stdin)
for k in sys.argv[1].split("."):
    v = v[int(k)] if isinstance(v, list) else v.get(k)
    if v is None: break
print(json.dumps(v) if isinstance(v, (dict, list, bool)) or v is None else v)' "$1" <<<"$body" 2>/dev/null
}

is_ready()
{
	api /readyz && [ "$status" = 200 ]
}

main_pid()
{
	systemctl show -P MainPID cubitd
}

front_pid()
{
	pgrep -P "$(main_pid)" -f -- --front
}

# Start the service and wait until it takes work.
start_service()
{
	systemctl start cubitd
	within 60 is_ready
}

# Queue a job, JSON in $1 -> $id
submit()
{
	api /v1/jobs -d "$1"
	# shellcheck disable=SC2034 # for whoever called
	id=$(get id)
}

# Has this job ended? -> $body
is_over() # ID
{
	api "/v1/jobs/$1"
	case $(get state) in
	done | dead | cancelled) return 0 ;;
	*) return 1 ;;
	esac
}
