# shellcheck shell=bash disable=SC2154 # the functions before it set these
# Images arrive while the service runs; it takes work without a restart.

cubit image load /mnt/images >/tmp/load.log 2>&1
ok $? 'the images are loaded' || diag "$(tail -n 5 /tmp/load.log)"
within 30 is_ready
ok $? 'then the service is ready' || diag "$body"
listed=$(cubit image ls)
for name in bash python node c; do
	like "$listed" "localhost/$name" "the store lists $name"
done
cubit doctor >/tmp/doctor 2>&1
ok $? 'doctor finds nothing missing' || diag "$(grep -i -A2 missing /tmp/doctor)"
done_testing
