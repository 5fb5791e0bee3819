#!/bin/bash
# The command cubit-sandbox: its options, exit statuses, JSON and manual page.
# timeout: 120
set -u

bin=$CUBIT_BUILD/bin/cubit-sandbox
dir=$CUBIT_TEST_DIR
rootfs=$dir/rootfs
number=0 failed=0
mkdir -p "$rootfs/bin"
cp "$CUBIT_BUILD/tests/payload" "$rootfs/bin/payload"

ok() { # TITLE COMMAND...
	local title=$1
	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number - $title"
	else
		echo "not ok $number - $title"
		failed=$((failed + 1))
		sed 's/^/# /' "$dir/out" "$dir/err" 2>/dev/null
	fi
}

run() { # ARGUMENT...: sets status; output in $dir/out and $dir/err
	"$bin" --run-dir "$dir/run" --id-base 939524096 --id-count 32 "$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
}

has() { grep -qF -- "$1" "$dir/out"; }
says() { grep -qF -- "$1" "$dir/err"; }
is() { [ "$1" = "$2" ]; }

run --rootfs "$rootfs" -- /bin/payload echo hello
ok 'a program that ends well is exit status 0' is "$status" 0
ok 'its verdict is ok' has '"status": "ok"'
ok 'its output is in the JSON' has '"stdout": "hello\n"'

run --rootfs "$rootfs" -- /bin/payload exit 7
ok 'another verdict is exit status 1' is "$status" 1
ok 'the exit code is told' has '"exit_code": 7'
run --rootfs "$rootfs" -- /bin/payload selfkill 6
ok 'a signal is told' has '"signal": 6'
run --rootfs "$rootfs" -- /bin/nothing
ok 'a program that is not there is a runtime error' has '"status": "runtime_error"'
ok 'the reason says so' has 'execute the program: No such file or directory'
run --rootfs "$rootfs" --cwd /nowhere -- /bin/payload true
ok 'so is a working directory that is not there' has 'change to the working directory: No such file or directory'

printf 'a\0\xff' >"$dir/input"
run --rootfs "$rootfs" --stdin "$dir/input" -- /bin/payload cat
ok 'standard input comes from a file, and output that is not text goes out as base64' has '"stdout": "YQD/"'
ok 'which is said' has '"stdout_encoding": "base64"'

run --rootfs "$rootfs" --live --verdict "$dir/verdict" -- /bin/payload stderr
ok '--live passes stdout through' is "$(cat "$dir/out")" 'to stdout'
ok '--live passes stderr through' is "$(cat "$dir/err")" 'to stderr'
ok '--verdict takes the JSON' grep -q '"status": "ok"' "$dir/verdict"

run --rootfs "$rootfs" --env A=1 --env B=2 -- /bin/payload env
ok 'the environment is what was given and nothing else' has '"stdout": "A=1\nB=2\n"'
run --rootfs "$rootfs" --hostname box --uid 2000 --gid 3000 -- /bin/payload ids
ok 'uid and gid are as asked for' has 'uid 2000 2000 2000 gid 3000 3000 3000 groups 0'
run --rootfs "$rootfs" --root -- /bin/payload ids
ok '--root is uid 0 inside' has 'uid 0 0 0'
run --rootfs "$rootfs" --readonly -- /bin/payload write /tmp/x y
ok '--readonly: nothing can be written' has 'write: EROFS'
run --rootfs "$rootfs" --output 1000 -- /bin/payload output 1001
ok 'one byte of output too many is output_limit' has '"status": "output_limit"'
ok 'and the output is cut, which is said' has '"stdout_truncated": true'
run --rootfs "$rootfs" --output 1000 -- /bin/payload output 1000
ok 'exactly the limit is fine' has '"status": "ok"'

mkdir -p "$dir/disk" "$dir/layer/data"
echo top >"$dir/layer/data/file"
run --rootfs "$rootfs" --layer "$dir/layer" -- /bin/payload cat /data/file
ok 'a layer lies over the root file system' has '"stdout": "top\n"'
layers=()
for i in {1..40}; do
	mkdir -p "$dir/layers/$i/data"
	echo "$i" | tee "$dir/layers/$i/data/top" >"$dir/layers/$i/data/f$i"
	layers+=(--layer "$dir/layers/$i")
done
run --rootfs "$rootfs" "${layers[@]}" -- /bin/payload cat /data/top
ok 'forty layers: the top one is seen' has '"stdout": "40\n"'
run --rootfs "$rootfs" "${layers[@]}" -- /bin/payload cat /data/f1
ok 'and the lowest' has '"stdout": "1\n"'

run --rootfs "$rootfs" --disk-dir "$dir/disk" --disk 9M --inodes 100 -- /bin/payload write /work/a kept
run --rootfs "$rootfs" --disk-dir "$dir/disk" --disk 9M --inodes 100 -- /bin/payload cat /work/a
ok '--disk-dir keeps what was written' has '"stdout": "kept"'

while IFS='|' read -r words message; do
	# shellcheck disable=SC2086 # several words
	run $words
	ok "'$words' is bad usage" is "$status" 2
	ok "and the message says: $message" says "$message"
done <<E2
--nosuch|unknown option '--nosuch'
--rootfs|--rootfs needs a value
-- /bin/true|--rootfs, --layer or --image is missing
--rootfs $rootfs|the program is missing
--image x --layer / -- /x|--image excludes --rootfs and --layer
--rootfs / --store /x -- /x|--store has no meaning without --image
--rootfs $rootfs --memory 64Q -- /x|--memory: '64Q' is not a size
--rootfs $rootfs --wall 5 -- /x|--wall: '5' is not a time
--rootfs $rootfs --root=yes -- /x|--root takes no value
--rootfs $rootfs --env =x -- /x|--env: '=x' is not NAME=VALUE
--rootfs $rootfs --readonly --disk-dir $dir -- /x|exclude each other
E2

while IFS='|' read -r words message; do
	# shellcheck disable=SC2086 # several words
	run $words
	ok "'$words' is the host's fault" is "$status" 3
	ok "and the message says: $message" says "$message"
done <<E3
--rootfs $dir/none -- /x|open directory '$dir/none'
--rootfs $rootfs --policy nosuch -- /x|policy 'nosuch'
--rootfs $rootfs --policy $dir/input -- /x|policy '$dir/input'
--rootfs $rootfs --cpuset 4000 -- /x|make the control group
--rootfs $rootfs --fault ROOTFS -- /x|build the root file system: on purpose
--rootfs /proc/self -- /x|cannot be idmapped
E3

missing=
for option in $("$bin" --help | sed -n 's/^  --\([a-z-]*\) .*/\1/p'); do
	grep -qF "Fl \\-$option" "$CUBIT_SRC/docs/man/cubit-sandbox.1" || missing="$missing --$option"
done
ok "the manual page has every option${missing:+, but not$missing}" is "$missing" ''
ok 'no claim is left' is "$(ls "$dir/run/ids")" ''
echo "1..$number"
[ "$failed" = 0 ]
