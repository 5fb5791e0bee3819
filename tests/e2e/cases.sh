#!/bin/bash
# One program, many inputs: compiled once, each case from a clean state with limits and a verdict of its own, held against
# what is expected; direct, queued, followed live, cancelled, and begun again when the front dies.
#
# timeout: 300
# shellcheck disable=SC2317 # `within` calls functions
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash python c
others=()
CUBIT_JOBS=2 CUBIT_MAX_OUTPUT=64K start_daemon

run() # JSON in Python's syntax, for what has quotes and newlines
{
	api "${2:-/v1/run}" -d "$(python3 -c 'import json, sys; print(json.dumps(eval(sys.argv[1])))' "$1")"
}

# A field of every case, separated by blanks
each()
{
	python3 -c '
import json, sys
for c in json.load(sys.stdin)["cases"]:
    print(json.dumps(c[sys.argv[1]]) if not isinstance(c[sys.argv[1]], str) else c[sys.argv[1]].strip(), end=" ")' "$1" <<<"$body" 2>/dev/null
}

square='#include <stdio.h>
int main(void) { long n; if (scanf("%ld", &n) != 1) return 3; printf("%ld\n", n * n); return 0; }'

# ---- verdicts ----
run "{'runtime': 'c', 'source': '''${square//\\/\\\\}''', 'cases': [
	{'id': 'small', 'stdin': '3', 'expected': '9'}, {'stdin': '-4', 'expected': '16\n\n'},
	{'id': 'wrong', 'stdin': '5', 'expected': '26'}, {'stdin': 'x', 'expected': '0'}, {'stdin': '7'}]}"
is "$status" 200 'a program with five inputs'
is "$(each id)" 'small 2 wrong 4 5 ' 'has a result for each, in their order'
is "$(each passed)" 'true true false false null ' 'held against what is expected of it'
is "$(each status)" 'ok ok ok runtime_error ok ' 'with a verdict of its own'
is "$(each stdout)" '9 16 25  49 ' 'and its own output'
is "$(get cases.2.reason)" "line 1 of the output: '25' where '26' is expected" 'the reason says where they differ'
is "$(get cases.3.exit_code)" 3 'how it ended'
is "$(get status)" runtime_error 'the whole has the first verdict that is not ok'
like "$(get reason)" '^case 4: ' 'and says of which case'
is "$(get passed)" false 'and did not pass'
is "$(get compile.status)" ok 'it was compiled'
is "$(get stdout)" '' 'what cases print is with the cases'
is "$(each sandbox)" 'fresh fresh fresh fresh fresh ' 'each has a sandbox in which nothing ran'

run "{'runtime': 'c', 'source': '''${square//\\/\\\\}''', 'cases': [{'stdin': str(n), 'expected': str(n * n)} for n in range(60)]}"
is "$(get passed)" true 'sixty of them pass'
is "$(get status)" ok 'and the whole is ok'
is "$(get compile.cached)" true 'nothing was compiled again'
is "$(python3 -c 'import json, sys
r = json.load(sys.stdin)
print(abs(sum(c["cpu_ms"] for c in r["cases"]) - r["cpu_ms"]) < 1, max(c["memory_peak"] for c in r["cases"]) == r["memory_peak"])' <<<"$body")" \
	'True True' 'times are sums, and memory is the most of one'

# ---- what does not compile ----
run "{'runtime': 'c', 'source': 'int main(void) { return x; }', 'cases': [{'stdin': '1', 'expected': ''}, {}]}"
is "$(get status)" compile_error 'a program that does not compile'
is "$(each status)" 'null null ' 'has no case that ran'
is "$(get passed)" false 'and did not pass'
like "$(get compile.stderr)" "undeclared" 'what the compiler says is there'

# ---- a clean state for each ----
run "{'runtime': 'bash', 'source': 'ls -A /work /tmp /dev/shm /dev/mqueue 2>/dev/null | grep -v main.sh | grep -v : | grep .; ls /proc | grep -c \"^[0-9]\"; touch /work/left /tmp/left /dev/shm/left; sleep 60 & echo \$#',
	'cases': [{}, {'args': ['a', 'b']}, {'files': [{'path': 'own.txt', 'content': 'x'}]}, {}]}"
is "$(each status)" 'ok ok ok ok ' 'cases that leave files and processes'
is "$(python3 -c 'import json, sys
for c in json.load(sys.stdin)["cases"]: print(c["stdout"].split())' <<<"$body" | sed 's/, .[0-9]*., /, N, /; s/^\[.[0-9]., /[N, /')" "[N, '0']
[N, '2']
['own.txt', N, '0']
[N, '0']" 'find none of another, and what is their own'
run "{'runtime': 'python', 'source': 'import sys\ncount = globals().get(\"count\", 0) + 1\nprint(count, sys.stdin.read())', 'cases': [{'stdin': 'a'}, {'stdin': 'b'}, {'stdin': 'c'}]}"
is "$(each stdout)" '1 a 1 b 1 c ' 'nor does an interpreter remember'

# A file of one case is nothing that the program of another is compiled with.
run "{'runtime': 'c', 'source': '''#include <stdio.h>
#if __has_include(\"in.h\")
#include \"in.h\"
#else
#define WORD \"none\"
#endif
int main(void) { FILE *f = fopen(\"in.h\", \"r\"); puts(WORD); puts(f ? \"there\" : \"absent\"); return 0; }''',
	'cases': [{'files': [{'path': 'in.h', 'content': '#define WORD \"first\"'}], 'expected': 'none\nthere'}, {'expected': 'none\nabsent'}]}"
is "$(each passed)" 'true true ' 'files of a case are there when it runs, not when it is compiled'

# ---- limits of a case ----
run "{'runtime': 'bash', 'source': 'read a; \$a', 'limits': {'wall_ms': 3000}, 'cases': [{'stdin': 'sleep 9', 'limits': {'wall_ms': 200}},
	{'stdin': 'sleep 0.4'}, {'stdin': 'yes', 'limits': {'output': 1000}}, {'stdin': 'kill -9 0'}]}"
is "$(each status)" 'time_limit ok output_limit signaled ' 'each is held to its own limits'
is "$(get status)" time_limit 'the first counts'

# ---- the first failure ----
run "{'runtime': 'bash', 'source': 'cat', 'stop_at_first_failure': True, 'cases': [{'stdin': 'a', 'expected': 'a'},
	{'stdin': 'b', 'expected': 'c'}, {'stdin': 'd', 'expected': 'd'}]}"
is "$(each status)" 'ok ok null ' 'nothing runs after the first failure'
is "$(each passed)" 'true false null ' 'which is one by what is expected, too'
is "$(get status)/$(get passed)" ok/false 'the program did nothing wrong but its answer'
is "$(get reason)" '1 of 2 cases passed' 'and the whole says how many passed'

# ---- checkers ----
for row in "lines:1 2 \n3\n:1 2\n3:true" "lines:1  2:1 2:false" "exact:1\n:1:false" "tokens:1\n2:1   2:true" \
	"numbers:0.333333:0.3333334:true" "numbers:0.3333:0.3334:false"; do
	IFS=: read -r checker found expected want <<<"$row"
	run "{'runtime': 'bash', 'source': 'cat', 'checker': '$checker', 'cases': [{'stdin': '$found', 'expected': '$expected'}]}"
	is "$(get passed)" "$want" "$checker: '$found' where '$expected' is expected"
done

# ---- bounds ----
run "{'runtime': 'bash', 'source': 'head -c 40000 /dev/zero | tr \"\\\\0\" x', 'cases': [{}, {}, {'expected': 'x' * 40000}]}"
is "$(python3 -c 'import json, sys; print([(len(c["stdout"]), c["stdout_truncated"]) for c in json.load(sys.stdin)["cases"]])' <<<"$body")" \
	'[(40000, False), (25536, True), (0, True)]' 'the outputs of all cases together are bounded, and it says so'
is "$(get cases.2.passed)" true 'what is compared is whole'
run "{'runtime': 'bash', 'source': 'head -c 40000 /dev/zero >f', 'outputs': ['f'], 'cases': [{}, {}]}"
is "$(get cases.0.outputs.0.size) $(get cases.1.outputs.0.size) $(get cases.1.outputs.0.left_out)" \
	'40000 40000 the result is full with what earlier cases made' 'and so are the files'
run "{'runtime': 'bash', 'source': 'x', 'cases': [{'stdin': 1}]}"
is "$status $(get error.field)" '400 cases[0].stdin' 'what is wrong is named by its place'
run "{'runtime': 'bash', 'source': 'x', 'cases': [{}] * 1001}"
is "$status $(get error.field)" '413 cases' 'too many are refused'

# ---- queued, and followed ----
run "{'runtime': 'bash', 'source': 'cat; sleep 0.3', 'cases': [{'id': 'a', 'stdin': 'one'}, {'id': 'b', 'stdin': 'two', 'expected': 'two'}]}" /v1/jobs
id=$(get id)
events=$(curl -sN --max-time 30 --unix-socket "$sock" -H 'Accept: application/x-ndjson' "http://cubit/v1/jobs/$id/events")
is "$(python3 -c '
import json, sys
for line in sys.stdin:
    e = json.loads(line)
    print(e.get("data") or e.get("state") or e["type"], e.get("case", ""), e.get("passed", ""), sep="/")' <<<"$events" | sed '/^waiting/d' | tr '\n' ' ')" \
	'running// case/a/ one// case_over/a/None case/b/ two// case_over/b/True exit// ' 'who follows it sees which case prints what'
api "/v1/jobs/$id"
is "$(get state) $(each stdout)" 'done one two ' 'and the result is kept'

# ---- cancelled ----
run "{'runtime': 'bash', 'source': 'read a; sleep \$a; echo \$a', 'limits': {'wall_ms': 20000}, 'cases': [{'stdin': '0'}, {'stdin': '15'}, {'stdin': '0'}]}" /v1/jobs
id=$(get id)
first_is_over()
{
	curl -s --max-time 1 --unix-socket "$sock" -H 'Accept: application/x-ndjson' "http://cubit/v1/jobs/$id/events" | grep -q '"case":"2"'
}
within 20 first_is_over
ok $? 'its second case runs'
api "/v1/jobs/$id" -X DELETE
is_over()
{
	api "/v1/jobs/$id"
	[ "$(get state)" = cancelled ]
}
within 20 is_over
ok $? 'a job of cases is cancelled' || diag "$body"
is "$(get status) $(each status)" 'cancelled ok null null ' 'with what there is of it by then'

# ---- the front dies ----
run "{'runtime': 'bash', 'source': 'read a; sleep 1; echo \$a', 'cases': [{'stdin': '1'}, {'stdin': '2'}, {'stdin': '3'}]}" /v1/jobs
id=$(get id)
within 20 first_is_over
front=$(pgrep -P "$daemon" -f -- --front | head -n 1)
kill -9 "$front"
is $? 0 'the front is killed while the second case runs'
is_done()
{
	api "/v1/jobs/$id"
	[ "$(get state)" = 'done' ]
}
within 40 is_done
ok $? 'a job of cases whose front dies is run again' || diag "$body"
is "$(get status) $(each stdout)" 'ok 1 2 3 ' 'with every case'

# ---- two at once ----
for who in a b; do
	curl -s --max-time 60 --unix-socket "$sock" http://cubit/v1/run -d '{"runtime": "bash", "source": "read a; sleep 0.2; echo '$who'$a",
		"cases": [{"stdin": "1"}, {"stdin": "2"}, {"stdin": "3"}, {"stdin": "4"}]}' >"$dir/$who.json" &
	others[${#others[@]}]=$!
done
wait "${others[@]}"
for who in a b; do
	body=$(<"$dir/$who.json")
	is "$(each stdout)" "${who}1 ${who}2 ${who}3 ${who}4 " "of two jobs of cases at once, each has its own: $who"
done

# ---- the node is stopped in the middle ----
run "{'runtime': 'bash', 'source': 'read a; sleep 1; echo \$a', 'cases': [{'stdin': '1'}, {'stdin': '2'}, {'stdin': '3'}]}" /v1/jobs
id=$(get id)
within 20 first_is_over
stop_daemon
is "$status" 0 'the daemon ends well, and nothing is left'
CUBIT_JOBS=2 CUBIT_MAX_OUTPUT=64K start_daemon
within 60 is_done
is "$(get status) $(each stdout)" 'ok 1 2 3 ' 'a job of cases lives through a stop of its node'
stop_daemon
done_testing
