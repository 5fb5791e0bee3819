#!/bin/bash
# How the command line reaches a daemon, and comes back to it: unix socket, TCP, TLS, an HTTP proxy; connections that are
# cut, a front that is killed, a daemon that is restarted.
# timeout: 240
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
cubit=$CUBIT_BUILD/bin/cubit
unset CUBIT_URL CUBIT_KEY CUBIT_CA SSL_CERT_FILE http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
need_images bash
start_daemon
export CUBIT_LISTEN=${url#http://} # the same port after a restart
host=${CUBIT_LISTEN%:*} port=${CUBIT_LISTEN##*:}

relay() # NAME ARGUMENT...: -> $relay (its pid), $relay_port, $dir/NAME.log
{
	local name=$1
	shift
	: >"$dir/$name.log"
	python3 "$(dirname "$0")/../lib/relay.py" "$dir/$name.log" "$@" >"$dir/$name.port" 2>"$dir/$name.err" &
	relay=$!
	background+=("$relay")
	within 20 test -s "$dir/$name.port"
	relay_port=$(cat "$dir/$name.port")
}

run() # ARGUMENT...: -> $status, $dir/out, $dir/err
{
	timeout 100 "$cubit" "$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
}

# ---- certificates ----
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/ca.key" -out "$dir/ca.pem" -days 2 \
	-subj /CN=ours -addext basicConstraints=critical,CA:TRUE 2>/dev/null
certificate() # NAME ALTERNATIVE-NAMES
{
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/$1.key" -out "$dir/$1.csr" \
		-subj "/CN=$1" 2>/dev/null
	openssl x509 -req -in "$dir/$1.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
		-extfile <(printf 'subjectAltName=%s' "$2") -out "$dir/$1.pem" 2>/dev/null
}
certificate good DNS:localhost,IP:127.0.0.1,DNS:cubit.test
certificate other DNS:other.test
relay tls tls "$dir/good.pem" "$dir/good.key" "$host" "$port"
tls=$relay tls_port=$relay_port
relay other tls "$dir/other.pem" "$dir/other.key" "$host" "$port"
other_port=$relay_port
relay proxy connect 127.0.0.1 "$tls_port"
proxy_port=$relay_port
relay strict connect 127.0.0.1 "$tls_port" 'me:p@ss'
strict_port=$relay_port

# ---- transports ----
printf 'echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three; exit 7\n' >"$dir/program"
through() # TITLE OPTION...
{
	local title=$1
	shift
	run run bash "$dir/program" "$@"
	is "$status $(tr '\n' ' ' <"$dir/out")" '7 one three ' "$title: output and status arrive"
	like "$(cat "$dir/err")" '^two' "$title: and standard error"
	id=$(sed -n 's/.*(job \(.*\))/\1/p' "$dir/err")
	run job logs -f "$id" "$@"
	is "$status $(tr '\n' ' ' <"$dir/out")" '0 one three ' "$title: logs -f shows it again"
}
export http_proxy=http://127.0.0.1:$proxy_port ALL_PROXY=http://127.0.0.1:$proxy_port
through 'a unix socket' --url "unix:$sock"
through TCP --url "$url" --key "$key"
is "$(cat "$dir/proxy.log")" '' 'neither of them asks a proxy, which could read the key'
unset http_proxy ALL_PROXY
export CUBIT_CA=$dir/ca.pem CUBIT_KEY=$key
through 'TLS, by address' --url "https://127.0.0.1:$tls_port"
through 'TLS, by name' --url "https://localhost:$tls_port"
export https_proxy=http://127.0.0.1:$proxy_port
through 'TLS through a proxy, by a name that only the proxy knows' --url https://cubit.test
is "$(grep -c '^CONNECT cubit.test:443 ' "$dir/proxy.log")" 3 'each connection went through it'
! grep -qi 'authorization\|bearer' "$dir/proxy.log"
ok $? 'which does not see the key'
https_proxy=http://me:p%40ss@127.0.0.1:$strict_port
through 'a proxy with a password' --url https://cubit.test
: >"$dir/strict.log"
no_proxy=127.0.0.0/8 through 'a host that no_proxy excepts' --url "https://127.0.0.1:$tls_port"
is "$(cat "$dir/strict.log")" '' 'is reached without it'
unset https_proxy

# ---- refusals, each at the first request of its kind ----
run run bash "$dir/program" --url "$url" --key wrong-key-that-nobody-made
is "$status" 3 'a wrong key is refused'
run job logs -f "$id" --url "$url" --key wrong-key-that-nobody-made
is "$status" 3 'by the stream too'
like "$(cat "$dir/err")" '^cubit job logs: .*key' 'in the words of the daemon'
run job logs -f jnone --url "https://localhost:$tls_port"
is "$status $(cat "$dir/err")" "3 cubit job logs: there is no job 'jnone'" 'a job that is none'
run job logs -f "$id" --url "https://localhost:$other_port"
is "$status" 3 'a certificate for another name is not believed'
like "$(cat "$dir/err")" 'certificate' 'and that is said'
CUBIT_CA='' run job logs -f "$id" --url "https://localhost:$tls_port"
is "$status" 3 'nor one of an authority that the system does not know'
CUBIT_CA=$dir/program run job logs -f "$id" --url "https://localhost:$tls_port"
like "$status $(cat "$dir/err")" '^3 cubit job logs: .' 'CUBIT_CA that is no certificate: 3 and a sentence'
https_proxy=socks5://127.0.0.1:1 run job logs -f "$id" --url https://cubit.test
like "$status $(cat "$dir/err")" '^2 cubit job logs: .*https_proxy' 'a proxy that is not HTTP is refused by name'
https_proxy=http://127.0.0.1:1 run job logs -f "$id" --url https://cubit.test
is "$status" 3 'a proxy that is not there: 3'

# ---- much at once ----
printf 'yes 0123456789abcdef | head -c 6000000\n' >"$dir/much"
for where in "unix:$sock" "https://localhost:$tls_port"; do
	run run bash "$dir/much" --limit output=8M --limit wall=20s --url "$where"
	is "$status $(sha256sum <"$dir/out")" "0 $(yes 0123456789abcdef | head -c 6000000 | sha256sum)" "6 MB through ${where%%:*} are whole"
done

# ---- interruptions ----
numbers=$(seq 1 60 | tr '\n' ' ')
# shellcheck disable=SC2016 # for the shell in the sandbox
printf 'for ((i = 1; i <= 60; i++)); do echo $i; sleep 0.1; done\n' >"$dir/numbers"
start() # OPTION...
{
	"$cubit" run bash "$dir/numbers" --limit wall=30s "$@" >"$dir/out" 2>"$dir/err" </dev/null &
	pid=$!
	background+=("$pid")
	within 20 grep -q '^5$' "$dir/out"
}
start --url "https://localhost:$tls_port"
for _ in 1 2 3 4; do
	kill -USR1 "$tls"
	sleep 0.7
done
wait "$pid"
is "$? $(tr '\n' ' ' <"$dir/out")" "0 $numbers" 'a connection that is cut four times: nothing is lost, nothing doubled'
is "$(cat "$dir/err")" '' 'and nothing said'
for where in "unix:$sock" "https://localhost:$tls_port"; do
	start --url "$where"
	front=$(pgrep -P "$daemon" -f -- --front)
	kill -KILL "$front"
	wait "$pid"
	is "$? $(tr '\n' ' ' <"$dir/out")" "0 $numbers" "the front is killed under ${where%%:*}: nothing is lost, nothing doubled"
	wait_ready 200
done
id=$("$cubit" job submit bash "$dir/program" --delay 4s --url "$url")
"$cubit" job logs -f "$id" --url "$url" >"$dir/out" 2>"$dir/err" </dev/null &
pid=$!
background+=("$pid")
sleep 1
stop_daemon
start_daemon
wait "$pid"
is "$? $(tr '\n' ' ' <"$dir/out")" '0 one three ' 'a daemon that is restarted is come back to'
stop_daemon
done_testing
