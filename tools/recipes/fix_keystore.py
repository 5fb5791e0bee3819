#!/usr/bin/env python3
"""Gives every certificate in a Java key store (JKS) the same date, so that the store depends on its certificates alone.

usage: fix_keystore.py --epoch SECONDS FILE

The format: magic, version, count; per entry a tag, a name, the date in milliseconds, a type and the certificate, numbers
big-endian, texts preceded by two bytes of length; last a SHA-1 over the password, a fixed phrase, and all before it. The
password of the system's store is the one everybody knows: it protects against accidents, not against people.
"""
import argparse
import hashlib
import os
import struct
import sys

MAGIC, TRUSTED, DIGEST_BYTES = 0xFEEDFEED, 2, 20
SEED = "changeit".encode("utf-16-be") + b"Mighty Aphrodite"


def fixed(data, date_ms):
    """The same store with that date in every entry, sorted by name."""
    magic, version, count = struct.unpack_from(">III", data)
    body = data[:-DIGEST_BYTES]
    if magic != MAGIC or hashlib.sha1(SEED + body).digest() != data[-DIGEST_BYTES:]:
        sys.exit("fix_keystore: not a key store with the usual password")
    at, entries = 12, []
    for _ in range(count):
        tag, size = struct.unpack_from(">IH", body, at)
        name_end = at + 6 + size
        (type_size,) = struct.unpack_from(">H", body, name_end + 8)
        (certificate_size,) = struct.unpack_from(">I", body, name_end + 10 + type_size)
        end = name_end + 14 + type_size + certificate_size
        if tag != TRUSTED or end > len(body):
            sys.exit("fix_keystore: an entry that is no certificate")
        entries.append(body[at:name_end] + struct.pack(">Q", date_ms) + body[name_end + 8:end])
        at = end
    if at != len(body):
        sys.exit("fix_keystore: something behind the last entry")
    body = struct.pack(">III", magic, version, count) + b"".join(sorted(entries))
    return body + hashlib.sha1(SEED + body).digest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epoch", type=int, required=True)
    parser.add_argument("file")
    args = parser.parse_args()
    with open(args.file, "r+b") as f:
        data = fixed(f.read(), args.epoch * 1000)
        f.seek(0)
        f.truncate()
        f.write(data)
        os.fsync(f.fileno())


if __name__ == "__main__":
    main()
