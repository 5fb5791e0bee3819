#!/usr/bin/env python3
"""What a WebSocket shows within a second: ws_look.py URL PATH KEY [MESSAGE]. Its texts one a line, or the refusal.

LOOK_S=SECONDS in the environment: so long instead. A message @PATH waits until there is such a file."""

import os
import socket
import sys
import time
from urllib.parse import urlparse


def read(sock, until):
    sock.settimeout(max(0.01, until - time.monotonic()))
    try:
        return sock.recv(65536)
    except (TimeoutError, socket.timeout):
        return b""


def frame(text):
    data, mask = text.encode(), os.urandom(4)
    assert len(data) < 126
    return bytes([0x81, 0x80 | len(data)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


def main(url, path, key, *messages):
    at = urlparse(url)
    until = time.monotonic() + float(os.environ.get("LOOK_S", "1"))
    sock = socket.create_connection((at.hostname, at.port), timeout=10)
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    data = b""
    while b"\r\n\r\n" not in data:
        more = read(sock, until)
        if not more:
            break
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n")[0]:
        print("refused", head.split(b"\r\n")[0].decode(), rest.decode("utf-8", "replace"))
        return
    print("open", path)
    try:
        for m in messages:
            if m.startswith("@"):
                while not os.path.exists(m[1:]) and time.monotonic() < until:
                    time.sleep(0.02)
            else:
                sock.sendall(frame(m))
    except OSError:
        pass  # it was closed: what it said before that is still to be read
    while time.monotonic() < until:
        more = read(sock, until)
        if not more:
            break
        rest += more
    print(rest.decode("utf-8", "replace"))


main(*sys.argv[1:])
