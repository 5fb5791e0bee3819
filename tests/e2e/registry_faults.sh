#!/bin/bash
# What a registry or the way to it may do wrong: each is refused or handled, with the part named, and leaves nothing.
# timeout: 500
set -u
# shellcheck source=tests/lib/registry.sh
. "$(dirname "$0")/../lib/registry.sh"
need_tools
make_layout
htpasswd -Bbn alice secretalice >"$dir/htpasswd" 2>/dev/null
start_registry basic "auth: {htpasswd: {realm: test, path: $dir/htpasswd}}"
skopeo copy -q --dest-creds alice:secretalice --dest-tls-verify=false "oci:$dir/layout:1" "docker://localhost:$port/lib/x:1"
mkdir "$dir/proxy"
python3 "$here/fault_proxy.py" "$port" "$dir/proxy" alice:secretalice 2>"$dir/proxy.err" &
servers+=($!)
wait_for "$dir/proxy/port"
host=127.0.0.1:$(cat "$dir/proxy/port")
other=$(cat "$dir/proxy/other_port")
printf '{"auths": {"%s": {"auth": "%s"}}}' "$host" "$(printf alice:secretalice | base64)" >"$dir/auth.json"
export CUBIT_REGISTRY_AUTH_FILE=$dir/auth.json
log=$dir/proxy/log

# pull FAULT: into a store of its own; sets status
pull()
{
	: >"$log"
	printf '%s' "$1" >"$dir/proxy/fault"
	timeout 60 "$cubit" image pull --store "$dir/store-$1" "$host/lib/x:1" >"$dir/out" 2>"$dir/err"
	status=$?
	rm -f "$dir/proxy/fault"
}

refused() # FAULT PATTERN TITLE
{
	pull "$1"
	is "$status" 1 "$3"
	has "$dir/err" "$2" "'$1': the message says what and where"
	is "$(leftovers "$dir/store-$1")" '' "'$1' leaves no image, layer or lease"
	! grep -q secretalice "$dir/err"
	ok $? "'$1': no password in the message"
}

handled() # FAULT TITLE
{
	pull "$1"
	is "$status" 0 "$2"
	[ "$status" -eq 0 ] || sed 's/^/# /' "$dir/err"
}

handled none 'without a fault, the pull through the proxy works'
refused flip "layer 1 of 2: sha256:[0-9a-f]{64}: the content's digest is" 'a flipped byte is refused'
refused short 'layer 1 of 2: .*size [0-9]+ announced, the registry sends' 'a blob that is too short is refused'
refused long 'layer 1 of 2: .*size [0-9]+ announced, the registry sends' 'a blob that is too long is refused'
refused gzip 'layer 1 of 2: .*as Content-Encoding gzip' 'a blob that was compressed on the way is refused'
refused type "manifest.*delivered as 'application/vnd.oci.image.index|manifest: .*ambiguous" 'a lying media type is refused'
refused space "manifest '1': the registry states digest" 'a manifest that is not what the registry states is refused'
refused huge "manifest '1': .*larger than 4194304 bytes" 'a huge manifest is refused'
refused 401 'does not accept our credentials' 'a registry that always says 401 is refused'
is "$(wc -l <"$log")" 2 'after one answer to its challenge, without a loop'
refused loop 'more than 10 redirects' 'a redirect in a circle is refused'
refused 429long 'asks to come back in 3600 s' 'a wait of an hour is refused'
refused 503always 'status 503' 'a registry that fails for good is a failure'
refused slow 'layer 1 of 2: ' 'a registry that stops sending is given up'
is "$(find "$dir/store-slow/tmp" -type f -size +0 | wc -l)" 1 'what came is kept in tmp to be continued'

handled 429 'a wait of a second is kept'
handled 503 'a passing failure is tried again'
handled cut 'a broken connection is resumed'
has "$log" 'GET .*/blobs/sha256:[0-9a-f]+ bytes=[1-9][0-9]*- ' 'by asking for the rest only'

pull cutalways
is "$status" 1 'a connection that always breaks is given up'
: >"$log"
timeout 60 "$cubit" image pull --store "$dir/store-cutalways" "$host/lib/x:1" >"$dir/out" 2>"$dir/err"
is $? 0 'and the next pull goes on'
has "$log" 'GET .*/blobs/sha256:[0-9a-f]+ bytes=[1-9][0-9]*- ' 'where the last one stopped'

# a server that ignores Range, and a part on disk that has gone bad
printf cutalways >"$dir/proxy/fault"
timeout 60 "$cubit" image pull --store "$dir/store-norange" "$host/lib/x:1" >/dev/null 2>&1
handled norange 'a server that answers a Range with everything is understood'
printf cutalways >"$dir/proxy/fault"
timeout 60 "$cubit" image pull --store "$dir/store-rotten" "$host/lib/x:1" >/dev/null 2>&1
part=$(find "$dir/store-rotten/tmp" -type f -size +100k | head -n 1)
printf X | dd of="$part" bs=1 seek=1000 conv=notrunc 2>/dev/null
handled rotten 'a part that went bad on disk is fetched again'

# credentials stay where they belong
handled redirect 'a redirect of blobs to another port is followed'
has "$log" "^$other GET .* -$" 'without credentials there'
! grep -qE "^$other .* Basic$" "$log"
ok $? 'in no request'
has "$log" "^${host##*:} GET .* Basic$" 'which the registry itself did get'

: >"$log"
CUBIT_REGISTRY_MIRRORS=$host=http://127.0.0.1:$other timeout 60 "$cubit" image pull --store "$dir/store-mirror" \
	"$host/lib/x:1" >"$dir/out" 2>"$dir/err"
is $? 0 'a mirror that wants credentials is passed over'
has "$log" "^$other GET .*ns=" 'after it was asked, for the registry that it mirrors'
! grep -qE "^$other .* Basic$" "$log"
ok $? 'and never got any'

# killed in the middle
printf slow >"$dir/proxy/fault"
"$cubit" image pull --store "$dir/store-killed" "$host/lib/x:1" >/dev/null 2>&1 &
pid=$!
for ((i = 0; i < 100; i++)); do
	[ -z "$(find "$dir/store-killed/tmp" -type f -size +0 2>/dev/null)" ] || break
	sleep 0.05
done
kill -9 "$pid"
wait "$pid" 2>/dev/null
rm -f "$dir/proxy/fault"
timeout 60 "$cubit" image pull --store "$dir/store-killed" "$host/lib/x:1" >"$dir/out" 2>"$dir/err"
is $? 0 'a pull that was killed can be repeated'
"$cubit" image gc --store "$dir/store-killed" >/dev/null
is "$(find "$dir/store-killed/leases" "$dir/store-killed/tmp" -type f | sed "s|$dir/||")" '' 'and after a collection nothing of it is left'

done_testing
