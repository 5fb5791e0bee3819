#!/bin/bash
# Limits per user that the kernel also counts for whoever made the user namespace (inotify, queued signals and timers,
# message queues, locked memory): one sandbox must not use up those of the host's root or of the next sandbox.
# Only in the guest: if it works, it works on everything that runs beside.
# where: vm
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

each=$'inotify: DONE\ntimer: DONE\nqueue: DONE\nlock: DONE'
is "$("$payload" own-share)" "$each" 'root of the host gets one of each'
for hog in inotify-hog signal-hog mqueue-hog; do
	start hog --wall 60s --processes 200 -- /bin/payload "$hog" 60
	wait_for "$dir/hog.stdout" ' then ' 40
	diag "$hog: $(cat "$dir/hog.stdout")"
	kill -0 "$pid"
	ok $? "$hog: it holds what it has"
	is "$("$payload" own-share)" "$each" "$hog: root of the host still gets one of each"
	run --wall 20s -- /bin/payload own-share
	is "$(field status) $(output)" "ok $each" "$hog: so does another sandbox"
	kill "$pid"
	wait "$pid"
done
nothing_left 'nothing is left'
done_testing
