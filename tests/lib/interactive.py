#!/usr/bin/env python3
"""Jobs that are talked to over a WebSocket: standard input, its end, signals, a terminal's size, cancelling. TAP.

usage: interactive.py SOCKET
"""
import hashlib
import http.client
import json
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ws import WebSocket  # noqa: E402

path, count, failed = sys.argv[1], 0, 0


def check(is_good, title, got=None):
    global count, failed
    count += 1
    print(f"{'ok' if is_good else 'not ok'} {count} - {title}")
    if not is_good:
        failed = 1
        print(f"# got {got!r}")


def ask(method, target, body=None):
    c = http.client.HTTPConnection("cubit", timeout=30)
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.connect(path)
    c.request(method, target, json.dumps(body) if body else None)
    r = c.getresponse()
    return r.status, json.loads(r.read() or b"null")


def submit(source, runtime="python", **more):
    status, answer = ask("POST", "/v1/jobs", {"runtime": runtime, "source": source,
                                              "limits": {"wall_ms": 20000, "cpu_ms": 5000}, **more})
    assert status == 202, answer
    return answer["id"]


def text(events, kind="stdout"):
    return "".join(e["data"] for e in events if e["type"] == kind)


def has(word):
    seen = []

    def wanted(m):
        seen.append(m.get("data", "") if m["type"] == "stdout" else "")
        return word in "".join(seen) or m["type"] == "exit"
    return wanted


job = submit("while True:\n  try: print('got', input(), flush=True)\n  except EOFError: print('end'); break", interactive=True)
w = WebSocket(path, f"/v1/jobs/{job}/stream")
check(w.status == 101, "the stream opens", w.status)
w.send({"type": "stdin", "data": "one\n"})
check("got one" in text(w.until(has("got one"))), "a line goes in, an answer comes out")
w.send(b"two\n", opcode=2)
check("got two" in text(w.until(has("got two"))), "a binary message is standard input as well")
w.send({"type": "nonsense"})
check(w.until(lambda m: m["type"] == "error")[-1]["type"] == "error", "what is no message is said to be none")
second = WebSocket(path, f"/v1/jobs/{job}/stream")
check("got two" in text(second.until(has("got two"))), "a late watcher gets what it missed")
w.send({"type": "stdin_end"})
rest = w.until(lambda m: m["type"] == "exit")
check("end" in text(rest) and rest[-1]["status"] == "ok", "the end of standard input reaches it", rest[-1:])
check(w.receive() is None and w.code == 1000, "and the stream is closed", w.code)

# os.write: a handler must not print into the print that it interrupts
job = submit("import os, signal, time\ndef f(*a):\n  os.write(1, b'caught'); raise SystemExit(5)\n"
             "signal.signal(signal.SIGINT, f); os.write(1, b'ready')\nwhile True: time.sleep(1)")
w = WebSocket(path, f"/v1/jobs/{job}/stream")
w.until(has("ready"))
w.send({"type": "signal", "signal": "INT"})
rest = w.until(lambda m: m["type"] == "exit")
check("caught" in text(rest) and rest[-1]["exit_code"] == 5, "a signal reaches it", rest)

job = submit("import os, signal, time\ndef f(*a): os.write(1, repr(os.get_terminal_size()).encode())\n"
             "signal.signal(signal.SIGWINCH, f); os.write(1, repr((os.isatty(0), os.get_terminal_size())).encode())\n"
             "for _ in range(100): time.sleep(0.1)", interactive=True, tty={"cols": 100, "rows": 30})
w = WebSocket(path, f"/v1/jobs/{job}/stream")
first = text(w.until(has("lines=30")))
check("True" in first and "columns=100, lines=30" in first, "a terminal of the size asked for", first)
w.send({"type": "resize", "cols": 120, "rows": 40})
check("columns=120, lines=40" in text(w.until(has("lines=40"))), "and of another one")
w.send({"type": "cancel"})
rest = w.until(lambda m: m["type"] == "exit")
check(rest[-1]["status"] == "cancelled", "cancelled from the stream", rest[-1:])

job = submit("import time; time.sleep(0.5); print('x' * 10)", runtime="python")
w = WebSocket(path, f"/v1/jobs/{job}/stream", ["Origin: https://evil.example"])
check(w.status == 403, "a foreign origin is refused", w.status)
w = WebSocket(path, "/v1/jobs/jnone/stream")
check(w.status == 404, "a job that is none", w.status)
job = submit("import sys; print(len(sys.stdin.read()))", stdin="abc")
w = WebSocket(path, f"/v1/jobs/{job}/stream")
w.send({"type": "stdin", "data": "more"})
got = w.until(lambda m: m["type"] == "exit")
check("3" in text(got), "a job that is not interactive takes no more input", got)

# more than waits for a job: what it does not read yet is not taken
job = submit("import hashlib, sys, time; print('ready', flush=True); time.sleep(1.5)\n"
             "print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())", interactive=True)
w = WebSocket(path, f"/v1/jobs/{job}/stream")
w.until(has("ready"))
pieces = [os.urandom(60000) for _ in range(80)]
for piece in pieces:
    w.send(piece, opcode=2)
w.send({"type": "stdin_end"})
rest = w.until(lambda m: m["type"] == "exit")
check(hashlib.sha256(b"".join(pieces)).hexdigest() in text(rest), "more input than waits anywhere arrives whole", rest)

job = submit("import time; print('ready', flush=True); time.sleep(3)", interactive=True)
w = WebSocket(path, f"/v1/jobs/{job}/stream", timeout=1)
w.until(has("ready"))
try:
    for piece in pieces:
        w.send(piece, opcode=2)
    sent = True
except TimeoutError:
    sent = False
check(not sent, "a job that reads nothing stops its client")
w.sock.settimeout(30)
rest = w.until(lambda m: m["type"] == "exit")
check(rest and rest[-1]["type"] == "exit" and w.receive() is None and w.code == 1000, "which gets its end all the same", rest)
print(f"1..{count}")
sys.exit(failed)
