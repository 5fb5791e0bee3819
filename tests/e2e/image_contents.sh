#!/bin/bash
# What every image has, and what people expect of PHP: time zones, UTF-8 locales, certificates; extensions; an error once.
# timeout: 600
# shellcheck disable=SC2016 # the sandbox expands it
set -u
# shellcheck source=tests/lib/daemon.sh
. "$(dirname "$0")/../lib/daemon.sh"
need_images bash php
start_daemon

run_in() # LANGUAGE SOURCE -> $body
{
	api /v1/run -d "{\"runtime\":\"$1\",\"source\":$(printf '%s' "$2" | json)}"
}

# The base is the lowest layer of every image.
run_in bash 'for z in Europe/Berlin Asia/Tokyo America/New_York; do TZ=$z date -d @0 +%Z; done'
is "$(get stdout | xargs)" 'CET JST EST' 'time zones are known'
run_in bash 'for l in C en_US de_DE ja_JP; do LC_ALL=$l.UTF-8 locale charmap; done 2>&1 | sort | uniq -c; LC_ALL=de_DE.UTF-8 locale decimal_point'
is "$(get stdout | tr -s ' \n' ' ')" ' 4 UTF-8 , ' 'UTF-8 locales are there, and mean something'
run_in bash 'echo $LANG; grep -c BEGIN /etc/ssl/certs/ca-certificates.crt'
is "$([[ $(get stdout) =~ ^C.UTF-8.[1-9][0-9]+$ ]] && echo yes)" yes 'LANG is C.UTF-8, and certificates are there'

run_in php '<?php foreach (["bcmath", "curl", "gmp", "intl", "mbstring", "pdo_sqlite", "xml", "zip", "json"] as $e) echo extension_loaded($e) ? "" : "no $e\n";
echo mb_strlen("äöü"), " ", bcadd("1", "2"), " ", gmp_strval(gmp_pow(2, 64)), "\n";'
is "$(get stdout)" '3 3 18446744073709551616' 'PHP has the usual extensions'
run_in php '<?php echo "before\n"; undefined_function();'
is "$(get stdout) $(get stderr | grep -c 'Call to undefined function')" 'before 1' 'PHP prints an error once, to standard error'
stop_daemon
nothing_left 'nothing of it is left'
done_testing
