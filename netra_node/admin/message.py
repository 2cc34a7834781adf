"""The little HTTP/1.1 the admin listeners speak: one request head in, one response head out, as values.

Belongs here: parsing and printing of bytes. Does not belong here: sockets, time, what a path means.
The code is our own because the daemon's memory budget is 45 MiB and aiohttp alone costs 13 of them, while a
scrape, a probe and a look at the state need no more than this.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

LAST_CHUNK = b"0\r\n\r\n"


class BadRequestError(Exception):
    """The bytes are not a request head; `status` is what to answer."""

    def __init__(self, status: HTTPStatus) -> None:
        """Carry the status to answer with."""
        super().__init__(status.phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A request head. `path` and `query` are the target's, as sent; a missing Accept is an empty one."""

    method: str
    path: str
    accept: str = ""
    query: str = ""
    #: HTTP/1.0 knows no chunks: its body ends with the connection.
    chunked: bool = True


@dataclass(frozen=True, slots=True)
class Response:
    """What to answer. `body` is drawn piece by piece: making one piece must take less than a millisecond."""

    body: Iterable[bytes]
    content_type: str = TEXT
    status: HTTPStatus = HTTPStatus.OK


def text(content: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a plain text answer with a final line end."""
    return Response((f"{content}\n".encode(),), TEXT, status)


def parse_head(head: bytes) -> Request:
    """Read a head with its empty line. Raises BadRequestError (RFC 9112 §3: 400, or 505 for another version)."""
    request_line, *fields = head.decode("latin-1").split("\r\n")
    parts = request_line.split(" ")
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004 - method, target, version
        raise BadRequestError(HTTPStatus.BAD_REQUEST)
    method, target, version = parts
    if version not in {"HTTP/1.1", "HTTP/1.0"}:
        raise BadRequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    path, _, query = target.partition("?")
    return Request(method, path, _accept(fields), query, version == "HTTP/1.1")


def _accept(fields: Iterable[str]) -> str:
    """Return all Accept fields as one list (RFC 9110 §5.3 allows them to be joined)."""
    named = (field.partition(":") for field in fields)
    return ",".join(value.strip() for name, _, value in named if name.lower() == "accept")


def response_head(response: Response, *, chunked: bool) -> bytes:
    """Print the status line and fields. Every connection carries one exchange, which keeps the server simple."""
    framing = "Transfer-Encoding: chunked\r\n" if chunked else ""
    # RFC 9110 §15.5.6 demands it
    allow = "Allow: GET, HEAD\r\n" if response.status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    return (
        f"HTTP/1.1 {response.status.value} {response.status.phrase}\r\n"
        f"Content-Type: {response.content_type}\r\n"
        f"{allow}{framing}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    ).encode()


def chunk(piece: bytes) -> bytes:
    """Wrap a non-empty piece as one chunk (RFC 9112 §7.1)."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)
