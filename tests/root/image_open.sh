#!/bin/bash
# A start from an image of the store reads none of its layers: neither the archives, which were unpacked once, nor the files
# in them, but for etc/passwd and etc/group, which say who the image's user is. Who opens what is asked of the kernel by inotify(7).
# timeout: 100
set -u
# shellcheck source=tests/lib/sandbox.sh
. tests/lib/sandbox.sh

store=$dir/store
image=$dir/oci
mkdir -p "$rootfs/etc"
printf 'root:x:0:0::/:/\nme:x:1234:1235::/:/\n' >"$rootfs/etc/passwd"
printf 'root:x:0:\n' >"$rootfs/etc/group"
echo content >"$rootfs/etc/other"
python3 - "$image" "$rootfs" <<'P'
import gzip, hashlib, io, json, os, sys, tarfile
out, rootfs = sys.argv[1:]
os.makedirs(f"{out}/blobs/sha256")
def blob(data, kind):
    d = hashlib.sha256(data).hexdigest()
    open(f"{out}/blobs/sha256/{d}", "wb").write(data)
    return {"mediaType": kind, "digest": f"sha256:{d}", "size": len(data)}
layers, diffs = [], []
for members in (["bin", "etc"], ["extra"]):
    f = io.BytesIO()
    with tarfile.open(fileobj=f, mode="w") as t:
        for m in members:
            if m == "extra":
                info = tarfile.TarInfo("extra")
                info.size = 100000
                t.addfile(info, io.BytesIO(b"x" * 100000))
            else:
                t.add(f"{rootfs}/{m}", m)
    diffs.append("sha256:" + hashlib.sha256(f.getvalue()).hexdigest())
    layers.append(blob(gzip.compress(f.getvalue(), mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip"))
arch = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
config = blob(json.dumps({"architecture": arch, "os": "linux", "config": {"User": "me", "Cmd": ["/bin/payload", "ids"]},
                          "rootfs": {"type": "layers", "diff_ids": diffs}}).encode(), "application/vnd.oci.image.config.v1+json")
manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
                            "layers": layers}).encode(), "application/vnd.oci.image.manifest.v1+json")
json.dump({"schemaVersion": 2, "manifests": [manifest]}, open(f"{out}/index.json", "w"))
open(f"{out}/oci-layout", "w").write('{"imageLayoutVersion": "1.0.0"}')
print(*(l["digest"][7:] for l in layers), sep="\n", file=open(f"{out}/archives", "w"))
P
"$build/bin/cubit" image load --quiet --store "$store" "$image" test/x:1 >"$dir/stdout" 2>"$dir/stderr"
is "$?" 0 'the image is loaded' || diag "$(cat "$dir/stderr")"
is "$(find "$store/layers" -name payload | wc -l)" 1 '... and unpacked'

# What is opened below the store while a command runs, a path a line: of layers and of blobs, files only.
opened() # COMMAND...
{
	python3 - "$store" "$@" <<'P'
import ctypes, os, struct, subprocess, sys
store, command = sys.argv[1], sys.argv[2:]
libc = ctypes.CDLL(None, use_errno=True)
IN_ACCESS, IN_OPEN, IN_ISDIR, IN_Q_OVERFLOW = 1, 0x20, 0x40000000, 0x4000
fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
names = {}
for top in ("layers", "blobs"):
    for path, _, _ in os.walk(f"{store}/{top}"):
        names[libc.inotify_add_watch(fd, path.encode(), IN_ACCESS | IN_OPEN)] = path
assert -1 not in names
done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=open(f"{store}/../stdout", "w"),
                      stderr=open(f"{store}/../stderr", "w"), check=False)
print("status", done.returncode)
seen = set()
while True:
    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        break
    while data:
        wd, mask, _, size = struct.unpack_from("iIII", data)
        assert not mask & IN_Q_OVERFLOW
        if not mask & IN_ISDIR:
            seen.add(os.path.relpath(os.path.join(names[wd], data[16:16 + size].rstrip(b"\0").decode()), store))
        data = data[16 + size:]
print(*sorted(seen), sep="\n")
P
}

cubit_sandbox() { echo "$sandbox" --run-dir "$run_dir" --id-base "$id_base" --id-count "$id_count" --store "$store" --image test/x:1; }

# shellcheck disable=SC2046 # words
opened cat $(find "$store/layers" -name other) >"$dir/seen"
like "$(cat "$dir/seen")" 'layers/.*/etc/other' 'a file of a layer that is read is seen'
# shellcheck disable=SC2046
opened cat "$store/blobs/sha256/$(head -n 1 "$image/archives")" >"$dir/seen"
like "$(cat "$dir/seen")" "blobs/sha256/$(head -n 1 "$image/archives")" '... and so is an archive'

# shellcheck disable=SC2046 # words
opened $(cubit_sandbox) >"$dir/seen"
is "$(head -n 1 "$dir/seen")" 'status 0' 'a start from the image ends well' || diag "$(cat "$dir/stderr")"
like "$(cat "$dir/stdout")" 'uid 1234' '... as the user whose number stands in the layer'
is "$(sed -n 's#^layers/[^/]*/fs/##p' "$dir/seen" | grep -vx -e etc/passwd -e etc/group -e bin/payload)" '' \
	'no file of a layer is opened, but for the accounts and the program itself'
is "$(grep -cF -f "$image/archives" "$dir/seen")" 0 'no archive of a layer is opened'

# The archives need not even be there.
while read -r digest; do
	: >"$store/blobs/sha256/$digest"
done <"$image/archives"
# shellcheck disable=SC2046 # words
opened $(cubit_sandbox) >"$dir/seen"
is "$(head -n 1 "$dir/seen")" 'status 0' 'with archives that are empty it starts all the same'
nothing_left 'nothing is left'
done_testing
