"""What we ask of an asyncio transport, safe in whatever state it is in.

Belongs here: FIN, RST and the socket below. Does not belong here: when to send which (`connection`).
"""

import asyncio
import contextlib
import socket
from typing import cast

from netra_node.proxy import sockets


def socket_of(transport: asyncio.Transport) -> socket.socket | None:
    """Return what has the transport's socket options, and may have nothing else of a socket; None: the transport is gone."""
    return cast("socket.socket | None", transport.get_extra_info("socket"))


def send_fin(transport: asyncio.Transport) -> None:
    """Send FIN after what was written before; nothing where the transport is closing and so does that anyway."""
    if not transport.is_closing():
        with contextlib.suppress(OSError):  # reset by its peer already: connection_lost will say so
            transport.write_eof()


def cork(transport: asyncio.Transport) -> None:
    """Let what is written next wait for the FIN that is sent right after it, so that they leave in one packet."""
    sock = socket_of(transport)
    if sock is not None:
        with contextlib.suppress(OSError, ValueError):
            sockets.cork(sock)


def was_reset(transport: asyncio.Transport) -> bool:
    """Tell whether the peer has reset the connection; the loop notices that only while it reads or writes."""
    sock = socket_of(transport)
    return sock is not None and not transport.is_closing() and sockets.was_reset(sock)


def has_unsent(transport: asyncio.Transport) -> bool:
    """Tell whether the peer has not acknowledged everything yet that was written."""
    sock = socket_of(transport)
    if sock is None or transport.is_closing():
        return False
    with contextlib.suppress(OSError, ValueError):  # gone already, as in `reset`
        return transport.get_write_buffer_size() > 0 or sockets.unacknowledged(sock) > 0
    return False


def reset(transport: asyncio.Transport) -> None:
    """End with RST instead of FIN, now: what was not sent yet is lost."""
    sock = socket_of(transport)
    if sock is not None:
        # gone already: uvloop says so by None, or, where it was asked before, by a descriptor of -1, which is a ValueError
        with contextlib.suppress(OSError, ValueError):
            sockets.reset_on_close(sock)
    transport.abort()
