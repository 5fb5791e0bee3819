#!/bin/bash
# The library of the shell tests itself: where nothing ran or nothing was said, no assertion passes, whatever it compares;
# and what other tests of this machine have is not taken for something left behind.
# timeout: 240
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

# What an assertion says that is made in a subshell, where nothing else was asserted.
said() # SCRIPT
{
	(
		trap - EXIT
		tap_count=0 tap_failed=0
		eval "$1"
	) 2>/dev/null
}

while IFS=% read -r script title; do
	like "$(said "$script")" '^not ok 1 ' "fails: $title"
done <<'END'
sandbox=/bin/true; run -- /bin/payload true; ok 0 x%a run without a verdict and without a word
run --cwd /nowhere -- /bin/payload each ps; is "$(answer ps | grep -x 1)" '' x%an answer of a program that never started
run -- /bin/payload each echo a; is "$(answer 'echo b')" '' x%an answer to what nobody asked
run -- /bin/payload each echo a ';' echo b; asked=3; is "$(answers | grep -c '] c')" 0 x%fewer answers than questions
run -- /bin/payload true; is "$(output | grep secret)" '' x%the output of a program that said nothing
run -- /bin/payload true; unlike "$(cat "$dir/stdout")" secret x%nothing is not unlike anything
start slow -- /bin/payload sleep 2; wait_for "$dir/slow.stdout" ready 1; ok 0 x%what was waited for did not come
sandbox=/bin/true; wait_for() { :; }; nothing_left x%nothing is left where nothing can be seen
unproven x; done_testing%a missing proof behind the last assertion
run -- /bin/payload true; mkdir -p "$run_dir/ids"; ln -s x "$run_dir/ids/claim"; nothing_left x; rm "$run_dir/ids/claim"%a claim that stays
END
while IFS=% read -r script title; do
	is "$(said "$script" | cut -d' ' -f 1)" ok "passes: $title"
done <<'END'
run -- /bin/payload each ps; is "$(answer ps | grep -x 1)" '' x%an answer without what is looked for
run -- /bin/payload each true ';' echo a; is "$(answer true)" '' x%an answer of no words
run -- /bin/payload each echo a ';' echo b; is "$(answers | grep -c '] c')" 0 x%as many answers as questions
run -- /bin/payload echo a; unlike "$(output)" secret x%output of another kind
run --cwd /nowhere -- /bin/payload true; is "$(field status)" runtime_error x%a run that ends before its program
END

# ---- neighbours ----

other=$dir-other # as near as another test's directory can come
mkdir "$other"
mount -t tmpfs neighbour "$other"
sleep 100 &
background+=("$!")
nothing_left 'a mount and a process of another test are not ours'
umount "$other"
rmdir "$other"
mkdir "$dir/ours"
mount -t tmpfs ours "$dir/ours"
is "$(whatever_left | grep -c "mount: .* $dir/ours ")" 1 'a mount of our own is'
umount "$dir/ours"
exec {same}>"$id_slots/$slot"
! flock -n "$same"
ok $? 'the range of ids is nobody else'"'"'s on this machine'
nothing_left 'nothing is left'
done_testing
