#!/usr/bin/env python3
"""Packs a directory into an OCI layer, a blob of an image layout, and prints one line of JSON about it.

usage: pack_layer.py [--compress zstd|gzip] [--lower DIRECTORY] --epoch SECONDS DIRECTORY LAYOUT

The directory is a root file system, or the upper directory of an overlay: its whiteouts (character devices 0:0) and opaque
directories (trusted.overlay.opaque) become the .wh. files of the OCI image specification (layer.md). The kernel calls every
new directory opaque; with --lower, what the overlay stood on, only those are marked that hide something there.

The same tree gives the same bytes: entries sorted bytewise, whiteouts before their siblings, numeric owners and no names
of users, times not later than --epoch, extended headers only where a plain one cannot say it. Hard links point to the
first name. Device nodes, sockets and pipes are refused; what the sandbox mounts over (/dev, /proc, /sys, /run, /tmp) is
packed empty.
"""
import argparse
import copy
import hashlib
import json
import os
import stat
import subprocess
import sys
import tarfile

EMPTY = {b"dev", b"proc", b"sys", b"run", b"tmp"}
OPAQUE = "trusted.overlay.opaque"
# The kernel's own notes about the overlay, and labels that belong to this machine.
DROPPED = ("trusted.overlay.", "user.overlay.", "security.selinux")
COMPRESS = {
    "zstd": (["zstd", "-q", "-3", "-T1", "-c"], "application/vnd.oci.image.layer.v1.tar+zstd"),
    "gzip": (["gzip", "-6", "-n", "-c"], "application/vnd.oci.image.layer.v1.tar+gzip"),
}


class Tee:
    """A file that hashes what it passes on."""

    def __init__(self, out):
        self.out, self.hash, self.size = out, hashlib.sha256(), 0

    def write(self, data):
        self.hash.update(data)
        self.size += len(data)
        self.out.write(data)
        return len(data)


def pax_record(key, value):
    """One record, "LENGTH KEY=VALUE\\n", where LENGTH counts itself: pax(1)."""
    body = b" " + key + b"=" + value + b"\n"
    size = len(body)
    while size != len(str(size)) + len(body):
        size = len(str(size)) + len(body)
    return str(size).encode() + body


class Packer:
    def __init__(self, root, tee, epoch, lower):
        self.root, self.tee, self.epoch, self.lower = root, tee, epoch, lower
        self.seen = {}  # (device, inode) of files with several names -> the first name
        self.count = 0

    def header(self, info, pax):
        """tarfile's ustar header, and before it what does not fit there. Values may be any bytes."""
        name = os.fsencode(info.name) + (b"/" if info.isdir() else b"")
        link = os.fsencode(info.linkname)
        if len(name) > 100:
            pax[b"path"] = name
        if len(link) > 100:
            pax[b"linkpath"] = link
        if info.size >= 8 << 30:
            pax[b"size"] = str(info.size).encode()
        if pax:
            records = b"".join(pax_record(k, pax[k]) for k in sorted(pax))
            extended = tarfile.TarInfo("././@PaxHeader")
            extended.type, extended.size = tarfile.XHDTYPE, len(records)
            self.tee.write(extended.tobuf(tarfile.USTAR_FORMAT))
            self.tee.write(records + b"\0" * (-len(records) % tarfile.BLOCKSIZE))
        short = copy.copy(info)
        short.name, short.linkname = os.fsdecode(os.fsencode(info.name)[:99]), os.fsdecode(link[:100])
        short.size = 0 if b"size" in pax else info.size
        self.tee.write(short.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape"))
        self.count += 1

    def marker(self, path):
        info = tarfile.TarInfo(os.fsdecode(path))
        info.mode, info.mtime = 0o600, 0
        self.header(info, {})

    def xattrs(self, full):
        found = {}
        for name in os.listxattr(full, follow_symlinks=False):
            if not name.startswith(DROPPED):
                found[b"SCHILY.xattr." + os.fsencode(name)] = os.getxattr(full, name, follow_symlinks=False)
        return found

    def content(self, full, size):
        with open(full, "rb") as f:
            left = size
            while left:
                data = f.read(min(left, 1 << 20))
                if not data:
                    sys.exit(f"pack_layer: {os.fsdecode(full)!r} became shorter while it was read")
                self.tee.write(data)
                left -= len(data)
        self.tee.write(b"\0" * (-size % tarfile.BLOCKSIZE))

    def entry(self, path, full, st):
        info = tarfile.TarInfo(os.fsdecode(path))
        info.mode, info.uid, info.gid = stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid
        info.mtime = max(0, min(int(st.st_mtime), self.epoch))
        key = (st.st_dev, st.st_ino)
        if stat.S_ISLNK(st.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.fsdecode(os.readlink(full))
        elif stat.S_ISDIR(st.st_mode):
            info.type = tarfile.DIRTYPE
        elif not stat.S_ISREG(st.st_mode):
            sys.exit(f"pack_layer: {os.fsdecode(full)!r} is a device, socket or pipe: no layer holds one")
        elif key in self.seen:
            info.type, info.linkname = tarfile.LNKTYPE, os.fsdecode(self.seen[key])
        else:
            info.size = st.st_size
            if st.st_nlink > 1:
                self.seen[key] = path
        self.header(info, {} if info.islnk() else self.xattrs(full))
        if info.isreg():
            self.content(full, info.size)

    def is_opaque(self, path, full):
        """Does this directory hide one below it?"""
        if OPAQUE not in os.listxattr(full):
            return False
        below = os.path.join(self.lower, path) if self.lower else None
        return below is None or (os.path.isdir(below) and not os.path.islink(below))

    def directory(self, path, full):
        """Everything below, whiteouts first."""
        if path in EMPTY:
            return
        names = sorted(os.listdir(full))
        stats = {name: os.lstat(os.path.join(full, name)) for name in names}
        gone = {n for n, st in stats.items() if stat.S_ISCHR(st.st_mode) and st.st_rdev == 0}
        prefix = path + b"/" if path else b""
        if self.is_opaque(path, full):
            self.marker(prefix + b".wh..wh..opq")
        for name in names:
            if name.startswith(b".wh."):
                sys.exit(f"pack_layer: {os.fsdecode(full)!r} has a file {os.fsdecode(name)!r}: that name is reserved")
            if name in gone:
                self.marker(prefix + b".wh." + name)
        for name in names:
            if name in gone:
                continue
            child = os.path.join(full, name)
            self.entry(prefix + name, child, stats[name])
            if stat.S_ISDIR(stats[name].st_mode):
                self.directory(prefix + name, child)

    def pack(self):
        self.directory(b"", self.root)
        self.tee.write(b"\0" * (2 * tarfile.BLOCKSIZE))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compress", choices=COMPRESS, default="zstd")
    parser.add_argument("--epoch", type=int, required=True)
    parser.add_argument("--lower", type=os.fsencode)
    parser.add_argument("directory")
    parser.add_argument("layout")
    args = parser.parse_args()
    blobs = os.path.join(args.layout, "blobs", "sha256")
    os.makedirs(blobs, exist_ok=True)
    temporary = os.path.join(blobs, f"tmp.{os.getpid()}")
    argv, media = COMPRESS[args.compress]
    try:
        with open(temporary, "wb") as out:
            child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out)
            tee = Tee(child.stdin)
            packer = Packer(os.fsencode(args.directory), tee, args.epoch, args.lower)
            packer.pack()
            child.stdin.close()
            if child.wait() != 0:
                sys.exit(f"pack_layer: {argv[0]} failed with status {child.returncode}")
            os.fsync(out.fileno())
        digest = hashlib.sha256()
        with open(temporary, "rb") as f:
            while data := f.read(1 << 20):
                digest.update(data)
        size = os.path.getsize(temporary)
        os.rename(temporary, os.path.join(blobs, digest.hexdigest()))
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    print(json.dumps({"mediaType": media, "digest": "sha256:" + digest.hexdigest(), "size": size,
                      "diff_id": "sha256:" + tee.hash.hexdigest(), "tar_size": tee.size, "entries": packer.count}))


if __name__ == "__main__":
    main()
