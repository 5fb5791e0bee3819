#!/usr/bin/env python3
"""A relay to a daemon: as it is, TLS in front of it, or an HTTP proxy that only knows CONNECT. Prints its port.

usage: relay.py LOG plain HOST PORT
       relay.py LOG tls CERTIFICATE KEY HOST PORT
       relay.py LOG connect HOST PORT [USER:PASSWORD]     # whatever is asked for is there

Each connection, and each request to the proxy with its headers, is a line of LOG. SIGUSR1 cuts all connections.
"""
import base64
import signal
import socket
import ssl
import sys
import threading

log, kind, *arguments = sys.argv[1:]
lock, open_sockets = threading.Lock(), set()


def note(text):
    with lock, open(log, "a") as f:
        print(text, file=f)


def cut(*_):
    for s in list(open_sockets):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def join(a, host, port):
    with socket.create_connection((host, int(port))) as b:
        open_sockets.update((a, b))
        t = threading.Thread(target=pump, args=(a, b), daemon=True)
        t.start()
        pump(b, a)
        t.join()
        open_sockets.difference_update((a, b))


def plain(s):
    note("plain")
    join(s, arguments[0], arguments[1])


def tls(s):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments[0], arguments[1])
    with context.wrap_socket(s, server_side=True) as t:
        note("tls")
        join(t, arguments[2], arguments[3])


def connect(s):
    head = b""
    while b"\r\n\r\n" not in head:
        more = s.recv(65536)
        if not more:
            return
        head += more
    note(head.decode("latin-1").replace("\r\n", "|"))
    wanted = len(arguments) > 2 and b"basic " + base64.b64encode(arguments[2].encode())
    if wanted and wanted.lower() not in head.lower():
        s.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    elif not head.startswith(b"CONNECT "):
        s.sendall(b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n")
    else:
        s.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        join(s, arguments[0], arguments[1])


def serve(s):
    try:
        with s:
            {"plain": plain, "tls": tls, "connect": connect}[kind](s)
    except OSError as e:
        note(f"failed: {e}")


signal.signal(signal.SIGUSR1, cut)
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
