#!/bin/bash
# An image that was pulled runs as its configuration says: program, environment, working directory, user.
# timeout: 120
set -u
# shellcheck source=tests/lib/registry.sh
. "$(dirname "$0")/../lib/registry.sh"
need_tools
command -v busybox >/dev/null || { echo '1..0 # SKIP no busybox' && exit 0; }

# make_image TAG [umoci-config option...]: at $dir/oci
make_image()
{
	local tag=$1 root=$dir/bundle/rootfs
	shift
	{
		if [ ! -d "$root" ]; then
			umoci init --layout "$dir/oci" && umoci new --image "$dir/oci:base" &&
				umoci unpack --image "$dir/oci:base" "$dir/bundle"
			mkdir -p "$root"/{bin,etc,app,home/app}
			cp "$(command -v busybox)" "$root/bin/busybox"
			for name in sh id env pwd ls cat; do ln -s busybox "$root/bin/$name"; done
			printf 'root:x:0:0::/root:/bin/sh\napp:x:777:778::/home/app:/bin/sh\n' >"$root/etc/passwd"
			printf 'root:x:0:\nstaff:x:50:\n' >"$root/etc/group"
			# shellcheck disable=SC2016 # for the shell inside
			printf '#!/bin/sh\necho "$(id -u):$(id -g) $(pwd) $*"\nenv\n' >"$root/app/show"
			chmod 755 "$root/app/show"
			umoci repack --image "$dir/oci:base" "$dir/bundle"
		fi
		umoci config --image "$dir/oci:base" --tag "$tag" "$@"
	} >"$dir/umoci.log" 2>&1 || { echo "Bail out! umoci: $(tail -n 1 "$dir/umoci.log")" && exit 1; }
}

make_image full --config.user app:staff --config.workingdir /app --config.env PATH=/app:/bin --config.env WHO=image \
	--config.entrypoint show --config.entrypoint first --config.cmd second --config.cmd 'third word'
make_image root --config.cmd /app/show --config.env LANG=xx
make_image number --config.user 1234 --config.cmd /app/show
make_image stranger --config.user nobody --config.cmd /app/show
make_image nothing --config.user app

start_registry open
open=localhost:$port
export CUBIT_STATE=$dir/state CUBIT_RUN=$dir/run
for tag in full root number stranger nothing; do
	skopeo copy -q --dest-tls-verify=false "oci:$dir/oci:$tag" "docker://$open/lib/x:$tag"
	"$cubit" image pull --quiet "$open/lib/x:$tag" >>"$dir/pulled" 2>"$dir/err" || sed 's/^/# /' "$dir/err"
done
is "$(wc -l <"$dir/pulled")" 5 'five images are pulled'

# run TAG ARGUMENT...: sets status and fills $dir/stdout, $dir/err
run()
{
	local tag=$1
	shift
	"$build/bin/cubit-sandbox" --image "$open/lib/x:$tag" "$@" >"$dir/out" 2>"$dir/err"
	status=$?
	python3 -c 'import json, sys; print(json.load(sys.stdin)["stdout"], end="")' <"$dir/out" >"$dir/stdout" 2>/dev/null
	[ "$status" -eq 0 ] || sed 's/^/# /' "$dir/err" "$dir/out"
}
first() { head -n 1 "$dir/stdout"; }

run full
is "$status" 0 'an image runs without being told what'
is "$(first)" '777:50 /app first second third word' 'its entrypoint and command, in its directory, as its user and group'
has "$dir/stdout" '^WHO=image$' 'with its variables'
has "$dir/stdout" '^PATH=/app:/bin$' 'its own PATH among them, which found the program'
has "$dir/stdout" '^HOME=/home/app$' "and the home of its user's account"
run full -- other
is "$(first)" '777:50 /app first other' 'arguments stand for the command, the entrypoint stays'
run full --entrypoint /bin/id -- -u
is "$(first)" 777 'another entrypoint takes the place of both'
run full --entrypoint '' -- /bin/pwd
is "$(first)" /app 'or none'
run full --uid 5 --gid 6 --cwd /bin --env WHO=me --env MORE=1
is "$(first)" '5:6 /bin first second third word' 'the command line decides about user and directory'
has "$dir/stdout" '^WHO=me$' 'and about a variable'
has "$dir/stdout" '^MORE=1$' 'may add one'
has "$dir/stdout" '^PATH=/app:/bin$' 'and leaves the others'
is "$(grep -c '^WHO=' "$dir/stdout")" 1 'each is there once'
has "$dir/stdout" '^HOME=/work$' 'another user has not the home of this one'
run full --root
is "$(first)" '0:0 /app first second third word' 'with --root it is root, whoever the image names'
has "$dir/stdout" '^HOME=/root$' 'at home where root is'

run root
is "$(first)" '1000:1000 /work ' 'an image that names no user is not root'
has "$dir/stdout" '^LANG=xx$' 'a default of ours gives way to the image'
has "$dir/stdout" '^PATH=/usr/local/sbin:' 'and stays where the image says nothing'
run root --root
is "$(first)" '0:0 /work ' 'unless it is asked for'
run number
is "$(first)" '1234:1000 /work ' 'a number needs no account, and the group 0 that it implies is not given'
run stranger
is "$status" 3 'a user that the image does not know is a failure'
has "$dir/err" "image '$open/lib/x:stranger': user 'nobody': no user 'nobody' in the image's /etc/passwd" 'in words'
run nothing
is "$status" 3 'an image without a program is one'
has "$dir/err" 'the image names no program' 'in words'
run nothing -- /bin/id -u
is "$(first)" 777 'until it is given'
run none
is "$status" 3 'an image that is not there is one'
has "$dir/err" "there is no image '$open/lib/x:none' here" 'in words'
run full --layer /
is "$status" 2 'an image and a layer do not go together'

# ---- layers in any order ----

for l in a b; do
	mkdir "$dir/in-$l" && head -c 3000000 /dev/urandom >"$dir/in-$l/$l"
	tar --create --directory "$dir/in-$l" --file "$dir/$l.tar" .
done
umoci init --layout "$dir/orders" >/dev/null 2>&1
for order in aaa ab ba; do
	{
		umoci new --image "$dir/orders:$order"
		for ((i = 0; i < ${#order}; i++)); do
			umoci raw add-layer --image "$dir/orders:$order" "$dir/${order:i:1}.tar"
		done
		skopeo copy -q "oci:$dir/orders:$order" "oci:$dir/order-$order:$order"
	} >"$dir/umoci.log" 2>&1
done
timeout 30 "$cubit" image load --quiet --store "$dir/same" "$dir/order-aaa" "order:aaa" >"$dir/out" 2>"$dir/err"
is $? 0 'an image that has one layer three times is loaded, and does not wait for itself'
for ((i = bad = 0; i < 8; i++)); do
	timeout 30 "$cubit" image load --quiet --store "$dir/both-$i" "$dir/order-ab" "order:ab" >/dev/null 2>"$dir/err" &
	pid=$!
	timeout 30 "$cubit" image load --quiet --store "$dir/both-$i" "$dir/order-ba" "order:ba" >/dev/null 2>>"$dir/err" || bad=$((bad + 1))
	wait "$pid" || bad=$((bad + 1))
	[ "$(find "$dir/both-$i/layers" -mindepth 1 -maxdepth 1 | wc -l)" -eq 2 ] || bad=$((bad + 1))
	rm -rf "$dir/both-$i"
done
is "$bad" 0 'two that want the same layers in opposite orders do not wait for each other for ever'

# ---- collection beside it ----

mkfifo "$dir/fifo"
"$build/bin/cubit-sandbox" --image "$open/lib/x:full" --live --wall 60s --stdin - --entrypoint /bin/sh -- \
	-c 'echo started; read x; ls /app; echo end' <"$dir/fifo" >"$dir/live" 2>"$dir/err" &
pid=$!
exec {hold}>"$dir/fifo"
wait_for "$dir/live"
for tag in full root number stranger nothing; do
	"$cubit" image rm "$open/lib/x:$tag"
done
"$cubit" image gc >"$dir/gc"
[ -d "$CUBIT_STATE/images/layers" ] && [ -n "$(ls "$CUBIT_STATE/images/layers")" ]
ok $? 'a collection leaves the layers of a running sandbox alone'
echo >&"$hold"
exec {hold}>&-
wait "$pid"
is "$(tail -n 1 "$dir/live")" end 'which ends as if nothing had been'
"$cubit" image gc >"$dir/gc"
is "$(ls "$CUBIT_STATE/images/layers")" '' 'and takes them afterwards'
is "$(find "$CUBIT_STATE/images/leases" -type f)" '' 'no lease is left'

done_testing
