#!/bin/bash
# The daemon and the commands know the same languages, from the same places: built in, CUBIT_RUNTIMES, CUBIT_STATE/runtimes,
# each stronger than the one before; also what is put there later.
# timeout: 120
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash

cubit=$CUBIT_BUILD/bin/cubit
export CUBIT_RUNTIMES=$dir/languages CUBIT_STATE=$dir/state CUBIT_RUN=$dir/run
mkdir -p "$CUBIT_RUNTIMES" "$dir/state/runtimes"

define() # DIRECTORY NAME SAYS: a shell of that name that says where it comes from
{
	python3 - "$CUBIT_SRC/images/runtimes/bash.json" "$1/$2.json" "$2" "$3" <<'P'
import json, sys
source, to, name, says = sys.argv[1:]
d = json.load(open(source))
d.update(name=name, title=says, aliases=[])
json.dump(d, open(to, "w"))
P
}

# What daemon and command say, NAME and origin, without those built in.
of_daemon()
{
	api /v1/runtimes
	python3 -c 'import json, sys
for r in json.load(sys.stdin)["runtimes"]: print(r["name"], r["title"])' <<<"$body" | grep from- | sort
}

of_command()
{
	"$cubit" runtime ls | awk -v a="$CUBIT_RUNTIMES/" -v b="$dir/state/runtimes/" '
		index($0, a) { print $1, "from-settings" }
		index($0, b) { print $1, "from-state" }' | sort
}

define "$CUBIT_RUNTIMES" first from-settings
define "$CUBIT_RUNTIMES" both from-settings
define "$dir/state/runtimes" both from-state
define "$dir/state/runtimes" second from-state
start_daemon
want='both from-state
first from-settings
second from-state'
is "$(of_daemon)" "$want" 'the daemon reads both directories, that of the state is stronger'
is "$(of_command)" "$want" '... and so does cubit runtime'
api /v1/run -d '{"runtime":"second","source":"echo hi"}'
is "$(get stdout)" hi '... and runs what is defined there'
stop_daemon

# the directory is made by the daemon, and what comes later is read as well
rm -rf "$dir/state/runtimes"
start_daemon
is "$(of_daemon) $(stat -c %a "$dir/state/runtimes")" 'both from-settings
first from-settings 755' 'the daemon makes the directory'
define "$dir/state/runtimes" late from-state
kill -HUP "$daemon"
# shellcheck disable=SC2317 # called by within
is_known()
{
	of_daemon | grep -q '^late '
}
ok "$(within 10 is_known; echo $?)" 'SIGHUP reads what was put there since'
is "$(of_daemon)" "$(of_command)" '... by the daemon and the command alike'

# a directory that the front may not open takes nothing else down
chmod 700 "$dir/state/runtimes"
stop_daemon
start_daemon
api /v1/runtimes
like "$(get problems.0)" "open directory '.*/runtimes': Permission denied" 'a directory that the front may not read is a problem by name'
is "$(of_daemon)" 'both from-settings
first from-settings' '... and the others are there'
stop_daemon
nothing_left 'nothing of it is left'
done_testing
