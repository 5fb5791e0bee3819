#!/usr/bin/env python3
"""Makes an OCI layout of hand-written layers: layout.py DIR NAME < layers.

Each line of standard input is one entry, blanks between its words, a line "layer [gzip]" begins the next layer:

    dir PATH MODE UID GID MTIME        file PATH MODE UID TEXT      link PATH TARGET       hard PATH TARGET
    char PATH MAJOR MINOR              whiteout PATH                opaque PATH            copy PATH MODE FILE-OF-THIS-MACHINE
    dull PATH BYTES                    acl DIR-PATH MODE UID (a directory with a default ACL)
"""
import gzip, hashlib, io, json, os, re, struct, sys, tarfile


def default_acl():
    entries = [(0x01, 7, 0xFFFFFFFF), (0x02, 7, 4242), (0x04, 5, 0xFFFFFFFF), (0x10, 7, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)


class Dull(io.RawIOBase):
    """Blocks of zeros with a number in front: some 500 times smaller when compressed."""
    def __init__(self, size):
        self.at, self.size = 0, size

    def read(self, n=-1):
        n = self.size - self.at if n < 0 else min(n, self.size - self.at)
        first, skip = divmod(self.at, 4096)
        blocks = b"".join(struct.pack(">Q", i) + bytes(4088) for i in range(first, first + (skip + n + 4095) // 4096))
        self.at += n
        return blocks[skip:skip + n]


def add(tar, word, path, *rest):
    info = tarfile.TarInfo(path)
    info.mtime, data = 1000, None
    if word == "dir":
        info.type, info.mode, info.uid, info.gid, info.mtime = tarfile.DIRTYPE, int(rest[0], 8), *map(int, rest[1:4])
    elif word == "acl":
        info.type, info.mode, info.uid = tarfile.DIRTYPE, int(rest[0], 8), int(rest[1])
        acl = default_acl().decode("utf-8", "surrogateescape")
        info.pax_headers = {"SCHILY.xattr.system.posix_acl_default": acl}
    elif word in ("file", "copy"):
        data = (rest[2] + "\n").encode() if word == "file" else open(rest[1], "rb").read()
        info.mode, info.size = int(rest[0], 8), len(data)
        info.uid = info.gid = int(rest[1]) if word == "file" else 0
        data = io.BytesIO(data)
    elif word == "dull":
        info.mode, info.size = 0o644, int(rest[0])
        data = Dull(info.size)
    elif word == "link":
        info.type, info.linkname = tarfile.SYMTYPE, rest[0]
    elif word == "hard":
        info.type, info.linkname = tarfile.LNKTYPE, rest[0]
    elif word == "char":
        info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, int(rest[0]), int(rest[1])
    elif word == "whiteout":
        info.name = os.path.join(os.path.dirname(path), ".wh." + os.path.basename(path))
    elif word == "opaque":
        info.name = os.path.join(path, ".wh..wh..opq") if path != "." else ".wh..wh..opq"
    else:
        sys.exit(f"layout.py: what is '{word}'?")
    tar.addfile(info, data)


def blob(directory, data):
    digest = hashlib.sha256(data).hexdigest()
    with open(f"{directory}/blobs/sha256/{digest}", "wb") as f:
        f.write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}


def main():
    directory, name = sys.argv[1:3]
    os.makedirs(f"{directory}/blobs/sha256")
    layers, diff_ids = [], []
    for text in re.split("^layer", sys.stdin.read(), flags=re.MULTILINE)[1:]:
        head, *lines = text.split("\n")
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
            for line in lines:
                if line.strip():
                    add(tar, *line.split())
        diff_ids.append("sha256:" + hashlib.sha256(raw.getvalue()).hexdigest())
        is_gzip = "gzip" in head
        data = gzip.compress(raw.getvalue(), 9, mtime=0) if is_gzip else raw.getvalue()
        kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if is_gzip else "")
        layers.append({"mediaType": kind, **blob(directory, data)})
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    config = {"architecture": machine, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(directory, json.dumps(config).encode())},
                "layers": layers}
    index = {"schemaVersion": 2, "manifests": [{"mediaType": manifest["mediaType"], **blob(directory, json.dumps(manifest).encode()),
                                                "annotations": {"org.opencontainers.image.ref.name": name}}]}
    with open(f"{directory}/index.json", "w") as f:
        json.dump(index, f)
    with open(f"{directory}/oci-layout", "w") as f:
        f.write('{"imageLayoutVersion": "1.0.0"}')


main()
