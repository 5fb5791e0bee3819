# shellcheck shell=bash disable=SC2034 # variables are for whoever sources it
# Registries on loopback for tests: sourced. Sets dir, cubit, count, failed; every server started here ends with the test.
# Needs docker-registry, skopeo, umoci, htpasswd, openssl, python3.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${CUBIT_BUILD:-build}
cubit=$build/bin/cubit
dir=$(mktemp -d "${CUBIT_TEST_DIR:-/tmp}/registry.XXXXXX")
export HOME=$dir/home
mkdir -p "$HOME"
unset CUBIT_REGISTRY_MIRRORS CUBIT_INSECURE_REGISTRIES CUBIT_REGISTRY_AUTH_FILE CUBIT_STATE
export CUBIT_REGISTRY_TIMEOUT_S=3
count=0 failed=0
servers=()
# shellcheck source=tests/lib/ids.sh
. "$here/ids.sh"

# shellcheck disable=SC2317 # called by the trap
finish()
{
	[ ${#servers[@]} -eq 0 ] || kill "${servers[@]}" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT

ok() # STATUS TITLE
{
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		failed=1
	fi
}

is() # GOT WANTED TITLE
{
	[ "$1" = "$2" ]
	ok $? "$3"
	[ "$1" = "$2" ] || echo "# got '$1', wanted '$2'"
}

has() # FILE PATTERN TITLE
{
	grep -qE -- "$2" "$1"
	ok $? "$3"
	grep -qE -- "$2" "$1" || { echo "# no '$2' in:" && head -n 5 "$1" | sed 's/^/#   /'; }
}

done_testing()
{
	echo "1..$count"
	exit "$failed"
}

need_tools()
{
	local t
	for t in docker-registry skopeo umoci htpasswd openssl python3; do
		command -v "$t" >/dev/null || { echo "1..0 # SKIP no $t" && exit 0; }
	done
	[ "$(id -u)" -eq 0 ] || { echo '1..0 # SKIP not root' && exit 0; }
}

wait_for() # FILE
{
	local i
	for ((i = 0; i < 200 * ${TEST_PATIENCE:-1}; i++)); do
		[ ! -s "$1" ] || return 0
		sleep 0.05
	done
	echo "Bail out! nothing came to '$1'"
	exit 1
}

free_port()
{
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# start_registry NAME [AUTH-YAML]: sets port
start_registry()
{
	local i
	port=$(free_port)
	mkdir -p "$dir/$1"
	{
		printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\n' "$dir/$1/data"
		printf 'http: {addr: "127.0.0.1:%s"}\n%s\n' "$port" "${2:-}"
	} >"$dir/$1/config.yml"
	docker-registry serve "$dir/$1/config.yml" >"$dir/$1/log" 2>&1 &
	servers+=($!)
	for ((i = 0; i < 200; i++)); do
		! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
		sleep 0.05
	done
	echo "Bail out! docker-registry does not start: $(tail -n 1 "$dir/$1/log")"
	exit 1
}

# make_layout: an OCI layout of two layers at $dir/layout, tag 1; the lower one of about 2 MB
make_layout()
{
	local root=$dir/bundle/rootfs
	{
		umoci init --layout "$dir/layout"
		umoci new --image "$dir/layout:1"
		umoci unpack --image "$dir/layout:1" "$dir/bundle"
		mkdir -p "$root/bin" "$root/etc"
		cp "$build/tests/payload" "$root/bin/payload"
		head -c 2000000 /dev/urandom >"$root/noise"
		printf 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n' >"$root/etc/passwd"
		umoci repack --refresh-bundle --image "$dir/layout:1" "$dir/bundle"
		echo upper >"$root/upper"
		rm "$root/noise"
		umoci repack --image "$dir/layout:1" "$dir/bundle"
		umoci config --image "$dir/layout:1" --config.user app --config.env A=B --config.workingdir /tmp \
			--config.cmd /bin/payload
		umoci gc --layout "$dir/layout"
	} >"$dir/umoci.log" 2>&1 || { echo "Bail out! umoci: $(tail -n 1 "$dir/umoci.log")" && exit 1; }
}

# What a failed or broken-off pull left in a store that is not tmp or trash; empty is right.
leftovers() # STORE
{
	find "$1/refs" "$1/layers" "$1/leases" -mindepth 1 2>/dev/null | head -n 3
}
