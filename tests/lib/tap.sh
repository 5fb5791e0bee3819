#!/bin/bash
# Sourced by tests in bash: TAP. `ok`, `is`, `like`, `unlike` assert; `done_testing` ends the test with its plan.
#
# What is absent proves something only where something was said. Whoever looks for an answer and finds none says so with
# `unproven`, also in a subshell, and the next assertion fails, whatever it compares: nothing must not look like "not there".

tap_count=0 tap_failed=0
tap_last=() # functions that assert something at the end of every test
tap_unproven=$(mktemp "${CUBIT_TEST_DIR:-${TMPDIR:-/tmp}}/unproven.XXXXXX")
# shellcheck disable=SC2094 # written by one, read by another
exec {tap_unproven_in}<"$tap_unproven" {tap_unproven_out}>>"$tap_unproven"
rm -f "$tap_unproven"

unproven() # WHY
{
	echo "$1" >&"$tap_unproven_out"
}

ok() # STATUS TITLE: 0 is good; meant for `[ ... ]` followed by `ok $? 'title'`
{
	local word=ok bad=$1 why
	tap_count=$((tap_count + 1))
	IFS= read -r -d '' why <&"$tap_unproven_in"
	[ -z "$why" ] || bad=1
	[ "$bad" -eq 0 ] || { word='not ok' && tap_failed=1; }
	echo "$word $tap_count - ${2//#/\\#}"
	[ -z "$why" ] || diag "no proof: ${why%$'\n'}"
	[ "$bad" -eq 0 ]
}

is() # GOT WANTED TITLE
{
	[ "$1" = "$2" ]
	ok $? "$3" || { diag "got '$1', wanted '$2'" && return 1; }
}

like() # GOT REGEX TITLE
{
	[[ $1 =~ $2 ]]
	ok $? "$3" || { diag "'$1' is not like '$2'" && return 1; }
}

unlike() # GOT REGEX TITLE: something else was said; nothing at all is no proof
{
	[ -n "$1" ] && ! [[ $1 =~ $2 ]]
	ok $? "$3" || { diag "'$1' is like '$2', or nothing" && return 1; }
}

diag()
{
	local line
	while IFS= read -r line; do
		printf '# %s\n' "$line"
	done <<<"$*"
}

skip_all() # REASON
{
	echo "1..0 # SKIP $1"
	exit 0
}

done_testing()
{
	local why last
	for last in "${tap_last[@]}"; do
		"$last"
	done
	IFS= read -r -d '' why <&"$tap_unproven_in"
	[ -z "$why" ] || ok 1 "what was looked for was there: ${why//$'\n'/; }"
	echo "1..$tap_count"
	exit "$tap_failed"
}

# within SECONDS COMMAND...: until it succeeds; 1 when it did not
within()
{
	local end=$((SECONDS + $1 * ${TEST_PATIENCE:-1}))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}
