import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from netra_node.core.addresses import OriginalDst
from netra_node.core.records import Direction
from netra_node.proxy.connection import Connection
from netra_node.proxy.downstream import Downstream
from tests.proxy.support import (
    CLIENT,
    GET,
    NOBODY,
    FailingDialer,
    FakeTransport,
    LoopbackDialer,
    PendingDialer,
    RaisingObserver,
    RecordingObserver,
    proxied,
    route,
)

ELSEWHERE = OriginalDst("192.0.2.2", 80)
REFUSED = FailingDialer(ConnectionRefusedError(111, "planted"))


@pytest.fixture
async def dialer() -> AsyncIterator[PendingDialer]:
    made = PendingDialer()
    yield made
    made.close()


def accept(transport: FakeTransport, observer: object, **different: object) -> Downstream:
    parts = {"dialer": REFUSED, "listener": ELSEWHERE, **different}
    protocol = Downstream(route(observer=observer, **parts), set())
    protocol.connection_made(transport)
    return protocol


def test_a_client_that_left_the_accept_queue_is_nobody() -> None:
    observer, transport = RecordingObserver(), FakeTransport(peername=None)

    accept(transport, observer)

    assert (transport.calls, observer.events) == (["reset"], [])


def test_a_connection_to_our_own_listener_is_reset_and_counted() -> None:
    observer, transport = RecordingObserver(), FakeTransport(sockname=tuple(ELSEWHERE))

    accept(transport, observer)

    assert (transport.calls, observer.events) == (["reset"], ["reset own_listener"])


def test_a_redirected_connection_the_kernel_has_forgotten_is_reset_and_counted() -> None:
    observer, transport = RecordingObserver(), FakeTransport()

    accept(transport, observer, direction=Direction.OUTBOUND)

    assert (transport.calls, observer.events) == (["reset"], ["reset no_original_destination"])


def test_an_observer_that_raises_does_not_keep_such_a_connection() -> None:
    transport = FakeTransport(sockname=tuple(ELSEWHERE))

    accept(transport, RaisingObserver())

    assert transport.calls == ["reset"]


def test_events_of_a_connection_that_was_not_taken_are_nobodys() -> None:
    protocol = accept(FakeTransport(peername=None), RecordingObserver())

    protocol.data_received(GET)
    protocol.pause_writing()
    protocol.resume_writing()
    assert protocol.eof_received()
    protocol.connection_lost(None)


def test_who_and_where_to_are_in_the_record() -> None:
    opened: set[Connection] = set()
    protocol = Downstream(route(REFUSED, RecordingObserver(), listener=ELSEWHERE), opened)
    protocol.connection_made(FakeTransport(peername=(*CLIENT, 0, 0), sockname=(*NOBODY, 0, 0)))

    (connection,) = opened
    assert (connection.record.client, connection.record.destination) == (CLIENT, NOBODY)
    protocol.connection_lost(None)


async def test_the_loops_events_reach_the_connection(dialer: PendingDialer) -> None:
    observer = RecordingObserver()
    protocol = accept(FakeTransport(), observer, dialer=dialer)
    protocol.data_received(b"\x16\x03")
    protocol.pause_writing()
    protocol.resume_writing()
    assert protocol.eof_received()
    protocol.connection_lost(None)

    assert observer.events == ["opened", "opaque tls", "ended ok"]


async def test_an_accepted_connection_is_dialled_for_its_client_and_destination() -> None:
    async with proxied(listener=NOBODY) as proxy:
        client, _ = await proxy.pair()
        dialer = next(iter(proxy.listeners.open))._route.dialer

        assert isinstance(dialer, LoopbackDialer)
        assert dialer.dialled == [(client.getsockname(), client.getpeername())]


async def test_a_connection_that_was_not_redirected_is_never_dialled() -> None:
    async with proxied(direction=Direction.OUTBOUND) as proxy:
        proxy.listeners.reroute(lambda route: replace(route, listener=OriginalDst(*proxy.entrance)))
        client = await proxy.client()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 2)

        # conntrack names the listener itself where it watches, and knows nothing where it does not
        assert proxy.observer.events in (["reset no_original_destination"], ["reset own_listener"])
