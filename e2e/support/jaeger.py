"""Stand-ins for Jaeger's agent and collector: what they are sent, read by Apache Thrift's library.

Belongs here: receiving, in a thread. Does not belong here: what should have come.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.telemetry.jaeger_reader import Batch, Span, read_datagram, read_request


def spans_of(batches: list[Batch]) -> dict[str, list[Span]]:
    """Spans by the service whose process sent them."""
    found: dict[str, list[Span]] = {}
    for batch in list(batches):
        found.setdefault(batch.service, []).extend(batch.spans)
    return found


class AgentSink:
    """A UDP server for as long as the `with` block lasts. `raw` has its datagrams."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self.host, self.port = self._socket.getsockname()
        #: Read only when somebody asks: what takes long must not keep the socket waiting, as datagrams are lost then.
        self.raw: list[bytes] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        # an empty datagram ends the thread, behind all that came before
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (self.host, self.port))
        self._thread.join(10)
        self._socket.close()

    @property
    def batches(self) -> list[Batch]:
        return list(map(read_datagram, list(self.raw)))

    @property
    def spans(self) -> dict[str, list[Span]]:
        return spans_of(self.batches)

    def _receive(self) -> None:
        while datagram := self._socket.recv(65_536):
            self.raw.append(datagram)


class CollectorSink(ThreadingHTTPServer):
    """Takes every request; `requests` are its head fields and its body, by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def batches(self, path: str) -> list[Batch]:
        """What came to `path` as Jaeger reads it."""
        return [read_request(body) for where, _, body in list(self.requests) if where == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CollectorSink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Stay silent."""


@contextlib.contextmanager
def collecting() -> Iterator[CollectorSink]:
    """Run a collector for as long as the `with` block lasts."""
    with CollectorSink() as sink:
        thread = threading.Thread(target=sink.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield sink
        sink.shutdown()
        thread.join(10)
