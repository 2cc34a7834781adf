"""What stands around the proxy in its tests: who is told, who dials, and both peers as raw sockets on loopback.

async with proxied() as proxy:
    client, server = await proxy.pair()
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

from netra_node.core.addresses import ClientAddr, OriginalDst
from netra_node.core.conversation import HttpRules
from netra_node.core.head import HeadParser
from netra_node.core.limits import Limits
from netra_node.core.records import ConnectionRecord, Direction, Exchange, Observer, ResetCause
from netra_node.proxy.connection import Route
from netra_node.proxy.dial import Dialer, Dialled
from netra_node.proxy.listener import Listeners
from netra_node.proxy.sockets import reset_on_close
from tests.core.transcript import FakeTracing

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#: Opaque from the first byte: a TLS record.
TLS = b"\x16\x03\x01\x00\x05hello"

NOBODY = OriginalDst("192.0.2.1", 9)
CLIENT = ClientAddr("192.0.2.7", 4711)


class RecordingObserver:
    """Writes down what it is told, one word and its detail each."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.exchanges: list[Exchange] = []
        self.connections: list[ConnectionRecord] = []

    def connection_opened(self, connection: ConnectionRecord) -> None:
        self.events.append("opened")

    def turned_opaque(self, connection: ConnectionRecord) -> None:
        assert connection.opaque is not None
        self.events.append(f"opaque {connection.opaque.value}")

    def exchange_ended(self, connection: ConnectionRecord, exchange: Exchange) -> None:
        assert exchange.outcome is not None
        assert exchange.end > 0
        self.exchanges.append(exchange)
        self.events.append(f"exchange {exchange.outcome.value}")

    def connection_reset(self, cause: ResetCause) -> None:
        self.events.append(f"reset {cause.value}")

    def connection_ended(self, connection: ConnectionRecord) -> None:
        assert connection.outcome is not None
        assert connection.end >= connection.start
        self.connections.append(connection)
        self.events.append(f"ended {connection.outcome.value}")


class RaisingObserver:
    """Breaks its promise, always."""

    def connection_opened(self, connection: ConnectionRecord) -> None:
        raise LookupError("planted")

    def turned_opaque(self, connection: ConnectionRecord) -> None:
        raise LookupError("planted")

    def exchange_ended(self, connection: ConnectionRecord, exchange: Exchange) -> None:
        raise LookupError("planted")

    def connection_reset(self, cause: ResetCause) -> None:
        raise LookupError("planted")

    def connection_ended(self, connection: ConnectionRecord) -> None:
        raise LookupError("planted")


class LoopbackDialer:
    """Dials one target, whatever was asked for, and counts what was given back."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.dialled: list[tuple[ClientAddr, OriginalDst]] = []
        self.released = 0

    def dial(self, client: ClientAddr, destination: OriginalDst) -> Dialled:
        self.dialled.append((client, destination))
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        code = sock.connect_ex(self.target)
        if code not in (0, 115):
            sock.close()
            raise OSError(code, os.strerror(code))
        return Dialled(sock)

    def release(self, dialled: Dialled) -> None:
        self.released += 1


class FailingDialer:
    """Cannot even begin."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def dial(self, client: ClientAddr, destination: OriginalDst) -> Dialled:
        raise self.error

    def release(self, dialled: Dialled) -> None:
        raise AssertionError("nothing was dialled")


class PendingDialer:
    """Its connect stays under way until `answer`: a connected socket that cannot be written to looks like that."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.sock = socket.create_connection(listener.getsockname())
            self.peer, _ = listener.accept()
        self.sock.setblocking(False)
        self.peer.setblocking(False)
        self.released = 0
        self._filled = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self._filled += self.sock.send(bytes(1 << 16))

    def dial(self, client: ClientAddr, destination: OriginalDst) -> Dialled:
        return Dialled(self.sock)

    def release(self, dialled: Dialled) -> None:
        self.released += 1

    async def answer(self) -> socket.socket:
        """Let the connect be complete; return the server's end."""
        await read(self.peer, self._filled)
        return self.peer

    def close(self) -> None:
        self.peer.close()
        self.sock.close()


class FakeSocket:
    """Takes socket options and remembers their names' numbers."""

    family = socket.AF_INET

    def __init__(self) -> None:
        self.options: list[tuple[int, int]] = []

    def setsockopt(self, level: int, option: int, value: object) -> None:
        self.options.append((level, option))

    def getsockopt(self, level: int, option: int, size: int = 0) -> bytes:
        raise OSError(2, "no such entry")

    def fileno(self) -> int:
        return -1

    @property
    def lingers(self) -> bool:
        return (socket.SOL_SOCKET, socket.SO_LINGER) in self.options


class FakeTransport(asyncio.Transport):
    """Writes down what it is asked for. Ends only by the hand of the test, as a loop ends it later."""

    def __init__(self, peername: object = tuple(CLIENT), sockname: object = tuple(NOBODY)) -> None:
        self.sock = FakeSocket()
        super().__init__({"socket": self.sock, "peername": peername, "sockname": sockname})
        self.calls: list[str] = []
        self.written = b""
        #: What is kept of bytes that the peer does not take.
        self.buffer: int | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert "eof" not in self.calls, "write after write_eof raises under uvloop"
        assert not self.is_closing()
        self.written += bytes(data)

    def write_eof(self) -> None:
        self.calls.append("eof")

    def close(self) -> None:
        if not self.is_closing():
            self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("reset" if self.sock.lingers else "abort")

    def is_closing(self) -> bool:
        return bool({"close", "abort", "reset"} & set(self.calls))

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.buffer = high

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def rules(
    limits: Limits | None = None,
    failure: Exception | None = None,
    tracing: FakeTracing | None = None,
) -> HttpRules:
    """Return rules that declare no header, so that bytes in are bytes out."""
    tracing = tracing or FakeTracing(failure=failure)
    return HttpRules(HeadParser(tracing.fields, tracing.rare), tracing, limits or Limits())


def route(dialer: Dialer, observer: Observer, **different: Any) -> Route:
    """Return an inbound route without peculiarities."""
    parts: dict[str, Any] = {
        "direction": Direction.INBOUND,
        "rules": rules(),
        "http_ports": None,
        "listener": NOBODY,
    }
    return Route(dialer=dialer, observer=observer, **{**parts, **different})


class Proxied:
    """A listener, and both peers in the test's hands: raw sockets, as only those can reset, half-close and wait."""

    def __init__(self, entrance: tuple[str, int], origin: socket.socket) -> None:
        self.entrance = entrance
        self.origin = origin
        self.listeners = Listeners()
        self.observer = RecordingObserver()
        self._peers: list[socket.socket] = []

    async def client(self, *, receive_buffer: int | None = None) -> socket.socket:
        """Connect to the proxy."""
        client = self._keep(socket.socket())
        client.setblocking(False)
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(client, self.entrance)
        return client

    async def server(self) -> socket.socket:
        """Accept what the proxy dialled."""
        async with asyncio.timeout(5):
            server, _ = await asyncio.get_running_loop().sock_accept(self.origin)
        server.setblocking(False)
        return self._keep(server)

    async def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return both ends of a new connection through the proxy."""
        client = await self.client()
        return client, await self.server()

    def _keep(self, sock: socket.socket) -> socket.socket:
        self._peers.append(sock)
        return sock

    async def opened(self, count: int) -> None:
        """Wait until `count` connections were accepted."""
        await until(lambda: self.observer.events.count("opened") == count)

    async def ended(self) -> list[str]:
        """Wait until every connection, and at least one, has ended; return what was observed."""
        await until(lambda: self.observer.connections and not self.listeners.open)
        return self.observer.events

    def close(self) -> None:
        for sock in (*self._peers, self.origin):
            sock.close()


@contextlib.asynccontextmanager
async def proxied(**different: Any) -> AsyncIterator[Proxied]:
    """Proxy between loopback peers; `different`: what its route has. Nothing may be left open at its end."""
    origin = socket.create_server(("127.0.0.1", 0))
    origin.setblocking(False)
    entrance = socket.socket()
    entrance.bind(("127.0.0.1", 0))
    proxy = Proxied(entrance.getsockname(), origin)
    parts = {"dialer": LoopbackDialer(origin.getsockname()), "observer": proxy.observer}
    await proxy.listeners.serve(entrance, route(**{**parts, **different}), 1024)
    try:
        yield proxy
    finally:
        proxy.close()
        await proxy.listeners.cut()
        proxy.listeners.close()
        await until(lambda: not proxy.listeners.open)
        await asyncio.sleep(0)


async def until(true: Any, seconds: float = 5.0) -> None:
    """Wait until `true()` is."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - most of what is waited for has no event
            await asyncio.sleep(0.001)


async def send(sock: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def read(sock: socket.socket, size: int) -> bytes:
    """Read exactly `size` bytes, fewer where the peer ends."""
    loop, got = asyncio.get_running_loop(), bytearray()
    async with asyncio.timeout(5):
        while len(got) < size and (data := await loop.sock_recv(sock, size - len(got))):
            got += data
    return bytes(got)


async def read_all(sock: socket.socket) -> bytes:
    """Read until FIN."""
    return await read(sock, 1 << 30)


async def is_reset(sock: socket.socket) -> bool:
    """Wait for the end; tell whether it was RST."""
    try:
        await read_all(sock)
    except ConnectionResetError:
        return True
    return False


def reset(sock: socket.socket) -> None:
    """End with RST."""
    reset_on_close(sock)
    sock.close()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def observer_of(recorder: object) -> Observer:
    return cast("Observer", recorder)
