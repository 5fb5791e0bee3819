#!/usr/bin/env python3
"""Stands before a registry and spoils what it says, in one way at a time.

usage: fault_proxy.py REGISTRY_PORT DIR USER:PASSWORD [CERTIFICATE KEY]

Writes DIR/port (where it listens) and DIR/other_port (a second port of the same host, the target of redirects,
which has the credentials itself, as a store of blobs with signed addresses does) when it is ready. DIR/fault holds the fault's name, read for each request; DIR/log gets a line a request:
PORT METHOD PATH RANGE AUTHORIZATION (only the scheme and whether there is one). `once` faults remove DIR/fault when used.
"""
import base64
import gzip
import http.client
import http.server
import os
import ssl
import sys
import threading
import time

upstream, folder, login = int(sys.argv[1]), sys.argv[2], sys.argv[3]
lock = threading.Lock()


def fault(clear_if=()):
    with lock:
        try:
            with open(os.path.join(folder, "fault")) as file:
                name = file.read().strip()
        except FileNotFoundError:
            return ""
        if name in clear_if:
            os.unlink(os.path.join(folder, "fault"))
        return name


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self):
        auth = self.headers.get("Authorization", "-").split()[0]
        with lock, open(os.path.join(folder, "log"), "a") as file:
            file.write(f"{self.server.server_port} {self.command} {self.path} {self.headers.get('Range', '-')} {auth}\n")

    def answer(self, status, headers, body, announce=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if announce is None else announce))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if announce is not None and announce != len(body):
            self.close_connection = True

    def ask(self):
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size) if size else None
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "content-length")}
        if fault() == "norange":
            headers.pop("Range", None)
        if fault() == "redirect" and self.server.server_port == ports[1]:
            headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        peer = http.client.HTTPConnection("127.0.0.1", upstream)
        peer.request(self.command, self.path, body, headers)
        reply = peer.getresponse()
        content = reply.read()
        kept = [(k, v) for k, v in reply.getheaders() if k.lower() not in ("content-length", "connection", "date", "server")]
        length = reply.getheader("Content-Length") if self.command == "HEAD" else None
        return reply.status, kept, content, int(length) if length else None

    def spoil(self):
        is_blob = "/blobs/sha256:" in self.path and self.command == "GET"
        is_manifest = "/manifests/" in self.path and self.command == "GET"
        name = fault(("429", "503") if is_blob or is_manifest else ())
        if name == "401":
            return self.answer(401, [("WWW-Authenticate", 'Basic realm="again"')], b"{}")
        if name == "429" or name == "429long":
            return self.answer(429, [("Retry-After", "1" if name == "429" else "3600")], b"{}")
        if name == "503" or name == "503always":
            return self.answer(503, [], b"not now")
        if name == "loop" and is_blob:
            return self.answer(307, [("Location", self.path)], b"")
        if name == "redirect" and is_blob and self.server.server_port == ports[0]:
            return self.answer(307, [("Location", f"http://127.0.0.1:{ports[1]}{self.path}")], b"")
        if name == "redirecttls" and is_blob and self.server.server_port == ports[0]:
            return self.answer(307, [("Location", f"https://127.0.0.1:{ports[0]}{self.path}?again")], b"")
        if name == "huge" and is_manifest:
            return self.answer(200, [("Content-Type", "application/vnd.oci.image.manifest.v1+json")], b" " * (5 << 20))
        status, headers, body, length = self.ask()
        is_large = is_blob and len(body) > 100000
        if name == "flip" and is_large:
            body = body[:50000] + bytes([body[50000] ^ 1]) + body[50001:]
        elif name == "short" and is_large:
            body = body[:-1000]
        elif name == "long" and is_large:
            body += b"more"
        elif name == "cut" and is_large:
            fault(("cut",))
            return self.answer(status, headers, body[: len(body) // 2], len(body))
        elif name == "cutalways" and is_large:
            return self.answer(status, headers, b"" if status == 206 else body[: len(body) // 2], len(body))
        elif name == "slow" and is_large:
            self.answer(status, headers, body[:1000], len(body))
            time.sleep(30)
            return None
        elif name == "gzip" and is_large:
            body = gzip.compress(body)
            headers.append(("Content-Encoding", "gzip"))
        elif name == "type" and is_manifest:
            headers = [h for h in headers if h[0].lower() != "content-type"]
            headers.append(("Content-Type", "application/vnd.oci.image.index.v1+json"))
        elif name == "space" and is_manifest:
            body += b" "
        return self.answer(status, headers, body, length)

    def do_any(self):
        self.note()
        try:
            self.spoil()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_any


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


servers = [Server(("127.0.0.1", 0), Handler) for _ in range(2)]
if len(sys.argv) > 5:  # TLS on the first port; the second stays plain
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4], sys.argv[5])
    servers[0].socket = context.wrap_socket(servers[0].socket, server_side=True, do_handshake_on_connect=False)
ports = [s.server_port for s in servers]
threading.Thread(target=servers[1].serve_forever, daemon=True).start()
for name, port in zip(("other_port", "port"), reversed(ports)):
    with open(os.path.join(folder, name + ".new"), "w") as f:
        f.write(str(port))
    os.rename(os.path.join(folder, name + ".new"), os.path.join(folder, name))
servers[0].serve_forever()
