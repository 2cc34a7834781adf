"""Opening the upstream side of an intercepted connection, without blocking and without waiting.

Belongs here: from which address and port to which address an upstream socket connects. Does not belong here: waiting
for a connect that is under way, and everything after it (`connection`).
"""

import errno
import itertools
import os
import select
import socket
from dataclasses import dataclass
from typing import Final, Protocol

from netra_node.core.addresses import ClientAddr, OriginalDst
from netra_node.proxy import sockets
from netra_node.proxy.sockets import SocketFactory

#: Source ports of the fallback: below Linux' default ephemeral range, so that no client is likely to hold one.
_LOW_PORTS: Final = range(1024, 32768)
_ATTEMPTS: Final = 16
#: Ports looked at for one that we do not hold ourselves, so that a full table does not hold the loop.
_LOOKED_AT: Final = 1024
#: What makes the exact source port unusable; anything else is the application's own answer. EACCES: it is a privileged one
#: (below 1024, as a rule), and we lack CAP_NET_BIND_SERVICE.
_CLASHES: Final = frozenset(
    {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ECONNREFUSED, errno.EACCES}
)
_TAKEN: Final = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})


@dataclass(slots=True)
class Dialled:
    """A socket whose connect was started, and the source port it took from the fallback's table, if it did."""

    sock: socket.socket
    claim: tuple[str, OriginalDst, int] | None = None


class Dialer(Protocol):
    """Opens upstream sockets of one direction of one pod."""

    def dial(self, client: ClientAddr, destination: OriginalDst) -> Dialled:
        """Start a connect; OSError when the kernel refuses at once."""

    def release(self, dialled: Dialled) -> None:
        """Take note that the socket is closed."""


def is_connected(sock: socket.socket) -> bool:
    """Tell whether a connect that was started is complete; OSError when it failed."""
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    if not poll.poll(0):
        return False
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    return True


def _start(sock: socket.socket, target: tuple[str, int]) -> None:
    code = sock.connect_ex(target)
    if code not in (0, errno.EINPROGRESS):
        raise OSError(code, os.strerror(code))


class OutboundDialer:
    """Dials where the application wanted to go, from its own namespace, marked so that our rules let it pass."""

    def __init__(self, factory: SocketFactory, mark: int) -> None:
        """`mark`: the fwmark that the rule set exempts."""
        self._factory = factory
        self._mark = mark

    def dial(self, client: ClientAddr, destination: OriginalDst) -> Dialled:
        """See `Dialer`. The client's port is in use by the connection we accepted: the kernel chooses another."""
        sock = self._factory.tcp(sockets.family_of(destination.host))
        try:
            sockets.mark(sock, self._mark)
            sockets.no_delay(sock)
            sockets.keep_alive(sock)
            _start(sock, destination)
        except OSError:
            sock.close()
            raise
        return Dialled(sock)

    def release(self, dialled: Dialled) -> None:
        """See `Dialer`. Nothing was claimed."""


class InboundDialer:
    """Dials the pod's application in its own namespace as the client: same address, same port.

    The target is an AnyIP address (a local route makes the kernel deliver it) instead of the pod's own, so that the
    4-tuple differs from the client's own connection and can never clash with it (`integration.md` §2). A connection that
    was redirected has such an address in the place of the pod's already: then the target is the pod's own.
    """

    def __init__(self, factory: SocketFactory, mark: int, any_ip: tuple[str, str] | None) -> None:
        """`mark`: the fwmark whose replies are routed back to us; `any_ip`: IPv4 and IPv6 AnyIP address.

        Without `any_ip` the destination itself is dialled: for redirected connections.
        """
        self._factory = factory
        self._mark = mark
        self._any_ip = any_ip
        self._turn = itertools.count()
        self._claimed: set[tuple[str, OriginalDst, int]] = set()

    def dial(self, client: ClientAddr, destination: OriginalDst) -> Dialled:
        """See `Dialer`. Falls back to the pod's own address where the exact port or the AnyIP address is refused."""
        try:
            return Dialled(self._connect(client, self._target(destination))[0])
        except OSError as error:
            if error.errno not in _CLASHES:
                raise
        return self._fall_back(client, destination)

    def _target(self, destination: OriginalDst) -> tuple[str, int]:
        if self._any_ip is None:
            return destination
        v6 = sockets.family_of(destination.host) == socket.AF_INET6
        return self._any_ip[v6], destination.port

    def release(self, dialled: Dialled) -> None:
        """See `Dialer`. The fallback's source port may be used again."""
        if dialled.claim is not None:
            self._claimed.discard(dialled.claim)

    def _connect(self, source: ClientAddr, target: tuple[str, int]) -> tuple[socket.socket, bool]:
        """Return a socket connecting to `target`, and whether it is connected.

        Within one namespace a connect is complete when it returns: what is refused is refused here, and what is not
        complete waits for the application's accept queue.
        """
        sock = self._factory.tcp(sockets.family_of(target[0]))
        try:
            sockets.mark(sock, self._mark)
            sockets.no_delay(sock)
            # no keep-alive: the application is on this kernel and cannot vanish without a word
            sockets.speak_for(sock, source)
            _start(sock, target)
            return sock, is_connected(sock)
        except OSError:
            sock.close()
            raise

    def _fall_back(self, client: ClientAddr, destination: OriginalDst) -> Dialled:
        for left in reversed(range(_ATTEMPTS)):
            claim = self._claim(client.host, destination)
            try:
                sock, connected = self._connect(ClientAddr(client.host, claim[2]), destination)
            except OSError as error:
                self._claimed.discard(claim)
                if error.errno in _TAKEN:
                    continue
                raise
            # Silence means that the client itself holds this port: take the next. Silence on all of them means that the
            # application's accept queue is full: then wait for it, as the client would have done.
            if connected or not left:
                return Dialled(sock, claim)
            sock.close()
            self._claimed.discard(claim)
        raise OSError(errno.EADDRNOTAVAIL, "no source port towards the application is free")

    def _claim(self, host: str, destination: OriginalDst) -> tuple[str, OriginalDst, int]:
        """Take the next source port that we do not hold already."""
        for turn in itertools.islice(self._turn, _LOOKED_AT):
            claim = (host, destination, _LOW_PORTS[turn % len(_LOW_PORTS)])
            if claim not in self._claimed:
                self._claimed.add(claim)
                return claim
        raise OSError(errno.EADDRNOTAVAIL, "every source port towards the application is in use")
