# shellcheck shell=bash disable=SC2154 # the functions before it set these
# /etc/cubit/cubit.env: Redis, a wrong value.

redis-server --port 6399 --bind 127.0.0.1 --save '' --daemonize yes --pidfile /run/redis-test.pid >/dev/null
cp /etc/cubit/cubit.env /tmp/cubit.env.kept
echo 'REDIS_URL="redis://127.0.0.1:6399"   # a comment, and quotes' >>/etc/cubit/cubit.env
systemctl restart cubitd
within 60 is_ready
ok $? 'the service serves with Redis'
redis-cli -p 6399 RPUSH execution '{"id":"job1","user_id":"ann","name":"first","cube_type":"bash","source":"echo from redis"}' >/dev/null
within 60 eval '[ -n "$(redis-cli -p 6399 HGET cubit:result:job1 stdout)" ]'
is "$(redis-cli -p 6399 HGET cubit:result:job1 stdout)" 'from redis' 'a job of the list has its result'
like "$(cubit config 2>&1)" 'REDIS_URL' 'cubit config reads the file too'

echo 'CUBIT_JOBS=many' >>/etc/cubit/cubit.env
systemctl restart cubitd 2>/dev/null
sleep 4
is "$(systemctl show -P SubState cubitd) $(systemctl show -P ExecMainStatus cubitd)" 'failed 2' 'a wrong setting ends the service, which is not tried again'
like "$(journalctl -u cubitd -p err -q --no-pager -o cat -n 5)" 'CUBIT_JOBS' 'and the journal names it, as an error'
cp /tmp/cubit.env.kept /etc/cubit/cubit.env
redis-cli -p 6399 shutdown nosave 2>/dev/null
start_service
ok $? 'with the file as it was the service starts'
done_testing
