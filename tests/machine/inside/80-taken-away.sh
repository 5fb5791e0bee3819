# shellcheck shell=bash disable=SC2154 # the functions before it set these
# What set-up needs of its surroundings, taken away by the unit: jobs run all the same, or the service says why not.

drop_in=/run/systemd/system/cubitd.service.d
with() # LINE...
{
	mkdir -p "$drop_in"
	printf '[Service]\n' >"$drop_in/test.conf"
	printf '%s\n' "$@" >>"$drop_in/test.conf"
	systemctl daemon-reload
	systemctl restart cubitd 2>/dev/null
}
hello='{"runtime": "bash", "source": "echo hello", "limits": {"wall_ms": 60000}}'

with LimitCORE=0
within 60 is_ready
api /v1/run -d "$hello"
is "$(get stdout)" hello 'LimitCORE=0: the monitor raises its own limit' || diag "$body"

with LimitCORE=0 'CapabilityBoundingSet=~CAP_SYS_RESOURCE'
sleep 3
! is_ready
ok $? 'LimitCORE=0 and no right to raise it: it takes no work'
like "$(journalctl -u cubitd -p err -q --no-pager -o cat -n 10)" 'core' 'and the journal says which limit' ||
	diag "$(journalctl -u cubitd -q --no-pager -o cat -n 10)"

with ProtectKernelTunables=yes
sleep 5
if is_ready; then
	api /v1/run -d "$hello"
	is "$(get stdout)" hello 'ProtectKernelTunables=yes: jobs run'
else
	like "$(journalctl -u cubitd -p warning -q --no-pager -o cat -n 10)" '/proc' 'ProtectKernelTunables=yes: the journal says what is wrong with /proc'
fi

# a node that cannot make sandboxes takes nothing and loses nothing
rm -r "$drop_in"
systemctl daemon-reload
systemctl reset-failed cubitd
systemctl restart cubitd
within 60 is_ready
api '/v1/jobs?state=dead&limit=50'
dead=$(get jobs)
namespaces=$(cat /proc/sys/user/max_user_namespaces)
echo 0 >/proc/sys/user/max_user_namespaces
ids=()
for _ in {1..12}; do
	submit '{"runtime": "bash", "source": "echo later", "policy": "strict", "limits": {"wall_ms": 60000}}'
	ids+=("$id")
done
within 60 eval '! is_ready'
ok $? 'no user namespaces: the node is not ready' || diag "$body"
like "$body" 'max_user_namespaces|namespace' 'and says why'
like "$(systemctl show -P StatusText cubitd)" 'namespace' 'so does the status of the service'
like "$(cubit doctor 2>&1)" 'max_user_namespaces' 'so does doctor'
sleep 5
api '/v1/jobs?state=dead&limit=50'
is "$(get jobs)" "$dead" 'no job became a dead letter'
echo "$namespaces" >/proc/sys/user/max_user_namespaces
within 120 is_ready
ok $? 'given back, it is ready by itself'
bad=0
for id in "${ids[@]}"; do
	within 120 is_over "$id"
	[ "$(get state) $(get attempt)" = 'done 1' ] || { bad=$((bad + 1)) && diag "$body"; }
done
is "$bad" 0 'and every job that waited has a result, in its first attempt'
done_testing
