"""GET /pods over HTTPS on the node's loopback, as the kubelet of a cluster answers it.

Belongs here: TLS with a certificate of its own making, the bearer token, the moods of a kubelet. What the list says is the
kubelet's.
"""

import http.server
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

from e2e.cluster.support.containerd import ClusterNode

PORT: Final = 10250
TOKEN: Final = "token-of-netra-node"


class PodsServer:
    """Answers for as long as the `with` block lasts."""

    def __init__(self, node: ClusterNode, pod_list: Callable[[], bytes], port: int = PORT) -> None:
        """`pod_list` gives the body of an answer."""
        self.pod_list = pod_list
        #: What is answered to a good token.
        self.status = HTTPStatus.OK
        self.token = TOKEN
        #: How often the list was asked for, whatever the answer.
        self.asked = 0
        self._server = node.network.run(lambda: _Server(("127.0.0.1", port), _Handler))
        self._server.pods = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*_certificate(node.scratch))
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

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
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


def _certificate(directory: Path) -> tuple[str, str]:
    """Make one as a kubelet does: self-signed, so that no authority of the cluster vouches for it."""
    assert shutil.which("openssl")
    certificate, key = directory / "kubelet.crt", directory / "kubelet.key"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
            ),
            *(
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=nt-node@1",
                "-addext",
                "subjectAltName=DNS:nt-node",
            ),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return str(certificate), str(key)
