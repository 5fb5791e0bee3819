#!/bin/bash
# Overwriting the program that runs us, through /proc/self/exe (CVE-2019-5736): neither cubit-init, which every sandbox
# of a supervisor shares, nor a program of the image can be written to, locked or marked.
# timeout: 60
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

sum_before=$(sha256sum <"$rootfs/bin/payload")
# The kernel opens a script's interpreter as the process that executes it: before exec, /proc/self/exe is cubit-init.
printf '#!/proc/self/exe\n' >"$rootfs/bin/script"
printf '#!/proc/1/exe\n' >"$rootfs/bin/script1"
printf '#!/proc/self/fd/3\n' >"$rootfs/bin/script3"
ln -s /proc/self/exe "$rootfs/bin/link"
chmod 755 "$rootfs"/bin/script*

run -- /bin/payload each open /proc/self/exe w ';' open /proc/self/exe rw ';' open /bin/payload w ';' open /proc/1/exe \
	';' open /proc/1/exe w ';' call chmod /proc/self/exe 0777 ';' call link /proc/self/exe /work/x ';' \
	call setxattr /proc/self/exe user.x v 1 0 ';' open /bin/payload w
like "$(answer 'open /proc/self/exe w')" 'ETXTBSY|EACCES|EROFS' 'its own program cannot be opened for writing'
like "$(answer 'open /proc/self/exe rw')" 'ETXTBSY|EACCES|EROFS' '... nor for both'
like "$(answer 'open /proc/1/exe')" 'ENOENT|EACCES' "pid 1's program is not there to be opened"
like "$(answer 'open /proc/1/exe w')" 'ENOENT|EACCES' '... nor for writing'
like "$(answer 'call chmod /proc/self/exe 0777')" 'EPERM|EROFS|EACCES' 'its mode cannot be changed'
like "$(answer 'call setxattr /proc/self/exe user.x v 1 0')" 'EPERM|EACCES|EOPNOTSUPP' 'it cannot be given an attribute'
is "$(sha256sum <"$rootfs/bin/payload")" "$sum_before" 'the program in the image is what it was'

# cubit-init as a payload: it may start, has nothing to talk to, and ends.
for script in script script1 script3; do
	run --wall 2s -- "/bin/$script"
	is "$(field status)" runtime_error "cubit-init as a payload fails, by way of $(head -c 24 "$rootfs/bin/$script" 2>/dev/null | sed -n '1s/^#!//p')"
	like "$(cat "$dir/stdout" "$dir/stderr")" '^$' '... without a word'
done
run -- /proc/self/exe
is "$(field status)" runtime_error '/proc/self/exe is no program to start'
nothing_left 'nothing is left'
done_testing
