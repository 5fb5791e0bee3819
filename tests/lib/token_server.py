#!/usr/bin/env python3
"""A token server for docker-registry: tokens signed with RS256 by the openssl command, certificate in the header.

usage: token_server.py DIR USER PASSWORD

DIR holds key.pem and cert.pem. Writes DIR/token_port when it is ready and DIR/token_log, a line for each request:
SCOPES AUTHENTICATED. Anonymous callers may pull from repositories below `public/`; USER may do everything.
"""
import base64
import http.server
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.parse

folder, user, password = sys.argv[1:4]


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(claims):
    with open(os.path.join(folder, "cert.pem")) as file:
        der = ssl.PEM_cert_to_DER_cert(file.read())
    header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
    text = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
    done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", os.path.join(folder, "key.pem")],
                          input=text.encode(), stdout=subprocess.PIPE, check=True)
    return text + "." + b64(done.stdout)


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        given = self.headers.get("Authorization")
        is_user = given == expected
        with open(os.path.join(folder, "token_log"), "a") as file:
            file.write(f"{' '.join(query.get('scope', []))} {is_user}\n")
        if given and not is_user:
            return self.reply(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]})
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.rsplit(":", 2)[0].split(":")[0], scope.split(":", 1)[1].rsplit(":", 1)[0], scope.rsplit(":", 1)[1]
            if is_user or name.startswith("public/"):
                access.append({"type": kind, "name": name, "actions": actions.split(",") if is_user else ["pull"]})
        now = int(time.time())
        token = sign({"iss": "test", "sub": user if is_user else "", "aud": query.get("service", [""])[0], "exp": now + 300,
                      "nbf": now - 10, "iat": now, "jti": str(time.time_ns()), "access": access})
        return self.reply(200, {"token": token, "expires_in": 300})

    def reply(self, status, what):
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(os.path.join(folder, "token_port.new"), "w") as f:
    f.write(str(server.server_port))
os.rename(os.path.join(folder, "token_port.new"), os.path.join(folder, "token_port"))
server.serve_forever()
