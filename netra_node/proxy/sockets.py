"""What this package asks of whoever makes its sockets, and the socket options of an intercepted connection.

Belongs here: options of one socket, with the reason for each. Does not belong here: in which namespace a socket is
made (the factory knows), where it connects to (`dial`).
"""

import array
import fcntl
import select
import socket
import struct
import termios
from typing import Final, Protocol

from netra_node.core.addresses import ClientAddr, OriginalDst

# linux/in.h, linux/in6.h, linux/netfilter_ipv4.h, asm-generic/socket.h; the socket module lacks these names
_SO_ORIGINAL_DST: Final = 80
_IP_TRANSPARENT: Final = 19
_IPV6_TRANSPARENT: Final = 75

_RESET: Final = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds

_PEEK: Final = socket.MSG_PEEK | socket.MSG_DONTWAIT

_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class SocketFactory(Protocol):
    """Makes sockets where the pod is."""

    def tcp(self, family: socket.AddressFamily) -> socket.socket:
        """Return a new non-blocking, close-on-exec TCP socket of `family`; OSError as the kernel says."""

    def udp(self, family: socket.AddressFamily) -> socket.socket:
        """Return the same for UDP."""


def family_of(host: str) -> socket.AddressFamily:
    """Return the address family of an address in text form."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def original_destination(sock: socket.socket) -> OriginalDst:
    """Return where a REDIRECTed connection was going (linux/netfilter_ipv4.h, SO_ORIGINAL_DST).

    Raises OSError ENOENT when conntrack does not know the connection (any more).
    """
    if sock.family == socket.AF_INET:
        raw = sock.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)  # struct sockaddr_in
        host = socket.inet_ntop(socket.AF_INET, raw[4:8])
    else:
        raw = sock.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, 28)  # struct sockaddr_in6
        host = socket.inet_ntop(socket.AF_INET6, raw[8:24])
    return OriginalDst(host, int.from_bytes(raw[2:4], "big"))


def keep_alive(sock: socket.socket) -> None:
    """Have the kernel find out about a peer that vanished: after 60 s of silence, 3 probes 10 s apart."""
    for level, option, value in _KEEPALIVE:
        sock.setsockopt(level, option, value)


def no_delay(sock: socket.socket) -> None:
    """Send what is written at once: whether to wait for more is the peers' decision, not ours."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def mark(sock: socket.socket, value: int) -> None:
    """Mark what this socket sends, so that our own rules let it pass (needs CAP_NET_ADMIN)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, value)


def cork(sock: socket.socket) -> None:
    """Hold back a partial segment until the FIN that follows at once, so that both leave in one packet."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)


def fin_has_come(sock: socket.socket) -> bool:
    """Tell whether the peer has sent FIN and all before it was read. Costs 1.5 µs.

    poll is asked first, for it only looks. The kernel tells of a reset once, also to who peeks, and the next to read would
    take it for FIN.
    """
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return any(not events & select.POLLERR for _, events in poll.poll(0)) and not sock.recv(
        1, _PEEK
    )


def was_reset(sock: socket.socket) -> bool:
    """Tell whether the connection has failed (RST, or nobody answers keepalive), without taking the error away."""
    poll = select.poll()
    poll.register(sock, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def unacknowledged(sock: socket.socket) -> int:
    """Return how many bytes the kernel still keeps because the peer has not acknowledged them (SIOCOUTQ)."""
    queued = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, queued)
    return queued[0]


def speak_for(sock: socket.socket, client: ClientAddr) -> None:
    """Bind `sock` to the client's own address and port, an address that is not ours (IP_TRANSPARENT).

    SO_REUSEADDR: the client may use the port for several connections, to different ports of the pod. Raises OSError
    EADDRINUSE where a listener of the pod has that port on the wildcard address.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _set_transparent(sock, on=True)
    sock.bind(client)


def accept_by_nat(listener: socket.socket) -> None:
    """Have a listener that was transparent, to be bound, accept what NAT leads to it.

    A client that uses one port for two ports of the pod arrives twice from the same address and port: NAT then changes the
    second one's port. The kernel has found the first one's socket for it by then, and looks again only where that is not
    transparent (`nf_nat_ipv4_local_in`); else the client would wait for ever.
    """
    _set_transparent(listener, on=False)


def _set_transparent(sock: socket.socket, *, on: bool) -> None:
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, on)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, on)


def reset_on_close(sock: socket.socket) -> None:
    """Make the next close send RST instead of FIN (SO_LINGER with time 0)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
