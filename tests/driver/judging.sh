#!/bin/bash
# tests/run judges what it runs: each kind of test file, its exit status and its final line. The files are made in a scratch
# tree that the driver is pointed at.
# timeout: 60
# shellcheck disable=SC2016 # what expands in the tests it makes must not expand here
set -u

number=0
tree=$CUBIT_TEST_DIR/tree
export CUBIT_BUILD=$tree/build
out=$CUBIT_TEST_DIR/out

fresh() # an empty tree
{
	rm -rf "$tree"
	mkdir -p "$tree"/tests/{driver,root,attack,e2e,vm/tests} "$tree"/build/tests/{unit,root,attack,fuzz}
}

script() # PATH: makes a test of stdin
{
	{
		echo '#!/bin/bash'
		cat
	} >"$tree/$1"
	chmod +x "$tree/$1"
}

result()
{
	number=$((number + 1))
	if [ "$2" -eq 0 ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		sed 's/^/# /' "$out"
	fi
}

# TITLE, EXIT STATUS, LAST LINE, PATTERN that the output contains (or empty), arguments of tests/run
expect()
{
	local title=$1 want=$2 last=$3 pattern=$4 status
	shift 4
	"$CUBIT_SRC/tests/run" --root "$tree" "$@" >"$out" 2>&1
	status=$?
	[ "$status" -eq "$want" ] && [ "$(tail -n 1 "$out")" = "$last" ] &&
		{ [ -z "$pattern" ] || grep -q -- "$pattern" "$out"; }
	result "$title" $?
}

# The same for a tree that holds one driver test, read from stdin.
judge()
{
	local title=$1
	shift
	fresh
	script tests/driver/it.sh
	expect "$title" "$@" --tier driver
}

judge 'assertions that pass are counted' 0 '2 passed, 0 failed' '^ok ' <<<'echo 1..2; echo ok 1 - a; echo ok 2'
judge 'a plan may come last' 0 '1 passed, 0 failed' '' <<<'echo ok 1 - a; echo 1..1'
judge 'an assertion that fails is counted, and the whole output shown' 1 '1 passed, 1 failed' '| # the reason' \
	<<<'echo 1..2; echo ok 1 - a; echo not ok 2 - b; echo "# the reason" >&2; exit 1'
judge 'the summary says again what failed, with the remarks around it' 1 '1 passed, 1 failed' '^  driver/it: # because$' \
	<<<'echo 1..2; echo ok 1 - a; echo "# because"; echo not ok 2 - b; exit 1'
judge 'a failure is one even if the exit status is 0' 1 '0 passed, 1 failed' '' <<<'echo 1..1; echo not ok 1'
judge 'a failing TODO is a failure' 1 '0 passed, 1 failed' '' <<<'echo 1..1; echo "not ok 1 - a # TODO later"'
judge 'fewer assertions than planned' 1 '1 passed, 1 failed' 'planned 2 assertions, ran 1' <<<'echo 1..2; echo ok 1'
judge 'more assertions than planned' 1 '2 passed, 1 failed' 'planned 1 assertions, ran 2' \
	<<<'echo 1..1; echo ok 1; echo ok 2'
judge 'a plan that is missing' 1 '1 passed, 1 failed' 'no plan' <<<'echo ok 1'
judge 'numbers out of order' 1 '2 passed, 1 failed' 'out of order' <<<'echo 1..2; echo ok 1; echo ok 1'
judge 'a plan of nothing' 1 '0 passed, 1 failed' 'a plan of no assertions' <<<'echo 1..0'
judge 'no TAP at all' 1 '0 passed, 1 failed' 'no TAP' <<<'echo all is well'
judge 'assertions on stderr do not count' 1 '0 passed, 1 failed' 'no TAP' <<<'echo 1..1 >&2; echo ok 1 >&2'
judge 'a non-zero exit with all assertions ok' 1 '1 passed, 1 failed' 'exit status 3' \
	<<<'echo 1..1; echo ok 1; exit 3'
judge 'a crash' 1 '1 passed, 1 failed' 'killed by SIGSEGV' <<<'echo 1..1; echo ok 1; kill -SEGV $$'
judge 'bailing out' 1 '1 passed, 1 failed' 'Bail out! no disk' <<<'echo 1..1; echo ok 1; echo "Bail out! no disk"'
judge 'nobody talks to a test: stdin is empty' 0 '1 passed, 0 failed' '' <<<'read -r || { echo ok 1; echo 1..1; }'
judge 'a test has a directory of its own, which goes away' 0 '1 passed, 0 failed' '' \
	<<<'cd "$CUBIT_TEST_DIR" && [ -z "$(ls)" ] && >file && [ "$CUBIT_TEST_TIER" = host ] && echo ok 1; echo 1..1'
[ -z "$(ls "$tree/build/tmp")" ]
result 'and nothing of the run stays in the build tree' $?

# The sleeper leaves its pid; the process must be gone with the test.
judge 'a test that hangs is killed when its own timeout is over' 1 '1 passed, 1 failed' 'no end after 1 s' <<<'# timeout: 1
echo 1..2; echo ok 1; sleep 1000 & echo $! >"$CUBIT_BUILD/pid"; wait'
! kill -0 "$(cat "$tree/build/pid")" 2>/dev/null || grep -q '^State:.Z' "/proc/$(cat "$tree/build/pid")/status"
result 'and so is all of its process group' $?
judge 'a process left behind does not keep the driver' 0 '1 passed, 0 failed' '' \
	<<<'echo 1..1; echo ok 1; setsid sleep 4 & sleep 0.1'
judge 'what is made for others does not count' 0 '1 passed, 0 failed' '' <<<'# timeout: 1
echo 1..1; echo "# clock: stops"; sleep 2; echo "# clock: goes on"; echo ok 1'
judge 'and what comes after it does' 1 '0 passed, 1 failed' 'no end after 1 s' <<<'# timeout: 1
echo 1..1; echo "# clock: stops"; sleep 1; echo "# clock: goes on"; sleep 60; echo ok 1'
judge 'a header that means nothing is refused' 1 '0 passed, 1 failed' 'means nothing' <<<'# timeout: soon
echo 1..1; echo ok 1'

fresh
script tests/driver/it.sh <<<'echo 1..2; echo ok 1; echo "ok 2 # SKIP no disk"'
expect 'a skip is no failure by itself' 0 '1 passed, 0 failed' '1 skipped' --tier driver
expect 'a skip is a failure when tests must run' 1 '1 passed, 1 failed' '# SKIP no disk' --tier driver --must-run
script tests/driver/other.sh <<<'[ -z "${MUST_RUN:-}" ] || echo "# MUST_RUN=$MUST_RUN"; echo 1..0 "# SKIP no root"'
expect 'a whole file may be skipped' 0 '1 passed, 0 failed' '^skip driver/other' --tier driver
expect 'but not when tests must run, which they are told' 1 '1 passed, 2 failed' 'MUST_RUN=1' --tier driver --must-run
expect 'when all is skipped, nothing was executed' 1 '0 passed, 1 failed' '' --tier driver --only other

fresh
script tests/driver/good.sh <<<'echo 1..1; echo ok 1'
expect 'a selected tier without a test is a failure that is named' 1 '1 passed, 1 failed' \
	'tier unit: executed nothing' --tier driver --tier unit
expect 'with a pattern it is not, if another tier has one' 0 '1 passed, 0 failed' '' \
	--tier driver --tier unit --only good
expect 'a pattern that matches nothing is a failure' 1 '0 passed, 1 failed' "nothing is called 'x\*y'" \
	--tier driver --only 'x*y'
expect '--list runs nothing' 0 'driver/good  timeout 300' '' --tier driver --list
chmod -x "$tree/tests/driver/good.sh"
expect 'a script without its x bit is not forgotten' 1 '0 passed, 1 failed' 'not executable' --tier driver

# Built tests: the executable is below build/tests, its header in the C file of the same name.
fresh
script build/tests/unit/slow <<<'echo 1..1; sleep 1000'
printf '/*\n * A test.\n * # timeout: 1\n */\n' >"$tree/tests/slow.c"
mkdir "$tree/tests/unit" && mv "$tree/tests/slow.c" "$tree/tests/unit/"
script tests/root/here.sh <<<'# where: vm
echo 1..1; echo not ok 1'
script build/tests/root/there <<<'echo 1..1; echo ok 1'
expect 'headers of built tests are read from their source' 1 '0 passed, 1 failed' 'no end after 1 s' --tier unit
expect 'a test for the guest alone is not run here' 0 '1 passed, 0 failed' '' --tier root

# alone: the first of them must see nobody else at work, though there are jobs for all.
fresh
for i in 1 2 3; do
	script "tests/driver/t$i.sh" <<<'>"$CUBIT_BUILD/busy$$"; sleep 0.2; rm "$CUBIT_BUILD/busy$$"; echo 1..1; echo ok 1'
done
script tests/driver/a.sh <<<'# alone
echo 1..1; for i in 1 2 3 4; do sleep 0.1; ! ls "$CUBIT_BUILD"/busy* || exit 1; done; echo ok 1'
expect 'nothing runs beside a test that wants to be alone' 0 '4 passed, 0 failed' '' --tier driver --jobs 4

# An interrupt: the tests are ended, the summary says so.
fresh
script tests/driver/it.sh <<<'echo $$ >"$CUBIT_BUILD/pid"; sleep 1000'
"$CUBIT_SRC/tests/run" --root "$tree" --tier driver >"$out" 2>&1 &
driver=$!
for _ in {1..100}; do
	[ ! -s "$tree/build/pid" ] || break
	sleep 0.05
done
kill -TERM "$driver"
wait "$driver"
status=$?
[ "$status" -eq 1 ] && grep -q 'FAIL interrupted' "$out" && ! kill -0 "$(cat "$tree/build/pid")" 2>/dev/null
result 'a signal ends the tests, and the run has failed' $?

# What comes out of the guest, from a guest that only talks.
fresh
script tests/root/one.sh <<<''
script tests/root/two.sh <<<'# where: host'
script tests/attack/three.sh <<<''
script tests/vm/guest <<<'cat "${@: -1}" >"$CUBIT_BUILD/list"
echo "vm: kernel 6.1"
echo @@begin root/one; echo 1..1; echo ok 1; echo; echo @@end root/one 0 1.50
echo @@begin attack/three; echo 1..2; echo ok 1; echo not ok 2; echo; echo @@end attack/three 1 0.20'
expect 'results of the guest are read from its stream' 1 '2 passed, 1 failed' '^FAIL vm/attack/three' --tier vm
[ "$(cut -f 2 "$tree/build/list" | tr '\n' ' ')" = 'root/one attack/three ' ]
result 'and it is given all tests that may run there' $?
script tests/vm/guest <<<'echo @@begin root/one; echo 1..1; echo ok 1; echo @@end root/one 139 1.50
echo @@begin attack/three; echo 1..1; echo ok 1; echo oops; exit 125'
expect 'a guest that dies fails itself and the test it was at' 1 '2 passed, 3 failed' \
	'the guest ended before it did' --tier vm
grep -q 'killed by SIGSEGV' "$out" && grep -q 'ended with status 125' "$out"
result 'a signal in the guest is named, and its status' $?
script tests/vm/guest <<<'echo no kernel >&2; exit 125'
expect 'a guest that does not boot is a failure with its last lines and the tests that did not run' 1 \
	'0 passed, 1 failed' '| no kernel' --tier vm
grep -q 'not run: root/one attack/three' "$out"
result 'which are named' $?

echo "1..$number"
