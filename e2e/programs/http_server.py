"""An HTTP server of Python's `http.server` with the paths that clients of every language ask: PORT HTTP/1.0|HTTP/1.1."""

import hashlib
import json
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers, and writes a record of each request."""

    def answer(self) -> None:
        body = self.body()
        self.record(body)
        if self.path == "/chunked" and self.protocol_version == "HTTP/1.1":
            self.in_pieces()
            return
        status, text = {
            "/echo": (200, body),
            "/text": (200, b"a text\n"),
            "/chunked": (200, b"one two three\n"),
            "/nothing": (204, b""),
            "/close": (200, b"bye\n"),
            "/cookies": (200, b""),
        }.get(self.path, (404, b"not here\n"))
        self.send_response(status)
        if self.path == "/close":
            self.send_header("Connection", "close")
        if self.path == "/cookies":
            self.send_header("Set-Cookie", "a=1")
            self.send_header("set-cookie", "b=2")
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    # The base class looks for a method of this name for each of HTTP's.
    def __getattr__(self, name: str) -> Callable[[], None]:
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self.answer

    def in_pieces(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (b"one ", b"two ", b"three\n"):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            time.sleep(0.02)
        self.wfile.write(b"0\r\n\r\n")

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            return b"".join(iter(self.chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def chunk(self) -> bytes:
        data = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return data

    def record(self, body: bytes) -> None:
        lines = [self.requestline, *(f"{name}: {value}" for name, value in self.headers.items())]
        record = {"from": self.client_address[0], "head": "\r\n".join(lines) + "\r\n\r\n"}
        record |= {"size": len(body), "digest": hashlib.sha256(body).hexdigest()}
        print(json.dumps(record), flush=True)

    def log_message(self, *_arguments: object) -> None:
        """Only what `record` writes."""


if __name__ == "__main__":
    Handler.protocol_version = sys.argv[2]
    ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
