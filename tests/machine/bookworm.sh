#!/bin/bash
# Debian 12 as its users have it: systemd, sudo, AppArmor, its stock kernel, pure cgroup v2. Cubit is installed from its
# package, put through its life, removed, and installed by `make install`.
# timeout: 4500
# shellcheck source=tests/lib/machine.sh
. "$(dirname "$0")/../lib/machine.sh"
start_machine bookworm
run_life
done_testing
