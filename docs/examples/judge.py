#!/usr/bin/env python3
"""A judge: python3 judge.py LANGUAGE SOLUTION CASES

CASES is a directory of NAME.in and NAME.out. Prints a verdict for each, and exits with 1 when one is not accepted.
"""
import json
import os
import pathlib
import sys
import urllib.error
import urllib.request

URL = os.environ.get("CUBIT_URL", "http://127.0.0.1:7070")
KEY = os.environ["CUBIT_KEY"]
LIMITS = {"cpu_ms": 2000, "wall_ms": 10000, "memory": "128M"}  # a busy machine is not the solution's fault

# What a judge says for each status of a result; an error of ours is nobody's fault but ours.
WORDS = {
    "runtime_error": "runtime error", "signaled": "runtime error", "time_limit": "time limit exceeded",
    "memory_limit": "memory limit exceeded", "output_limit": "output limit exceeded", "compile_error": "compile error",
    "policy_violation": "forbidden",
}


def run(runtime, source, stdin):
    body = json.dumps({"runtime": runtime, "source": source, "stdin": stdin, "limits": LIMITS}).encode()
    request = urllib.request.Request(URL + "/v1/run", body, {"Authorization": "Bearer " + KEY})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        sys.exit(f"{e.code}: {json.load(e)['error']['message']}")


def judge(result, expected):
    if result["status"] != "ok":
        return WORDS.get(result["status"], result["status"])
    same = result["stdout"].split() == expected.split()  # blanks and line ends do not count
    return "accepted" if same else "wrong answer"


def main(runtime, solution, cases):
    source = pathlib.Path(solution).read_text()
    is_accepted = True
    for case in sorted(pathlib.Path(cases).glob("*.in")):
        result = run(runtime, source, case.read_text())
        verdict = judge(result, case.with_suffix(".out").read_text())
        is_accepted &= verdict == "accepted"
        print(f"{case.stem:12} {verdict:22} {result['cpu_ms'] or 0:7.1f} ms {result['memory_peak'] or 0:10} bytes")
        if verdict == "compile error":
            print(result["compile"]["stderr"])
            break
    return 0 if is_accepted else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
