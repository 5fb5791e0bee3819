#!/bin/bash
# Debian 13 as its users have it; see bookworm.sh. Cubit was built from source for it, warnings being errors, and its unit
# tests run there as well.
# timeout: 4500
# shellcheck source=tests/lib/machine.sh
. "$(dirname "$0")/../lib/machine.sh"
start_machine trixie
run_life
inside unit
done_testing
