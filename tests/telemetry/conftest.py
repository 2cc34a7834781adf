"""Records as the proxy would hand them over, and a loop whose time is a number."""

import asyncio
import contextlib
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from netra_node.core.addresses import ClientAddr, OriginalDst, PodUid
from netra_node.core.identity import PodIdentity
from netra_node.core.records import ConnectionRecord, Direction, Exchange, Outcome
from netra_node.core.trace_context import TraceContext
from netra_node.http_client import Target

MakeExchange = Callable[..., Exchange]
MakeConnection = Callable[..., ConnectionRecord]
RunVirtually = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def make_exchange() -> MakeExchange:
    """A sampled GET of /orders/42 answered 200 after 3 ms, but for the fields given."""

    def make(
        *, method: bytes = b"GET", target: bytes = b"/orders/42?card=1", **fields: object
    ) -> Exchange:
        exchange = Exchange(method, target, b"1.1", 1_000_000_000)
        exchange.end = exchange.start + 3_000_000
        exchange.status = 200
        exchange.outcome = Outcome.OK
        exchange.request_complete = True
        exchange.trace = TraceContext(0xABC, 0xDEF, 0, 1)
        for name, value in fields.items():
            setattr(exchange, name, value)
        return exchange

    return make


@pytest.fixture
def make_connection() -> MakeConnection:
    def make(
        direction: Direction = Direction.INBOUND,
        client: tuple[str, int] = ("10.0.0.5", 40000),
        destination: tuple[str, int] = ("10.0.0.9", 8080),
    ) -> ConnectionRecord:
        return ConnectionRecord(direction, ClientAddr(*client), OriginalDst(*destination), 1)

    return make


@pytest.fixture
def identity() -> PodIdentity:
    attributes = (("service.namespace", "shop"), ("k8s.pod.name", "orders-1"))
    return PodIdentity(PodUid("uid-1"), "shop", "orders-1", "orders", attributes)


class _JumpingSelector(selectors.SelectSelector):
    """Never waits: when nothing is ready, the loop's time moves to its next timer."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            message = "everything waits, and no timer will wake it"
            raise RuntimeError(message)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


@pytest.fixture
def run_virtually() -> RunVirtually:
    """Runs a coroutine to its end on a loop where an hour of sleep takes no time."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            return runner.run(coroutine)

    return run


class HttpSink:
    """A collector that accepts everything. `requests` are heads and bodies in the order they came."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, bytes]] = []
        self.port = 0

    def target(self, path: str) -> Target:
        """Where it takes requests at `path`."""
        return Target("127.0.0.1", self.port, path)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"Content-Length: ")[2])
                self.requests.append((head, await reader.readexactly(length)))
                writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        writer.transport.abort()


@pytest.fixture
async def http_sink() -> AsyncIterator[HttpSink]:
    sink = HttpSink()
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0)
    sink.port = server.sockets[0].getsockname()[1]
    yield sink
    server.close()
    # the exporters' ends are aborted: the handlers see that on the next turns
    await server.wait_closed()
    while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 - nothing tells when the last handler is done
        await asyncio.sleep(0)
