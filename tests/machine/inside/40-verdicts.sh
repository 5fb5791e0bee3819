# shellcheck shell=bash disable=SC2154 # the functions before it set these
# Each verdict that a program can earn, on this kernel and its control groups.

verdict() # WANTED TITLE JSON
{
	api /v1/run -d "$3"
	is "$(get status)" "$1" "$1: $2" || diag "$body"
}

quick='"limits": {"wall_ms": 60000, "cpu_ms": 60000}'
verdict ok 'a program that ends well' "{\"runtime\": \"bash\", \"source\": \"exit 0\", $quick}"
verdict runtime_error 'an exit status' "{\"runtime\": \"bash\", \"source\": \"exit 3\", $quick}"
verdict signaled 'a signal' "{\"runtime\": \"bash\", \"source\": \"kill -SEGV \$\$\", $quick}"
verdict time_limit 'the wall clock' '{"runtime": "bash", "source": "sleep 60", "limits": {"wall_ms": 1500}}'
verdict time_limit 'cpu time' '{"runtime": "bash", "source": "while :; do :; done", "limits": {"cpu_ms": 1000, "wall_ms": 60000}}'
verdict memory_limit 'memory' '{"runtime": "python", "source": "x = b\"a\" * (1 << 30)", "limits": {"memory": "96M", "wall_ms": 60000, "cpu_ms": 30000}}'
verdict output_limit 'output' '{"runtime": "bash", "source": "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done", "limits": {"output": 65536, "wall_ms": 60000, "cpu_ms": 30000}}'
verdict process_limit 'processes' '{"runtime": "python", "source": "import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(60)\n", "limits": {"processes": 16, "wall_ms": 60000, "cpu_ms": 30000}}'
verdict disk_limit 'disk' '{"runtime": "bash", "source": "head -c 100000000 /dev/zero > big", "limits": {"disk": "4M", "wall_ms": 60000, "cpu_ms": 30000}}'
verdict compile_error 'a program that does not compile' "{\"runtime\": \"c\", \"source\": \"int main(void) { return x; }\", $quick, \"compile_limits\": {\"wall_ms\": 60000, \"cpu_ms\": 60000}}"
submit '{"runtime": "bash", "source": "sleep 100", "limits": {"wall_ms": 60000}}'
within 30 eval 'api /v1/jobs/$id && [ "$(get state)" = running ]'
api "/v1/jobs/$id" -X DELETE
within 30 is_over "$id"
is "$(get state)" cancelled 'cancelled: a job that was taken back'
# the kernel's own words for what a sandbox sees
api /v1/run -d "{\"runtime\": \"bash\", \"source\": \"grep -E '^(Seccomp|NoNewPrivs|CapEff)' /proc/self/status; ulimit -Hc; cat /proc/self/oom_score_adj\", $quick}"
like "$(get stdout)" 'CapEff:.0+' 'no capability inside'
like "$(get stdout)" 'Seccomp:.2' 'a filter inside'
done_testing
