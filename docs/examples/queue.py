#!/usr/bin/env python3
"""A queue: python3 queue.py LANGUAGE PROGRAM...

Pushes each program as a job, waits for all of them, and prints what they printed. A connection that breaks, a daemon that
is restarted or has too much to do costs time, never a job and never a second run: the key of each push makes it the same
job, however often it is made.
"""
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("CUBIT_URL", "http://127.0.0.1:7070")
KEY = os.environ["CUBIT_KEY"]
TRIES = 10


def call(path, body=None, headers=()):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"Authorization": "Bearer " + KEY, **dict(headers)})
    for left in reversed(range(TRIES)):
        pause = 1
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as e:
            if e.code not in (429, 503, 507) or not left:
                sys.exit(f"{e.code}: {json.load(e)['error']['message']}")
            pause = int(e.headers.get("Retry-After", 1))
        except OSError as e:
            if not left:
                sys.exit(str(e))
        time.sleep(pause)


def push(runtime, source):
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    return call("/v1/jobs", {"runtime": runtime, "source": source}, headers)["id"]


def wait(job):
    while True:
        answer = call(f"/v1/jobs/{job}")
        if answer["state"] in ("done", "dead", "cancelled"):
            return answer
        time.sleep(0.1)


def main(runtime, *programs):
    for job in [push(runtime, program) for program in programs]:
        result = wait(job)
        print(result["status"], result["stdout"])


if __name__ == "__main__":
    main(*sys.argv[1:])
