# shellcheck shell=bash disable=SC2154 # the functions before it set these
# `apt install ./cubit_*.deb` on a clean machine starts a working service.

before=$(systemctl --failed --no-legend)
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends /mnt/cubit.deb >/tmp/apt.log 2>&1
ok $? 'apt installs the package' || diag "$(tail -n 20 /tmp/apt.log)"
is "$(systemctl is-active cubitd)" active 'the service runs'
is "$(systemctl is-enabled cubitd)" enabled 'and is started with the machine'
is "$(systemctl is-active cubit-cubes)" active 'so does the one that holds the group of cubes'
is "$(systemctl --failed --no-legend)" "$before" 'nothing else has failed by it'
is "$(systemctl show -P KillMode cubitd)" mixed 'the end of the monitor ends what it ran'
unlike "$(systemctl show -P LimitCORE cubitd)" '^0$' 'the unit does not take the core limit away, which sandboxes need'
like "$(ps -o user= -p "$(front_pid)")" '^cubit' 'the process that talks to the network has an account of its own'
is "$(stat -c '%a %U' /etc/cubit/cubit.env)" '640 root' 'settings are for root to read'
is "$(journalctl -u cubitd -p warning -q --no-pager -o cat)" '' 'the journal has no warning of the service'
like "$(systemctl show -P StatusText cubitd)" 'cubit setup' 'without images, the status of the service says what to do'
api /readyz
is "$status" 503 'and it is not ready'
like "$body" 'cubit setup' 'in the same words'
like "$(cubit doctor 2>&1)" 'cubit setup' 'so does doctor'
man -w cubitd cubit-image cubit-worker >/dev/null
ok $? 'the manual pages are found'
like "$(whatis cubitd)" 'run untrusted programs' 'also by whatis'
systemd-analyze verify cubitd.service cubit-cubes.service >/tmp/verify 2>&1
is "$(grep -i cubit /tmp/verify)" '' 'systemd has nothing to say about the units'
diag "$(systemd-analyze security cubitd --no-pager | tail -n 1)"
done_testing
