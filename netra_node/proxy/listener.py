"""Accepting on sockets that somebody else made, and ending what was accepted.

Belongs here: the connections of one pod as a whole: accept, pause, count, drain, cut. Does not belong here: one connection.

The loop gets duplicates of the listening sockets. It cannot be told to let a socket be for a while, but it can be told to close its
duplicate: the socket itself listens on, and what the kernel queues there is accepted through the next duplicate.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from netra_node.proxy import sockets
from netra_node.proxy.connection import Connection, Route
from netra_node.proxy.downstream import Downstream
from netra_node.proxy.tasks import spawn

#: Connections ended in one turn of the loop: at 4 µs each and as much in the kernel, half a millisecond.
_TURN: Final = 64


class _Open(set[Connection]):
    """Connections that are open now. Tells how many whenever that changes."""

    __slots__ = ("_counted",)

    def __init__(self, counted: Callable[[int], None]) -> None:
        super().__init__()
        self._counted = counted

    def add(self, connection: Connection) -> None:
        super().add(connection)
        self._counted(len(self))

    def discard(self, connection: object) -> None:
        super().discard(connection)
        self._counted(len(self))


class _Accepting:
    """Makes the protocol of each connection that one socket accepts."""

    __slots__ = ("_backlog", "_open", "_server", "_sock", "route")

    def __init__(
        self, sock: socket.socket, backlog: int, route: Route, opened: set[Connection]
    ) -> None:
        self.route = route
        self._sock = sock
        self._backlog = backlog
        self._open = opened
        self._server: asyncio.Server | None = None

    def __call__(self) -> Downstream:
        return Downstream(self.route, self._open)

    async def resume(self) -> None:
        """Accept. Raises OSError (EMFILE)."""
        if self._server is None:
            self._server = await asyncio.get_running_loop().create_server(
                self, sock=self._sock.dup(), backlog=self._backlog
            )

    def pause(self) -> None:
        """Leave connections in the kernel's queue; what the loop has taken from there goes its way."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def close(self) -> None:
        """Stop accepting, for good; what is in the queue is reset."""
        self.pause()
        self._sock.close()


def _count_nothing(_number: int) -> None:
    pass


class Listeners:
    """The listening sockets of one pod with their connections."""

    def __init__(self, counted: Callable[[int], None] = _count_nothing) -> None:
        """Start without any. `counted` is told how many connections are open, whenever one has come or ended."""
        self._accepting: list[_Accepting] = []
        self._paused = False
        #: Connections that are open now.
        self.open: set[Connection] = _Open(counted)

    async def serve(self, sock: socket.socket, route: Route, backlog: int) -> None:
        """Accept on `sock`, a bound stream socket, for `route`; takes the socket over. Raises OSError."""
        # what it accepts inherits that: five system calls less for each, and no loop does it for all sockets
        sockets.keep_alive(sock)
        sockets.no_delay(sock)
        accepting = _Accepting(sock, backlog, route, self.open)
        self._accepting.append(accepting)
        if not self._paused:
            await accepting.resume()

    def pause(self) -> None:
        """Accept nothing until `resume`; what connects meanwhile waits in the kernel's queue."""
        self._paused = True
        for accepting in self._accepting:
            accepting.pause()

    def resume(self) -> None:
        """Accept again, first what has waited. Where that fails for want of descriptors, it is paused as before."""
        if self._paused:
            self._paused = False
            _ = spawn(self._resume(), "resume accepting")

    async def _resume(self) -> None:
        try:
            for accepting in tuple(self._accepting):
                await accepting.resume()
        except OSError:
            self._paused = True
        if self._paused:  # or meanwhile again
            self.pause()

    def reroute(self, change: Callable[[Route], Route]) -> None:
        """Treat connections accepted from now on differently; those that are open keep their route."""
        for accepting in self._accepting:
            accepting.route = change(accepting.route)

    def drain(self) -> None:
        """Let exchanges under way end and close their connections; idle ones close now, some in each turn of the loop."""
        self._drain_some(list(self.open))

    def _drain_some(self, left: list[Connection]) -> None:
        for connection in left[-_TURN:]:
            connection.drain()
        del left[-_TURN:]
        if left:
            asyncio.get_running_loop().call_soon(self._drain_some, left)

    async def cut(self) -> None:
        """Reset what is left, as many in each turn of the loop."""
        left = list(self.open)
        while left:
            for connection in left[-_TURN:]:
                connection.cut()
            del left[-_TURN:]
            await asyncio.sleep(0)

    def close(self) -> None:
        """Stop accepting."""
        for accepting in self._accepting:
            accepting.close()
        self._accepting.clear()
