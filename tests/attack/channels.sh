#!/bin/bash
# Two sandboxes over the same layer try to tell each other something: by locks, leases and notices on everything that can
# be opened, shared memory, queues, sockets, files, access times, pages in the cache, limits that both are counted
# against. `payload hold` takes all it can; `payload probe` looks from next door.
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

mkdir "$rootfs/shared"
head -c 8192 /dev/urandom >"$rootfs/shared/file"
head -c 8192 /dev/urandom >"$rootfs/shared/mine"
chmod 666 "$rootfs/shared/file" "$rootfs/shared/mine"
chown 1000:1000 "$rootfs/shared/mine" # the kernel tells owners which of its pages are in memory
mkfifo -m 666 "$rootfs/shared/fifo"
chmod 777 "$rootfs/shared"
sync -f "$rootfs/shared/mine" # clean pages, or they could not be dropped

# hold in one, `$@` in the other, then let the holder tell
beside() # PROGRAM...
{
	rm -f "$dir/in"
	mkfifo "$dir/in"
	start holder --stdin "$dir/in" --wall 30s -- /bin/payload hold
	exec {go}>"$dir/in"
	wait_for "$dir/holder.stdout" holding 20
	ok $? 'the holder holds' || diag "$(cat "$dir/holder.stdout" "$dir/holder.stderr")"
	run --wall 30s -- "$@"
	echo go >&"$go"
	exec {go}>&-
	wait "$pid"
}

beside /bin/payload probe
is "$(field status)" ok 'the prober comes to its end' || diag "$(field reason) $(cat "$dir/stderr")"
lines=$(grep -cE ': (own|SHARED|refused)' "$dir/stdout")
[ "$lines" -ge 45 ]
ok $? "it tried $lines things"
# The kernel has one inode for all of these descriptors, in no namespace; flock(2) cannot be refused without breaking what
# needs it on files. The README says so. Everything else must be our own.
known='^lock on (eventfd|epoll|inotify|timerfd|signalfd|pidfd): '
while IFS= read -r line; do
	if [[ $line =~ $known ]]; then
		diag "known and documented: $line"
		continue
	fi
	unlike "$line" SHARED "${line%%: *}: $(grep -oE 'own|refused.*|SHARED' <<<"$line")"
done < <(grep -E ': (own|SHARED|refused)' "$dir/stdout")
while IFS= read -r line; do
	[[ $line =~ $known ]] && continue
	unlike "$line" SHARED "seen by the holder: ${line%%: *}"
done < <(grep -E ': (own|SHARED)' "$dir/holder.stdout")

# Control: within one sandbox most of it works, so the probe does see what is there.
run --wall 30s -- /bin/payload hold-and-probe
seen=$(grep -c SHARED "$dir/stdout")
[ "$seen" -ge 30 ]
ok $? "within one sandbox $seen of them are seen" || diag "$(cat "$dir/stdout")"

# ---- each other's processes, memory, names ----
start victim --wall 200s -- /bin/payload each echo here ';' sleep 200
wait_for "$dir/victim.stdout" here 20
words=()
for other in {1..40}; do
	words+=(call kill "$other" 9 ';')
done
run --wall 20s -- /bin/payload each ps ';' "${words[@]}" echo alive
like "$(answer ps | wc -l)" '^[12]$' 'a sandbox sees its own processes and no other' || diag "$(answer ps)"
kill -0 "$pid" && [ "$(field status "$dir/victim.verdict")" = '' ]
ok $? 'it cannot end those of another'
run -- /bin/payload each connect 127.0.0.1 7707 ';' cat /proc/locks ';' cat /proc/sysvipc/shm ';' ls /dev/mqueue ';' ls /dev/pts
is "$(answer 'cat /proc/locks')" '' 'no lock of another shows in /proc/locks'
is "$(answer 'ls /dev/mqueue')" '' 'no queue of another shows'
is "$(answer 'ls /dev/pts')" ptmx 'no terminal of another shows'
kill "$pid"
wait "$pid"

# ---- bytes into a page that both read ----
sum=$(sha256sum <"$rootfs/shared/file")
run -- /bin/payload each scribble /shared/file ';' scribble /bin/payload ';' write /shared/file scribbled ';' cat /shared/file
unlike "$(answer 'scribble /shared/file' | grep -v splice | grep -v 'again for writing')" DONE 'a file of a layer cannot be written to through a read-only descriptor'
is "$(answer 'cat /shared/file')" scribbled 'what it writes by name is its own copy'
is "$(sha256sum <"$rootfs/shared/file")" "$sum" 'the file in the layer is what it was'
is "$(cmp "$payload" "$rootfs/bin/payload" 2>&1)" '' '... and so is the program'
run -- /bin/payload cat /shared/file
is "$(sha256sum <"$dir/stdout")" "$sum" '... and the next sandbox reads the old content'

# ---- limits that the kernel counts for all of them together: the sum is a signal, and a way to starve the other ----
start hog --wall 200s -- /bin/payload mqueue-hog
wait_for "$dir/hog.stdout" EMFILE 20
run -- /bin/payload own-share
is "$(grep queue: "$dir/stdout")" 'queue: DONE' 'message queues of one leave room for those of another'
kill "$pid"
wait "$pid"
nothing_left 'nothing is left'
done_testing
