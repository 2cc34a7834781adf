"""What stands around routed connections in their tests: servers by address, and names that are known or have to be asked for.

async with routed("b", "c") as proxy:
    client = await proxy.client()
    await send(client, get("b"))
    server = await proxy.at("b")
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

from netra_node.core.addresses import ClientAddr, OriginalDst
from netra_node.core.conversation import HttpRules
from netra_node.core.head import HeadParser
from netra_node.core.headers import Declared, HeaderView
from netra_node.core.limits import Limits
from netra_node.core.linking import LinkTable
from netra_node.core.ports import ALL_PORTS
from netra_node.core.propagation import Propagation
from netra_node.core.records import Direction, Exchange
from netra_node.core.route_memory import RouteMemory
from netra_node.core.routed_tracing import RoutedTracing, Routes
from netra_node.core.routing import RouteNames, RouteSource
from netra_node.core.sampling import sampler_from
from netra_node.core.targets import Targets
from netra_node.core.tracing import IdSource, TracingOptions
from netra_node.proxy.dial import Dialled
from netra_node.proxy.resolver import Resolved, UnresolvedError
from netra_node.proxy.routed_opening import Routing
from tests.proxy.support import Proxied, proxied

#: No silence is too long: on a busy machine a client that is about to speak may be silent for 50 ms.
PATIENT = Limits(hold_after_last=10**12, hold_after_first=10**12)
#: Nobody is there, and the kernel says so at once.
REFUSED = "10.9.0.250"
#: Nobody is there, and the kernel has given up waiting.
SILENT = "10.9.0.251"


def get(host: str = "", body: str = "", method: str = "GET") -> bytes:
    """Return a request to Host `a` that is routed to `host`; empty: it has no route."""
    route = f"X-Route: a={host}\r\n" if host else ""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} /{host} HTTP/1.1\r\nHost: a\r\n{route}{length}\r\n{body}".encode()


class SilentTracing(RoutedTracing):
    """Declares nothing, so that bytes in are bytes out."""

    def begin(
        self, direction: Direction, exchange: Exchange, view: HeaderView, now: int
    ) -> list[Declared]:
        super().begin(direction, exchange, view, now)
        return []


def tracing() -> SilentTracing:
    routes = Routes(RouteSource(RouteNames()), RouteMemory(1), lambda: None)
    ids = IdSource(lambda: 1, lambda: 2, lambda: b"new")
    sampler = sampler_from("always_off", 0)
    return SilentTracing(Propagation(()), sampler, LinkTable(1), ids, TracingOptions(b"me"), routes)


class Names:
    """Knows where names are; those of `slow` have to be asked for, and are told when `answer` is called."""

    def __init__(self) -> None:
        self.known_names: dict[str, Resolved] = {}
        self.slow: dict[str, Resolved | Exception] = {}
        self.asked: list[str] = []
        self._answered = asyncio.Event()

    def add(self, name: str, *addresses: str) -> None:
        self.known_names[name] = Resolved(f"{name}.ns.", addresses)

    def known(self, name: str) -> Resolved | None:
        return self.known_names.get(name)

    async def resolve(self, name: str) -> Resolved:
        self.asked.append(name)
        await self._answered.wait()
        found = self.slow.get(name, UnresolvedError("nowhere"))
        if isinstance(found, Exception):
            raise found
        return found

    def answer(self) -> None:
        self._answered.set()


class Addresses:
    """Dials a loopback listener for each address; all others are the original destination."""

    def __init__(self, origin: tuple[str, int]) -> None:
        self.origin = origin
        self.listeners: dict[str, socket.socket] = {}
        self.dialled: list[OriginalDst] = []
        self.open: list[Dialled] = []

    def dial(self, client: ClientAddr, destination: OriginalDst) -> Dialled:
        self.dialled.append(destination)
        if destination.host == REFUSED:
            raise OSError(errno.ECONNREFUSED, "planted")
        if destination.host == SILENT:
            raise OSError(errno.ETIMEDOUT, "planted")
        listener = self.listeners.get(destination.host)
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        code = sock.connect_ex(self.origin if listener is None else listener.getsockname())
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            raise OSError(code, os.strerror(code))
        self.open.append(Dialled(sock))
        return self.open[-1]

    def release(self, dialled: Dialled) -> None:
        self.open.remove(dialled)  # a second time is an error


class Routed:
    """A proxy whose requests may go to servers by name."""

    def __init__(self, proxy: Proxied, addresses: Addresses, names: Names, made: Routing) -> None:
        self.proxy = proxy
        self.addresses = addresses
        self.names = names
        self.routes = made.tracing.routes
        self.client = proxy.client
        self.origin = proxy.server
        self.ended = proxy.ended
        self.observer = proxy.observer

    async def at(self, name: str) -> socket.socket:
        """Accept what was dialled there."""
        listener = self.addresses.listeners[self.names.known_names[name].addresses[0]]
        server, _ = await asyncio.get_running_loop().sock_accept(listener)
        server.setblocking(False)
        return self.proxy._keep(server)

    def hosts(self) -> list[str]:
        """Return where it was dialled to, in order; `-` is the original destination."""
        name = {
            address: name
            for name, known in self.names.known_names.items()
            for address in known.addresses[:1]
        }
        return [name.get(dialled.host, "-") for dialled in self.addresses.dialled]


@contextlib.asynccontextmanager
async def routed(
    *names: str,
    targets: Targets | None = None,
    limits: Limits = PATIENT,
    idle: float = 9.0,
    **different: Any,
) -> AsyncIterator[Routed]:
    """Proxy with servers of these names. Nothing may be left open at its end."""
    known = Names()
    read = tracing()
    made = Routing(read, targets or Targets(), known, idle)  # type: ignore[arg-type]
    addresses = Addresses(("127.0.0.1", 1))
    parts = {
        "dialer": addresses,
        "http_ports": ALL_PORTS,
        "routing": made,
        "rules": HttpRules(HeadParser(read.fields, read.rare), read, limits),
    }
    with contextlib.ExitStack() as stack:
        for number, name in enumerate(names, 1):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            listener.setblocking(False)
            address = f"10.9.0.{number}"
            addresses.listeners[address] = listener
            known.add(name, address)
        async with proxied(**{**parts, **different}) as proxy:
            addresses.origin = proxy.origin.getsockname()
            yield Routed(proxy, addresses, known, made)
    assert addresses.open == []
