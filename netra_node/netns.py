"""Network namespaces: open one, know which one it is, run a function inside it, make sockets in it.

Belongs here: everything that enters a namespace; this is the only door to `pyroute2.netns`. Does not belong here: rules
(`interception`), pods (`workload`), making namespaces (`testbed`).

A namespace belongs to a *thread*, a socket for ever to the namespace it was made in. So the daemon stays at home and visits:
enter, make a socket, come back, and from then on the home loop serves that socket. A visit is synchronous: an await or a
thread started inside would carry somebody else's code into the pod.
"""

import contextlib
import errno
import fcntl
import functools
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, NamedTuple, NoReturn, Self, TypeVar

import pyroute2.netns
from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
from pyroute2.netlink.rtnl import RTM_GETADDR

T = TypeVar("T")
Die = Callable[[str], NoReturn]

#: This thread's own namespace; `/proc/self` would be the main thread's, also when another one asks.
_HERE: Final = "/proc/thread-self/ns/net"
_INIT: Final = "/proc/1/ns/net"

# linux/nsfs.h: _IO(0xb7, 3), and the answer for a network namespace (linux/sched.h).
_NS_GET_NSTYPE: Final = 0xB703
_CLONE_NEWNET: Final = 0x40000000
# asm-generic/socket.h, Linux 5.14.
_SO_NETNS_COOKIE: Final = 71
# linux/in.h and linux/in6.h; the socket module lacks the second.
_IP_TRANSPARENT: Final = 19
_IPV6_TRANSPARENT: Final = 75
# linux/rtnetlink.h: addresses that mean only this namespace itself (127.0.0.1, ::1).
_RT_SCOPE_HOST: Final = 254
# linux/netlink.h: the first two fields of `struct nlmsghdr`; linux/if_addr.h; linux/rtnetlink.h.
_HEADER: Final = struct.Struct("=IH")
_HEADER_LENGTH: Final = 16
_IFADDRMSG: Final = struct.Struct("=BBBBI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_IFA_ADDRESS, _IFA_LOCAL = 1, 2

_STREAM: Final = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_DATAGRAM: Final = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK

#: Upstream sockets made in one visit: there and back takes 9 µs, a tenth of what a new connection costs.
STOCK: Final = 8


class NamespaceGoneError(OSError):
    """There is no network namespace at this path: never was, not yet (the name comes before the mount), or no longer."""


class AddressMissingError(OSError):
    """The namespace lacks the address or its whole family, as one without IPv6 lacks `::1`: such a listener is skipped."""


class NamespaceId(NamedTuple):
    """Which namespace it is. Two are the same exactly when all three numbers are.

    `cookie` is never reused, but 0 below Linux 5.14; `(device, inode)` is reused as soon as nobody holds the namespace.
    """

    cookie: int
    device: int
    inode: int


class Namespace:
    """An open network namespace. While it is open, or any socket made inside, the kernel keeps the namespace alive."""

    def __init__(self, path: str, descriptor: int, home: int, die: Die) -> None:
        """Own the descriptors of a namespace and of the one to come back to; `open` makes both."""
        self.path = path
        self._descriptor = descriptor
        self._home = home
        self._die = die
        self._at_close: list[Callable[[], None]] = []
        # A visit in a worker thread cannot be cancelled; whoever gave it up may close what it needs to come back.
        self._visit = threading.Lock()
        self.identity = self._identify()

    @classmethod
    def open(cls, path: str) -> Self:
        """Open the namespace at `path`, and enter it once to learn its identity and that we may.

        Raises NamespaceGoneError where there is none, PermissionError without CAP_SYS_ADMIN, OSError otherwise.
        """
        with contextlib.ExitStack() as undo:
            descriptor = _open(path)
            undo.callback(os.close, descriptor)
            home = _open(_HERE)
            undo.callback(os.close, home)
            namespace = cls(path, descriptor, home, _die)
            undo.pop_all()
        return namespace

    def run(self, function: Callable[[], T]) -> T:
        """Call `function` inside the namespace, on this thread, and come back.

        `function` must neither await nor start a thread nor visit another namespace.
        Raises what `function` raises, and OSError when the namespace cannot be entered.
        """
        with self._visit:
            # flags=0: by default pyroute2 would *make* a namespace it does not find.
            pyroute2.netns.setns(self._descriptor, flags=0)
            try:
                return function()
            finally:
                self._come_back()

    def _come_back(self) -> None:
        try:
            pyroute2.netns.setns(self._home, flags=0)
        except BaseException as reason:  # noqa: BLE001 - nothing at all may escape here
            # This thread is now inside one pod, and would bind the admin port, dial for other pods and install the next
            # pod's rules there. No exception handler can be trusted with that. Dying is safe: the kernel takes our rules
            # away with us and new connections go direct.
            self._die(f"cannot come back from network namespace {self.path}: {reason}")

    def _identify(self) -> NamespaceId:
        status = os.fstat(self._descriptor)
        return NamespaceId(self.run(_cookie), status.st_dev, status.st_ino)

    def fileno(self) -> int:
        """Return the descriptor, for handing the namespace to the kernel in a message; it stays this object's."""
        return self._descriptor

    def at_close(self, function: Callable[[], None]) -> None:
        """Have `function` called by `close`: it lets go of what would keep the namespace alive."""
        self._at_close.append(function)

    def close(self) -> None:
        """Let go of the namespace; a second time does nothing."""
        while self._at_close:
            self._at_close.pop()()
        with self._visit:
            for descriptor in {self._descriptor, self._home} - {-1}:
                os.close(descriptor)
            self._descriptor = self._home = -1

    def __enter__(self) -> Self:
        """Return itself: `with Namespace.open(path) as namespace:`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


class InPodSockets:
    """Makes sockets inside one namespace for code that does not know there are namespaces."""

    def __init__(self, namespace: Namespace) -> None:
        """`namespace` stays the caller's to close; what is kept in stock here ends with it."""
        self._run = namespace.run
        self._stock: dict[int, list[socket.socket]] = {socket.AF_INET: [], socket.AF_INET6: []}
        namespace.at_close(self._clear)

    def tcp(self, family: socket.AddressFamily) -> socket.socket:
        """Return a new TCP socket, non-blocking and close-on-exec (as every socket of Python's is). Raises OSError."""
        stock = self._stock[family]
        if not stock:
            self._run(functools.partial(_fill, stock, family))
        return stock.pop()

    def udp(self, family: socket.AddressFamily) -> socket.socket:
        """Return a new UDP socket, non-blocking and close-on-exec. Raises OSError."""
        return self._run(lambda: socket.socket(family, _DATAGRAM))

    def _clear(self) -> None:
        for stock in self._stock.values():
            while stock:
                stock.pop().close()

    def listener(
        self, address: str, port: int, *, transparent: bool, backlog: int
    ) -> socket.socket:
        """Return a non-blocking socket that listens on `address`, an IPv4 or IPv6 literal; `port` 0 lets the kernel choose.

        `transparent` sockets accept connections to addresses that are not theirs, which is what TPROXY delivers.
        Raises AddressMissingError where the namespace lacks the address, OSError otherwise (EADDRINUSE: port taken).
        """
        return self._run(lambda: _listener(address, port, backlog, transparent=transparent))


def _fill(stock: list[socket.socket], family: int) -> None:
    try:
        stock.extend(socket.socket(family, _STREAM) for _ in range(STOCK))
    except OSError:  # no more descriptors: what there is serves
        if not stock:
            raise


def home() -> NamespaceId:
    """Return the identity of the calling thread's own namespace."""
    status = os.stat(_HERE)  # noqa: PTH116 - one system call, no object
    return NamespaceId(_cookie(), status.st_dev, status.st_ino)


def off_limits() -> frozenset[NamespaceId]:
    """Return the namespaces in which nothing may ever be captured: our own, and the host's where PID 1 shows it.

    In a container without the host's PIDs, PID 1 is our own; where it may not be looked at, our own has to do: the daemon is
    meant to run on the host's network.
    """
    try:
        with Namespace.open(_INIT) as init:
            return frozenset({home(), init.identity})
    except OSError:
        return frozenset({home()})


def gone(path: str, identity: NamespaceId) -> bool:
    """Tell whether `path` no longer leads to the namespace `identity`: unlinked, unmounted, or another one by now.

    The caller still holds the namespace open, or a socket in it; so its inode number cannot have been given to another,
    and one `stat` (2 µs) proves it. Raises OSError when the path cannot be looked at for another reason.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - one system call, no object
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return True
    return (status.st_dev, status.st_ino) != (identity.device, identity.inode)


def addresses(namespace: Namespace) -> tuple[str, ...]:
    """Return the IP addresses inside `namespace` in their canonical form. Raises OSError.

    Loopback's are left out, and IPv6's link-local ones, which another pod may have as well.
    """
    return namespace.run(_dump_addresses)


def _open(path: str) -> int:
    """Return a descriptor of the network namespace at `path`; O_NONBLOCK, for a FIFO there would hold us until written to."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError) as reason:
        raise NamespaceGoneError(reason.errno, "no such network namespace", path) from reason
    if not _is_network_namespace(descriptor):
        os.close(descriptor)
        raise NamespaceGoneError(errno.EINVAL, "not a network namespace", path)
    return descriptor


def _is_network_namespace(descriptor: int) -> bool:
    # Stricter than nsfs's magic number in fstatfs: a mount namespace is nsfs too. Linux 4.11.
    try:
        return fcntl.ioctl(descriptor, _NS_GET_NSTYPE) == _CLONE_NEWNET
    except OSError:
        return False


def _cookie() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            raw = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
        except OSError:
            return 0
    return int.from_bytes(raw, sys.byteorder)


def _listener(address: str, port: int, backlog: int, *, transparent: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.socket(family, _STREAM)
        try:
            _prepare(listener, transparent=transparent)
            listener.bind((address, port))
            listener.listen(backlog)
        except OSError:
            listener.close()
            raise
    except OSError as reason:
        raise _missing(reason, address) from reason
    return listener


def _prepare(listener: socket.socket, *, transparent: bool) -> None:
    # Without it a restart could not bind while connections of the last life are in TIME_WAIT.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        # The IPv4 address has a listener of its own on the same port.
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if transparent:
            listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
    elif transparent:
        listener.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)


def _missing(reason: OSError, address: str) -> OSError:
    """EADDRNOTAVAIL: IPv6 switched off by sysctl, or loopback down. EAFNOSUPPORT: a kernel without IPv6."""
    if reason.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return AddressMissingError(reason.errno, reason.strerror, address)
    return reason


def _dump_addresses() -> tuple[str, ...]:
    """Ask rtnetlink for every address: 0.1 ms. pyroute2's own I/O wants an event loop of its own, its decoder 0.5 ms.

    Family by family: asked for all at once, Linux takes the lock that whoever makes other pods' interfaces holds, here up to
    120 ms in a burst of thirty; for one family it needs none (6.9).
    """
    found: dict[str, None] = {}  # a kernel without IPv6 answers a question about it with all it has
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as rtnl:
        for family in (socket.AF_INET, socket.AF_INET6):
            # Attribute-free `struct ifaddrmsg` behind `struct nlmsghdr`: every interface.
            body = _IFADDRMSG.pack(family, 0, 0, 0, 0)
            flags = NLM_F_REQUEST | NLM_F_DUMP
            rtnl.send(struct.pack("=IHHII", 16 + len(body), RTM_GETADDR, flags, 1, 0) + body)
            while _take_addresses(rtnl.recv(1 << 16), found):
                pass
    return tuple(found)


def _take_addresses(datagram: bytes, found: dict[str, None]) -> bool:
    """Add the addresses of one datagram of the dump to `found`; tell whether more will come."""
    position = 0
    while position < len(datagram):
        length, kind = _HEADER.unpack_from(datagram, position)
        message = datagram[position + _HEADER_LENGTH : position + length]
        if kind == NLMSG_ERROR:
            reason = os.strerror(-int.from_bytes(message[:4], sys.byteorder, signed=True))
            raise OSError(errno.EIO, f"the kernel does not list addresses: {reason}")
        if kind == NLMSG_DONE:
            return False
        if address := _address(message):
            found[address] = None
        position += _aligned(length)
    return True


def _address(message: bytes) -> str:
    """Return the address of one `struct ifaddrmsg` and its attributes; empty where it means only this namespace or link."""
    family, _, _, scope, _ = _IFADDRMSG.unpack_from(message)
    if family not in {socket.AF_INET, socket.AF_INET6} or scope == _RT_SCOPE_HOST:
        return ""
    values = dict(_attributes(message, _IFADDRMSG.size))
    # IFA_LOCAL where there is one: on a point-to-point link IFA_ADDRESS is the peer's.
    value = values.get(_IFA_LOCAL) or values.get(_IFA_ADDRESS, b"")
    # fe80::/10
    if family == socket.AF_INET6 and value[:1] == b"\xfe" and value[1] >> 6 == 2:  # noqa: PLR2004
        return ""
    return socket.inet_ntop(family, value) if value else ""


def _attributes(message: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each `struct rtattr` from `position` on."""
    while position < len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, position)
        yield kind, message[position + _ATTRIBUTE.size : position + length]
        position += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _die(last_words: str) -> NoReturn:
    """End the process at once, from any thread, running nothing of ours on the way."""
    os.write(2, f"netra-node: {last_words}; ending\n".encode())
    os._exit(1)
