#!/usr/bin/env python3
"""Clients that submit jobs while the daemon is being killed, and judge what became of each.

usage: load_client.py SOCKET CLIENTS STOP_FILE

Each client submits a job with an Idempotency-Key, again and again until it is answered; the answer 202 is a promise. When
STOP_FILE appears no new ones are submitted, and every promised job is asked for until it has a result.
Prints one line: submitted=N results=N lost=N wrong=N doubled=N attempts=MAX. A job is doubled when its events show two ends.
"""
import http.client
import json
import os
import socket
import sys
import threading
import time

path, clients, stop_file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
DEADLINE = 300  # seconds after the stop
PAUSE = 0.5  # of a client between two jobs: what is promised must fit the machine


class Connection(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("cubit", timeout=20)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(path)


def ask(method, target, body=None, headers=None):
    """One request; None when the connection broke: nothing is known then."""
    c = Connection()
    try:
        c.request(method, target, body, headers or {})
        answer = c.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        c.close()


promised = {}  # id -> what it prints
lock = threading.Lock()


def client(number):
    n = 0
    while not os.path.exists(stop_file):
        n += 1
        token = f"c{number}n{n}"
        body = json.dumps({"runtime": "bash", "source": f"sleep 0.0{n % 9}; echo {token}"})
        while True:
            answer = ask("POST", "/v1/jobs", body, {"Idempotency-Key": token})
            if answer and answer[0] == 202:
                with lock:
                    promised[json.loads(answer[1])["id"]] = token
                break
            time.sleep(0.05)  # broken off, restarting, or too much is waiting
            if os.path.exists(stop_file):
                return  # never promised
        time.sleep(PAUSE)


threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
for t in threads:
    t.start()
for t in threads:
    t.join()

open_ids, wrong, doubled, attempts = dict(promised), 0, 0, 0
end = time.monotonic() + DEADLINE
while open_ids and time.monotonic() < end:
    for job, token in list(open_ids.items()):
        answer = ask("GET", f"/v1/jobs/{job}")
        if not answer or answer[0] != 200:
            continue
        r = json.loads(answer[1])
        if r["state"] in ("waiting", "running"):
            continue
        attempts = max(attempts, r.get("attempt", 0))
        if r["state"] != "done" or r.get("status") != "ok" or r.get("stdout") != token + "\n":
            wrong += 1
            print(f"# job {job} {token}: {json.dumps(r)[:400]}")
        events = ask("GET", f"/v1/jobs/{job}/events", headers={"Accept": "application/x-ndjson"})
        if events and events[1].count(b'"type":"exit"') != 1:
            doubled += 1
            print(f"# job {job}: events {events[1][:400]!r}")
        del open_ids[job]
    time.sleep(0.1)
for job in open_ids:
    print(f"# job {job}: {ask('GET', '/v1/jobs/' + job)}")
print(f"submitted={len(promised)} results={len(promised) - len(open_ids)} lost={len(open_ids)} wrong={wrong} "
      f"doubled={doubled} attempts={attempts}")
sys.exit(1 if open_ids or wrong or doubled or not promised else 0)
