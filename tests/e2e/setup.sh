#!/bin/bash
# A fresh installation makes its own images: `make install`, a daemon with an empty store, `cubit setup`, and a program
# runs without a restart. Then `make uninstall` takes all of it away but what it says. Needs the package mirror.
# timeout: 900
# alone
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
root=$dir/root prefix=$dir/root/opt/cubit
make_it() { make --no-print-directory BUILD="${build#"$PWD"/}" PREFIX=/opt/cubit DESTDIR="$root" "$@" >"$dir/make.log" 2>&1; }

make_it install
ok $? 'make install' || diag "$(tail "$dir/make.log")"
installed=$prefix/bin/cubit
is "$(cd / && env -u CUBIT_BUILD "$prefix/bin/cubit-mkimage" --list | awk '{print $1}' | head -n 3 | paste -sd ' ')" 'base bash debian' \
	'mkimage is installed, with its recipes'
is "$(grep -c '@BINDIR@' "$prefix"/lib/systemd/system/*.service | grep -vc ':0')" 0 'units have their paths'
grep -q '^ExecStart=/opt/cubit/bin/cubit setup' "$prefix/lib/systemd/system/cubit-setup.service"
ok $? 'a unit makes the images at the first start'
ok "$(! grep -q '^EnvironmentFile' "$prefix/lib/systemd/system/cubitd.service"; echo $?)" 'and the service reads its settings itself'
[ -e "$prefix/share/man/man1/cubit-setup.1" ] && [ -e "$prefix/share/man/man1/cubit-mkimage.1" ]
ok $? 'with manual pages'

# settings by a file in the working directory; an empty store
mkdir "$dir/cwd" "$dir/state"
printf '%s\n' "CUBIT_STATE=$dir/state" 'CUBIT_SETUP=bash' >"$dir/cwd/.env"
chmod 600 "$dir/cwd/.env"
setup() # ARGUMENT... -> $status, $dir/out
{
	(cd "$dir/cwd" && env -u CUBIT_BUILD -u CUBIT_STATE "$installed" setup "$@") >"$dir/out" 2>&1 </dev/null
	status=$?
}
setup nosuchimage
is "$status $(grep -c "no image 'nosuchimage'; there are: base bash" "$dir/out")" '2 1' 'a name that is none is refused'
setup --frobnicate
is "$status" 2 'so is an option that is none'
is "$(cd "$dir/cwd" && setpriv --reuid=4321 --clear-groups "$build/bin/cubit" setup 2>&1)" \
	"cubit setup: needs root: it installs packages in a chroot; try 'sudo cubit setup'" 'who is not root is told'
# a machine without mmdebstrap, and an apt-get that says what it was asked for
mkdir "$dir/bin"
for tool in bash sh readlink id cat sed grep mkdir install flock rm dirname sort paste env date tail python3 dpkg-query unshare zstd; do
	ln -s "$(command -v "$tool")" "$dir/bin/$tool"
done
printf '#!/bin/sh\necho "$@" >>%s\n' "$dir/apt" >"$dir/bin/apt-get"
chmod +x "$dir/bin/apt-get"
PATH=$dir/bin setup
is "$status $(cat "$dir/out")" '1 mkimage: packages are missing: mmdebstrap (--install installs them, as does: apt-get install mmdebstrap)' \
	'what is missing is named'
[ ! -e "$dir/apt" ]
ok $? 'and not installed unasked'
PATH=$dir/bin setup --install
is "$status $(tail -n 1 "$dir/out")" '1 mkimage: still missing after the installation: mmdebstrap' '--install does, and looks again'
like "$(cat "$dir/apt")" 'update.*--no-install-recommends .*install mmdebstrap' 'with apt-get'
wait_ready() # with an empty store it is not: that it says so is enough
{
	within 20 says_so
}
says_so()
{
	api /readyz
	[ "$status" = 503 ] && [[ $(get reasons) == *'cubit setup'* ]]
}
start_daemon
says_so
ok $? 'a daemon with an empty store is not ready, and says what to do'
api /v1/run -d '{"runtime":"bash","source":"echo hi"}'
unlike "$status $(get status)" '^200 ok' 'with an empty store nothing runs'

setup
is "$status" 0 'cubit setup makes what CUBIT_SETUP lists' || diag "$(tail -n 20 "$dir/out")"
like "$(cat "$dir/out")" 'base: making.*bash: loading' 'and says what it is at'
api /v1/run -d '{"runtime":"bash","source":"echo hi"}'
is "$status $(get status) $(get stdout)" '200 ok hi' 'the daemon, which was not restarted, runs a program'
begin=$SECONDS
setup
is "$status $(cat "$dir/out")" '0 mkimage: bash: already in the store (--force makes it again)' 'once more is nothing to do'
[ $((SECONDS - begin)) -le 2 ]
ok $? 'at once'
stop_daemon

mkdir -p "$root/etc/cubit" && echo "export CUBIT_STATE='/srv/cubit' # there" >"$root/etc/cubit/cubit.env" && mkdir -p "$root/srv/cubit"
# where systemd runs and DESTDIR is empty, make finds systemctl by itself
printf '#!/bin/sh\necho "$@" >>%s\n' "$dir/systemctl.log" >"$dir/systemctl"
chmod +x "$dir/systemctl"
make_it uninstall SYSTEMCTL="$dir/systemctl"
ok $? 'make uninstall' || diag "$(tail "$dir/make.log")"
is "$(find "$root/opt" ! -type d)" '' 'leaves no file'
like "$(cat "$dir/make.log")" "What stays:.*$root/srv/cubit .*$root/etc/cubit " 'and says what stays'
is "$(paste -sd '|' "$dir/systemctl.log")" 'disable --now cubit-cubes.service cubit-setup.service cubitd.service|daemon-reload' \
	'units are stopped, and no link to them stays'
rm -r "${root:?}/etc" "${root:?}/srv"
like "$(DESTDIR=$root tools/what-stays)" 'Nothing of Cubit stays' 'which may be nothing'
done_testing
