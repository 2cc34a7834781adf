"""A debug port that answers with what it is given, in this process."""

import contextlib
import http.server
import json
import socket
from collections.abc import Iterator

from tests.cli import http_stub


@contextlib.contextmanager
def answering(body: bytes | dict[str, object], status: int = 200) -> Iterator[int]:
    """Yield the port on 127.0.0.1 that answers every GET with `body`."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http_stub.serving(Handler) as url:
        yield int(url.rpartition(":")[2])


def unused_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
