# shellcheck shell=bash disable=SC2154 # the functions before it set these
# The unit tests, built for this release, on its libraries and kernel. /mnt has what they read of the tree.

cd /mnt || exit 1
for test in /mnt/tests/*; do
	CUBIT_SRC=/mnt CUBIT_TEST_DIR=$(mktemp -d) timeout 300 "$test" >/tmp/tap 2>&1 </dev/null
	good=$?
	grep -q '^not ok' /tmp/tap && good=1
	grep -q '^1\.\.[1-9]' /tmp/tap || good=1
	ok "$good" "unit/${test##*/}" || diag "$(grep -v '^ok' /tmp/tap | tail -n 10)"
done
done_testing
