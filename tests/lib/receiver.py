"""Takes callbacks: answers the first with 500 and later ones with 204, those to /gone with 404. Its port is the line that
it prints; a line for each call goes to the file that is named: job, attempt, whether SECRET signed it, status of the result.

usage: receiver.py FILE SECRET
"""
import hashlib
import hmac
import http.server
import json
import sys

path, secret = sys.argv[1:]


class Handler(http.server.BaseHTTPRequestHandler):
    tries = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        stamp = self.headers["Cubit-Timestamp"].encode()
        want = "v1=" + hmac.new(secret.encode(), stamp + b"." + body, hashlib.sha256).hexdigest()
        Handler.tries += 1
        self.send_response(404 if self.path == "/gone" else 500 if Handler.tries == 1 else 204)
        self.end_headers()
        with open(path, "a") as file:
            print(self.headers["Cubit-Job"], self.headers["Cubit-Attempt"], want == self.headers["Cubit-Signature"],
                  json.loads(body)["status"], file=file)

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
