#!/bin/bash
# The seccomp profiles that others publish load as they are and mean what they mean there: Podman's and CRI-O's (one file of
# containers/common) and Docker's, taken from Debian's packages of this release.
#
# where: host
# timeout: 300
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

fetch() # PACKAGE
{
	(cd "$dir" && apt-get -qq -o APT::Sandbox::User=root download "$1" && dpkg -x "$1"_*.deb "$1") >"$dir/fetch.log" 2>&1
	ok $? "the package $1 is fetched" || diag "$(tail -n 5 "$dir/fetch.log")"
}
fetch golang-github-containers-common
fetch golang-github-docker-docker-dev
podman=$(find "$dir" -name seccomp.json | head -n 1)
docker=$(find "$dir" -path '*/profiles/seccomp/default.json' | head -n 1)

mkdir -p "$dir/work"
cat >"$dir/calls.py" <<'END'
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
for call in sys.argv[1:]:
    numbers = [int(n) for n in call.split(",")]
    r = libc.syscall(*[ctypes.c_long(n) for n in numbers])
    print("ok" if r >= 0 else errno.errorcode[ctypes.get_errno()], end=" ")
END
# what calls answer under a profile: numbers of x86_64 with arguments
answers() # PROFILE CALL...
{
	local profile=$1
	shift
	"$sandbox" --run-dir "$run_dir" --id-base "$id_base" --id-count 32 --rootfs / --policy "$profile" --wall 20s \
		-- /usr/bin/python3 -c "$(cat "$dir/calls.py")" "$@" >"$dir/out" 2>"$dir/err"
	python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(d["status"], d["stdout"].strip())' "$dir/out" 2>&1 ||
		cat "$dir/err"
}
# getpid; a call that does not exist; socket(AF_NETLINK, , NETLINK_AUDIT); socket(AF_UNIX, SOCK_STREAM); reboot;
# personality(PER_LINUX); personality(1 << 30)
# shellcheck disable=SC2054 # the commas are part of the words
calls=(39 999 41,16,3,9 41,1,1,0 169 135,0 135,1073741824)
is "$(answers "$podman" "${calls[@]}")" 'ok ok ENOSYS EINVAL ok EPERM ok ENOSYS' "Podman's: as it says" ||
	diag "$(cat "$dir/err")"
# setns: allowed by its first rule; a later one that wants a capability is passed over, as libseccomp does
like "$(answers "$podman" 308,0,0)" '^ok (EINVAL|EBADF|EPERM)' "Podman's: two rules for one call"
is "$(answers "$docker" "${calls[@]}")" 'ok ok EPERM ok ok EPERM ok EPERM' "Docker's: as it says" || diag "$(cat "$dir/err")"
nothing_left 'nothing of it is left'
done_testing
