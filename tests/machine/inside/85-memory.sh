# shellcheck shell=bash disable=SC2154 # the functions before it set these
# Memory that runs out above a sandbox is not the job's: it takes more than the service has, and less than its own limit.

systemctl set-property --runtime cubitd MemoryMax=200M MemorySwapMax=0
monitor=$(main_pid) front=$(front_pid)
submit '{"runtime": "python", "source": "import time\nx = [bytearray(1 << 20) for _ in range(225)]\ntime.sleep(3)", "limits": {"memory": "256M", "wall_ms": 60000, "cpu_ms": 60000}}'
# one attempt is enough to see: the third would be its last
waits_again() { api "/v1/jobs/$id" && [ "$(get state)" = waiting ] && [ "$(get attempt)" -ge 1 ]; }
within 60 waits_again
ok $? 'a job that kept within its own limit is not blamed, and waits to be run again' || diag "$body"
is "$(main_pid) $(front_pid)" "$monitor $front" 'the kernel picked the sandbox, not us'
systemctl set-property --runtime cubitd MemoryMax=infinity MemorySwapMax=infinity
within 120 is_over "$id"
is "$(get state) $(get status)" 'done ok' 'with room it is run to its end' || diag "$body"
done_testing
