#!/bin/bash
# Pull, run, push, load and save against docker-registry, with skopeo and umoci as witnesses.
# timeout: 400
set -u
# shellcheck source=tests/lib/registry.sh
. "$(dirname "$0")/../lib/registry.sh"
need_tools
make_layout

# ---- no authentication ----

start_registry open
open=localhost:$port
skopeo copy -q --dest-tls-verify=false "oci:$dir/layout:1" "docker://$open/lib/x:1"
digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$open/lib/x:1")
store=$dir/store
"$cubit" image pull --store "$store" "$open/lib/x:1" >"$dir/out" 2>"$dir/err"
is $? 0 'an image that skopeo pushed is pulled'
is "$(cat "$dir/out")" "$open/lib/x:1 $digest" 'its digest is the one skopeo sees'
has "$dir/err" '^fetch +layer 2 of 2' 'progress names each layer'
"$cubit" image pull --store "$store" "$open/lib/x:1" >"$dir/out" 2>"$dir/err"
has "$dir/err" 'layer 2 of 2 .*already there' 'a second pull fetches nothing again'
"$cubit" image pull --store "$store" "$open/lib/x@$digest" >"$dir/out" 2>&1
is $? 0 'by digest as well'
is "$(stat -c %a "$store")" 700 'the store is closed to others'

layers=()
while read -r hex; do
	layers+=(--layer "$store/layers/$hex/fs")
done < <("$cubit" image inspect --store "$store" "$open/lib/x:1" |
	python3 -c 'import json, sys; [print(l["diff_id"][7:]) for l in json.load(sys.stdin)["layers"]]')
"$build/bin/cubit-sandbox" "${layers[@]}" -- /bin/payload echo hello >"$dir/out" 2>"$dir/err"
is $? 0 'a program of the pulled image runs in a sandbox'
has "$dir/out" 'hello' 'and says what it should'
[ -f "${layers[1]}/noise" ] && [ -c "${layers[3]}/noise" ]
ok $? 'a file deleted by the upper layer is a whiteout there'

"$cubit" image push --store "$store" "$open/lib/x:1" "$open/other/y:2" >"$dir/out" 2>"$dir/err"
is $? 0 'it is pushed under another name'
is "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$open/other/y:2")" "$digest" \
	'skopeo sees the same digest there'
start_registry second
"$cubit" image push --store "$store" "$open/lib/x:1" "localhost:$port/fresh/z:3" >"$dir/out" 2>"$dir/err"
is $? 0 'and to an empty registry'
is "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://localhost:$port/fresh/z:3")" "$digest" \
	'with the same digest'

"$cubit" image pull --store "$store" "$open/lib/none:1" >"$dir/out" 2>"$dir/err"
is $? 1 'an image that is not there is refused'
has "$dir/err" "status 404: MANIFEST_UNKNOWN" 'with what the registry says'
"$cubit" image pull --store "$store" --platform linux/s390x "$open/lib/x:1" >"$dir/out" 2>"$dir/err"
is $? 1 'an image for another platform is refused'
has "$dir/err" 'for linux/amd64|for linux/arm64' 'naming what it is for'
"$cubit" image pull --store "$store" 'UP/x' >"$dir/out" 2>"$dir/err"
is $? 1 'a host that does not answer is a failure' # UP is a host name: upper case

CUBIT_REGISTRY_MIRRORS=docker.io=$open "$cubit" image pull --store "$store" lib/x:1 >"$dir/out" 2>"$dir/err"
is $? 0 'a mirror stands in for a registry that cannot be reached'
is "$(cat "$dir/out")" "docker.io/lib/x:1 $digest" 'and the image keeps the name that was asked for'

# ---- user and password ----

htpasswd -Bbn alice 'pass,"word' >"$dir/htpasswd" 2>/dev/null
start_registry basic "auth: {htpasswd: {realm: test, path: $dir/htpasswd}}"
basic=localhost:$port
auth=$(printf '%s' 'alice:pass,"word' | base64 -w0)
printf '{"auths": {"%s": {"auth": "%s"}}}' "$basic" "$auth" >"$dir/auth.json"
"$cubit" image push --store "$store" "$open/lib/x:1" "$basic/p/q:1" >"$dir/out" 2>"$dir/err"
is $? 1 'a registry that wants a password refuses us without'
has "$dir/err" 'wants a user and a password' 'in words'
export CUBIT_REGISTRY_AUTH_FILE=$dir/auth.json
"$cubit" image push --store "$store" "$open/lib/x:1" "$basic/p/q:1" >"$dir/out" 2>"$dir/err"
is $? 0 'with one, the push works'
"$cubit" image pull --store "$dir/store2" "$basic/p/q:1" >"$dir/out" 2>"$dir/err"
is $? 0 'and the pull'
printf '{"auths": {"%s": {"username": "alice", "password": "wrongsecret"}}}' "$basic" >"$dir/auth.json"
"$cubit" image pull --store "$dir/store2" "$basic/p/q:1" >"$dir/out" 2>"$dir/err"
is $? 1 'a wrong password is refused'
has "$dir/err" 'does not accept our credentials' 'in words'
! grep -q wrongsecret "$dir/out" "$dir/err"
ok $? 'which do not hold the password'
echo '{"auths": {"x": "top-secret-text' >"$dir/auth.json"
"$cubit" image pull --store "$dir/store2" "$basic/p/q:1" >"$dir/out" 2>"$dir/err"
has "$dir/err" 'credentials in .*not a JSON object' 'a damaged file of credentials is named'
! grep -q top-secret "$dir/err"
ok $? 'and not quoted'

# ---- tokens ----

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/key.pem" -out "$dir/cert.pem" -days 2 -subj /CN=test 2>/dev/null
python3 "$here/token_server.py" "$dir" bob secretbob 2>"$dir/token_err" &
servers+=($!)
wait_for "$dir/token_port"
start_registry token "auth: {token: {realm: 'http://127.0.0.1:$(cat "$dir/token_port")/token', service: 'reg.local',
  issuer: test, rootcertbundle: $dir/cert.pem}}"
token=localhost:$port
printf '{"auths": {"%s": {"auth": "%s"}}}' "$token" "$(printf 'bob:secretbob' | base64)" >"$dir/auth.json"
"$cubit" image push --store "$store" "$open/lib/x:1" "$token/public/q:1" >"$dir/out" 2>"$dir/err"
is $? 0 'a push with a token works'
is "$(wc -l <"$dir/token_log")" 1 'one token serves the whole push'
has "$dir/token_log" '^repository:public/q:pull,push True$' 'asked for with the password and for this repository only'
"$cubit" image push --store "$store" "$token/public/q:1" "$token/private/q:2" >"$dir/out" 2>"$dir/err" || :
"$cubit" image tag --store "$store" "$open/lib/x:1" "$token/public/q:1"
"$cubit" image push --store "$store" "$token/public/q:1" "$token/private/q:2" >"$dir/out" 2>"$dir/err"
is $? 0 'a push that mounts blobs from another repository works'
has "$dir/token_log" 'repository:private/q:pull,push repository:public/q:pull True' 'with a token for both'
"$cubit" image pull --store "$dir/store3" "$token/private/q:2" >"$dir/out" 2>"$dir/err"
is $? 0 'a pull with a token works'
unset CUBIT_REGISTRY_AUTH_FILE
"$cubit" image pull --store "$dir/store3" "$token/public/q:1" >"$dir/out" 2>"$dir/err"
is $? 0 'and with an anonymous one'
"$cubit" image pull --store "$dir/store3" "$token/private/q:2" >"$dir/out" 2>"$dir/err"
is $? 1 'which does not open what is private'
has "$dir/err" 'does not accept our credentials .status 401: UNAUTHORIZED' 'in words'

# ---- files ----

"$cubit" image save --store "$store" "$open/lib/x:1" "$dir/saved" 2>/dev/null
is $? 0 'an image is saved as a layout'
is "$(skopeo inspect --format '{{.Digest}}' "oci:$dir/saved:1")" "$digest" 'skopeo reads it'
umoci unpack --image "$dir/saved:1" "$dir/unpacked" >"$dir/umoci.log" 2>&1
is $? 0 'umoci unpacks it'
"$cubit" image save --store "$store" "$open/lib/x:1" "$dir/saved.tar" 2>/dev/null
is "$(skopeo inspect --format '{{.Digest}}' "oci-archive:$dir/saved.tar")" "$digest" 'skopeo reads the tar'
tar tf "$dir/saved.tar" >/dev/null
ok $? 'and so does tar'
"$cubit" image save --store "$store" "$open/lib/x:1" "$dir/saved.tar" 2>"$dir/err"
is $? 1 'a file that is there is not written over'
for form in saved saved.tar; do
	"$cubit" image load --store "$dir/load-$form" "$dir/$form" >"$dir/out" 2>/dev/null
	is "$(cat "$dir/out")" "$open/lib/x:1 $digest" "$form is loaded under its own name, with the same digest"
done
"$cubit" image load --store "$dir/load-umoci" "$dir/layout" app:v2 >"$dir/out" 2>/dev/null
has "$dir/out" '^docker.io/library/app:v2 ' 'a layout of umoci is loaded under the name given'
"$cubit" image load --store "$dir/load-umoci" "$dir/layout" >"$dir/out" 2>"$dir/err"
has "$dir/err" 'has no whole name' 'and without one, the lack is said'
skopeo copy -q "oci:$dir/layout:1" "docker-archive:$dir/docker.tar:foo/bar:baz"
"$cubit" image load --store "$dir/load-docker" "$dir/docker.tar" >"$dir/out" 2>/dev/null
has "$dir/out" '^docker.io/foo/bar:baz ' 'what docker save writes is loaded under its own name'
mkdir "$dir/docker" && tar xf "$dir/docker.tar" -C "$dir/docker"
"$cubit" image load --store "$dir/load-docker2" "$dir/docker" >"$dir/out" 2>/dev/null
has "$dir/out" '^docker.io/foo/bar:baz ' 'also unpacked'
is "$("$cubit" image inspect --store "$dir/load-docker" foo/bar:baz | grep -c diff_id)" 2 'with both layers'
blob=$(find "$dir/saved/blobs/sha256" -size +500k | head -n 1)
printf X | dd of="$blob" bs=1 seek=40000 conv=notrunc 2>/dev/null
"$cubit" image load --store "$dir/load-bad" "$dir/saved" >"$dir/out" 2>"$dir/err"
is $? 1 'a flipped byte in a layout is refused'
has "$dir/err" "layer 1 of 2: sha256:${blob##*/}: the content's digest is" 'with the layer named'
is "$(leftovers "$dir/load-bad")" '' 'and nothing is left in the store'

# ---- names ----

"$cubit" image tag --store "$store" "$open/lib/x:1" short:name
has <("$cubit" image ls --store "$store") '^docker.io/library/short:name ' 'a second name is listed'
while read -r name _; do
	"$cubit" image rm --store "$store" "$name"
done < <("$cubit" image ls --store "$store" | tail -n +2)
"$cubit" image gc --store "$store" >"$dir/out"
has "$dir/out" 'removed [4-9] blobs and 2 layers' 'without names, gc removes blobs and layers'
is "$(find "$store/blobs/sha256" "$store/layers" -mindepth 1 | wc -l)" 0 'all of them'
"$cubit" image rm --store "$store" gone >"$dir/out" 2>"$dir/err"
is $? 1 'removing a name that is not there is a failure'
"$cubit" image frobnicate >/dev/null 2>&1
is $? 2 'an unknown command is a mistake of the caller'
"$cubit" image pull --store "$store" 'a//b' >/dev/null 2>"$dir/err"
is $? 2 'and so is a name that is none'
"$cubit" image pull --store >/dev/null 2>&1
is $? 2 'and an option without its value'

done_testing
