#!/usr/bin/env python3
"""The command line's WebSockets against servers that do harm: it ends in words, in bounded time and memory. TAP.

usage: hostile_stream.py CUBIT
"""
import base64
import hashlib
import itertools
import json
import os
import re
import resource
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time

cubit, count, failed = sys.argv[1], 0, 0
keys = {}  # mode -> the keys that a server was shown which had no right to them


def check(is_good, title, got=None):
    global count, failed
    count += 1
    print(f"{'ok' if is_good else 'not ok'} {count} - {title}", flush=True)
    if not is_good:
        failed = 1
        print(f"# got {got!r}", flush=True)


def frame(first, data=b"", size=None):
    n = len(data) if size is None else size
    if n < 126:
        return bytes([first, n]) + data
    return bytes([first, 126 if n < 65536 else 127]) + struct.pack("!H" if n < 65536 else "!Q", n) + data


def event(n, **more):
    return frame(0x81, json.dumps({"n": n, "at_ms": 1, **more}).encode())


def close(code, reason=b""):
    return frame(0x88, struct.pack("!H", code) + reason)


EXIT = event(1, type="exit", status="ok", reason="", exit_code=0, signal=None)
FLOOD = b"x" * 65536


def endless(piece):
    return itertools.repeat(piece * max(1, 65536 // len(piece)))


def slowly(data):
    for byte in data:
        time.sleep(0.3)
        yield bytes([byte])


# mode: what comes instead of an answer (None: a proper upgrade), what comes then, what the words must say, seconds
HANDSHAKES = {
    "silent": (lambda: [], "no answer|Timed out|timed? ?out|cannot be reached|broke off|closed"),
    "slow": (lambda: slowly(b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 1000), "cannot be reached|does not open"),
    "garbage": (lambda: [os.urandom(20000)], "cannot be reached|does not open"),
    "headers": (lambda: itertools.chain([b"HTTP/1.1 101 Switching Protocols\r\n"], endless(b"X-A: bbbbbbbb\r\n")),
                "cannot be reached|does not open"),
    "line": (lambda: itertools.chain([b"HTTP/1.1 101 "], endless(b"a")), "cannot be reached|does not open"),
    "html": (lambda: [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"], "status 200 does not open a stream"),
    "accept": (lambda: [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n" + EXIT], "does not open a stream"),
    "busy": (lambda: [b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n"], "does not take more streams for now"),
}
STREAMS = {
    "oversize": (lambda: itertools.chain([frame(0x81, b"[", 1 << 62)], endless(FLOOD)), "more than 64 MiB"),
    "grows": (lambda: itertools.chain([frame(0x01, b"[")], itertools.repeat(frame(0x00, FLOOD))), "more than 64 MiB"),
    "fragments": (lambda: itertools.chain([frame(0x01, b"[")], endless(frame(0x00, b"1"))), "in more than 4096 pieces"),
    "empty": (lambda: itertools.chain([frame(0x01, b"")], endless(frame(0x00, b""))), "in more than 4096 pieces"),
    "claims": (lambda: [frame(0x81, b"[", 1 << 40)], "broke off"),  # and says nothing more, to no ping either
    "binary": (lambda: [frame(0x82, EXIT[2:])], "not an event"),
    "text": (lambda: [frame(0x81, b"hello")], "not an event"),
    "nothing": (lambda: [frame(0x81, b"")], "not an event"),
    "array": (lambda: [frame(0x81, b"[1]")], "not an event"),
    "deep": (lambda: [frame(0x81, b"[" * 60000)], "not an event"),
    "utf8": (lambda: [frame(0x81, b'{"n":1,"type":"\xff\xfe"}')], "not an event|broke off"),
    "number": (lambda: [event(0, type="stdout", data="x")], "not an event"),
    "base64": (lambda: [event(1, type="stdout", data="!", encoding="base64")], "marked as base64 and is not"),
    "reserved": (lambda: [b"\xf1" + EXIT[1:]], "broke off"),
    "opcode": (lambda: [b"\x83" + EXIT[1:]], "broke off|not an event"),
    "continues": (lambda: [b"\x80" + EXIT[1:]], "broke off|not an event"),
    "control": (lambda: [frame(0x89, b"p" * 126)], "broke off"),
    "cut": (lambda: [EXIT[:20], None], "broke off"),
    "away": (lambda: [close(1001, b"stopping")], r"closed the stream \(1001: stopping\)"),
    "restarts": (lambda: [close(1012)], r"closed the stream \(10[01]2\)"),
    "revoked": (lambda: [close(1008, b"the key \x1b[2Jwas revoked")], "ended the stream: the key .*was revoked"),
    "invalid": (lambda: [close(1002, b"no")], r"closed the stream \(1002: no\)"),
    "halfclose": (lambda: [b"\x88\x01\x03"], "broke off"),
    "over": (lambda: [close(1000)], "ended the events of a job that is not over"),
}
MODES = {**{k: (True, *v) for k, v in HANDSHAKES.items()}, **{k: (False, *v) for k, v in STREAMS.items()}}


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self.serve()
        except (ConnectionError, TimeoutError):
            pass

    def serve(self):
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.request.recv(65536)
            if not more:
                return
            head += more
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
        path = lines[0].split()[1]
        mode = path.split("/")[3].removeprefix("j-")
        if not path.partition("?")[0].endswith("/stream"):  # what it asks when no stream was opened
            return self.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        if mode == "redirect":
            return self.say(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:%d/v1/jobs/thief/stream\r\n\r\n" % thief)
        if mode == "thief":
            keys.setdefault(mode, []).append(headers.get("authorization"))
            return None
        is_head, pieces, *_ = MODES.get(mode, (False, lambda: endless(frame(0x89, b"p")), ""))
        if not is_head:
            digest = hashlib.sha1((headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            self.say(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: %s\r\n\r\n" % base64.b64encode(digest))
        if mode == "pings":
            threading.Thread(target=self.drain, daemon=True).start()
        for piece in pieces():
            if piece is None:
                return None
            self.say(piece)
        if mode in ("html", "garbage", "busy"):
            return None
        return self.drain()

    def say(self, data):
        self.request.sendall(data)

    def drain(self):
        try:
            while self.request.recv(65536):
                pass
        except ConnectionError:
            pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64


def start():
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def client(mode):
    return subprocess.Popen([cubit, "job", "logs", "-f", "j-" + mode, "--url", f"http://127.0.0.1:{port}",
                             "--key", "cubit_secret"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


port, thief = start(), start()


def run(mode, results):
    begin = time.monotonic()
    p = client(mode)
    try:
        out, err = p.communicate(timeout=160)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
    results[mode] = (p.returncode, out, err.decode("utf-8", "replace"), time.monotonic() - begin)


def all_of(modes):
    results = {}
    threads = [threading.Thread(target=run, args=(m, results)) for m in modes]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


slow = {"silent": 60, "slow": 60, "claims": 90, "opcode": 90, "away": 150}  # seconds: these wait; the others make work, one at a time
waiting = {}
background = threading.Thread(target=lambda: waiting.update(all_of(slow)))
background.start()
results = {}
for name in MODES:
    if name not in slow:
        results.update(all_of([name]))
background.join()
results.update(waiting)
for name, (_, _, wanted) in MODES.items():
    status, out, err, seconds = results[name]
    is_words = err.count("\n") == 1 and err.startswith("cubit job logs: ") and re.search(wanted, err) and "\x1b" not in err
    check(status == 3 and is_words and "cubit_secret" not in err, f"{name}: it ends with 3 and one sentence", (status, err))
    check(seconds < slow.get(name, 30), f"{name}: in time", seconds)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
check(peak < 256 << 10, "with less than 256 MiB", peak)

results = all_of(["redirect"])
check(results["redirect"][0] == 3, "a redirection is not followed", results["redirect"])
check("thief" not in keys, "so the key is not shown to anybody else", keys)

p = client("pings")
time.sleep(3)
with open(f"/proc/{p.pid}/status") as f:
    rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
check(rss < 64 << 10, "a flood of pings takes no memory", rss)
p.send_signal(signal.SIGINT)
try:
    status = p.wait(10)
except subprocess.TimeoutExpired:
    status = None
    p.kill()
check(status == -signal.SIGINT, "and Ctrl-C ends it", status)
print(f"1..{count}")
sys.exit(failed)
