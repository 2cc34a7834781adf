"""A small GET-only HTTP server for one admin listener.

Belongs here: connections, their limits, handing a request to its handler and the answer to the socket.
Does not belong here: what is answered (`pages`), the syntax (`message`), which address (`listener`).

It shares its loop with the pods' traffic, so a body is sent piece by piece with a turn of the loop in between,
and everything a stranger can make it hold is bounded: connections, bytes of a head, time.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

from netra_node.admin.message import (
    LAST_CHUNK,
    BadRequestError,
    Request,
    Response,
    chunk,
    parse_head,
    response_head,
    text,
)

logger = logging.getLogger(__name__)

Handler = Callable[[Request], Response | Awaitable[Response]]

_NOTHING_READ = (asyncio.IncompleteReadError, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class AdminLimits:
    """What one listener may cost."""

    #: At the limit the oldest connection gives way, so idle strangers cannot keep a probe out.
    connections: int = 64
    head_bytes: int = 8192
    head_seconds: float = 5.0
    #: From accept to the last byte taken by the peer.
    exchange_seconds: float = 30.0


class AdminServer:
    """Serves `routes` by exact path and everything else by `fallback`; one exchange per connection."""

    def __init__(
        self,
        routes: Mapping[str, Handler],
        fallback: Handler,
        limits: AdminLimits | None = None,
    ) -> None:
        """Handlers run on the loop and return at once or wait; what takes work belongs into the pieces of the body."""
        self._routes = routes
        self._fallback = fallback
        self._limits = limits or AdminLimits()
        self._server: asyncio.Server | None = None
        # Ordered by age; the tasks are made by asyncio.start_server, one per connection.
        self._open: dict[asyncio.Task[None], None] = {}

    async def start(self, listener: socket.socket) -> None:
        """Serve on a listening socket and own it from here on."""
        self._server = await asyncio.start_server(
            self._connected, sock=listener, limit=self._limits.head_bytes
        )

    async def stop(self) -> None:
        """Close the listener and every connection, whatever they are at."""
        if self._server is None:
            return
        self._server.close()
        open_now = list(self._open)
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio.start_server runs this coroutine as a task of its own.
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._make_room()
        self._open[task] = None
        # With a limit of 0 `drain` waits until the peer took everything: no more than a piece is ever buffered.
        writer.transport.set_write_buffer_limits(high=0)
        try:
            async with asyncio.timeout(self._limits.exchange_seconds):
                await self._exchange(reader, writer)
            writer.close()
        except _NOTHING_READ:
            writer.transport.abort()
        except asyncio.CancelledError:
            # It ends here: a task that was cancelled is an error with a traceback to asyncio's streams (Python 3.11).
            writer.transport.abort()
        except Exception:
            # A page that breaks off half-way must cost neither the daemon nor the next scrape.
            logger.exception("an admin page broke off")
            writer.transport.abort()
        finally:
            del self._open[task]

    def _make_room(self) -> None:
        surplus = len(self._open) - self._limits.connections + 1
        for task in list(self._open)[: max(surplus, 0)]:
            task.cancel()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request, response = await self._answer(reader)
        writer.write(response_head(response, chunked=request.chunked))
        if request.method != "HEAD":
            await _send_body(writer, response.body, chunked=request.chunked)
        await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[Request, Response]:
        try:
            request = parse_head(await self._read_head(reader))
        except BadRequestError as error:
            return Request("GET", "", chunked=False), text(str(error), error.status)
        if request.method not in {"GET", "HEAD"}:
            return request, text("this address only answers GET", HTTPStatus.METHOD_NOT_ALLOWED)
        return request, await self._handle(request)

    async def _read_head(self, reader: asyncio.StreamReader) -> bytes:
        async with asyncio.timeout(self._limits.head_seconds):
            try:
                return await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                raise BadRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from None

    async def _handle(self, request: Request) -> Response:
        try:
            answer = self._routes.get(request.path, self._fallback)(request)
            return answer if isinstance(answer, Response) else await answer
        except Exception:
            logger.exception("admin page %s failed", request.path[:64])
            return text("this page failed; the log says why", HTTPStatus.INTERNAL_SERVER_ERROR)


async def _send_body(
    writer: asyncio.StreamWriter, pieces: Iterable[bytes], *, chunked: bool
) -> None:
    """Send the pieces. One that fails ends the connection without the last chunk: the client knows it is cut short."""
    for piece in pieces:
        if piece:
            writer.write(chunk(piece) if chunked else piece)
            await writer.drain()
        # `drain` only waits when the peer is slow: the pods' traffic gets its turn here.
        await asyncio.sleep(0)
    if chunked:
        writer.write(LAST_CHUNK)
