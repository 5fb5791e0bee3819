# shellcheck shell=bash disable=SC2154 # the functions before it set these
# Removing the package stops the service and keeps its state; purging takes that too. Then `make install`.

DEBIAN_FRONTEND=noninteractive apt-get remove -q -y cubit >/tmp/apt.log 2>&1
ok $? 'apt removes the package' || diag "$(tail -n 20 /tmp/apt.log)"
is "$(pgrep -c 'cubit')" 0 'nothing of it runs'
[ -d /var/lib/cubit/images ] && [ -f /etc/cubit/cubit.env ]
ok $? 'images, results and settings stay'
mv /var/lib/cubit /var/lib/cubit.kept
DEBIAN_FRONTEND=noninteractive apt-get purge -q -y cubit >/tmp/apt.log 2>&1
ok $? 'apt purges it'
is "$(find /etc/systemd /etc/cubit /run/cubit /var/lib/cubit -name '*cubit*' 2>/dev/null | grep -v deb-systemd)" '' 'no link, file or directory of it is left'

cp -a /mnt/tree/. /
systemctl daemon-reload
systemd-sysusers
mv /var/lib/cubit.kept /var/lib/cubit
systemctl enable --now cubitd 2>/dev/null
ok $? 'what make install puts in place starts'
within 60 is_ready
ok $? 'and is ready'
is "$(echo 'echo installed' | cubit run bash - 2>&1)" installed 'a program runs'
done_testing
