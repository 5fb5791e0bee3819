#!/usr/bin/env python3
"""A notebook: python3 notebook.py PAGE.md

Runs the ```python cells of a Markdown file one after the other in one sandboxed program, so that later cells see what
earlier ones made, and prints the page with the output of each cell below it. A cell that fails shows its error, and the
rest is not run.
"""
import json
import os
import re
import sys
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("CUBIT_URL", "http://127.0.0.1:7070")
KEY = os.environ["CUBIT_KEY"]
CELL = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)

# Inside: what each cell prints stands between marks that no cell can guess.
DRIVER = """
import json, sys, traceback
mark, cells = json.load(sys.stdin)
names = {"__name__": "__main__"}
sys.stdin = open("/dev/null")
for number, cell in enumerate(cells):
    print(mark, flush=True)
    try:
        exec(compile(cell, f"cell {number + 1}", "exec"), names)
    except BaseException:
        traceback.print_exc(limit=-1, file=sys.stdout)
        break
"""


def run(cells):
    mark = uuid.uuid4().hex
    body = {"runtime": "python", "source": DRIVER, "stdin": json.dumps([mark, cells])}
    request = urllib.request.Request(URL + "/v1/run", json.dumps(body).encode(), {"Authorization": "Bearer " + KEY})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            result = json.load(answer)
    except urllib.error.HTTPError as e:
        sys.exit(f"{e.code}: {json.load(e)['error']['message']}")
    if result["status"] != "ok":
        print(f"{result['status']}: {result['reason']}", file=sys.stderr)
    return result["stdout"].split(mark + "\n")[1:]


def main(path):
    page = open(path).read()
    outputs = iter(run(CELL.findall(page)))

    def with_output(match):
        output = next(outputs, "")
        return match.group(0) + (f"\n\n```output\n{output.rstrip()}\n```" if output else "")

    print(CELL.sub(with_output, page), end="")


if __name__ == "__main__":
    main(sys.argv[1])
