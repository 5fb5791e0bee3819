#!/usr/bin/env python3
"""A daemon that only pretends, on a unix socket: for what a real one does rarely, or never.

usage: fake_daemon.py SOCKET LOG

What a job does is its `runtime`; ids are "j-RUNTIME". Each request is a line of JSON in LOG.
"""
import base64
import hashlib
import http.server
import json
import os
import socketserver
import struct
import sys
import threading
import time

sock, log = sys.argv[1:3]
lock = threading.Lock()
seen = {}  # how often something was asked for


def event(n, kind, **more):
    return {"n": n, "type": kind, "at_ms": n, **more}


def end(n, status="ok", reason="", code=0, signal=None):
    return event(n, "exit", status=status, reason=reason, exit_code=code, signal=signal)


BYTES = bytes(range(256))
EVENTS = {
    "hello": [event(1, "status", state="running"), event(2, "stdout", data="hi\n"), event(3, "stderr", data="oh\n"), end(4)],
    "bytes": [event(1, "stdout", data=base64.b64encode(BYTES).decode(), encoding="base64"), end(2)],
    "seven": [end(1, "runtime_error", "it ended with status 7", 7)],
    "signal": [end(1, "signaled", "SIGSEGV", None, 11)],
    "slow": [end(1, "time_limit", "wall time of 2 s used up", None, 9)],
    "hog": [end(1, "memory_limit", "64 MiB", None, 9)],
    "loud": [end(1, "output_limit", "1 MiB", None, None)],
    "compile": [event(1, "stderr", data="a.c:1: error\n"), end(2, "compile_error", "the compiler ended with status 1", 1)],
    "ours": [end(1, "internal_error", "the host is full", None, None)],
    "dead": [end(1, "dead", "attempts used up", None, None)],
    "escape": [end(1, "runtime_error", "\x1b[2Jgone\r", 1)],
    "cut": [event(1, "stdout", data="one\n"), event(2, "stdout", data="two\n"), event(3, "stdout", data="three\n"), end(4)],
    "restart": [event(1, "stdout", data="before\n"), event(2, "stdout", data="after\n"), end(3)],
    "later": [event(1, "stdout", data="before\n"), event(2, "stdout", data="after\n"), end(3)],
    "endless": [event(1, "stdout", data="start\n")],
    "garbage": [],
    "files": [end(1)],
}
OUTPUTS = [
    {"path": "a.txt", "size": 2, "content": "hi", "encoding": "utf-8"},
    {"path": "out/deep/b.bin", "size": 2, "content": base64.b64encode(b"\0\1").decode(), "encoding": "base64"},
]
HOSTILE = {"up": "../evil", "absolute": "/tmp/cubit-cli-evil", "link": "link/evil", "dots": "a/../../evil"}


def count(what):
    with lock:
        seen[what] = seen.get(what, 0) + 1
        return seen[what]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *args):
        pass

    def note(self, body=None):
        with lock, open(log, "a") as f:
            json.dump({"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body}, f)
            f.write("\n")

    def answer(self, status, value, kind="application/json", **headers):
        text = value if isinstance(value, str) else json.dumps(value)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(text.encode())

    def refuse(self, status, code, message, field=None, **headers):
        self.answer(status, {"error": {"code": code, "message": message, "field": field}}, **headers)

    def is_away(self, name):
        """It stops, and says when it will be back."""
        with lock:
            if name != "later" or seen.get("stream later", 0) != 2:
                return False
        self.refuse(503, "stopping", "this node is stopping", Retry_After="2")
        return True

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_POST(self):
        text = self.body()
        body = json.loads(text) if text else None
        self.note(body)
        if self.path == "/v1/jobs":
            return self.submit(body)
        if self.path == "/v1/keys":
            return self.answer(201, {"id": "k1", "key": "cubit_thekey", **body})
        if self.path == "/v1/login":
            return self.answer(201, {"url": "http://127.0.0.1:7070/login?token=x", "expires_at": "2026-01-31T12:00:00.123Z"})
        if self.path.startswith("/v1/dead/") and self.path.endswith("/replay"):
            return self.answer(202, {"id": self.path.split("/")[3], "state": "waiting"})
        return self.refuse(404, "not_found", "there is no such thing")

    def submit(self, body):
        runtime = body["runtime"]
        if runtime == "flaky" and count("flaky") == 1:
            self.close_connection = True
            return None  # took it, and went away
        if runtime == "full":
            return self.refuse(429, "queue_full", "the queue is full")
        if runtime == "html":
            return self.answer(502, "<html>", "text/html")
        name = "hello" if runtime == "flaky" else runtime
        if name not in EVENTS:
            return self.refuse(404, "not_found", "runtime: '%s' is none of bash, python\x1b[1m" % runtime, "runtime")
        return self.answer(202, {"id": "j-" + name, "state": "waiting", "url": "/v1/jobs/j-" + name})

    def do_DELETE(self):
        self.note()
        if self.path.startswith("/v1/jobs/"):
            return self.answer(202, {"id": self.path.split("/")[3], "state": "running"})
        self.send_response(204)
        self.end_headers()
        return None

    def do_GET(self):
        self.note()
        path, _, query = self.path.partition("?")
        parts = path.split("/")
        if path.endswith("/stream"):
            return self.stream(parts[3][2:], int(query.partition("from=")[2] or 1))
        if path.endswith("/events"):
            return self.events(parts[3][2:], int(query.partition("from=")[2] or 1))
        if path.startswith("/v1/jobs/"):
            return self.job(parts[3][2:])
        if path in ("/v1/jobs", "/v1/dead"):
            return self.jobs(query)
        if path == "/v1/keys":
            return self.answer(200, {"keys": [{"id": "k1", "owner": "ann", "scopes": ["run", "cubes"], "note": "x\x1b]0;y\x07",
                                               "quota": {"jobs": 5, "rate_per_s": 0}, "created_at": "2026-01-31T12:00:00.123Z"}],
                                     "next": ""})
        if path == "/v1/audit":
            return self.answer(200, {"audit": [{"at": "2026-01-31T12:00:00.123Z", "owner": "ann", "action": "key.make",
                                                "object": "k1", "outcome": "ok"}], "next": ""})
        if path == "/v1/pool":
            return self.answer(200, {"classes": [{"runtime": "bash", "ready": 2, "hits": 7, "bytes_each": 1 << 20}],
                                     "bytes": 2 << 20, "bytes_max": 256 << 20})
        if path == "/metrics":
            return self.answer(200, METRICS, "text/plain")
        return self.refuse(401, "unauthorized", "a key is needed")

    def job(self, name):
        if name not in EVENTS:
            return self.refuse(404, "not_found", "there is no job 'j-%s'" % name)
        if self.is_away(name):
            return None
        job = {"id": "j-" + name, "status": "ok", "exit_code": 0, "stdout": "hi\n", "stderr": "", "compile": None,
               "outputs": OUTPUTS, "state": "done"}
        hostile = os.environ.get("HOSTILE_OUTPUT")
        try:
            with open(log + ".hostile") as f:
                hostile = f.read()
        except FileNotFoundError:
            pass
        if hostile:
            job["outputs"] = [{"path": HOSTILE[hostile], "size": 1, "content": "x", "encoding": "utf-8"}]
        return self.answer(200, job)

    def jobs(self, query):
        page = 2 if "cursor=c2" in query else 1
        rows = [{"id": "j-%d-%d" % (page, i), "state": "done", "status": "ok", "owner": "ann", "attempt": 1, "priority": 0,
                 "queued_at": "2026-01-31T12:00:00.123Z"} for i in range(2)]
        return self.answer(200, {"jobs": rows, "next": "c2" if page == 1 else ""})

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def frame(self, opcode, data, is_final=True):
        size = struct.pack("!B", len(data)) if len(data) < 126 else struct.pack("!BH", 126, len(data))
        self.wfile.write(bytes([opcode | (0x80 if is_final else 0)]) + size + data)
        self.wfile.flush()

    def upgrade(self):
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True

    def stream(self, name, first):
        if name not in EVENTS:
            return self.refuse(404, "not_found", "there is no job 'j-%s'" % name)
        times = count("stream " + name)
        if self.is_away(name):
            return None
        if name == "restart" and times == 2:
            return self.refuse(503, "starting", "this node is starting")
        if name == "restart" and times == 3:
            self.close_connection = True
            return None  # answers nothing
        self.upgrade()
        if name == "garbage":
            self.frame(1, b"[1]")
        for e in EVENTS[name]:
            if e["n"] < first:
                continue
            text = json.dumps(e).encode()
            if name == "cut" and e["n"] == times + 1:
                self.frame(1, text[:10], False)
                self.wfile.write(b"\x80\x7e\x10\x00half")  # in the middle of a frame
                return None
            if name in ("restart", "later") and times == 1 and e["n"] == 2:
                return self.frame(8, struct.pack("!H", 1001) + b"the server is stopping")
            self.frame(1, text[:7], False)
            self.frame(9, b"are you there?")
            self.frame(0, text[7:])
        if name == "endless":
            time.sleep(30)
        return self.frame(8, struct.pack("!H", 1000))

    def events(self, name, first):
        if name not in EVENTS:
            return self.refuse(404, "not_found", "there is no job 'j-%s'" % name)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for e in EVENTS[name]:
            line = json.dumps(e).encode() + b"\n"
            if e["n"] >= first:
                self.chunk(line[:7])
                self.chunk(line[7:] + b"\n")
        if name == "endless":
            time.sleep(30)
        self.wfile.write(b"0\r\n\r\n")
        return None


METRICS = """# HELP cubit_jobs_state Jobs
# TYPE cubit_jobs_state gauge
cubit_jobs_state{state="running"} 3
cubit_queue_jobs{state="waiting"} 5
cubit_queue_submitted_total 120
cubit_jobs_total{verdict="ok",runtime="py}\\"thon"} 100
cubit_jobs_total{verdict="ok",runtime="bash"} 11
cubit_jobs_total{verdict="time_limit",runtime="bash"} 2
cubit_stage_seconds_bucket{stage="run",le="0.01"} 1
cubit_stage_seconds_bucket{stage="run",le="0.1"} 8
cubit_stage_seconds_bucket{stage="run",le="+Inf"} 8
cubit_stage_seconds_sum{stage="run"} 0.4
cubit_stage_seconds_count{stage="run"} 8
cubit_process_resident_bytes 1.2582912e+07
this is no sample
"""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 32


Server(sock, Handler).serve_forever()
