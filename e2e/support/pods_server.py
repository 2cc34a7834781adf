"""GET /pods over HTTPS on loopback, as a kubelet answers it.

Belongs here: TLS with a certificate that no authority vouches for, the bearer token, the moods of a kubelet. Does not belong
here: what the list says.
"""

import http.server
import ssl
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Self


class PodsServer:
    """Answers for as long as the `with` block lasts."""

    def __init__(
        self,
        pod_list: Callable[[], bytes],
        token: str,
        certificate: tuple[str, ...],
        *,
        port: int = 0,
        inside: Callable[[Callable[[], "_Server"]], "_Server"] = lambda make: make(),
    ) -> None:
        """`pod_list` gives the body of an answer; `certificate` is its file and that of its key; `inside` chooses the network."""
        self.pod_list = pod_list
        self.token = token
        #: What is answered to a good token.
        self.status = HTTPStatus.OK
        #: How often the list was asked for, whatever the answer.
        self.asked = 0
        self._server = inside(lambda: _Server(("127.0.0.1", port), _Handler))
        self._server.pods = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        # the handshake belongs to the connection's own thread
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, authorization: str) -> tuple[int, bytes]:
        self.asked += 1
        if authorization != f"Bearer {self.token}":
            return HTTPStatus.UNAUTHORIZED, b"Unauthorized"
        if path.rstrip("/") != "/pods":
            return HTTPStatus.NOT_FOUND, b"404 page not found"
        if self.status is not HTTPStatus.OK:
            return self.status, self.status.phrase.encode()
        return HTTPStatus.OK, self.pod_list()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16
    pods: PodsServer

    def handle_error(self, _request: Any, _address: Any) -> None:
        """Clients that break off are their own business."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        status, body = self.server.pods.answer(self.path, self.headers.get("Authorization", ""))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        # Go sends what it writes in one go as one chunk.
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        self.wfile.write(chunk + b"0\r\n\r\n")

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""
