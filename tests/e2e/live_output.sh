#!/bin/bash
# Output arrives as it is printed, not when a buffer is full or the program ends: a plain loop that prints and sleeps, in
# every language that has a way, through the events of a job. And who waits for the end anyway does not pay for it.
#
# timeout: 900
# NEED: root
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"

need_images bash python node c typescript java go php perl lua ruby
CUBIT_JOBS=2 RUN_TIMEOUT_MS=60000 start_daemon

job() # LANGUAGE SOURCE [MORE FIELDS as JSON] -> $id
{
	api /v1/jobs -d "$(python3 -c 'import json, sys
o = {"runtime": sys.argv[1], "source": sys.argv[2]}
o.update(json.loads(sys.argv[3]))
print(json.dumps(o))' "$1" "$2" "${3-{\}}")"
	id=$(get id)
}

# Is the first line there while the program, which then sleeps for seconds, still runs? It may have to be compiled before.
live()
{
	local i
	for i in {1..12}; do
		timeout 3 curl -sN --unix-socket "$sock" "http://cubit/v1/jobs/$id/events" >"$dir/events" 2>/dev/null
		! grep -q second "$dir/events" || return 1
		! grep -q first "$dir/events" || return 0
	done
	return 1
}
running() { api "/v1/jobs/$id" && [ "$(get state)" = running ]; }

time='{"limits":{"wall_ms":40000,"cpu_ms":40000},"compile_limits":{"wall_ms":60000,"cpu_ms":60000}}'
python='import time
print("first")
time.sleep(12)
print("second")'
# what docs/api.md says of each language
while IFS='|' read -r language want source; do
	job "$language" "${source//\\n/$'\n'}" "$time"
	live
	is "$? $language" "$want $language" "$language: the first line is there while it runs" || diag "$(tail -n 5 "$dir/events")"
	api -X DELETE "/v1/jobs/$id"
done <<END
bash|0|echo first; sleep 12; echo second
python|0|${python//$'\n'/\\n}
node|0|console.log("first"); setTimeout(() => console.log("second"), 12000);
typescript|0|console.log("first"); setTimeout(() => console.log("second"), 12000);
c|0|#include <stdio.h>\n#include <unistd.h>\nint main(void) { puts("first"); sleep(12); puts("second"); return 0; }
cpp|0|#include <iostream>\n#include <unistd.h>\nint main() { std::cout << "first" << char(10); sleep(12); std::cout << "second" << char(10); }
java|0|public class Main { public static void main(String[] a) throws Exception { System.out.println("first"); Thread.sleep(12000); System.out.println("second"); } }
go|0|package main\nimport ("fmt"; "time")\nfunc main() { fmt.Println("first"); time.Sleep(12 * time.Second); fmt.Println("second") }
php|0|<?php echo "first", PHP_EOL; sleep(12); echo "second", PHP_EOL;
perl|0|print "first", chr(10); sleep 12; print "second", chr(10);
lua|0|print("first") os.execute("sleep 12") print("second")
ruby|1|puts "first"; sleep 12; puts "second"
END
job python "$python" '{"live":false,"limits":{"wall_ms":40000,"cpu_ms":40000}}'
within 60 running
live
is $? 1 'python, "live": false: it arrives at the end'
job python 'import os, sys
print(sys.stdout.line_buffering or sys.stdout.write_through, os.environ.get("PYTHONUNBUFFERED"), sys.stdout.name, sys.__stdout__ is sys.stdout)' '{}'
over() { api "/v1/jobs/$id" && [ "$(get state)" = 'done' ]; }
within 60 over
is "$(get stdout)" 'True 1 <stdout> True' 'a job is live'
api /v1/run -d '{"runtime":"python","source":"import os, sys\nprint(sys.stdout.line_buffering or sys.stdout.write_through, os.environ.get(\"PYTHONUNBUFFERED\"))"}'
is "$(get stdout)" 'False None' 'a direct run is not'
api /v1/run -d '{"runtime":"python","live":true,"source":"import os, sys\nprint(sys.stdout.line_buffering or sys.stdout.write_through, os.environ.get(\"PYTHONUNBUFFERED\"))"}'
is "$(get stdout)" 'True 1' 'unless it asks for it'
api /v1/run -d '{"runtime":"python","live":1,"source":"print(1)"}'
is "$status" 400 'with true or false'
job python 'for i in range(100000):
    print(i)' '{"limits":{"output":"4M","wall_ms":60000,"cpu_ms":60000}}'
within 60 over
is "$(get status) $(sha256sum <<<"$(get stdout)")" "ok $(sha256sum <<<"$(seq 0 99999)")" \
	'100000 lines arrive whole and in order'
diag "100000 lines, live: $(get cpu_ms) ms of cpu"
stop_daemon
done_testing
