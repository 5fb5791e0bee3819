"""A small WebSocket client over a unix socket, for tests: standard library only, text frames and close."""
import base64
import json
import os
import socket
import struct


class WebSocket:
    def __init__(self, path, target, headers=(), timeout=30):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {target} HTTP/1.1", "Host: cubit", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *headers]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.data, self.code = b"", None
        while b"\r\n\r\n" not in self.data:
            more = self.sock.recv(65536)
            if not more:
                break
            self.data += more
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        self.status = int(head.split()[1]) if head else 0

    def send(self, message, opcode=1):
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        mask = os.urandom(4)
        head = bytes([0x80 | opcode])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        else:
            head += bytes([0x80 | 126]) + struct.pack(">H", len(data))
        self.sock.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def _take(self, n):
        while len(self.data) < n:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError
            self.data += more
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def receive(self):
        """The next message as JSON; None when it is closed."""
        while True:
            try:
                first, second = self._take(2)
                size = second & 127
                if size == 126:
                    size = struct.unpack(">H", self._take(2))[0]
                elif size == 127:
                    size = struct.unpack(">Q", self._take(8))[0]
                data = self._take(size)
            except EOFError:
                return None
            if first & 15 == 1:
                return json.loads(data)
            if first & 15 == 8:
                self.code = struct.unpack(">H", data[:2])[0] if size >= 2 else 1005
                return None

    def until(self, wanted):
        """Messages up to the first one that wanted() likes, or to the end."""
        got = []
        while (m := self.receive()) is not None:
            got.append(m)
            if wanted(m):
                break
        return got
