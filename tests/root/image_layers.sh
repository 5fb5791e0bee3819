#!/bin/bash
# Layers as people make them: each is loaded over those it lies on, and a sandbox shows what Docker and containerd show.
# Device nodes are left out; directories that a layer omits keep what they are below, also where a link stands there; hard
# links to files below are copied up; an opaque mark at the root hides everything below.
# where: host
# timeout: 200
set -u
# shellcheck source=tests/lib/sandbox.sh
. "$(dirname "$0")/../lib/sandbox.sh"

cubit=$build/bin/cubit
export CUBIT_STATE=$dir/state CUBIT_RUN=$dir/run CUBIT_WORKER=$build/bin/cubit-worker
store=$CUBIT_STATE/images
src=${CUBIT_SRC:-$PWD}

busybox=$(command -v busybox) || skip_all 'no busybox'

# The lowest layer of all images here: a program to look with, and things to be kept.
base="layer
dir ./ 755 0 0 1
dir bin 755 0 0 1
copy bin/busybox 755 $busybox
dir keep 2750 7 8 12345
file keep/old 640 9 old
dir keep/deep 1777 7 8 777
acl acl 750 4242
dir real 711 5 5 5
file real/old 644 5 old
link way real
link out /../../real"

make_image() # NAME < layers above the base
{
	rm -rf "$dir/layout"
	{ echo "$base" && cat; } | python3 "$src/tests/lib/layout.py" "$dir/layout" "$1" || return 1
	"$cubit" image load "$dir/layout" "localhost/$1" >"$dir/loaded" 2>"$dir/told"
}

seen() # NAME COMMAND...: what a sandbox on that image sees, each command by busybox
{
	"$sandbox" --run-dir "$run_dir" --id-base "$id_base" --id-count "$id_count" --image "localhost/$1" --root --live \
		--verdict "$dir/verdict" --entrypoint /bin/busybox -- "${@:2}" 2>"$dir/stderr" {slot_fd}>&-
}

# ---- device nodes ----

make_image devices <<'END'
layer
dir dev 755 0 0 1
char dev/null 1 3
char dev/mem 1 1
char hidden 0 0
hard dev/again dev/mem
hard dev/thrice dev/again
file after 644 0 here
END
is "$?" 0 'a layer with device nodes is taken'
like "$(cat "$dir/told")" '5 device nodes left out' '... and it is told how many were left out, links to them too'
is "$(seen devices cat /after)" here '... the rest is there'
is "$(find "$store/layers" \( -name after -o -type c -o -type b -o -name again -o -name thrice \) -printf '%f ')" 'after ' \
	'... and they are not'

# ---- an opaque mark at the root ----

make_image opaque <<END
layer
file lost 644 0 lost
layer
file top 644 0 top
opaque .
dir bin 755 0 0 1
copy bin/busybox 755 $busybox
layer
file above 644 0 above
END
is "$?" 0 'a layer that is opaque at its root is taken'
is "$(seen opaque ls / | grep -E '^(keep|lost|top|above)$' | tr '\n' ' ')" 'above top ' \
	'... it hides what lies below, and neither its own files nor those above'

# ---- directories that a layer omits ----

attributes='%a %u %g %Y'
make_image parents <<'END'
layer
file keep/deep/new 644 0 new
file way/new 644 0 new
file out/again 644 0 again
file acl/new 644 0 new
file nowhere/new 644 0 new
END
is "$?" 0 'a layer without its parent directories is taken'
is "$(seen parents stat -c "$attributes" /keep /keep/deep /real /acl)" '2750 7 8 12345
1777 7 8 777
711 5 5 5
750 4242 0 1000' '... they keep mode, owner and time of the layer below'
is "$(seen parents ls -d /keep/old /keep/deep/new /real/old /real/new /real/again /way/old)" '/keep/deep/new
/keep/old
/real/again
/real/new
/real/old
/way/old' '... and links below are gone through, not replaced'
is "$(find "$store/layers" -path '*/fs/acl' -exec python3 -c 'import os, sys; print(len({os.getxattr(p, "system.posix_acl_default") for p in sys.argv[1:]}), len(sys.argv[1:]))' {} +)" '1 2' \
	 '... a default ACL is kept as well'
is "$(seen parents stat -c "$attributes" /nowhere)" '755 0 0 0' '... and what is nowhere below is as before'

make_image hidden <<'END'
layer
whiteout keep
file keep/deep/new 644 0 new
whiteout way
file way/new 644 0 new
opaque real
file real/sub/new 644 0 new
END
is "$(seen hidden stat -c '%a %u %n' /keep /keep/deep /way /real)" '755 0 /keep
755 0 /keep/deep
755 0 /way
711 5 /real' 'what a layer itself has deleted is no model for what it makes'
is "$(seen hidden ls /keep /way /real | tr '\n' ' ')" '/keep: deep  /real: sub  /way: new ' '... and nothing of it shows'

make_image whiteouts <<'END'
layer
whiteout keep/deep/gone
whiteout way/old
END
is "$(seen whiteouts stat -c '%a %u %n' /keep /keep/deep /real | tr '\n' ' ')" '2750 7 /keep 1777 7 /keep/deep 711 5 /real ' \
	'the same for a whiteout alone'
is "$(seen whiteouts ls /real /keep | tr '\n' ' ')" '/keep: deep old  /real: ' '... which hides what a link below leads to'

# The same layer over another one is another tree.
above='layer
file keep/one-layer 644 0 x'
make_image over-base <<<"$above"
make_image over-other <<END
layer
dir keep 700 9 9 9
$above
END
is "$(seen over-base stat -c '%a %u' /keep) $(seen over-other stat -c '%a %u' /keep)" '2750 7 700 9' \
	'one layer over two others is a tree of its own over each'

# ---- hard links to what lies below ----

make_image links <<'END'
layer
file keep/middle 751 3 middle
layer
hard copy keep/old
hard keep/beside keep/middle
hard late way/old
hard slink out
END
is "$?" 0 'a layer with hard links to files below is taken'
is "$(seen links stat -c '%a %u %g %h %Y %n' /copy /keep/old /keep/beside /keep/middle)" '640 9 9 2 1000 /copy
640 9 9 2 1000 /keep/old
751 3 3 2 1000 /keep/beside
751 3 3 2 1000 /keep/middle' '... both names are one file, with what it had'
is "$(seen links cat /copy /keep/beside /late | tr '\n' ' ')" 'old middle old ' '... and its content'
is "$(seen links readlink /slink)" '/../../real' '... a link to a link stays a link'
make_image dangling <<'END'
layer
hard copy keep/never
END
like "$? $(cat "$dir/told")" "^1 .*layer 2 of 2: entry 'copy': a hard link to 'keep/never', which is not in this layer, nor below" \
	'one to what is nowhere is refused by name'
make_image deleted <<'END'
layer
whiteout keep/old
hard copy keep/old
END
like "$? $(cat "$dir/told")" "^1 .*which is not in this layer, nor below" 'and so is one to what the layer has deleted'
make_image directory <<'END'
layer
hard copy keep/deep
END
like "$? $(cat "$dir/told")" "^1 .*entry 'copy': " 'and one to a directory below'
is "$(find "$CUBIT_STATE" -type d -path '*/layers/*/fs' | wc -l)" "$(find "$store/layers" -mindepth 1 -maxdepth 1 | wc -l)" \
	'every layer of the store is whole'

# ---- what is refused leaves nothing ----

kept=$(find "$store" -type f | grep -v /leases/ | sort | sha256sum)
size=$(du -sm "$store" | cut -f 1)
make_image bomb <<'END'
layer
file whole 644 0 whole
layer gzip
file big 644 0 first
dull bomb 700000000
END
like "$? $(cat "$dir/told")" "^1 .*layer 3 of 3: .*the layer inflates to more than 32 times its size \(CUBIT_LAYER_RATIO\)" \
	'a layer that inflates to more than its manifest lets expect is refused early'
is "$(find "$store" -type f | grep -v /leases/ | sort | sha256sum) $(find "$store/trash" -mindepth 1 | wc -l)" "$kept 0" \
	'... nothing of it stays, neither blobs, nor layers that were whole, nor trash'
is "$(du -sm "$store" | cut -f 1)" "$size" '... and the space is back'
CUBIT_LAYER_RATIO=1000 CUBIT_LAYER_MAX=300M make_image bomb <<'END'
layer gzip
dull bomb 700000000
END
like "$? $(cat "$dir/told")" "^1 .*entry 'bomb': its 700000000 bytes would be more than the 314572800 the layer may have \(CUBIT_LAYER_MAX\)" \
	'and so is one above the largest size, before a byte of it is written'
CUBIT_LAYER_RATIO=1000 make_image bomb <<'END'
layer gzip
dull bomb 280000000
END
is "$? $(seen bomb stat -c %s /bomb)" '0 280000000' 'with another ratio it is taken'

# A disk that is full while blobs are copied, and while a layer is unpacked.
mkdir "$dir/small"
mount -t tmpfs -o size=24m small "$dir/small" || unproven 'no small disk'
full() # BYTES: what the layer is about -> $got
{
	rm -rf "$dir/layout"
	{ echo "$base" && echo "layer ${2:-}" && echo "dull big $1"; } |
		python3 "$src/tests/lib/layout.py" "$dir/layout" full
	got=$(CUBIT_STATE=$dir/small "$cubit" image load "$dir/layout" localhost/full 2>&1 | tail -n 1)
	used=$(df --output=used -k "$dir/small" | tail -n 1)
}
full 40000000
like "$got" 'No space left on device' 'a disk that is full while a layer is copied'
ok "$([ "$used" -lt 200 ]; echo $?)" "... has its room back at once: $used KiB are used"
full 40000000 gzip
# layers are unpacked side by side: the small one may be the one that finds no room
like "$got" 'layer [12] of 2: .*No space left on device' 'a disk that is full while a layer is unpacked'
ok "$([ "$used" -lt 200 ]; echo $?)" "... has its room back at once: $used KiB are used"
umount "$dir/small"

done_testing
