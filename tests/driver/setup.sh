#!/bin/bash
# tools/setup knows the packages of each release by their names there, and says so where it does not.
# timeout: 60
set -u
count=0 failed=0
dir=${CUBIT_TEST_DIR:-$(mktemp -d)}

ok() # STATUS TITLE
{
	local word=ok
	count=$((count + 1))
	[ "$1" -eq 0 ] || { word='not ok' && failed=1; }
	echo "$word $count - $2"
	[ "$1" -eq 0 ]
}

is() # GOT WANTED TITLE
{
	[ "$1" = "$2" ]
	ok $? "$3" || printf '# got %q, wanted %q\n' "$1" "$2"
}

# setup ARGUMENT...: $status, $out, $err
setup()
{
	out=$(OS_RELEASE=$dir/os-release tools/setup "$@" 2>"$dir/err" </dev/null)
	status=$?
	err=$(cat "$dir/err")
}

has() # PACKAGE: among $out
{
	grep -qx -- "$1" <<<"$out"
}

releases='bookworm trixie'
for release in $releases; do
	printf 'ID=debian\nVERSION_CODENAME=%s\n' "$release" >"$dir/os-release"
	for group in build test e2e node vm machine deb lint fuzz images bench; do
		setup --list "$group"
		[ "$status" = 0 ] && [ -n "$out" ] && [ -z "$err" ] && ! grep -qv '^[a-z0-9][a-z0-9.+-]*$' <<<"$out"
		ok $? "$release: the packages of '$group'" || echo "# $status: $out $err"
	done
	setup --list
	is "$(wc -l <<<"$out")" "$(sort -u <<<"$out" | wc -l)" "$release: all together, each once"
	named=$out
	setup --list --release "$release" # on whatever machine
	is "$out" "$named" "$release: by its name the same"
done

setup --list --release bookworm build fuzz vm
has node-llhttp && has llvm-14 && ! has virtiofsd && ! has libllhttp-dev
ok $? 'bookworm: node-llhttp, llvm-14, and virtiofsd within qemu'
setup --list --release trixie build fuzz vm
has libllhttp-dev && has llvm-19 && has virtiofsd && ! has node-llhttp
ok $? 'trixie: libllhttp-dev, llvm-19, virtiofsd'
setup --list e2e
has xxd
ok $? 'what tests call is there: xxd'

for release in noble ''; do
	printf 'ID=other\n%s\n' "${release:+VERSION_CODENAME=$release}" >"$dir/os-release"
	setup build
	[ "$status" = 1 ] && [[ $err == "setup: the packages' names are known for Debian 12 (bookworm) and 13 (trixie), not for '${release:-this system}'; "* ]] &&
		[[ $err == *'tools/setup --release trixie'* ]]
	ok $? "${release:-no} release: a sentence" || echo "# $status: $err"
done
setup --list --release trixie build
is "$status" 0 'but its own word is taken'
setup --release trixie nothing
is "$status $err" "1 setup: no group 'nothing'; groups are: bench build deb e2e fuzz images lint machine node test vm" 'a group that is none'
setup --fast
is "$status $err" "1 setup: unknown option '--fast'; there are: --release NAME, --list, --help" 'an option that is none'
setup --release
is "$status $err" '1 setup: --release needs the name of a release' 'an option without its value'


# what builds for a release takes its packages from there
err=$(tests/vm/release-root 2>&1)
is "$? $err" '1 release-root: usage: tests/vm/release-root [--force] RELEASE DIR' 'release-root without a release'
err=$(tests/vm/release-root noble "$dir/noble" 2>&1)
[[ $? = 1 && $err == "setup: the packages' names are known for Debian 12"* && ! -e $dir/noble ]]
ok $? 'release-root for one that setup does not know' || echo "# $err"

echo "1..$count"
exit $failed
