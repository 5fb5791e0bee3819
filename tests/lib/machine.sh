#!/bin/bash
# Sourced by tests/machine/RELEASE.sh: a whole Debian machine (tests/vm/machine) on which Cubit is installed as its users
# install it, and the scripts of tests/machine/inside that look at it from within.
#
#   . tests/lib/machine.sh
#   start_machine trixie        # programs, package, images and disk of that release, made when missing; booted
#   inside 10-package           # runs tests/machine/inside/10-package.sh there, as root; its assertions count here
#   LOGIN=op inside sudo        # the same as an ordinary user with sudo
#   on 'systemctl is-active cubitd'
#   reboot_machine
#   done_testing
#
# What a script inside finds: the functions of tests/lib/tap.sh and tests/lib/machine_inside.sh, and below /mnt, read-only,
#   cubit.deb  tree/ (what `make install PREFIX=/usr/local` puts in place)  images/ (an OCI layout)  tests/ (unit tests)

export LC_ALL=C
# shellcheck source=tests/lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/tap.sh"
[ "$(id -u)" -eq 0 ] || skip_all 'needs root'
src=${CUBIT_SRC:-$PWD}
build=${CUBIT_BUILD:-$src/build}
dir=${CUBIT_TEST_DIR:-$(mktemp -d "$build/tmp/machine.XXXXXX")}
images=(bash python c node)
machine=$src/tests/vm/machine

bail()
{
	echo "Bail out! $*"
	exit 1
}

# Start a command that may fail in the making of a machine; its output is shown then.
prepare() # WHAT COMMAND...
{
	local what=$1
	shift
	"$@" >"$dir/prepare.log" 2>&1 || {
		diag "$(tail -n 40 "$dir/prepare.log")"
		bail "$what"
	}
}

# The programs of RELEASE in $programs: this machine's own build when it is of that release, else built in a root file
# system of it, which is kept.
build_programs() # RELEASE
{
	local host
	host=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	if [ "$1" = "$host" ]; then
		programs=$build
		rm -rf "$build/deb" "$build/tree"
		prepare "no package of $1" "$src/tools/debian/make" "$src" "$build"
		prepare 'make install fails' make -C "$src" --no-print-directory BUILD="$build" DESTDIR="$build/tree" install
	else
		prepare "Cubit does not build on $1" "$src/tests/vm/release-root" "$1" "$build/release/$1"
		programs=$build/release/$1/build
	fi
	deb=$(find "$programs/deb" -name '*.deb' | head -n 1)
}

make_images() # RELEASE
{
	local state=$build/images-$1
	mkdir -p "$state"
	prepare "the images of $1 cannot be made" flock "$state/lock" env CUBIT_STATE="$state" CUBIT_BUILD="$build" \
		"$src/tools/mkimage" --suite "$1" --no-load "${images[@]}"
	layout=$state/mkimage/layout
}

# Everything that the machine is to find, as a second disk.
make_cargo()
{
	local cargo=$dir/cargo
	mkdir -p "$cargo/tests" "$cargo/supervisor/daemon"
	cp -r "$src/docs" "$cargo/" # unit tests compare these with the programs
	cp "$deb" "$cargo/cubit.deb"
	cp -r "$programs/tree" "$cargo/tree"
	cp -r "$layout" "$cargo/images"
	(cd "$programs/tests/unit" && find . -type f -executable -printf '%P\n') | while read -r name; do
		cp "$programs/tests/unit/$name" "$cargo/tests/${name//\//-}" || exit
	done
	truncate -s 2G "$dir/cargo.raw"
	prepare 'no disk with the packages' mke2fs -q -F -t ext4 -d "$cargo" "$dir/cargo.raw"
	rm -rf "$cargo"
}

start_machine() # RELEASE
{
	build_programs "$1"
	make_images "$1"
	make_cargo
	prepare "no machine of $1" "$machine" make "$1" "$deb"
	CARGO=$dir/cargo.raw OWNER=$$ prepare "the machine of $1 does not boot" "$machine" boot "$1" "$dir/vm"
	trap 'stop_machine' EXIT
	on 'mount -o ro /dev/vdb /mnt'
}

stop_machine()
{
	"$machine" stop "$dir/vm"
	rm -f "$dir/cargo.raw"
}

on() # COMMAND, a line of shell
{
	"$machine" run "$dir/vm" "$@" </dev/null
}

# The assertions of a script inside become ours, with our numbers. One that does not reach its end has failed.
inside() # NAME
{
	local line ended=1 name=$1
	diag "---- $name"
	while IFS= read -r line; do
		case $line in
		'ok '*) ok 0 "${line#* - }" ;;
		'not ok '*) ok 1 "${line#* - }" ;;
		'1..'*) ended=0 ;;
		*) printf '# %s\n' "${line#\# }" ;;
		esac
	done < <(cat "$src/tests/lib/tap.sh" "$src/tests/lib/machine_inside.sh" "$src/tests/machine/inside/$name.sh" |
		"$machine" run "$dir/vm" 'cat >/tmp/inside.$$ && exec bash /tmp/inside.$$ </dev/null 2>&1')
	ok "$ended" "$name: every assertion was reached"
}

reboot_machine()
{
	on 'systemctl reboot' || :
	sleep 5
	rm -f "$dir"/vm/ssh-*
	"$machine" wait "$dir/vm" || bail 'the machine does not come back'
	on 'mount -o ro /dev/vdb /mnt'
}

# What is done on every release.
run_life()
{
	local name
	diag "$(on 'uname -rv; systemctl --version | head -n 1; cat /sys/fs/cgroup/cgroup.controllers')"
	for name in 10-package 20-images 30-runs 40-verdicts 50-crash 55-restart 60-outlive; do
		inside "$name"
	done
	LOGIN=op inside 70-sudo
	for name in 75-settings 80-taken-away 85-memory 90-queue; do
		inside "$name"
	done
	reboot_machine
	inside 91-rebooted
	inside 95-remove
}
