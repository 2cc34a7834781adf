"""An HTTP server on loopback, in this process: what it says is its handler's matter.

Belongs here: TLS with a certificate that no authority vouches for, threads, the end.
"""

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CERTIFICATE = Path(__file__).resolve().parents[1] / "discovery" / "tls" / "kubelet.pem"


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that distrust the certificate or give up are what is tested."""


@contextlib.contextmanager
def serving(
    handler: type[http.server.BaseHTTPRequestHandler], *, tls: bool = False
) -> Iterator[str]:
    """Yield the URL of its root, as long as it answers there."""
    server = _Server(("127.0.0.1", 0), handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        # the handshake belongs to the connection's own thread
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http{'s' * tls}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
