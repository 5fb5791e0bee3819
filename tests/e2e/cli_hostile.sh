#!/bin/bash
# The streams of the command line against servers that do harm: tests/lib/hostile_stream.py has the list.
# timeout: 400
set -u
unset CUBIT_URL CUBIT_KEY CUBIT_CA
exec python3 "$(dirname "$0")/../lib/hostile_stream.py" "$CUBIT_BUILD/bin/cubit"
