#!/bin/bash
# Sourced by tests that want Redis: what daemon.sh has, a redis-server of the test's own that can be killed and come
# back, several nodes, and a network in which a node can be cut off. Everything is a process or lives in a network
# namespace that a process holds: it ends with the test, the host's own network is not touched.
#
#   . tests/lib/redis.sh
#   need_images bash
#   start_redis                     # -> $redis_url (unix socket), $redis_tcp (for daemons)
#   REDIS_URL=$redis_tcp start_daemon          # one daemon, as in daemon.sh
#   rcli LLEN execution
#   kill_redis; start_redis         # the data is still there
#
#   make_hub                        # a bridge in a namespace; Redis started after this lives there
#   add_net n1 1; start_node n1     # a node in a namespace of its own; its socket: $(node_sock n1)
#   cut_net n1; heal_net n1
#   kill_node n1

# shellcheck source=tests/lib/daemon.sh
. "$(dirname "${BASH_SOURCE[0]}")/daemon.sh"
command -v redis-server >/dev/null || skip_all 'no redis-server (tools/setup e2e)'

# shellcheck disable=SC2034 # for whoever sources this
producer=$CUBIT_BUILD/bin/cubit-producer
redis_dir=$dir/redis redis_socket=$dir/redis.sock
# shellcheck disable=SC2034
redis_url=unix://$redis_socket
redis_pid='' redis_port='' redis_tcp='' redis_password=''
hub='' # holds the namespace of the bridge
declare -A net node_pid node_ids=()

free_port()
{
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# ---- the server ----

# Append-only file, no snapshots; more options of redis-server in redis_options. Starting it again finds the data.
redis_options=()
start_redis()
{
	local host=127.0.0.1 enter=() i
	mkdir -p "$redis_dir"
	if [ -n "$hub" ]; then
		host=10.77.0.1
		enter=(nsenter "--net=/proc/$hub/ns/net")
	fi
	[ -n "$redis_port" ] || redis_port=$(free_port)
	redis_tcp=redis://${redis_password:+:$redis_password@}$host:$redis_port
	"${enter[@]}" redis-server --bind "$host" --port "$redis_port" --unixsocket "$redis_socket" --dir "$redis_dir" \
		--appendonly yes --appendfsync everysec --save '' --daemonize no --protected-mode no --logfile '' \
		--loglevel notice "${redis_options[@]}" >>"$dir/redis.log" 2>&1 </dev/null {slot_fd}>&- &
	redis_pid=$!
	background+=("$redis_pid")
	for ((i = 0; i < 600; i++)); do
		[ "$(rcli PING 2>/dev/null)" = PONG ] && return 0
		kill -0 "$redis_pid" 2>/dev/null || break
		sleep 0.05
	done
	diag "$(tail -n 20 "$dir/redis.log")"
	echo 'Bail out! redis-server does not start'
	exit 1
}

kill_redis()
{
	kill -KILL "$redis_pid"
	wait "$redis_pid" 2>/dev/null
	forget "$redis_pid"
	redis_pid=''
}

rcli()
{
	redis-cli -s "$redis_socket" ${redis_password:+--no-auth-warning -a "$redis_password"} "$@"
}

# A process that has ended is not killed again at the end of the test: its number may be somebody else's by then.
forget() # PID
{
	local kept=() pid
	for pid in "${background[@]}"; do
		[ "$pid" = "$1" ] || kept+=("$pid")
	done
	background=("${kept[@]}")
}

stop_daemon() # as in daemon.sh, but nothing else is forgotten
{
	note_groups
	kill -TERM "$daemon" 2>/dev/null
	wait "$daemon"
	status=$?
	forget "$daemon"
	daemon=''
}

exists() # KEY
{
	[ "$(rcli EXISTS "$1")" -eq 1 ]
}

has_result() # ID...
{
	[ "$(rcli EXISTS "${@/#/cubit:result:}")" -eq $# ]
}

result() # ID FIELD
{
	rcli --raw HGET "cubit:result:$1" "$2"
}

# ---- a network ----

is_elsewhere() # PID
{
	[ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

hold_net() # -> $held
{
	unshare --net sleep infinity {slot_fd}>&- &
	held=$!
	background+=("$held")
	within 5 is_elsewhere "$held"
	in_net "$held" ip link set lo up
}

in_net() # PID COMMAND...
{
	nsenter "--net=/proc/$1/ns/net" "${@:2}"
}

make_hub()
{
	hold_net
	hub=$held
	in_net "$hub" ip link add br0 type bridge
	in_net "$hub" ip address add 10.77.0.1/24 dev br0
	in_net "$hub" ip link set br0 up
}

add_net() # NAME NUMBER
{
	hold_net
	net[$1]=$held
	in_net "$hub" ip link add "port-$1" type veth peer name eth0 netns "$held"
	in_net "$hub" ip link set "port-$1" master br0 up
	in_net "$held" ip address add "10.77.0.$((10 + $2))/24" dev eth0
	in_net "$held" ip link set eth0 up
}

cut_net() # NAME
{
	in_net "$hub" ip link set "port-$1" down
}

heal_net() # NAME
{
	in_net "$hub" ip link set "port-$1" up
}

# ---- nodes ----

node_sock() # NAME
{
	echo "$dir/$1/run/cubit.sock"
}

# Starts it and does not wait. Settings: the environment, REDIS_URL among them.
start_node() # NAME
{
	local at=$dir/$1 enter=()
	: "${node_ids[$1]:=$((id_base + ${#node_ids[@]} % 4 * 64 * 65536))}" # as if each were a machine of its own
	mkdir -p "$at/state" "$at/run"
	[ -e "$at/state/images" ] || ln -s "$CUBIT_BUILD/images-state/images" "$at/state/images"
	[ -z "${net[$1]:-}" ] || enter=(nsenter "--net=/proc/${net[$1]}/ns/net")
	"${enter[@]}" env CUBIT_NODE="$1" CUBIT_STATE="$at/state" CUBIT_RUN="$at/run" CUBIT_LISTEN="${CUBIT_LISTEN:-}" \
		CUBIT_USER="${CUBIT_USER:-64642}" CUBIT_ID_BASE="${node_ids[$1]}" CUBIT_ID_COUNT=64 REDIS_URL="${REDIS_URL:-$redis_tcp}" \
		"$CUBIT_BUILD/bin/cubitd" >>"$at/log" 2>&1 </dev/null {slot_fd}>&- &
	node_pid[$1]=$!
	background+=("$!")
}

is_ready() # NAME
{
	[ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 5 --unix-socket "$(node_sock "$1")" http://cubit/readyz)" = 200 ]
}

await_node() # NAME [SECONDS]
{
	within "${2:-20}" is_ready "$1" && return
	diag "$(curl -s --max-time 5 --unix-socket "$(node_sock "$1")" http://cubit/readyz; tail -n 20 "$dir/$1/log")"
	echo "Bail out! node $1 is not ready"
	exit 1
}

kill_node() # NAME [monitor|front|both]
{
	local pid=${node_pid[$1]} front
	note_groups
	front=$(pgrep -P "$pid" -f -- --front | head -n 1)
	case ${2:-both} in
	front)
		[ -z "$front" ] || kill -KILL "$front" 2>/dev/null
		return 0
		;;
	monitor) kill -KILL "$pid" ;;
	both)
		# shellcheck disable=SC2086 # the front may just not be there
		kill -KILL "$pid" $front 2>/dev/null
		;;
	esac
	wait "$pid" 2>/dev/null
	forget "$pid"
	unset "node_pid[$1]"
}

stop_node() # NAME -> $status
{
	local pid=${node_pid[$1]}
	note_groups
	kill -TERM "$pid" 2>/dev/null
	wait "$pid"
	# shellcheck disable=SC2034 # for whoever called
	status=$?
	forget "$pid"
	unset "node_pid[$1]"
}

# One request to a node as admin: NAME PATH [OPTION of curl...] -> $status, $body, as api
node_api()
{
	local sock
	sock=$(node_sock "$1")
	shift
	api "$@"
}

# What became of jobs from Redis since this front was started: taken, claimed, finished, fenced, dead, duplicate.
redis_jobs() # NAME EVENT
{
	curl -s --max-time 10 --unix-socket "$(node_sock "$1")" http://cubit/metrics |
		awk -v name="cubit_redis_jobs_total{event=\"$2\"}" '$1 == name { print $2 }'
}
