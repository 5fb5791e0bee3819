#!/usr/bin/env python3
"""Many WebSocket watchers of one job, some of which stop reading. Standard library only.

usage: watchers.py SOCKET JOB WATCHERS SLEEPERS

Each watcher takes every event to the exit; each sleeper connects and reads nothing until the watchers are done, or for 20
seconds (the server gives up a client after 30), then takes everything too. Prints: watchers=N complete=N ordered=N same=N sleepers_complete=N events=N
"""
import base64
import json
import os
import selectors
import socket
import struct
import sys
import time

path, job, n_watchers, n_sleepers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


class Watcher:
    def __init__(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall((f"GET /v1/jobs/{job}/stream HTTP/1.1\r\nHost: cubit\r\nUpgrade: websocket\r\n"
                           f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.data, self.is_open, self.events, self.code, self.is_over = b"", False, [], None, False

    def feed(self, data):
        self.data += data
        if not self.is_open:
            head, sep, rest = self.data.partition(b"\r\n\r\n")
            if not sep:
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                raise SystemExit(f"not upgraded: {head[:200]!r}")
            self.is_open, self.data = True, rest
        while len(self.data) >= 2:
            op, size, at = self.data[0] & 15, self.data[1] & 127, 2
            if size == 126:
                if len(self.data) < 4:
                    return
                size, at = struct.unpack(">H", self.data[2:4])[0], 4
            elif size == 127:
                if len(self.data) < 10:
                    return
                size, at = struct.unpack(">Q", self.data[2:10])[0], 10
            if len(self.data) < at + size:
                return
            payload, self.data = self.data[at:at + size], self.data[at + size:]
            if op == 1:
                self.events.append(json.loads(payload))
            elif op == 8:
                self.code = struct.unpack(">H", payload[:2])[0] if size >= 2 else 1005

    def is_complete(self):
        return bool(self.events) and self.events[-1]["type"] == "exit"


def drain(watchers, timeout, most=1e9):
    end = time.monotonic() + most
    sel = selectors.DefaultSelector()
    for w in watchers:
        w.sock.setblocking(False)
        sel.register(w.sock, selectors.EVENT_READ, w)
    left = len(watchers)
    while left and time.monotonic() < end:
        ready = sel.select(timeout)
        if not ready:
            break
        for key, _ in ready:
            data = key.data.sock.recv(1 << 16)
            key.data.feed(data)
            if not data or key.data.code is not None:
                sel.unregister(key.data.sock)
                key.data.is_over = True
                left -= 1


watchers = [Watcher() for _ in range(n_watchers)]
sleepers = [Watcher() for _ in range(n_sleepers)]
drain(watchers, 30, 20)
drain([w for w in watchers + sleepers if not w.is_over], 30)
text = [json.dumps(w.events, sort_keys=True) for w in watchers]
complete = sum(w.is_complete() and w.code == 1000 for w in watchers)
ordered = sum([e["n"] for e in w.events] == list(range(1, len(w.events) + 1)) for w in watchers)
same = sum(t == text[0] for t in text)
late = sum(json.dumps(w.events, sort_keys=True) == text[0] for w in sleepers)
size = sum(len(e.get("data", "")) for e in watchers[0].events)
print(f"watchers={n_watchers} complete={complete} ordered={ordered} same={same} sleepers_complete={late} "
      f"events={len(watchers[0].events)} bytes={size}")
sys.exit(0 if complete == ordered == same == n_watchers and late == n_sleepers else 1)
