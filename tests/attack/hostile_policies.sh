#!/bin/bash
# Policies that refuse what we ourselves might want between the filter and the program: each call of ours with each action,
# and whole classes of them. Whatever a policy says, the verdict is about the payload: nothing is internal_error, the
# report of the sandbox is whole, files go in and out, and nothing is left.
# timeout: 300
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

actions=('"SCMP_ACT_ERRNO","errnoRet":1' '"SCMP_ACT_ERRNO","errnoRet":0' '"SCMP_ACT_ERRNO","errnoRet":14'
	'"SCMP_ACT_KILL_PROCESS"' '"SCMP_ACT_KILL_THREAD"' '"SCMP_ACT_TRAP"' '"SCMP_ACT_LOG"')
! is_guest || actions=("${actions[0]}" "${actions[3]}") # emulated, each run takes a second: the kinds that differ most
calls=('"open","openat","openat2"' '"read","pread64","readv"' '"write","pwrite64","writev"' '"close","close_range"'
	'"exit"' '"exit_group"' '"exit","exit_group"' '"exit","exit_group","write","read","open","openat","close"'
	'"execveat"' '"prctl"' '"seccomp"' '"dup","dup2","dup3"' '"mmap","munmap","mprotect","brk"' '"sendmsg","sendto"'
	'"recvmsg","recvfrom"' '"rt_sigaction","rt_sigprocmask","rt_sigreturn"' '"getpid","gettid","getuid"' '"kill","tgkill"'
	'"setsid"' '"chdir","getcwd"' '"setresuid","setresgid","capset"' '"futex"' '"wait4","waitid"' '"set_tid_address"'
	'"arch_prctl"' '"getrandom"' '"rseq","set_robust_list"' '"socket","socketpair"' '"fcntl","ioctl"' '"nanosleep"')

profile() # DEFAULT [RULES] -> $dir/p.json
{
	echo "{\"defaultAction\":$1,\"syscalls\":[${2:-}]}" >"$dir/p.json"
}

# What must be the same whatever the policy: a verdict that is not ours, a report that says "filtered".
judge() # WHAT
{
	local got
	got=$(field status)
	case $got in
	ok | runtime_error | signaled | policy_violation) ;;
	*) bad+="$1: '$got' $(field reason) $(head -n 2 "$dir/stderr"); " ;;
	esac
	grep -q '"seccomp": 2' "$dir/verdict" || bad+="$1: the report is not whole; "
}

for action in "${actions[@]}"; do
	bad='' n=0
	for names in "${calls[@]}"; do
		profile '"SCMP_ACT_ALLOW"' "{\"names\":[$names],\"action\":$action}"
		run --report --policy "$dir/p.json" --wall 5s -- /bin/payload true
		judge "$names"
		n=$((n + 1))
	done
	is "$bad" '' "$n kinds of calls of ours, each answered with $action: the verdict is the payload's"
done

# ---- execve, without which nothing can start ----

words='the policy refuses execve: no program can start under it'
for action in "${actions[@]}"; do
	[[ $action != *LOG* ]] || continue
	for names in '"execve"' '"execve","execveat","exit","exit_group","write"'; do
		profile '"SCMP_ACT_ALLOW"' "{\"names\":[$names],\"action\":$action}"
		run --report --policy "$dir/p.json" --wall 5s -- /bin/payload true
		like "$(field status): $(field reason)" "^policy_violation: $words" "$names with $action"
		run --report --policy "$dir/p.json" --wall 5s -- payload true
		like "$(field status): $(field reason)" "^policy_violation: $words" '... and by a search through PATH'
	done
done
for default in "${actions[@]}"; do
	[[ $default != *LOG* && $default != *errnoRet* ]] || continue
	profile "$default"
	run --report --policy "$dir/p.json" --wall 5s -- /bin/payload true
	like "$(field status): $(field reason)" "^policy_violation: $words" "nothing at all is allowed: $default"
	grep -q '"seccomp": 2' "$dir/verdict"
	ok $? '... and the report is whole'
done
profile '"SCMP_ACT_ERRNO"'
run --report --policy "$dir/p.json" --wall 5s -- /bin/payload true
like "$(field status): $(field reason)" "^policy_violation: $words" 'nothing at all is allowed: an errno'

# ---- the difference between that and a program ----

profile '"SCMP_ACT_KILL_PROCESS"' '{"names":["execve"],"action":"SCMP_ACT_ALLOW"}'
run --policy "$dir/p.json" -- /bin/payload true
is "$(field status): $(field reason)" 'policy_violation: the system call policy killed it' \
	'a program that is killed at its first call has begun'
profile '"SCMP_ACT_ALLOW"'
run --policy "$dir/p.json" -- /bin/nothing
is "$(field status) $(field exit_code)" 'runtime_error 127' 'a program that is not there is still that'
run --policy "$dir/p.json" -- /bin
is "$(field status) $(field exit_code)" 'runtime_error 126' 'and what is no program'
run --policy "$dir/p.json" -- /bin/payload selfkill 31
is "$(field status)" policy_violation 'a signal of the same number from itself is no execve'
like "$(field reason)" 'killed it' '... in words'

nothing_left 'nothing of it is left'
done_testing
