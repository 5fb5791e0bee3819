#!/bin/bash
# Descriptors and directories of the host that leak into the sandbox (CVE-2024-21626, CVE-2016-9962): whatever the
# supervisor has open, a payload gets 0, 1, 2, and a working directory outside of the root is refused.
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

mkdir "$dir/outside"
echo secret >"$dir/outside/secret"
cd "$dir/outside" || exit 1
# directories, files, a pipe; low numbers and high ones
# shellcheck disable=SC2094 # they are only held open
exec 3</ 4</etc 5<"$dir/outside" 6<"$dir/outside/secret" 7<>"$dir/outside/secret" 9< <(echo pipe) 100</ 200</proc

run -- /bin/payload each open-fds ';' fds ';' cwd
is "$(answer open-fds)" '0 1 2' 'a process has descriptors 0, 1 and 2 open and no other'
fds=$(answer fds)
like "$fds" '^0 /dev/null.1 pipe:\[[0-9]+\].2 pipe:\[[0-9]+\]$' '... the null device and two pipes'
is "$(answer cwd)" /work 'it starts in its working directory'

run --hold-stdin -- /bin/payload open-fds
is "$(cat "$dir/stdout")" '0 1 2' '... the same with a pipe as standard input'

# Refused for what it is, or a place inside where the secret is not.
leads_nowhere() # DIRECTORY
{
	if [ "$(field status)" = ok ]; then
		like "$(answer 'cat secret')" ENOENT "working directory $1 stays inside"
		unlike "$(answer cwd)" unreachable '... and is a place there'
	else
		is "$(field status)" runtime_error "working directory $1 is refused"
		like "$(field reason)" '^change to the working directory: ' '... and the reason says so'
	fi
}

for at in {3..12} 100 200; do
	run --cwd "/proc/self/fd/$at" -- /bin/payload each cat secret ';' cwd
	leads_nowhere "/proc/self/fd/$at"
done
for at in /proc/self/fd/5/../../../.. /proc/1/cwd /proc/1/root /proc/self/fd/8/../../.. "$dir/outside"; do
	run --cwd "$at" -- /bin/payload cat secret
	is "$(field status)" runtime_error "working directory $at is refused"
	like "$(field reason)" '^change to the working directory: ' '... and the reason says so'
done
for at in /proc/self/cwd /proc/self/root /proc/self/root/../../.. ../../../.. .; do
	run --cwd "$at" -- /bin/payload each cwd ';' cat secret ';' ls
	leads_nowhere "$at"
	[ "$(field status)" != ok ] || unlike "$(answer ls)" secret '... without the secret'
done

# descriptors that another door might give back
run -- /bin/payload each ls /proc/self/fd/.. ';' open /proc/self/fd/3 ';' open /dev/fd/5 ';' call pidfd_getfd 0 3 0 ';' ls /proc/1/fd
like "$(answer 'open /proc/self/fd/3')" ENOENT 'descriptor 3 cannot be opened through /proc'
like "$(answer 'open /dev/fd/5')" ENOENT '... nor 5 through /dev/fd'
like "$(answer 'call pidfd_getfd 0 3 0')" EPERM 'pidfd_getfd is refused'
like "$(answer 'ls /proc/1/fd')" ENOENT "pid 1's descriptors are not to be seen"

# the interpreter of a script is opened before exec: what pid 1 has open must not be executable through it
printf '#!/proc/self/fd/3\n' >"$rootfs/bin/script"
chmod 755 "$rootfs/bin/script"
run -- /bin/script
is "$(field status)" runtime_error 'a script cannot name a descriptor of pid 1 as its interpreter'

run --cwd / --stdin "$dir/outside/secret" -- /bin/payload each call fcntl 0 3 ';' stat /proc/self/fd/0 ';' fds
like "$(answer fds)" '0 pipe:' 'an input file is copied through a pipe, not handed in'
nothing_left 'nothing is left'
done_testing
