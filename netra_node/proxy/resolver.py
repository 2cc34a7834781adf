"""Names → addresses, asked for from inside one pod: search list, servers, retries, cache (RFC 1034 §5.3.1, a stub resolver).

Belongs here: whom to ask and how often, what is remembered. Does not belong here: bytes of messages (`core.dns_message`), the
order of candidates (`core.resolv_conf`), who may be reached (`core.targets`).

The servers are the daemon's own (its resolv.conf); the socket is the pod's, marked so that our rules let it pass, so that the
network's policies see the pod ask. Everything is bounded: names remembered, names asked for at once, the time an answer holds.
"""

import asyncio
import contextlib
import secrets
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from netra_node.core import resolv_conf
from netra_node.core.dns_message import Answer, Kind, Verdict, answer, can_be_asked, question
from netra_node.core.resolv_conf import ResolvConf, candidates
from netra_node.proxy import sockets
from netra_node.proxy.sockets import SocketFactory
from netra_node.proxy.tasks import spawn

_PORT: Final = 53
#: Answers are believed for their TTL within these seconds; that there is no such name, for the last.
_LEAST, _MOST, _NEGATIVE = 1, 300, 3
#: Names of one pod that are remembered, and that are asked for at once; routes may be forged, each with a name of its own.
_REMEMBERED: Final = 256
_AT_ONCE: Final = 64
_DATAGRAM: Final = 4096
_LENGTH: Final = struct.Struct("!H")


class UnresolvedError(Exception):
    """There is no address; the message says why. `timed_out`: nobody has answered."""

    def __init__(self, why: str, *, timed_out: bool = False) -> None:
        """Keep it."""
        super().__init__(why)
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True)
class Resolved:
    """Addresses, IPv4 first, and the whole name that has them. None: there is no such name."""

    name: str
    addresses: tuple[str, ...]


class ResolvConfFile:
    """resolv.conf, read again when it has changed. One for the node."""

    def __init__(self, path: Path, port: int = _PORT) -> None:
        """Read nothing yet; `port` is where its servers listen."""
        self._path = path
        self.port = port
        self._seen: tuple[int, int, int] | None = None
        self._conf = ResolvConf()

    def __call__(self) -> ResolvConf:
        """Return what it says now; while it cannot be read, what it said last."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._conf = resolv_conf.parse(self._path.read_text())
                self._seen = seen
        return self._conf


class Resolver:
    """Resolves for one pod."""

    def __init__(
        self,
        factory: SocketFactory,
        mark: int,
        search: tuple[str, ...],
        conf: ResolvConfFile,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`mark`: the fwmark that the rule set exempts; `search`: the pod's domains; `clock` tells seconds."""
        self._factory = factory
        self._mark = mark
        self._search = search
        self._conf = conf
        self._clock = clock
        #: Name → when it is to be asked for again, and what was found.
        self._known: OrderedDict[str, tuple[float, Resolved]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Resolved | UnresolvedError]] = {}

    def known(self, name: str) -> Resolved | None:
        """Return what is remembered of `name`; None: it has to be asked for."""
        until, resolved = self._known.get(name, (0.0, None))
        return resolved if resolved is not None and self._clock() < until else None

    async def resolve(self, name: str) -> Resolved:
        """Ask for the addresses of `name`; who asks for one that is being asked for waits with the others.

        Raises UnresolvedError.
        """
        task = self._asking.get(name)
        if task is None:
            if len(self._asking) >= _AT_ONCE:
                message = "too many names are being asked for"
                raise UnresolvedError(message)
            task = self._asking[name] = spawn(self._look_up(name), "resolve")
            task.add_done_callback(lambda _task: self._asking.pop(name, None))
        # one who no longer waits does not end it for the others
        found = await asyncio.shield(task)
        if isinstance(found, UnresolvedError):
            raise found
        return found

    async def _look_up(self, name: str) -> Resolved | UnresolvedError:
        found, ttl = Resolved("", ()), _NEGATIVE
        for candidate in candidates(name, self._search):
            answers = await asyncio.gather(
                self._ask(candidate, Kind.A), self._ask(candidate, Kind.AAAA)
            )
            said = [one for one in answers if one is not None]
            addresses = tuple(address for one in said for address in one.addresses)
            if addresses:
                ttl = min(one.ttl for one in said if one.addresses)
                found = Resolved(candidate, addresses)
                break
            if len(said) < len(answers):
                # the next candidate may be somebody else's: it is not for want of an answer that it holds
                return UnresolvedError("nobody tells its address", timed_out=True)
        self._remember(name, found, min(max(ttl, _LEAST), _MOST))
        return found

    def _remember(self, name: str, found: Resolved, seconds: int) -> None:
        self._known[name] = (self._clock() + seconds, found)
        self._known.move_to_end(name)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    async def _ask(self, name: str, kind: Kind) -> Answer | None:
        """Ask every server in turn until one knows; None: none does."""
        if not can_be_asked(name):
            return Answer(Verdict.NO_SUCH_NAME)
        conf = self._conf()
        for _ in range(conf.attempts):
            for server in conf.servers:
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(conf.timeout):
                        said = await self._ask_one(server, name, kind)
                    if said.verdict is not Verdict.FAILED:
                        return said
        return None

    async def _ask_one(self, server: str, name: str, kind: Kind) -> Answer:
        """Ask by UDP, and by TCP what does not fit. Raises OSError, TimeoutError (nobody answers)."""
        query = question(secrets.randbits(16), name, kind)
        said = await self._by_datagram(server, query)
        return (
            said if said.verdict is not Verdict.TRUNCATED else await self._by_stream(server, query)
        )

    async def _by_datagram(self, server: str, query: bytes) -> Answer:
        """Connected, the socket takes datagrams of this server only; its port is the kernel's choice, by chance (RFC 5452)."""
        with self._factory.udp(sockets.family_of(server)) as sock:
            sockets.mark(sock, self._mark)
            sock.connect((server, self._conf.port))
            sock.send(query)
            loop = asyncio.get_running_loop()
            while True:
                said = answer(await loop.sock_recv(sock, _DATAGRAM), query)
                if said is not None:
                    return said

    async def _by_stream(self, server: str, query: bytes) -> Answer:
        loop = asyncio.get_running_loop()
        with self._factory.tcp(sockets.family_of(server)) as sock:
            sockets.mark(sock, self._mark)
            await loop.sock_connect(sock, (server, self._conf.port))
            await loop.sock_sendall(sock, _LENGTH.pack(len(query)) + query)
            (length,) = _LENGTH.unpack(await _exactly(sock, _LENGTH.size))
            said = answer(await _exactly(sock, length), query)
        if said is None or said.verdict is Verdict.TRUNCATED:
            message = "an answer that cannot be read"
            raise OSError(message)
        return said


async def _exactly(sock: socket.socket, size: int) -> bytes:
    loop, got = asyncio.get_running_loop(), bytearray()
    while len(got) < size:
        data = await loop.sock_recv(sock, size - len(got))
        if not data:
            message = "the answer ends early"
            raise OSError(message)
        got += data
    return bytes(got)
