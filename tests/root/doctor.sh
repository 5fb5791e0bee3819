#!/bin/bash
# `cubit doctor` says the truth in both forms, keeps passwords to itself, and leaves nothing behind.
# timeout: 120
set -u

cubit=${CUBIT_BUILD:-build}/bin/cubit
dir=$(mktemp -d "${CUBIT_TEST_DIR:-/tmp}/doctor.XXXXXX")
export CUBIT_STATE=$dir
unset REDIS_URL S3_ENDPOINT
count=0 failed=0
servers=()

# shellcheck disable=SC2317 # called by the trap
finish()
{
	[ ${#servers[@]} -eq 0 ] || kill "${servers[@]}" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT

ok() # CONDITION-STATUS TITLE
{
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		failed=1
	fi
}

is() # GOT WANTED TITLE
{
	[ "$1" = "$2" ]
	ok $? "$3"
	[ "$1" = "$2" ] || echo "# got '$1', wanted '$2'"
}

# field CHECK NAME: from the JSON in $dir/out
field()
{
	python3 - "$1" "$2" "$dir/out" <<'END'
import json, sys
print([c[sys.argv[2]] for c in json.load(open(sys.argv[3]))["checks"] if c["check"] == sys.argv[1]][0])
END
}

if [ "$(id -u)" -ne 0 ]; then
	echo '1..0 # SKIP not root'
	exit 0
fi

# ---- on this machine, as root ----

"$cubit" doctor --json >"$dir/out" 2>"$dir/err" &
pid=$!
wait "$pid"
status=$?
python3 -m json.tool "$dir/out" >/dev/null
ok $? 'the output of --json is JSON'
is "$(cat "$dir/err")" '' 'nothing is said on stderr'
shape=$(python3 - "$dir/out" <<'END'
import json, sys
top = json.load(open(sys.argv[1]))
bad = [c for c in top["checks"]
       if set(c) != {"check", "group", "status", "detail", "remedy"} or not all(isinstance(v, str) for v in c.values())
       or not c["detail"] or {"ok": c["remedy"] != "", "warning": False, "missing": c["remedy"] == ""}.get(c["status"], True)]
missing = [c["check"] for c in top["checks"] if c["status"] == "missing"]
names = [c["check"] for c in top["checks"]]
print("bad" if bad or len(set(names)) != len(names) or len(names) < 20 else "good", top["can_run"] == (not missing), *missing)
END
)
is "${shape%% *}" good 'every entry has its fields, and each check is there once'
is "$(cut -d' ' -f2 <<<"$shape")" True 'can_run is true exactly when nothing is missing'
missing=$(cut -d' ' -f3- <<<"$shape")
if [ "${CUBIT_TEST_TIER:-host}" = vm ]; then # its disk is small by design
	missing=${missing/disk/}
else
	is "$status" 0 'Cubit can run here: exit status 0'
fi
is "$missing" '' 'nothing is missing'
[ -z "$missing" ] || sed 's/^/# /' "$dir/out"

is "$(find /sys/fs/cgroup -type d -name "cubit-doctor-$pid" 2>/dev/null)" '' 'no cgroup is left'
is "$(grep -c cubit-doctor /proc/self/mountinfo)" 0 'no mount is left'
is "$(find /sys/class/net -name 'probe-*')" '' 'no link is left'
is "$(find "$dir" -mindepth 1 ! -name out ! -name err)" '' 'no file is left'

unknown=$(python3 -c 'import json, sys; [print(c["check"]) for c in json.load(open(sys.argv[1]))["checks"]]' "$dir/out" |
	while read -r name; do
		grep -Eq "^\.It Cm (.* )?$name( |$)" "${CUBIT_SRC:-.}/docs/man/cubit.1" || echo "$name"
	done)
is "$unknown" '' 'the manual page explains every check'

"$cubit" doctor >"$dir/out"
is $? "$status" 'the form for people has the same exit status'
grep -q '^  ok       kernel  ' "$dir/out"
ok $? 'and a line for the kernel'
! grep -q $'\033' "$dir/out"
ok $? 'without colour, since this is not a terminal'
tail -n 1 "$dir/out" | grep -Eq '^Cubit can(not)? run on this machine( as it is)?: [0-9]+ missing, [0-9]+ warnings?, [0-9]+ ok\.$'
ok $? 'and a summary'

# ---- a state directory that is not there yet, and one that cannot be idmapped ----

CUBIT_STATE=$dir/not/yet/made "$cubit" doctor --json >"$dir/out"
field idmapped-overlay detail | grep -qF "'$dir'"
ok $? 'for a state directory that is not there yet, the nearest parent counts'
is "$(find "$dir" -name not)" '' 'and it is not made'
CUBIT_STATE=/proc/sys "$cubit" doctor --json >"$dir/out"
is $? 1 'a state directory on a file system that cannot be idmapped: exit status 1'
is "$(field idmapped-overlay status)" missing 'and the check says so'
field idmapped-overlay detail | grep -q '^proc at'
ok $? 'naming the file system'
field idmapped-overlay remedy | grep -q CUBIT_STATE
ok $? 'and the remedy'

# ---- services ----

cat >"$dir/server.py" <<'END'
# A Redis, or something else, that listens on a port it prints: good, wrong (AUTH is refused, and the refusal repeats the
# password), echo, silent, http
import socket, sys
mode = sys.argv[1]
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    peer, _ = server.accept()
    stream = peer.makefile("rwb", buffering=0)
    while mode != "silent" and (line := stream.readline()):
        if mode == "echo":
            stream.write(line)
        elif mode == "http":
            if line == b"\r\n":
                stream.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                break
        else:
            words = []
            for _ in range(int(line[1:])):
                stream.readline()
                words.append(stream.readline().strip())
            if words[0] == b"AUTH":
                good = mode == "good" and words[-1] == b"hunter2@/" and words[1:-1] in ([], [b"me"])
                stream.write(b"+OK\r\n" if good else b"-WRONGPASS '" + words[-1] + b"' is wrong \x1b[31m\r\n")
            else:
                stream.write({b"PING": b"+PONG\r\n", b"SELECT": b"+OK\r\n"}[words[0]])
    if mode == "silent":
        kept = globals().setdefault("kept", [])
        kept.append(peer)
    else:
        peer.close()
END

serve() # MODE: sets $port
{
	mkfifo "$dir/port"
	python3 "$dir/server.py" "$1" >"$dir/port" 2>/dev/null &
	servers+=($!)
	read -r port <"$dir/port"
	rm "$dir/port"
}

# service VARIABLE VALUE CHECK STATUS TITLE
service()
{
	env "$1=$2" "$cubit" doctor --json >"$dir/out" 2>&1
	local rc=$?
	is "$(field "$3" status)" "$4" "$5"
	[ "$(field "$3" status)" = "$4" ] || echo "# $(field "$3" detail)"
	[ "$4" != missing ] || is $rc 1 'and Cubit cannot run: exit status 1'
	! grep -qF -e hunter2 "$dir/out"
	ok $? 'the password is not in the output'
}

serve good
service REDIS_URL "redis://:hunter2%40%2F@127.0.0.1:$port" redis ok 'a Redis with a password answers'
service REDIS_URL "redis://me:hunter2%40%2F@127.0.0.1:$port/3" redis ok 'also with a user and a database'
kill "${servers[0]}"
wait "${servers[0]}" 2>/dev/null
service REDIS_URL "redis://:hunter2@127.0.0.1:$port" redis missing 'a Redis on a closed port is missing'
field redis detail | grep -q 'Connection refused'
ok $? 'with the reason'
service REDIS_URL "redis://u:hunter2/x@127.0.0.1:$port" redis missing 'a raw / in a password is a mistake that is said'
service REDIS_URL 'hunter2' redis missing 'what is no URL too'
service REDIS_URL 'hunter2://x' redis missing 'and an unknown scheme'
env REDIS_URL="redis://:hunter2@127.0.0.1:$port" "$cubit" doctor >"$dir/out" 2>&1
is $? 1 'the form for people says the same'
! grep -qF hunter2 "$dir/out"
ok $? 'and does not print the password either'
serve wrong
service REDIS_URL "redis://:hunter2@127.0.0.1:$port" redis missing 'a Redis that refuses the password is missing'
field redis detail | grep -q 'AUTH is refused: WRONGPASS$'
ok $? 'with its word for it, and no other'
serve echo
service REDIS_URL "redis://:hunter2@127.0.0.1:$port" redis missing 'what is no Redis is missing'
serve silent
service REDIS_URL "redis://127.0.0.1:$port" redis missing 'what never answers is missing, after two seconds'
service S3_ENDPOINT "http://127.0.0.1:$port" s3 missing 'also as a store'
serve http
service S3_ENDPOINT "http://127.0.0.1:$port" s3 ok 'a store that answers in HTTP is there'
service S3_ENDPOINT "https://me:hunter2@127.0.0.1:$port/x" s3 ok 'with TLS a connection is enough'
service S3_ENDPOINT 'http://hunter2:hunter2' s3 missing 'a store whose port is no number is missing'

# ---- as root, where something is missing ----

# in a mount namespace of our own, so that only this doctor sees it
# shellcheck disable=SC2016 # the inner shell expands its own argument
unshare --mount sh -c 'mount -t tmpfs none /sys/fs/cgroup && exec "$0" doctor --json' "$cubit" >"$dir/out" 2>"$dir/err"
is $? 1 'without any cgroup mount: exit status 1'
is "$(field cgroup2 status) $(field cgroup-clone status) $(field cgroup-memory status)" 'missing missing missing' 'the checks say so'
field cgroup2 remedy | grep -q 'mount -t cgroup2'
ok $? 'with a remedy'
unshare --user --map-root-user "$cubit" doctor --json >"$dir/out" 2>>"$dir/err"
is $? 1 'root of a container that has one id: exit status 1'
is "$(field user-namespaces status)" missing 'no ids can be mapped there'
field user-namespaces detail | grep -q 'ids cannot be mapped'
ok $? 'which is said'
is "$(cat "$dir/err")" '' 'nothing is said on stderr'
! grep -q 'the check itself died' "$dir/out"
ok $? 'no check crashes'

# ---- without root ----

# by descriptor, because the way to the build tree may be closed to others
(cd / && exec setpriv --reuid=65534 --regid=65534 --clear-groups /proc/self/fd/9 doctor --json) \
	>"$dir/out" 2>"$dir/err" 9<"$cubit"
is $? 1 'without root: exit status 1'
is "$(field root status)" missing 'and root is what is missing'
field root detail | grep -q 'uid 65534'
ok $? 'with the reason'
is "$(cat "$dir/err")" '' 'nothing is said on stderr'
! grep -q 'the check itself died' "$dir/out"
ok $? 'no check crashes'

# ---- the command line ----

check_usage() # STATUS WORDS TITLE ARGUMENT...
{
	local want=$1 words=$2 title=$3
	shift 3
	"$cubit" "$@" >"$dir/out" 2>"$dir/err"
	is $? "$want" "$title: exit status $want"
	grep -qF -e "$words" "$([ "$want" -eq 0 ] && echo "$dir/out" || echo "$dir/err")"
	ok $? "$title: '$words' is said"
}
check_usage 2 "unknown command 'nosuch'" 'an unknown command' nosuch
check_usage 2 "unknown option '--nosuch'" 'an unknown option' --nosuch
check_usage 2 "unknown option '--nosuch'" 'an unknown option of doctor' doctor --nosuch
check_usage 2 "unknown argument 'x'" 'an argument that doctor does not take' doctor x
check_usage 2 'usage: cubit' 'no command'
check_usage 0 'doctor' '--help' --help
check_usage 0 '--json' 'doctor --help' doctor --help
check_usage 0 'cubit 0.' '--version' --version
"$cubit" --version >/dev/full 2>"$dir/err"
is $? 1 'a full disk behind stdout is not a success'

echo "1..$count"
exit "$failed"
