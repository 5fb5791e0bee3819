#!/bin/bash
# What a sandbox assumes of the process that makes it and of the machine: each of it taken away. Either a sandbox still
# is what it should be, or it is refused with a sentence, which cubit doctor has as well.
# timeout: 280
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

cubit=$build/bin/cubit
real=$sandbox
sandbox=$dir/under

# Start everything that follows under a command: under COMMAND ARGUMENT...
under()
{
	{
		echo '#!/bin/bash'
		printf 'exec'
		printf ' %q' "$@"
		# shellcheck disable=SC2016 # the inner shell expands it
		echo ' "${PROGRAM:-'"$real"'}" "$@"'
	} >"$sandbox"
	chmod 755 "$sandbox"
	what=$*
}

# Words of a shell that runs in a mount namespace of its own, then the program.
under_mounts() # LINE
{
	under unshare --mount bash -c "$1"$'\nexec "$@"' -
	what=$1
}

# What a process inside can see of who made it.
inside()
{
	run -- /bin/payload each rlimits ';' status ';' cat /proc/self/personality ';' stat /work ';' stat /etc ';' write /work/x y ';' \
		cat /proc/self/oom_score_adj
	[ "$status" -eq 0 ] || diag "$(cat "$dir/stderr") $(cat "$dir/verdict" 2>/dev/null)"
	# (6: processes, which the control group bounds; here it is whatever the maker has, beyond any sandbox)
	answers | sed -E 's, 6:[0-9]{4\,}/[0-9]{4\,} , 6:many ,; s, 6:-1/-1 , 6:many ,'
}

same() # TITLE
{
	local got
	got=$(inside)
	is "$got" "$usual" "$1: a sandbox is as usual ($what)"
}

doctor() # CHECK: its line
{
	PROGRAM=$cubit "$sandbox" doctor 2>&1 | tr '\n' ' ' | sed -E "s/.* (ok|warning|MISSING) +$1 +/\1 /; s/ (ok|warning|MISSING)  .*//; s/ +/ /g"
}

# Doctor takes seconds in the emulated guest: there it is asked once about each check, and on the host every time.
asked=' '
refused() # REGEX CHECK TITLE
{
	run -- /bin/payload true
	is "$status" 3 "$3: no sandbox is made"
	like "$(cat "$dir/stderr")" "$1" '... and the reason is said'
	if [ -n "$2" ] && { ! is_guest || [[ $asked != *" $2 "* ]]; }; then
		asked+="$2 "
		like "$(doctor "$2")" "^MISSING .*$1" "... by doctor's $2 as well"
	fi
}

poor() # REGEX CHECK TITLE
{
	same "$3"
	like "$(doctor "$2")" "^warning .*$1" "... and doctor warns"
}

under env
usual=$(inside)
like "$usual" '\[rlimits\].* 4:1/1 ' 'as usual: the core limit is 1'
like "$usual" ' 7:256/256 8:65536/65536 ' 'a process may have 256 open files and lock 64 KiB'
like "$usual" ' 11:256/256 12:131072/131072 ' '... have 256 signals wait, and one message queue'
like "$usual" '13:0/0 14:0/0 ' 'no higher priority can be had'
like "$usual" 'nice 0 sched 0' 'nor is there one'
like "$usual" ' 6:many ' 'there is room for processes'
like "$usual" 'SigIgn:[[:space:]]0000000000000000' 'no signal is ignored'
like "$usual" '00000000'$'\n' 'the personality is that of the machine'
like "$usual" '\[cat /proc/self/oom_score_adj\] 500' 'memory running out on the host ends a sandbox before others'
run -- /bin/payload write /proc/self/oom_score_adj 0
like "$(cat "$dir/stdout")$(field status)" 'EROFS|runtime_error' 'which it cannot change'

# ---- resource limits ----

low=(core=0 cpu=30 fsize=1000000 as=3000000000 data=1000000000 stack=1000000 nofile=500 nproc=100 memlock=1024 sigpending=10
	msgqueue=1024)
sanitized=$(ldd "$real" | grep -c libasan)
[ "$sanitized" -eq 0 ] || diag 'address sanitizer: it takes terabytes and threads, so a few limits cannot be tried'
for limit in "${low[@]}"; do
	[ "$sanitized" -eq 0 ] || [[ $limit != as=* && $limit != data=* ]] || continue
	name=RLIMIT_$(tr '[:lower:]' '[:upper:]' <<<"${limit%=*}")
	under prlimit "--$limit:${limit#*=}" setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource
	refused "$name is ${limit#*=}, sandboxes need .*CAP_SYS_RESOURCE" resource-limits "$limit, and no way to raise it"
	if capsh --has-p=cap_sys_resource 2>/dev/null; then
		under prlimit "--$limit:${limit#*=}"
		same "$limit is raised"
	fi
done
under prlimit --core=0:unlimited --cpu=1:unlimited --fsize=1000:unlimited --nofile=100:20000 --stack=65536:unlimited
same 'soft limits alone'
if capsh --has-p=cap_sys_resource 2>/dev/null; then
	under prlimit --nice=40:40 --rtprio=99:99
	same 'the right to a higher priority'
fi
for program in "cubitd" "cubit runtime test bash --rootfs $rootfs"; do
	read -ra words <<<"$program"
	CUBIT_USER=65534 CUBIT_STATE=$dir/state CUBIT_RUN=$dir/run-other CUBIT_LISTEN=127.0.0.1:0 timeout 60 prlimit --core=0:0 \
		setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource "$build/bin/${words[0]}" "${words[@]:1}" >"$dir/stderr" 2>&1
	is $? 1 "${words[0]} ${words[1]:-} refuses to start as well"
	like "$(cat "$dir/stderr")" 'RLIMIT_CORE is 0, .*LimitCORE=infinity in the unit.*sudo' '... with the ways out'
done

# ---- capabilities and what goes with them ----

for cap in sys_admin setuid setgid chown dac_override fowner mknod kill setpcap; do
	under setpriv --bounding-set=-$cap --inh-caps=-$cap
	refused "without CAP_${cap^^}" capabilities "no CAP_${cap^^}"
done
under setpriv --securebits=+noroot,+noroot_locked
refused 'root, but without CAP_SYS_ADMIN' capabilities 'a root that exec gives no capabilities'
under setpriv --reuid=65534 --clear-groups
chmod 755 "$dir"
refused 'root is needed' '' 'not root'
under setpriv --no-new-privs
same 'no_new_privs'
under setpriv --securebits=+no_setuid_fixup,+no_setuid_fixup_locked
same 'securebits'
under keyctl session -
! command -v keyctl >/dev/null || same 'another session keyring'

# ---- of the process ----

under env --ignore-signal
same 'every signal ignored'
under env --block-signal
same 'every signal blocked'
under setarch --addr-no-randomize --addr-compat-layout
same 'no address randomisation'
under setarch linux32
same "another machine's name"
under bash -c 'umask 077; exec "$@"' -
same 'a strict umask'
under nice -n -5
same 'a higher priority'
for policy in fifo rr; do
	under chrt --$policy 3
	same "scheduled as $policy"
done
under chrt --deadline --sched-runtime 1000000 --sched-deadline 10000000 --sched-period 10000000 0
[ "$sanitized" -gt 0 ] || refused 'SCHED_DEADLINE' '' 'scheduled by deadline'
under nice -n 5
usual_before=$usual
usual=${usual/nice 0/nice 5}
poor 'nice 5' scheduling 'a lower priority stays, and'
usual=$usual_before
under choom -n 700 --
usual=${usual/oom_score_adj] 500/oom_score_adj] 700}
same 'a worse oom score stays'
usual=$usual_before

filter='import ctypes, os, struct, sys
code = struct.pack("HBBI", 6, 0, 0, 0x7fff0000)
memory = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(memory)))
assert ctypes.CDLL(None).prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])'
under python3 -c "$filter"
run -- /bin/payload true
is "$(field status)" ok 'a system call filter around us: a sandbox can be made'
like "$(doctor outer-filter)" '^warning a system call filter' '... and doctor warns'
under python3 -c 'import ctypes, os, sys
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])'
like "$(doctor write-or-execute)" "^$([ -e /proc/sys/vm/memfd_noexec ] && echo 'warning memory may not' || echo ok)" \
	'no memory made executable: doctor warns where the kernel has that'
same '... and'

# ---- mounts ----

for flags in shared private slave; do
	under unshare --mount --propagation $flags
	same "the root directory is $flags"
done
under_mounts "mount --bind '$rootfs' '$rootfs' && mount -o remount,bind,ro,nosuid,nodev,noexec '$rootfs'"
same 'layers on a file system without programs'
mkdir -p "$run_dir"
under_mounts "mount --bind '$run_dir' '$run_dir' && mount -o remount,bind,nosuid,nodev,noexec '$run_dir'"
same 'CUBIT_RUN as well'
under_mounts "mount --bind '$run_dir' '$run_dir' && mount -o remount,bind,ro '$run_dir'"
refused "$run_dir.*Read-only file system" '' 'CUBIT_RUN is read-only'
under_mounts 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys'
refused '/proc/sys is read-only here' fresh-proc 'ProtectKernelTunables=yes'
# whatever other /proc there is would do as well
# shellcheck disable=SC2016 # awk expands it
alone='awk '\''$(NF-2) == "proc" && $5 != "/proc" { print $5 }'\'' /proc/self/mountinfo | xargs -r umount -l'
under_mounts "$alone; mount --bind /dev/null /proc/uptime"
refused 'covered are /proc/uptime' fresh-proc 'a part of /proc covered'
under_mounts "$alone; mount -t proc -o hidepid=2 proc /proc"
same 'ProtectProc=invisible'
if [ -e /proc/sys/vm/memfd_noexec ]; then
	under unshare --pid --fork --mount-proc bash -c 'echo 1 >/proc/sys/vm/memfd_noexec; exec "$@"' -
	same 'memory files without programs by default'
	under unshare --pid --fork --mount-proc bash -c 'echo 2 >/proc/sys/vm/memfd_noexec; exec "$@"' -
	refused 'vm.memfd_noexec is 2' memory-files 'no memory file may be executed'
fi
# a directory with the machine in it that is no mount point itself
root=$dir/chroot
mkdir "$root"
for at in /*; do
	[ -d "$at" ] && [ ! -L "$at" ] && mkdir "$root$at"
	[ ! -L "$at" ] || cp -P "$at" "$root$at"
done
under_mounts "for at in '$root'/*; do [ -L \"\$at\" ] || mount --rbind \"\${at#'$root'}\" \"\$at\"; done; set -- chroot '$root' \"\$@\""
refused 'no mount point \(chroot\)' mounts 'in a chroot'

# ---- sysctls: of the whole machine, so only where it is ours ----

if is_guest; then
	setting() # FILE VALUE
	{
		was=$(cat "$1")
		echo "$2" >"$1"
	}
	under env
	setting /proc/sys/user/max_user_namespaces 0
	refused 'namespaces of a sandbox cannot be made' fresh-proc 'user.max_user_namespaces=0'
	echo "$was" >/proc/sys/user/max_user_namespaces
	setting /proc/sys/fs/mount-max 20
	refused 'fs.mount-max=20' mounts 'fs.mount-max=20'
	echo "$was" >/proc/sys/fs/mount-max
	setting /proc/sys/vm/overcommit_memory 2
	like "$(doctor overcommit)" '^warning vm.overcommit_memory is 2' 'vm.overcommit_memory=2: doctor warns'
	echo "$was" >/proc/sys/vm/overcommit_memory
fi
under env
same 'with all of it back'
nothing_left 'nothing is left'
done_testing
