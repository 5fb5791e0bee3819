#!/bin/bash
# The seccomp profiles that others publish load as they are and mean what they mean there: Podman's and CRI-O's (one file of
# containers/common) and Docker's, taken from Debian's packages of this release. And ours mean the same elsewhere: runc runs
# a program under what `cubit policy oci` writes.
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

# ---- ours under runc ----

export CUBIT_POLICIES=$dir/none
questions=(call unshare 0x10000000 ';' call socket 16 3 0 ';' call socket 2 1 132 ';' call socket 2 1 0 ';' call socket 1 1 0 ';'
	call clone 0x10000011 0 0 0 0 ';' call ioctl 0 0x5412 0 ';' call ioctl 0 0x5413 buf ';' call personality 0x40000 ';'
	call prctl 22 2 0 ';' call mknod /x 0x2000 0 ';' call fcntl 0 1024 ';' call keyctl 0 0 0)
mkdir "$dir/bundle" "$dir/runc"
(cd "$dir/bundle" && runc spec)
under_runc() # PROFILE -> what `payload each` says there
{
	python3 - "$dir/bundle/config.json" "$1" "$rootfs" "${questions[@]}" <<'END'
import json, sys
path, profile, rootfs, *questions = sys.argv[1:]
c = json.load(open(path))
c["process"].update(terminal=False, args=["/bin/payload", "each"] + questions)
c["root"]["path"] = rootfs
c["process"].pop("rlimits", None)
c["linux"].pop("resources", None)
c["linux"]["seccomp"] = json.load(open(profile))
json.dump(c, open(path, "w"))
END
	runc --root "$dir/runc" run --bundle "$dir/bundle" "$prefix-$RANDOM" 2>"$dir/err" </dev/null
}
for policy in default net build; do # not strict, which refuses what runc's own process calls behind the filter
	"$build/bin/cubit" policy oci "$policy" >"$dir/$policy.json" 2>"$dir/err"
	ok $? "$policy is written for other runtimes" || diag "$(cat "$dir/err")"
	run --policy "$policy" -- /bin/payload each "${questions[@]}"
	want=$(output)
	is "$(under_runc "$dir/$policy.json")" "$want" "$policy answers under runc as it does here" || diag "$(cat "$dir/err")"
done
"$build/bin/cubit" policy oci no-such-policy >"$dir/out" 2>"$dir/err"
is $? 1 'what is no profile is refused'
like "$(cat "$dir/err")" 'no-such-policy' 'by its name'
nothing_left 'nothing of it is left'
done_testing
