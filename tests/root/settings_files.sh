#!/bin/bash
# Every program of Cubit takes its settings from the environment, .env and /etc/cubit/cubit.env, in that order: each one is
# given a file and asked for something that shows it. /etc is an overlay in a mount namespace of this test's own.
# timeout: 120
# where: host
set -u
if [ -z "${IN_OWN_ETC:-}" ] && [ "$(id -u)" -eq 0 ]; then
	IN_OWN_ETC=1 exec unshare --mount --propagation private -- "$0" "$@"
fi
# shellcheck source=tests/lib/sandbox.sh
. "$(dirname "$0")/../lib/sandbox.sh"
src=$PWD cubit=$build/bin/cubit
unset CUBIT_STATE CUBIT_RUN CUBIT_ID_BASE CUBIT_ID_COUNT REDIS_URL S3_ENDPOINT

mkdir "$dir/etc" "$dir/over"
if ! mount -t tmpfs tmpfs "$dir/over" || ! mkdir "$dir/over/u" "$dir/over/w" ||
	! mount -t overlay -o "lowerdir=/etc,upperdir=$dir/over/u,workdir=$dir/over/w" overlay /etc; then
	skip_all 'cannot put an overlay on /etc'
fi
rm -rf /etc/cubit && mkdir /etc/cubit
mkdir "$dir/cwd" "$dir/languages" "$dir/bin"
python3 - "$src/images/runtimes/bash.json" "$dir/languages/planted.json" <<'P' || cp "$src/images/runtimes/bash.json" "$dir/languages/planted.json"
import json, sys
d = json.load(open(sys.argv[1]))
d["name"], d["aliases"] = "planted", []
json.dump(d, open(sys.argv[2], "w"))
P
# what mkimage needs to come to its first refusal, and nothing that makes images
for tool in bash sh readlink id cat sed grep mkdir install flock rm dirname sort paste env date; do
	ln -s "$(command -v "$tool")" "$dir/bin/$tool"
done

settings() # STATE: the text of a file
{
	echo "CUBIT_STATE=$1 # a comment, which only we know"
	echo "export CUBIT_RUN='$1-run'"
	echo "CUBIT_RUNTIMES=$dir/languages"
	echo "CUBIT_REGISTRY_MIRRORS=no-mirror"
	echo 'REDIS_URL=redis://127.0.0.1:1/'
	echo 'S3_ENDPOINT=http://127.0.0.1:2'
	[ -z "${url:-}" ] || echo "CUBIT_URL=$url"
}

from() # DIRECTORY COMMAND...: -> $got (both outputs), $status
{
	local cwd=$1
	shift
	got=$(cd "$cwd" && "$@" 2>&1 </dev/null)
	status=$?
}

# What each program shows of the settings for STATE. WHERE is for the title.
walk() # WHERE DIRECTORY STATE
{
	local where=$1 cwd=$2 state=$3
	from "$cwd" "$build/bin/cubitd" --config
	like "$got" "CUBIT_STATE +$state " "cubitd: $where"
	from "$cwd" "$cubit" config
	like "$got" "CUBIT_STATE +$state +$where" "cubit config: $where"
	from "$cwd" "$cubit" config CUBIT_STATE
	is "$status $got" "0 $state" "cubit config NAME, for scripts: $where"
	from "$cwd" "$cubit" image ls
	ok "$([ -d "$state/images" ]; echo $?)" "cubit image: $where" || diag "$got"
	from "$cwd" "$cubit" image pull localhost:1/a
	like "$got" "CUBIT_REGISTRY_MIRRORS: 'no-mirror'" "cubit image, about registries: $where"
	from "$cwd" "$cubit" doctor
	like "$got" "port 1: " "cubit doctor, Redis: $where"
	like "$got" "port 2: " "cubit doctor, S3: $where"
	from "$cwd" "$cubit" runtime ls
	like "$got" "planted" "cubit runtime: $where"
	from "$cwd" "$cubit" run planted -
	like "$status $got" "^3 .*'$state-run/cubit.sock'" "cubit run, as all clients: $where"
	from "$cwd" "$sandbox" --image none -- /bin/true
	like "$got" "there is no image '[^']*none" "cubit-sandbox looks into the store: $where"
	ok "$([ -d "$state-run/ids" ]; echo $?)" "cubit-sandbox claims its ids there: $where"
	from "$cwd" env PATH="$dir/bin" "$src/tools/mkimage" base
	like "$status $got" '^1 .*packages are missing: .*mmdebstrap.*apt-get install' "mkimage names the packages that are missing: $where"
	ok "$([ -d "$state/mkimage" ]; echo $?)" "mkimage: $where" || diag "$got"
	from "$cwd" env PATH="$dir/bin" "$cubit" setup base
	# which a build elsewhere (with sanitizers) does not find beside it
	[ "$(realpath "$build/..")" = "$(realpath "$src")" ] && want='packages are missing: ' || want="there is no '.*/mkimage'"
	like "$status $got" "^1 .*$want" "cubit setup becomes mkimage: $where"
}

settings "$dir/s-etc" >/etc/cubit/cubit.env
chmod 600 /etc/cubit/cubit.env
walk /etc/cubit/cubit.env / "$dir/s-etc"
settings "$dir/s-dot" >"$dir/cwd/.env"
chmod 600 "$dir/cwd/.env"
walk .env "$dir/cwd" "$dir/s-dot"
export CUBIT_STATE=$dir/s-env CUBIT_RUN=$dir/s-env-run
walk environment "$dir/cwd" "$dir/s-env"
unset CUBIT_STATE CUBIT_RUN

# where the daemon is
rm "$dir/cwd/.env"
url=http://127.0.0.1:3 settings "$dir/s-etc" >/etc/cubit/cubit.env
from / "$cubit" stats
like "$status $got" '^3 .*http://127.0.0.1:3' 'CUBIT_URL counts in the file'

# an ordinary user may not read the file, and gets along
from / setpriv --reuid=4321 --clear-groups "$cubit" stats
like "$status $got" "^3 .*'/run/cubit/cubit.sock'.*/etc/cubit/cubit.env says is not known" 'an ordinary user is told what is unknown when it matters'
from / setpriv --reuid=4321 --clear-groups "$cubit" completion bash
is "$status" 0 'and not bothered when it does not'
unlike "$got" 'cubit.env' 'really'
from / setpriv --reuid=4321 --clear-groups "$cubit" config
like "$status $got" '^0 .*you may not read /etc/cubit/cubit.env' 'cubit config says what it does not show'
from / setpriv --reuid=4321 --clear-groups "$cubit" doctor
like "$got" 'warning +settings .*/etc/cubit/cubit.env may not be read' 'and so does doctor'
from / setpriv --reuid=4321 --clear-groups "$build/bin/cubitd"
is "$status" 2 'the daemon does not start without it'

# a bad setting has an exit status of its own, for everybody
echo 'CUBIT_MAX_WALL=soon' >/etc/cubit/cubit.env
for program in "$build/bin/cubitd" "$cubit config" "$cubit image ls" "$cubit run bash -" "$cubit stats" "$cubit setup" \
	"$sandbox --rootfs / -- /bin/true" "$src/tools/mkimage base"; do
	# shellcheck disable=SC2086 # a command and its arguments
	from / $program
	like "$status $got" "^2 .*CUBIT_MAX_WALL \(/etc/cubit/cubit.env\): 'soon' is not a time" "${program##*/}: status 2 and the words"
done
from / "$cubit" doctor
like "$status $got" "^1 .*MISSING +settings .*'soon'" 'cubit doctor has a finding, and goes on'
like "$got" 'ok +kernel' 'with the others'
for program in "$cubit image" "$cubit setup" "$sandbox"; do
	# shellcheck disable=SC2086 # a command and its arguments
	from / $program --help
	like "$status $got" '^0 .*[Uu]sage' "--help of ${program##*/} is printed all the same"
done
done_testing
