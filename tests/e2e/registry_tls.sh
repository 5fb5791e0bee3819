#!/bin/bash
# Registries over TLS, with an authority made here: the certificate that is believed, those that are not, and redirects
# that are not followed. Then an index within an index.
# timeout: 200
set -u
# shellcheck source=tests/lib/registry.sh
. "$(dirname "$0")/../lib/registry.sh"
need_tools
unset SSL_CERT_FILE CUBIT_REGISTRY_CA
make_layout

# authority NAME: NAME.pem, NAME.key
authority()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/$1.key" -out "$dir/$1.pem" \
		-days 2 -subj "/CN=$1" -addext basicConstraints=critical,CA:TRUE 2>/dev/null
}

# certificate AUTHORITY NAME DAYS HOST: NAME.pem, NAME.key
certificate()
{
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/$2.key" -out "$dir/$2.csr" \
		-subj "/CN=$4" 2>/dev/null
	openssl x509 -req -in "$dir/$2.csr" -CA "$dir/$1.pem" -CAkey "$dir/$1.key" -CAcreateserial -days "$3" \
		-extfile <(printf 'subjectAltName=DNS:%s' "$4") -out "$dir/$2.pem" 2>/dev/null
}

authority ours
authority theirs
certificate ours good 2 registry.test
certificate ours expired -1 registry.test
certificate ours other 2 other.test

# A loopback host is spoken to without TLS, so the registry needs a name: one that only what runs in here can look up.
printf '127.0.0.1 localhost registry.test\n' >"$dir/hosts"
named() # COMMAND ARGUMENT...
{
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount bash -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$dir/hosts" "$@"
}
named true 2>/dev/null || { echo '1..0 # SKIP no mount namespaces' && exit 0; }

# start_tls NAME CERTIFICATE: sets port
start_tls()
{
	local i
	port=$(free_port)
	mkdir -p "$dir/$1"
	cat >"$dir/$1/config.yml" <<-YAML
		version: 0.1
		log: {level: error}
		storage: {filesystem: {rootdirectory: $dir/data}}
		http: {addr: "127.0.0.1:$port", tls: {certificate: $dir/$2.pem, key: $dir/$2.key}}
	YAML
	docker-registry serve "$dir/$1/config.yml" >"$dir/$1/log" 2>&1 &
	servers+=($!)
	for ((i = 0; i < 200; i++)); do
		! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
		sleep 0.05
	done
	echo "Bail out! docker-registry does not start: $(tail -n 1 "$dir/$1/log")"
	exit 1
}

# pull NAME [STORE]: sets status
pull()
{
	named timeout 60 "$cubit" image pull --store "$dir/${2:-store}" "$1" >"$dir/out" 2>"$dir/err"
	status=$?
}

refused() # NAME PATTERN TITLE
{
	pull "$1" store-refused
	is "$status" 1 "$3"
	has "$dir/err" "$2" 'saying why'
	is "$(leftovers "$dir/store-refused")" '' 'and leaving nothing'
}

start_tls tls good
tls=registry.test:$port
skopeo copy -q --dest-tls-verify=false "oci:$dir/layout:1" "docker://localhost:$port/lib/x:1"
digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://localhost:$port/lib/x:1")

export CUBIT_REGISTRY_CA=$dir/ours.pem
pull "$tls/lib/x:1"
is "$status" 0 'an image is pulled over TLS, an authority of our own vouching for the registry'
is "$(cat "$dir/out")" "$tls/lib/x:1 $digest" 'with the digest that skopeo sees'
named "$cubit" image push --store "$dir/store" "$tls/lib/x:1" "$tls/lib/y:2" >"$dir/out" 2>"$dir/err"
is $? 0 'and pushed'
is "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://localhost:$port/lib/y:2")" "$digest" 'with the same'
cat "$dir/theirs.pem" "$dir/ours.pem" >"$dir/bundle.pem"
CUBIT_REGISTRY_CA=$dir/bundle.pem pull "$tls/lib/x:1" store-bundle
is "$status" 0 'the file may hold several'
unset CUBIT_REGISTRY_CA
SSL_CERT_FILE=$dir/ours.pem pull "$tls/lib/x:1" store-env
is "$status" 0 'SSL_CERT_FILE does it as well, wherever the file is'
export CUBIT_REGISTRY_CA=$dir/ours.pem
CUBIT_REGISTRY_MIRRORS=reg.invalid=$tls pull reg.invalid/lib/x:1 store-mirror
is "$status" 0 'a mirror is spoken to over TLS as well'
CUBIT_REGISTRY_MIRRORS=reg.invalid=https://localhost:$port pull reg.invalid/lib/x:1 store-other
is "$status" 1 'and passed over when its certificate is for another name'
unset CUBIT_REGISTRY_CA

refused "$tls/lib/x:1" 'https://registry.test:[0-9]+: .*(self.signed certificate|unable to get local issuer)' \
	'an authority that nobody named is not believed'
export CUBIT_REGISTRY_CA=$dir/theirs.pem
refused "$tls/lib/x:1" '(self.signed certificate|unable to get local issuer)' 'nor is the wrong one'
export CUBIT_REGISTRY_CA=$dir/ours.pem
start_tls expired expired
refused "registry.test:$port/lib/x:1" 'certificate has expired' 'a certificate that has expired is refused'
start_tls other other
refused "registry.test:$port/lib/x:1" 'no alternative certificate subject name matches' \
	'a certificate for another host is refused'
start_registry plain
refused "registry.test:$port/lib/x:1" 'https://registry.test:[0-9]+: ' 'a registry without TLS is refused'
CUBIT_INSECURE_REGISTRIES=registry.test:$port pull "registry.test:$port/lib/x:1" store-refused
has "$dir/err" 'http://registry.test:.*status 404' 'unless it is named as insecure'
CUBIT_REGISTRY_CA=$dir/none.pem
refused "$tls/lib/x:1" "certificates in '.*/none.pem': No such file" 'a file of certificates that is not there is named'
echo nothing >"$dir/none.pem"
refused "$tls/lib/x:1" "certificates in '.*/none.pem': there is no PEM certificate in it" 'and one that holds none'
printf -- '-----BEGIN CERTIFICATE-----\nrubbish\n' >"$dir/none.pem"
refused "$tls/lib/x:1" 'certificate' 'and one that holds rubbish'
CUBIT_REGISTRY_CA=$dir/ours.pem

# ---- redirects ----

start_registry behind
skopeo copy -q --dest-tls-verify=false "oci:$dir/layout:1" "docker://localhost:$port/lib/x:1"
mkdir "$dir/proxy"
python3 "$here/fault_proxy.py" "$port" "$dir/proxy" a:b "$dir/good.pem" "$dir/good.key" 2>"$dir/proxy.err" &
servers+=($!)
wait_for "$dir/proxy/port"
front=registry.test:$(cat "$dir/proxy/port")
printf redirect >"$dir/proxy/fault"
refused "$front/lib/x:1" "it redirects from https to http$" 'a redirect of blobs from https to http is refused'
! grep -q "^$(cat "$dir/proxy/other_port") " "$dir/proxy/log"
ok $? 'and nothing was asked for there'
printf redirecttls >"$dir/proxy/fault"
refused "$front/lib/x:1" 'points to an address of this machine' 'so is one to an address of this machine'
rm "$dir/proxy/fault"
pull "$front/lib/x:1" store-front
is "$status" 0 'without a redirect, the same way works'

# ---- an index within an index ----

manifest() # REFERENCE TYPE: from stdin
{
	curl -sS --cacert "$dir/ours.pem" --resolve "$tls:127.0.0.1" -o "$dir/curl" -w '%{http_code}\n' -X PUT \
		-H "Content-Type: $2" --data-binary @- "https://$tls/v2/lib/x/manifests/$1"
}
oci=application/vnd.oci.image
size=$(skopeo inspect --raw --tls-verify=false "docker://localhost:${tls#*:}/lib/x:1" | wc -c)
image='{"mediaType":"'$oci'.manifest.v1+json","digest":"'$digest'","size":'$size
here_platform=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
printf '{"schemaVersion":2,"mediaType":"%s.index.v1+json","manifests":[%s,"platform":{"os":"linux","architecture":"%s"}}]}' \
	"$oci" "$image" "$here_platform" >"$dir/inner"
is "$(manifest inner "$oci.index.v1+json" <"$dir/inner")" 201 'an index is uploaded'
nest() # INNER-FILE: an index of that index, on stdout
{
	printf '{"schemaVersion":2,"mediaType":"%s.index.v1+json","manifests":[{"mediaType":"%s.index.v1+json","digest":"sha256:%s","size":%s}]}' \
		"$oci" "$oci" "$(sha256sum <"$1" | cut -c1-64)" "$(wc -c <"$1")"
}
nest "$dir/inner" >"$dir/outer"
is "$(manifest outer "$oci.index.v1+json" <"$dir/outer")" 201 'and an index of it'
pull "$tls/lib/x:outer" store-nested
is "$status" 0 'an image behind two indexes is pulled'
"$cubit" image inspect --store "$dir/store-nested" "$tls/lib/x:outer" >"$dir/out"
has "$dir/out" "$digest" 'and is the one inside'
nest "$dir/outer" >"$dir/outermost"
is "$(manifest outermost "$oci.index.v1+json" <"$dir/outermost")" 201 'a third around them'
refused "$tls/lib/x:outermost" 'indexes? ' 'is one too many'

done_testing
