"""The way from a started connect to a transport, and who has to close the socket on it.

Belongs here: waiting for the connect, handing the socket to the loop, closing it when nobody wants it any more.
Does not belong here: where to connect to (`dial`), what is then sent (`connection`).

    dialled, ours  ->  handed over: the loop closes it, whatever happens
"""

import asyncio
import socket
from typing import Final, Protocol

from netra_node.core.addresses import ClientAddr, OriginalDst
from netra_node.proxy.dial import Dialer, Dialled, is_connected
from netra_node.proxy.tasks import spawn

#: Name of the task; one for all, as it lives for microseconds.
_TASK: Final = "adopt upstream"


class Owner(Protocol):
    """Whoever wants the upstream connection. One of the last two is called, once; none where `close` came in time."""

    def upstream_protocol(self) -> asyncio.Protocol:
        """Return whom the loop tells what happens on the socket; it may begin shortly before `upstream_made`."""

    def upstream_made(self, up: asyncio.Transport) -> None:
        """Take the transport over; also when `close` came too late, and then to end it."""

    def dial_failed(self, error: Exception) -> None:
        """Take note that there will be no transport. Anything but an OSError is a fault of ours."""


class Opening:
    """One upstream socket from its dial to its end. Does not keep its owner, who keeps it."""

    __slots__ = ("_closed", "_dialer", "_dialled", "_handed_over")

    def __init__(self, dialer: Dialer) -> None:
        """Do nothing yet; `begin` does."""
        self._dialer = dialer
        self._dialled: Dialled | None = None
        self._handed_over = False
        self._closed = False

    @property
    def sock(self) -> socket.socket:
        """The socket, once dialled; for looking, never for reading or writing."""
        assert self._dialled is not None  # noqa: S101 - asked only about an upstream that answered
        return self._dialled.sock

    def begin(self, client: ClientAddr, destination: OriginalDst, owner: Owner) -> None:
        """Dial. Where that fails at once, so does `dial_failed` come at once."""
        try:
            self._dialled = self._dialer.dial(client, destination)
        except Exception as error:  # noqa: BLE001 - the owner tells apart whose fault it is
            owner.dial_failed(error)
        else:
            self._proceed(self._dialled.sock, owner)

    def _proceed(self, sock: socket.socket, owner: Owner) -> None:
        try:
            connected = is_connected(sock)
        except OSError as error:
            owner.dial_failed(error)
            return
        if connected:
            self._handed_over = True
            _ = spawn(_hand_over(sock, owner), _TASK)
        else:
            asyncio.get_running_loop().add_writer(sock, self._writable, sock, owner)

    def _writable(self, sock: socket.socket, owner: Owner) -> None:
        asyncio.get_running_loop().remove_writer(sock)
        self._proceed(sock, owner)

    def close(self) -> None:
        """Let go: nobody wants it any more, or the loop has closed it. A second time does nothing."""
        if self._dialled is None or self._closed:
            return
        self._closed = True
        self._dialer.release(self._dialled)
        if not self._handed_over:
            sock = self._dialled.sock
            asyncio.get_running_loop().remove_writer(sock)
            sock.close()


async def _hand_over(sock: socket.socket, owner: Owner) -> None:
    """Make the transport. From here on the loop closes the socket."""
    # The owner gets the transport here and not in connection_made: until create_connection returns, uvloop does not
    # know that `sock` has the same descriptor. A transport that ends before is closed without telling `sock`, which
    # then closes the descriptor a second time, when it may be somebody else's.
    try:
        up, _ = await asyncio.get_running_loop().create_connection(
            owner.upstream_protocol, sock=sock
        )
    except Exception as error:  # noqa: BLE001 - as above
        sock.close()
        owner.dial_failed(error)
    else:
        owner.upstream_made(up)
