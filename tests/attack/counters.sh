#!/bin/bash
# All of /proc is walked: what does a sandbox read of the machine, and does anything move when another one works? Sizes are
# those of the sandbox's limits. What stays the machine's is listed here, and in the README.
# alone
# timeout: 240
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

# The same for all sandboxes and the host: what the machine and its kernel are made of, and settings
same='^/proc/(version|filesystems|devices|misc|consoles|execdomains|fb|dma|iomem|ioports|mtrr|tty/.*|sys/.*|sysvipc/.*) '
# New on every reading
random='^/proc/sys/kernel/random/uuid$'
# Pages of sockets, routes looked up and packets taken, which the kernel counts for the machine and shows in every network
# namespace; nothing can be mounted over a file of a process. README and SECURITY.md say so.
known='^/proc/self/net/(sockstat|sockstat6|protocols|softnet_stat|stat/rt_cache)$'

# ---- sizes ----
run --memory 64M --cpus 1 -- /bin/payload each cat /proc/meminfo ';' cat /proc/cpuinfo ';' cat /proc/stat ';' cat /proc/loadavg
is "$(answer 'cat /proc/meminfo' | awk '/^Mem(Total|Free|Available):/ { print $2 }' | tr '\n' ' ')" '65536 65536 65536 ' 'meminfo tells the limit of the sandbox'
is "$(answer 'cat /proc/cpuinfo' | grep -c '^processor')" 1 'cpuinfo has as many processors as it may use'
is "$(answer 'cat /proc/stat' | grep -c '^cpu[0-9]')" 1 '... and so has stat'
is "$(answer 'cat /proc/stat' | grep -E '^(cpu|intr|ctxt|softirq)' | tr -d ' 0\n')" 'cpucpuintrctxtsoftirq' '... which counts nothing'
is "$(answer 'cat /proc/loadavg')" '0.00 0.00 0.00 1/1 1' 'there is no load'
run --memory 96M --cpus 64 -- /bin/payload each cat /proc/meminfo ';' cat /proc/cpuinfo
is "$(answer 'cat /proc/meminfo' | awk '/^MemTotal:/ { print $2 }')" 98304 'another limit is another size'
is "$(answer 'cat /proc/cpuinfo' | grep -c '^processor')" "$(getconf _NPROCESSORS_ONLN)" 'and there are never more processors than the machine has'

# ---- two sandboxes and the host ----
run -- /bin/payload walk /proc /proc/self/net
cp "$dir/stdout" "$dir/one"
run -- /bin/payload walk /proc /proc/self/net
cp "$dir/stdout" "$dir/two"
[ "$(wc -l <"$dir/one")" -ge 100 ]
ok $? "the walk comes by $(wc -l <"$dir/one") files"
setpriv --reuid 65534 --regid 65534 --clear-groups "$payload" walk /proc >"$dir/host"
[ "$(wc -l <"$dir/host")" -gt "$(wc -l <"$dir/one")" ]
ok $? '... and on the host by more'
is "$(sort "$dir/one" "$dir/host" | uniq -d | grep -vE "$same")" '' 'nothing but what is listed is as the host has it'
is "$(diff <(cut -d' ' -f1 "$dir/one") <(cut -d' ' -f1 "$dir/two"))" '' 'two sandboxes have the same files'
differs=$(diff "$dir/one" "$dir/two" | sed -n 's/^[<>] \([^ ]*\).*/\1/p' | sort -u | grep -vE "$random|$known")
is "$(grep -vE '^/proc/(uptime|stat|sys/kernel/random/boot_id)$|^/proc/self/net/' <<<"$differs")" '' \
	'they differ only in when they were made'
like "$differs" 'boot_id' '... and in the name of their boot, which is not that of the machine'
is "$(grep boot_id "$dir/host" | cut -d' ' -f3 | grep -Ff - "$dir/one")" '' '... whoever looks'

# ---- does anything move while another one works? ----
mkfifo "$dir/in"
start watcher --wall 100s --stdin "$dir/in" -- /bin/payload walk-twice /proc /proc/self/net
exec {go}>"$dir/in"
wait_for "$dir/watcher.stdout" '^looked' 40
ok $? 'the watcher has looked'
watcher=$pid
for noise in 'crowd 16 spin 90' 'pty-hog' 'tcp-hog' 'unix-hog' 'memory 48' 'inotify-hog' 'mqueue-hog' 'sysv-hog'; do
	# shellcheck disable=SC2086 # words
	start "noise-${noise%% *}" --memory 64M --processes 32 --wall 90s --cpu 90s -- /bin/payload $noise
	noises+=("$pid")
done
for noise in pty-hog unix-hog inotify-hog; do
	wait_for "$dir/noise-$noise.stdout" . 40
	ok $? "$noise works beside it" || diag "$(cat "$dir/noise-$noise.stderr")"
done
busy=$("$payload" walk /proc | grep -E '^/proc/(sys/fs/file-nr|sys/kernel/pty/nr|stat|loadavg|meminfo) ')
echo go >&"$go"
exec {go}>&-
wait "$watcher"
is "$(field status "$dir/watcher.verdict")" ok 'the watcher looks again'
is "$(comm -12 <(sort <<<"$busy") <(sort "$dir/host"))" '' 'on the host all of the counters have moved meanwhile'
moved=$(awk '/^looked/ { second = 1; next } !second { first[$1] = $3; next } first[$1] != $3 { print $1 }' "$dir/watcher.stdout" |
	grep -vE "$random")
while IFS= read -r name; do
	[ -z "$name" ] || diag "known and documented: $name"
done < <(grep -E "$known" <<<"$moved")
is "$(grep -vE "$known" <<<"$moved")" '' 'in the sandbox next door nothing has, but what is listed'
kill "${noises[@]}" 2>/dev/null
wait "${noises[@]}"
nothing_left 'nothing is left'
done_testing
