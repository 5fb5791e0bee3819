#!/usr/bin/env python3
"""Holds what a daemon answered against its own /openapi.json: openapi_check.py DOCUMENT RECORDS.

RECORDS is what api() of tests/lib/daemon.sh noted: for each answer STATUS METHOD PATH TYPE SENT BODY, each ended by NUL.
Strict: a member that the schema does not name is an error, although clients have to live with one. The other way, too:
what was sent and accepted has to be as the schema of the body says. Prints a line for each difference, once for each
operation and difference, and at the end how many answers of how many operations were compared.
"""
import json
import re
import sys

import jsonschema

HOLDERS = ("anyOf", "oneOf")


def closed(schema):
    """The same schema for a value that may have no other members."""
    if not isinstance(schema, dict):
        return schema
    if any(key in schema for key in HOLDERS):
        return {**schema, **{key: [closed(one) for one in schema[key]] for key in HOLDERS if key in schema}}
    if "$ref" in schema or "allOf" in schema or "properties" in schema:
        if "additionalProperties" not in schema:
            return {**inside(schema), "unevaluatedProperties": False}
    return inside(schema)


def inside(schema):
    """Closes what stands at the places of values below; the schema itself stays open, for those that refer to it."""
    out = dict(schema)
    if "properties" in out:
        out["properties"] = {key: closed(value) for key, value in out["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = closed(out[key])
    return out


class Document:
    def __init__(self, text):
        self.raw = json.loads(text)
        named = self.raw["components"]["schemas"]
        # one that is only a choice closes its branches: nothing refers to it in allOf
        self.components = {
            "schemas": {
                name: closed(schema) if any(key in schema for key in HOLDERS) else inside(schema)
                for name, schema in named.items()
            }
        }
        self.responses = self.raw["components"]["responses"]
        self.paths = [
            (re.compile("/".join(self.segment(path, s) for s in path.split("/")) + r"\Z"), path, item)
            for path, item in self.raw["paths"].items()
        ]

    def segment(self, path, segment):
        if not segment.startswith("{"):
            return re.escape(segment)
        rest = any(
            p["in"] == "path" and p["name"] == segment[1:-1] and "rest of the path" in p.get("description", "")
            for op in self.raw["paths"][path].values()
            for p in op["parameters"]
        )
        return ".+" if rest else "[^/]+"

    def operation(self, method, path):
        for pattern, name, item in self.paths:
            if pattern.match(path) and method.lower() in item:
                return f"{method} {name}", item[method.lower()]
        return None, None

    def errors(self, schema, value):
        root = {**closed(schema), "components": self.components}
        for e in jsonschema.Draft202012Validator(root).iter_errors(value):
            best = jsonschema.exceptions.best_match([e])
            where = "/".join(re.sub(r"^\d+$", "[]", str(p)) for p in best.absolute_path)
            yield f"{where or 'the whole'}: {best.message[:300]}"

    def content(self, operation, status):
        responses = operation["responses"] if operation else {"default": {"$ref": "#/components/responses/Error"}}
        found = responses.get(status) or responses.get(status[0] + "XX") or responses.get("default")
        if "$ref" in found:
            found = self.responses[found["$ref"].rsplit("/", 1)[1]]
        return found.get("content", {})


def values(media, body):
    """The JSON values of a body."""
    if media == "text/event-stream":
        return [json.loads(line[5:]) for line in body.splitlines() if line.startswith("data:")]
    if media == "application/x-ndjson":
        return [json.loads(line) for line in body.splitlines() if line]
    return [json.loads(body)]


def differences(document, status, method, path, media, sent, body):
    name, operation = document.operation(method, path.split("?")[0])
    what = f"{name or method + ' (no route)'} {status}"
    content = document.content(operation, status)
    if not body:
        if content and method != "HEAD":
            yield what, "nothing, where the document has content"
    elif not media:
        yield what, "a body without a type"
    elif media not in content:
        yield what, f"{media}, where the document has {', '.join(content) or 'nothing'}"
    elif media == "application/json" or "json" in media or media == "text/event-stream":
        for value in values(media, body):
            for e in document.errors(content[media]["schema"], value):
                yield what, e
    if sent and operation and status[0] == "2" and "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        for e in document.errors(schema, json.loads(sent)):
            yield f"{name} accepts", e


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        document = Document(f.read())
    with open(sys.argv[2], encoding="utf-8", errors="surrogateescape") as f:
        fields = f.read().split("\0")[:-1]
    seen, operations, count = set(), set(), 0
    for i in range(0, len(fields), 6):
        status, method, path, media, sent, body = fields[i : i + 6]
        operations.add(document.operation(method, path.split("?")[0])[0])
        count += 1
        try:
            found = list(differences(document, status, method, path, media.split(";")[0], sent, body))
        except ValueError as e:
            found = [(f"{method} {path} {status}", f"no JSON: {e}: {body[:100]!r}")]
        for what, difference in found:
            if (what, difference) not in seen:
                seen.add((what, difference))
                print(f"{what}: {difference}")
    print(f"{count} answers of {len(operations)} operations compared")
    return bool(seen) or count == 0


if __name__ == "__main__":
    sys.exit(main())
