# shellcheck shell=bash disable=SC2154,SC2024,SC2181 # the functions before it set these
# An ordinary user, with sudo and without. Debian's sudo takes the core limit away, soft and hard.

is "$(id -un)" op 'this is an ordinary user'
is "$(sudo sh -c 'ulimit -Hc')" 0 'sudo gives programs no core limit'
is "$(echo 'echo by sudo' | sudo cubit run --limit wall=60s --limit cpu=60s bash - 2>&1)" 'by sudo' 'sudo cubit run'
sudo cubit-sandbox --image localhost/bash --wall 60s --cpu 60s -- bash -c 'echo in a sandbox' >/tmp/sudo.log 2>&1
like "$(cat /tmp/sudo.log)" 'in a sandbox' 'sudo cubit-sandbox'
like "$(cat /tmp/sudo.log)" '"status": *"ok"' 'with the verdict ok'
sudo RUN_TIMEOUT_MS=60000 cubit runtime test bash >/tmp/sudo-test.log 2>&1
like "$(grep '^bash ' /tmp/sudo-test.log)" ' ok ' 'sudo cubit runtime test' || diag "$(tail -n 20 /tmp/sudo-test.log)"
said=$(echo 'echo hi' | cubit run bash - 2>&1)
[ $? -ne 0 ]
ok $? 'without sudo and without a key there is no run'
like "$said" '(key|root|permission|Permission)' 'and the message says what is wanted' || diag "$said"
unlike "$said" 'Segmentation|assert' 'in words'
done_testing
