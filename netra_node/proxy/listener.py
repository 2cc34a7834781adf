"""Accepting on sockets that somebody else made, and ending what was accepted.

Belongs here: the connections of one pod as a whole: accept, count, drain, cut. Does not belong here: one connection.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from netra_node.proxy import sockets
from netra_node.proxy.connection import Connection, Route
from netra_node.proxy.downstream import Downstream

#: Connections ended in one turn of the loop: at 4 µs each and as much in the kernel, half a millisecond.
_TURN: Final = 64


class _Accepting:
    """Makes the protocol of each connection that one socket accepts."""

    __slots__ = ("_open", "route")

    def __init__(self, route: Route, opened: set[Connection]) -> None:
        self.route = route
        self._open = opened

    def __call__(self) -> Downstream:
        return Downstream(self.route, self._open)


class Listeners:
    """The listening sockets of one pod with their connections."""

    def __init__(self) -> None:
        """Start without any."""
        self._accepting: list[_Accepting] = []
        self._servers: list[asyncio.Server] = []
        #: Connections that are open now.
        self.open: set[Connection] = set()

    async def serve(self, sock: socket.socket, route: Route, backlog: int) -> None:
        """Accept on `sock`, a bound stream socket, for `route`; takes the socket over."""
        # what it accepts inherits that: five system calls less for each, and no loop does it for all sockets
        sockets.keep_alive(sock)
        sockets.no_delay(sock)
        accepting = _Accepting(route, self.open)
        self._accepting.append(accepting)
        self._servers.append(
            await asyncio.get_running_loop().create_server(accepting, sock=sock, backlog=backlog)
        )

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
        for server in self._servers:
            server.close()
        self._servers.clear()
