#!/bin/bash
# cubitd as a service file starts it: directories that are hidden from it are named in a sentence, a setting of the front's
# ends it with the status of bad settings, whoever can judge it, and its lines carry priorities where the journal reads them.
# timeout: 120
# where: host
set -u
if [ -z "${IN_OWN_MOUNTS:-}" ] && [ "$(id -u)" -eq 0 ]; then
	IN_OWN_MOUNTS=1 exec unshare --mount --propagation private -- "$0" "$@"
fi
# shellcheck source=tests/lib/sandbox.sh
. "$(dirname "$0")/../lib/sandbox.sh"
cd "$dir" || exit 1
export CUBIT_RUN=$dir/run CUBIT_LISTEN='' CUBIT_USER=64642 CUBIT_ID_BASE=$id_base
mkdir "$dir/hidden"
chmod 000 "$dir/hidden"

cubitd() # NAME=VALUE...: $got, $status
{
	got=$(env "$@" timeout 60 "$build/bin/cubitd" 2>&1 </dev/null)
	status=$?
}

# systemd.exec(5), ProtectHome=yes: an empty directory of mode 0, read-only, bound over it
if ! mount --bind "$dir/hidden" /root || ! mount -o remount,bind,ro /root; then
	skip_all 'cannot mount'
fi
cubitd CUBIT_STATE=/root/cubit
is "$status" 2 'a CUBIT_STATE below a hidden home is a bad setting'
like "$got" "CUBIT_STATE: '/root/cubit' lies below '/root', which is hidden from this service: set ProtectHome=no" 'in a sentence'
cubitd CUBIT_STATE=/root
like "$status $got" "^2 .*is hidden from this service" 'the home itself, too'
umount /root
mount -t tmpfs -o ro tmpfs "$dir/hidden"
cubitd CUBIT_STATE="$dir/hidden/cubit"
like "$status $got" "^1 .*CUBIT_STATE: .*read-only file system" 'and so is a read-only place, which may change'
umount "$dir/hidden"
cubitd CUBIT_STATE="$dir/none/cubit"
like "$status $got" "^1 .*CUBIT_STATE: make directory '$dir/none/cubit': No such file" 'what is just missing is named with its setting'

# a setting of the front's that the monitor can judge
cubitd CUBIT_STATE="$dir/state" REDIS_URL=nonsense://x
is "$status" 2 'a REDIS_URL that is none is a bad setting' || diag "$got"
is "$(wc -l <<<"$got")" 1 'found before anything is started' || diag "$got"
unlike "$got" 'nonsense' 'without its text, which may hold a password'
[ ! -e "$dir/state" ]
ok $? 'nor is anything made'

# one that only the front can judge: a file that root may read and the front may not
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$dir/key" -out "$dir/ca" -subj /CN=x -days 2 2>/dev/null
chmod 0600 "$dir/ca"
secret=(REDIS_URL=rediss://localhost:1 CUBIT_REDIS_CA="$dir/ca" CUBIT_STATE="$dir/state")
cubitd "${secret[@]}"
is "$status" 2 'certificates that the front may not read are a bad setting' || diag "$got"
like "$got" "error front: REDIS_URL: certificates for Redis '$dir/ca': Permission denied" 'in a sentence'
is "$(grep -c 'front: REDIS_URL' <<<"$got")" 1 'found once: five fronts would read the same'

# a stream that stands for the journal
exec 3>"$dir/journal"
stream=$(stat -L -c %d:%i /proc/self/fd/3)
env JOURNAL_STREAM="$stream" "${secret[@]}" CUBIT_STATE="$dir/state2" timeout 60 "$build/bin/cubitd" 2>&3 </dev/null
like "$(cat "$dir/journal")" '<5>[0-9T:.Z-]+ notice the admin key' 'what the monitor says has its priority'
like "$(cat "$dir/journal")" '<3>[0-9T:.Z-]+ error front: REDIS_URL' 'and what the front says'
is "$(grep -vc '^<[3-7]>' "$dir/journal")" 0 'each line'
env JOURNAL_STREAM="$stream" CUBIT_STATE="$dir/state" CUBIT_JOBS=0 timeout 60 "$build/bin/cubitd" 2>&3 </dev/null
like "$(tail -n 1 "$dir/journal")" '^<3>.*CUBIT_JOBS' 'a bad setting, which is said before the log is set up, too'
exec 3>&-
done_testing
