#!/usr/bin/env python3
"""A judge: python3 judge.py LANGUAGE SOLUTION CASES

CASES is a directory of NAME.in and NAME.out, at most 1000 of them. Prints a verdict for each, and exits with 1 when one is not accepted.
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


def run(request):
    body = json.dumps(request).encode()
    ask = urllib.request.Request(URL + "/v1/run", body, {"Authorization": "Bearer " + KEY})
    try:
        with urllib.request.urlopen(ask, timeout=1200) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as e:
        sys.exit(f"{e.code}: {json.load(e)['error']['message']}")


def judge(case):
    if case["status"] != "ok":
        return WORDS.get(case["status"], case["status"])
    return "accepted" if case["passed"] else "wrong answer"


def main(runtime, solution, directory):
    cases = [{"id": path.stem, "stdin": path.read_text(), "expected": path.with_suffix(".out").read_text()}
             for path in sorted(pathlib.Path(directory).glob("*.in"))]
    # compiled once; each case has a fresh sandbox. "tokens": blanks and line ends do not count
    result = run({"runtime": runtime, "source": pathlib.Path(solution).read_text(), "limits": LIMITS,
                  "cases": cases, "checker": "tokens"})
    if result["status"] == "compile_error":
        print("compile error\n" + result["compile"]["stderr"])
        return 1
    for case in result["cases"]:
        print(f"{case['id']:12} {judge(case):22} {case['cpu_ms'] or 0:7.1f} ms {case['memory_peak'] or 0:10} bytes")
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
