#!/usr/bin/env python3
"""Trees for the tests of unpacking.

usage: tree.py list DIRECTORY            one line an inode name: everything that a layer can say about it
       tree.py make LAYER DIRECTORY      fill a directory for layer 1, 2 or 3
"""
import hashlib
import os
import random
import stat
import struct
import sys


def listing(root):
    first = {}
    for folder, dirs, files in os.walk(root):
        dirs.sort()
        names = [""] if folder == root else []
        for name in sorted(names + dirs + files):
            path = os.path.join(folder, name) if name else root
            st = os.lstat(path)
            rel = os.path.relpath(path, root)
            kind = stat.S_IFMT(st.st_mode)
            what = ""
            if kind == stat.S_IFLNK:
                what = os.readlink(path)
            elif kind == stat.S_IFREG:
                with open(path, "rb") as f:
                    what = "%d %s" % (st.st_size, hashlib.sha256(f.read()).hexdigest()[:16])
            elif kind == stat.S_IFCHR:
                what = "device %d" % st.st_rdev
            link = ""
            if kind != stat.S_IFDIR and st.st_nlink > 1:
                link = "same as %s" % first.setdefault((st.st_dev, st.st_ino), rel)
            xattrs = sorted((n, os.getxattr(path, n, follow_symlinks=False).hex())
                            for n in os.listxattr(path, follow_symlinks=False) if not n.startswith("trusted.overlay."))
            print(repr(rel), oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns // 1000000000, what, link, xattrs)


def write(path, data=b"", mode=0o644, uid=0, gid=0):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    os.chown(path, uid, gid)
    os.chmod(path, mode)


CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service, effective


def layer_1(d):
    rng = random.Random(1)
    for i in range(10000):
        write(f"{d}/many/{i // 250:03}/f{i:05}", rng.randbytes(rng.choice([0, 1, 511, 512, 513, 700])), rng.choice([0o644, 0o600, 0o755]),
              rng.choice([0, 1000, 65534]), rng.choice([0, 50]))
    write(f"{d}/bin/su", b"\x7fELF", 0o4755)
    write(f"{d}/bin/mail", b"\x7fELF", 0o2755, 0, 8)
    write(f"{d}/bin/both", b"\x7fELF", 0o6711, 12, 34)
    write(f"{d}/bin/ping", b"\x7fELF", 0o755)
    os.setxattr(f"{d}/bin/ping", "security.capability", CAPABILITY)
    os.setxattr(f"{d}/bin/ping", "user.note", b"bin\0ary\n\xff")
    write(f"{d}/etc/shadow", b"x", 0o000, 0, 42)
    write(f"{d}/etc/big", rng.randbytes(3 << 20))
    os.link(f"{d}/bin/su", f"{d}/bin/su-again")
    os.link(f"{d}/bin/su", f"{d}/etc/su-too")
    os.symlink("usr/lib", f"{d}/lib")
    write(f"{d}/usr/lib/libx.so", b"x" * 5000)
    os.symlink("/etc/passwd", f"{d}/etc/absolute")
    os.symlink("../../../../etc/up", f"{d}/etc/upward")
    os.lchown(f"{d}/etc/upward", 7, 8)
    os.symlink("x" * 3000, f"{d}/etc/long-link")
    write(f"{d}/" + "/".join(["directory-of-some-length"] * 12) + "/deep", b"deep")
    write(f"{d}/etc/" + "n" * 255, b"long name")
    write(f"{d}/etc/\u00fcml\u00e4ut \n line", b"odd name")
    os.makedirs(f"{d}/tmp")
    os.chmod(f"{d}/tmp", 0o1777)
    os.makedirs(f"{d}/shared")
    os.chown(f"{d}/shared", 0, 50)
    os.chmod(f"{d}/shared", 0o2775)
    write(f"{d}/shared/inside", b"x", 0o640, 5, 6)
    os.mkfifo(f"{d}/run-fifo", 0o620)
    write(f"{d}/gone/a", b"a")
    write(f"{d}/gone/b", b"b")
    write(f"{d}/partly/a", b"a")
    write(f"{d}/partly/b", b"b")
    write(f"{d}/opaque/old", b"a")
    write(f"{d}/opaque/sub/old", b"a")
    write(f"{d}/becomes-file/x", b"x")
    write(f"{d}/becomes-dir", b"x")
    write(f"{d}/mode", b"x", 0o644)
    with open(f"{d}/sparse", "wb") as f:
        f.write(b"start")
        f.seek(5 << 20)
        f.write(b"middle")
        f.truncate(9 << 20)
    os.utime(f"{d}/mode", (1, 1))
    os.utime(f"{d}/etc/absolute", (2, 86400 * 365), follow_symlinks=False)
    for folder, dirs, files in os.walk(d, topdown=False):
        os.utime(folder, (3, 500000000 + len(folder)))


def layer_2(d):
    write(f"{d}/.wh.gone")
    write(f"{d}/partly/.wh.a")
    write(f"{d}/opaque/.wh..wh..opq")
    write(f"{d}/opaque/new", b"new")
    write(f"{d}/.wh.becomes-file")
    write(f"{d}/becomes-dir/x", b"x")
    write(f"{d}/mode", b"x", 0o4711, 3, 4)
    write(f"{d}/many/000/.wh.f00001")
    write(f"{d}/many/000/f00002", b"changed")
    os.utime(d, (4, 600000000))


def layer_3(d):
    write(f"{d}/becomes-file", b"now a file")
    write(f"{d}/gone/back", b"again")
    write(f"{d}/opaque/.wh.new")


if sys.argv[1] == "list":
    listing(sys.argv[2])
else:
    {"1": layer_1, "2": layer_2, "3": layer_3}[sys.argv[2]](sys.argv[3])
