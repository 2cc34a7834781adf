"""One of the demo's HTTP services, as anybody would write it; a program of its own, run inside a pod.

It knows nothing of tracing, proxies or netra-node, and must not: all it does for them is what most services do
anyway, to hand the X-Request-Id of a request on to the requests it makes itself. Standard library only.

    python demo_services.py PORT [--next http://HOST:PORT/PREFIX/] [--slow N] [--fail N] [--hang-up N]

`GET /anything/N` asks the next service for `PREFIX/N` and passes its status on. For one N it can be told to be slow,
to fail with a 500 before asking anybody, or to hang up without an answer.
"""

import argparse
import http.client
import http.server
import time
import urllib.parse
from dataclasses import dataclass
from typing import cast

SLOW_SECONDS = 0.3
#: An answer is expected well before; without a limit a thread would wait for ever.
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Behaviour:
    """What the service does with the item named last in the path; empty means with none."""

    next_service: str = ""
    slow: str = ""
    fail: str = ""
    hang_up: str = ""


class Service(http.server.ThreadingHTTPServer):
    """Answers each connection in a thread of its own."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], behaviour: Behaviour) -> None:
        """Listen on `address` at once."""
        super().__init__(address, Handler)
        self.behaviour = behaviour


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one keep-alive connection, and keeps one of its own to the next service."""

    protocol_version = "HTTP/1.1"
    # Head and body are two small writes; with Nagle the second waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Prepare, without opening it, the connection to the next service."""
        super().setup()
        self._behaviour = cast("Service", self.server).behaviour
        url = urllib.parse.urlsplit(self._behaviour.next_service)
        self._prefix = url.path
        self._next = http.client.HTTPConnection(url.netloc, timeout=_PATIENCE_SECONDS)

    def finish(self) -> None:
        """Let the next service go with the client."""
        self._next.close()
        super().finish()

    def do_GET(self) -> None:
        """Answer as the item asks for."""
        behaviour = self._behaviour
        item = self.path.rpartition("/")[2]
        if item == behaviour.hang_up:
            self.close_connection = True
            return
        if item == behaviour.slow:
            time.sleep(SLOW_SECONDS)
        if item == behaviour.fail:
            self._answer(500)
        elif behaviour.next_service:
            self._answer(self._ask_next(item))
        else:
            self._answer(200)

    def _ask_next(self, item: str) -> int:
        request_id = self.headers.get("X-Request-Id")
        headers = {"X-Request-Id": request_id} if request_id else {}
        try:
            self._next.request("GET", self._prefix + item, headers=headers)
            response = self._next.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            self._next.close()
            return 502
        return response.status

    def _answer(self, status: int) -> None:
        body = f"{status}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay silent: what happens is for the proxy to tell."""


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--next", default="", dest="next_service")
    for quirk in ("--slow", "--fail", "--hang-up"):
        parser.add_argument(quirk, default="")
    options = vars(parser.parse_args())
    Service(("", options.pop("port")), Behaviour(**options)).serve_forever()


if __name__ == "__main__":
    main()
