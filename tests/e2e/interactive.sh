#!/bin/bash
# Jobs that are talked to over a WebSocket.
# timeout: 200
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images python
start_daemon
python3 tests/lib/interactive.py "$sock"
status=$?
stop_daemon
exit "$status"
