"""The accepted side of a connection, as the loop sees it.

Belongs here: who connected and where to, and passing the loop's events on. Does not belong here: what is done about them
(`connection`).
"""

import asyncio
from typing import cast

from netra_node.core.addresses import ClientAddr, OriginalDst
from netra_node.core.records import ConnectionRecord, Direction, ResetCause
from netra_node.proxy import sockets
from netra_node.proxy.connection import Connection, Route, now
from netra_node.proxy.faults import tell
from netra_node.proxy.routed import RoutedConnection
from netra_node.proxy.transports import reset, socket_of


class Downstream(asyncio.Protocol):
    """Made by the listener for each connection that it accepts."""

    __slots__ = ("_connection", "_open", "_route")

    def __init__(self, route: Route, opened: set[Connection]) -> None:
        """The connection is in `opened` while it is open."""
        self._route = route
        self._open = opened
        self._connection: Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out who and where to, and dial."""
        # uvloop's transport is no subclass of asyncio.Transport, though it has all of it
        down = cast("asyncio.Transport", transport)
        record = self._record(down)
        if record is None:
            reset(down)
            return
        self._connection = self._new(down, record)
        self._connection.open()

    def _new(self, down: asyncio.Transport, record: ConnectionRecord) -> Connection:
        route = self._route
        if (
            route.routing is None
            or not route.http_ports
            or record.destination.port not in route.http_ports
        ):
            return Connection(route, self._open, down, record)
        return RoutedConnection(route, route.routing, self._open, down, record)

    def _record(self, down: asyncio.Transport) -> ConnectionRecord | None:
        """Return the record of the connection, None where there is nothing to do but to reset it."""
        peer = down.get_extra_info("peername")
        if peer is None:
            return None  # the client reset it while it was in the accept queue
        route = self._route
        destination = _destination(route, down)
        if destination is None:
            tell(route.observer.connection_reset, ResetCause.NO_ORIGINAL_DST)
            return None
        if destination == route.listener:
            tell(route.observer.connection_reset, ResetCause.OWN_LISTENER)
            return None
        return ConnectionRecord(route.direction, ClientAddr(*peer[:2]), destination, now())

    def data_received(self, data: bytes) -> None:
        """Pass bytes of the client on."""
        if self._connection is not None:
            self._connection.client_data(data)

    def eof_received(self) -> bool:
        """Pass FIN on; True keeps our side open for what the server still sends."""
        if self._connection is not None:
            self._connection.client_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on."""
        if self._connection is not None:
            self._connection.client_lost(exc)

    def pause_writing(self) -> None:
        """See `Connection.client_full`."""
        if self._connection is not None:
            self._connection.client_full()

    def resume_writing(self) -> None:
        """See `Connection.client_drained`."""
        if self._connection is not None:
            self._connection.client_drained()


def _destination(route: Route, down: asyncio.Transport) -> OriginalDst | None:
    """Return where the connection was going: TPROXY leaves it as our own name, NAT puts it into conntrack."""
    name = OriginalDst(*down.get_extra_info("sockname")[:2])
    inbound = route.direction is Direction.INBOUND
    if inbound and name != route.listener:
        return name
    sock = socket_of(down)
    try:
        return None if sock is None else sockets.original_destination(sock)
    except OSError:
        # inbound, what is not known to NAT came by itself
        return name if inbound else None
