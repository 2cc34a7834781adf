"""A client for requests to one place over one kept connection, on the loop.

Belongs here: bytes of HTTP/1.1, connect, timeouts. Does not belong here: retries, what is sent or asked (`telemetry.export`,
`discovery.kubelet`). It is our own because `requests` costs 7 MB and a thread, and aiohttp 13 MB, of a budget of 45, to send two
kinds of requests.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netra_node.core.addresses import authority

if TYPE_CHECKING:
    import ssl

#: What is read at a time, the longest head, and the longest body where the caller says nothing: a collector's are short.
_PIECE = 65_536


class TransportError(Exception):
    """No answer: the connection could not be made, broke, took too long, or carried something else than HTTP."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask. `path` includes a query if there is one; `tls` is None for plain HTTP."""

    host: str
    port: int
    path: str
    tls: "ssl.SSLContext | None" = None

    @property
    def authority(self) -> str:
        """The Host field (RFC 9110 §7.2), also fit for a log line."""
        return authority(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response. Field names are lower-case; of several of one name the last is kept."""

    status: int
    fields: dict[str, str]
    body: bytes


class Client:
    """Asks one target, one request at a time. A connection is kept between them, and replaced when it turns out dead."""

    __slots__ = ("_fixed", "_limit", "_reader", "_target", "_timeout", "_writer")

    def __init__(
        self,
        target: Target,
        fields: Sequence[tuple[str, str]],
        timeout: float,
        limit: int = _PIECE,
    ) -> None:
        """`fields` are sent with each request; `timeout` in seconds covers one, from connect to the answer's end.

        An answer's body over `limit` bytes is an error.
        """
        lines = [f" {target.path} HTTP/1.1", f"Host: {target.authority}"]
        lines += [f"{name}: {value}" for name, value in fields]
        self._fixed = "\r\n".join(lines)
        self._target = target
        self._timeout = timeout
        self._limit = limit
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    @property
    def authority(self) -> str:
        """Host and port, for a log line."""
        return self._target.authority

    async def post(self, body: bytes, fields: Sequence[tuple[str, str]] = ()) -> Answer:
        """Send `body` with more `fields`; return the final answer. Raises TransportError."""
        return await self._ask("POST", [*fields, ("Content-Length", str(len(body)))], body)

    async def get(self, fields: Sequence[tuple[str, str]] = ()) -> Answer:
        """Ask with more `fields`; return the final answer. Raises TransportError."""
        return await self._ask("GET", fields, b"")

    async def _ask(self, method: str, fields: Sequence[tuple[str, str]], body: bytes) -> Answer:
        more = "".join(f"\r\n{name}: {value}" for name, value in fields)
        head = f"{method}{self._fixed}{more}\r\n\r\n".encode()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._answer(head, body)
        except TimeoutError:
            self.close()
            message = f"no answer within {self._timeout:g} s"
            raise TransportError(message) from None
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            self.close()
            raise TransportError(str(error) or type(error).__name__) from error
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection, whatever happens on it."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _answer(self, head: bytes, body: bytes) -> Answer:
        if self._writer is not None:
            try:
                return await self._exchange(head, body)
            except (OSError, EOFError):
                # The server may have closed an idle connection while our request was on its way (RFC 9112 §9.3.1).
                # A collector that did take it gets it twice: spans have ids, so that is harmless.
                self.close()
        await self._connect()
        return await self._exchange(head, body)

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            self._target.host, self._target.port, ssl=self._target.tls, limit=_PIECE
        )

    async def _exchange(self, head: bytes, body: bytes) -> Answer:
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            raise EOFError
        writer.writelines((head, body))
        await writer.drain()
        answer, keep = await _read_answer(reader, self._limit)
        if not keep:
            self.close()
        return answer


async def _read_answer(reader: asyncio.StreamReader, limit: int) -> tuple[Answer, bool]:
    """Return the final answer and whether the connection can carry another one."""
    while True:
        version, status, fields = _parse_head(await reader.readuntil(b"\r\n\r\n"))
        if status >= 200:  # noqa: PLR2004 - 1xx are interim (RFC 9110 §15.2)
            break
    if status in {204, 304}:
        body, framed = b"", True
    else:
        body, framed = await _read_body(reader, fields, limit)
    keep = framed and version == "HTTP/1.1" and "close" not in fields.get("connection", "").lower()
    return Answer(status, fields, body), keep


def _parse_head(head: bytes) -> tuple[str, int, dict[str, str]]:
    """Read a response head with its empty line. Raises ValueError."""
    status_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    version, _, rest = status_line.partition(" ")
    if not version.startswith("HTTP/1."):
        message = "the answer is not HTTP/1"
        raise ValueError(message)
    pairs = (line.partition(":") for line in lines)
    return version, int(rest[:3]), {name.lower(): value.strip() for name, _, value in pairs}


async def _read_body(
    reader: asyncio.StreamReader, fields: dict[str, str], limit: int
) -> tuple[bytes, bool]:
    """Return the body and whether its end was known without closing (RFC 9112 §6.3)."""
    if "chunked" in fields.get("transfer-encoding", "").lower():
        return await _read_chunks(reader, limit), True
    if "content-length" in fields:
        length = int(fields["content-length"])
        _check_size(length, limit)
        return await reader.readexactly(length), True
    body = bytearray()
    while piece := await reader.read(_PIECE):
        body += piece
        _check_size(len(body), limit)
    return bytes(body), False


async def _read_chunks(reader: asyncio.StreamReader, limit: int) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\n")).partition(b";")[0], 16):
        _check_size(size, limit - len(body))
        body += await reader.readexactly(size)
        await reader.readuntil(b"\n")
    while (await reader.readuntil(b"\n")).strip():
        pass
    return bytes(body)


def _check_size(size: int, limit: int) -> None:
    if not 0 <= size <= limit:
        message = f"an answer of {size} bytes, where {limit} are allowed"
        raise ValueError(message)
