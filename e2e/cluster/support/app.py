"""The application of the pods: it says who it is and whether its requests were captured. One file, nothing but Python.

Belongs here: an HTTP server of raw bytes, so that nothing about an answer is a library's choice; and a first call, made
before anything else, if FIRST_CALL=ADDRESS:PORT asks for it.

    GET /           "captured" or "direct  ": whether headers were declared in the request
    GET /call/A/P   calls http://A:P/, passes the request id on, and answers as that did
    GET /name       the pod's name
    GET /peer       the client's address and port
"""

import os
import re
import signal
import socket
import sys
import threading

_HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
_DECLARED = b"\r\ntraceparent: "


def main() -> None:
    """Call first, serve then."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if target := os.environ.get("FIRST_CALL"):
        host, _, port = target.rpartition(":")
        path = f"/{socket.gethostname()}"
        print("first call:", call(host, int(port), path, b"").decode())
    listener = socket.create_server(
        ("::", int(os.environ.get("PORT", "8080"))),
        family=socket.AF_INET6,
        dualstack_ipv6=True,
        backlog=128,
    )
    while True:
        accepted, peer = listener.accept()
        threading.Thread(target=serve, args=(accepted, f"{peer[0]} {peer[1]}"), daemon=True).start()


def serve(sock: socket.socket, peer: str) -> None:
    """Answer one request, or as many as the client keeps the connection open for."""
    with sock:
        while head := read_head(sock):
            body = answer(head, peer)
            sock.sendall(_HEAD % len(body) + body)
            if b"Connection: close" in head:
                return


def answer(head: bytes, peer: str) -> bytes:
    """Return the body that belongs to the path."""
    path = head.split(b" ", 2)[1].decode()
    if path == "/name":
        return socket.gethostname().encode()
    if path == "/peer":
        return peer.removeprefix("::ffff:").encode()
    if path.startswith("/call/"):
        _, _, host, port = path.split("/")
        return call(host, int(port), "/", request_id(head))
    return b"captured" if _DECLARED in head else b"direct  "


def request_id(head: bytes) -> bytes:
    """Return the line with the request id: all that an application has to pass on."""
    found = re.search(rb"\r\n(x-request-id: [^\r]*)", head, re.IGNORECASE)
    return found[1] + b"\r\n" if found else b""


def call(host: str, port: int, path: str, headers: bytes) -> bytes:
    """Make one request and return the answer's body."""
    with socket.create_connection((host, port), timeout=10) as sock:
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n".encode()
            + headers
            + b"\r\n"
        )
        answered = b""
        while data := sock.recv(4096):
            answered += data
    return answered.partition(b"\r\n\r\n")[2]


def read_head(sock: socket.socket) -> bytes:
    """Return a head; nothing when the client has ended the connection."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(4096)
        if not data:
            return b""
        head += data
    return head


if __name__ == "__main__":
    main()
