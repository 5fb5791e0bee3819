#!/bin/bash
# What `make run` does once all is built: refused without root before anything is done; alone; beside a Cubit that serves
# already, which it leaves alone; and it fails when its first program does. `sudo make` leaves nothing of root in the tree.
# timeout: 600
# alone
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash python node c

# unprivileged
got=$(setpriv --reuid=4321 --clear-groups tools/run --check 2>&1)
is "$?" 1 'make run needs root'
like "$got" 'needs root.*sudo make run.*nothing was done' 'and says so before it does anything'
is "$(make -n run 2>/dev/null | grep -v '^make' | head -n 1)" 'tools/run --check' 'as its first step'

# run_once NAME=VALUE...: tools/run --once, state in $dir/mine -> $status, $dir/out
run_once()
{
	mkdir -p "$dir/mine"
	[ -e "$dir/mine/images" ] || ln -s "$build/images-state/images" "$dir/mine/images"
	(cd "$dir" && env CUBIT_STATE="$dir/mine" CUBIT_ID_BASE="$id_base" "$@" "$CUBIT_SRC/tools/run" --once) \
		>"$dir/out" 2>&1 </dev/null
	status=$?
}

run_once CUBIT_RUN="$dir/alone" CUBIT_LISTEN=127.0.0.1:0
is "$status" 0 'alone it shows a program at work' || diag "$(tail -n 20 "$dir/out")"
like "$(cat "$dir/out")" 'hello 2 from uid 1000' 'which says hello'

# a service, whose directory /etc/cubit/cubit.env would name: here a directory that stands for /run/cubit
start_daemon 200
run_once CUBIT_RUN="$dir/run" CUBIT_LISTEN=127.0.0.1:0
is "$status" 1 'beside another one, in a directory of its: refused'
like "$(cat "$dir/out")" "another Cubit serves in '$dir/run': use it" 'with a way out'
run_once CUBIT_STATE="$dir/state" CUBIT_RUN="$dir/alone"
is "$status" 1 'the same with its state'
like "$(cat "$dir/out")" "another Cubit serves with the same state" 'in words'
# the same, found by itself: /etc says where the service is, and nothing else does
cat >"$dir/beside" <<'END'
set -eu
mkdir "$dir/over" && mount -t tmpfs tmpfs "$dir/over" && mkdir "$dir/over/u" "$dir/over/w"
mount -t overlay -o "lowerdir=/etc,upperdir=$dir/over/u,workdir=$dir/over/w" overlay /etc
rm -rf /etc/cubit && mkdir /etc/cubit
printf '%s\n' "CUBIT_RUN=$dir/run" "CUBIT_STATE=$dir/state" REDIS_URL=redis://127.0.0.1:1 "CUBIT_LISTEN=${url#http://}" >/etc/cubit/cubit.env
chmod 600 /etc/cubit/cubit.env
cd "$dir"
CUBIT_STATE=$dir/mine CUBIT_ID_BASE=$id_base exec "$CUBIT_SRC/tools/run" --once
END
before=$(curl -s --unix-socket "$sock" 'http://cubit/v1/jobs?limit=9' | grep -o '"id"' | wc -l)
export dir url id_base=$((id_base + id_count * 65536 / 2))
unshare --mount --propagation private bash "$dir/beside" >"$dir/out" 2>&1 </dev/null
is "$?" 0 'beside a service that /etc/cubit/cubit.env is about, it is one of its own' || diag "$(tail -n 20 "$dir/out")"
like "$(cat "$dir/out")" "Another Cubit serves in '$dir/run' already.*--unix-socket /run/cubit-make-run/cubit.sock.*hello 2" 'and says so'
is "$(curl -s --unix-socket "$sock" 'http://cubit/v1/jobs?limit=9' | grep -o '"id"' | wc -l)" "$before" 'the service saw nothing of it'
stop_daemon

# a node on which no program ends well: python does not find its interpreter
mkdir "$dir/languages"
python3 - images/runtimes/python.json "$dir/languages/python.json" <<'P'
import json, sys
d = json.load(open(sys.argv[1]))
d["run"]["argv"][0] = "/nonexistent"
del d["prestart"]
json.dump(d, open(sys.argv[2], "w"))
P
run_once CUBIT_RUN="$dir/alone" CUBIT_LISTEN=127.0.0.1:0 CUBIT_RUNTIMES="$dir/languages"
is "$status" 1 'a first program that does not end well is a failure'
like "$(cat "$dir/out")" 'the first program did not end well: [a-z_]+ - .' 'with its reason'

# sudo
mkdir -p "$dir/tree/build/obj" "$dir/tree/build/run"
touch "$dir/tree/build/obj/roots" "$dir/tree/build/run/state"
chown 4321:4321 "$dir/tree"
chmod 755 "$dir"
got=$(cd "$dir/tree" && SUDO_UID=4321 SUDO_GID=4321 "$CUBIT_SRC/tools/as-caller" build sh -c 'id -u; touch build/obj/new')
is "$got $(stat -c %u "$dir/tree/build/obj/new" "$dir/tree/build/obj/roots" "$dir/tree/build/run/state" | paste -sd ' ')" \
	'4321 4321 4321 0' 'under sudo what is built belongs to the caller, and what root must own stays'
got=$(cd "$dir/tree" && SUDO_UID=4322 SUDO_GID=4322 "$CUBIT_SRC/tools/as-caller" build id -u)
is "$got" 0 "but not in somebody else's tree"
done_testing
