import asyncio
import socket
from collections.abc import Iterator

import pytest

from netra_node.proxy.opening import Opening
from tests.proxy.support import (
    CLIENT,
    NOBODY,
    FailingDialer,
    LoopbackDialer,
    PendingDialer,
    read_all,
    until,
)


class Owner:
    """Writes down what becomes of its wish."""

    def __init__(self) -> None:
        self.transports: list[asyncio.Transport] = []
        self.errors: list[Exception] = []

    def upstream_protocol(self) -> asyncio.Protocol:
        return asyncio.Protocol()

    def upstream_made(self, up: asyncio.Transport) -> None:
        self.transports.append(up)

    def dial_failed(self, error: Exception) -> None:
        self.errors.append(error)


@pytest.fixture
def origin() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def pending() -> Iterator[PendingDialer]:
    dialer = PendingDialer()
    yield dialer
    dialer.close()


async def test_a_connect_becomes_a_transport(origin: socket.socket) -> None:
    owner, opening = Owner(), Opening(LoopbackDialer(origin.getsockname()))
    opening.begin(CLIENT, NOBODY, owner)
    await until(lambda: owner.transports)
    accepted, _ = origin.accept()
    accepted.setblocking(False)

    with accepted:
        owner.transports[0].write(b"hello")
        owner.transports[0].close()
        assert await read_all(accepted) == b"hello"


async def test_the_loop_closes_the_socket_it_was_given(origin: socket.socket) -> None:
    owner, opening = Owner(), Opening(LoopbackDialer(origin.getsockname()))
    opening.begin(CLIENT, NOBODY, owner)
    await until(lambda: owner.transports)
    sock = opening.sock
    opening.close()
    assert sock.fileno() != -1
    owner.transports[0].close()

    await until(lambda: sock.fileno() == -1)


async def test_a_connect_under_way_is_waited_for(pending: PendingDialer) -> None:
    owner, opening = Owner(), Opening(pending)
    opening.begin(CLIENT, NOBODY, owner)
    await asyncio.sleep(0.02)
    assert not owner.transports
    await pending.answer()

    await until(lambda: owner.transports)
    owner.transports[0].abort()
    await asyncio.sleep(0.01)


async def test_a_connect_under_way_that_is_refused_is_told(pending: PendingDialer) -> None:
    owner, opening = Owner(), Opening(pending)
    opening.begin(CLIENT, NOBODY, owner)
    pending.peer.close()  # with bytes unread: a reset

    await until(lambda: owner.errors)
    opening.close()
    assert isinstance(owner.errors[0], ConnectionError)
    assert pending.sock.fileno() == -1


async def test_a_dial_that_fails_at_once_is_told_at_once() -> None:
    error = OSError(113, "planted")
    owner, opening = Owner(), Opening(FailingDialer(error))

    opening.begin(CLIENT, NOBODY, owner)

    assert owner.errors == [error]
    opening.close()


async def test_closed_while_under_way_it_closes_the_socket_and_tells_nobody(
    pending: PendingDialer,
) -> None:
    owner, opening = Owner(), Opening(pending)
    opening.begin(CLIENT, NOBODY, owner)
    opening.close()

    assert (pending.sock.fileno(), pending.released) == (-1, 1)
    assert not owner.transports + owner.errors


async def test_closed_when_the_loop_has_it_already_the_owner_still_gets_it(
    origin: socket.socket,
) -> None:
    dialer = LoopbackDialer(origin.getsockname())
    owner, opening = Owner(), Opening(dialer)
    opening.begin(CLIENT, NOBODY, owner)
    opening.close()

    await until(lambda: owner.transports)
    assert dialer.released == 1
    owner.transports[0].abort()
    await asyncio.sleep(0.01)


class Unadoptable(LoopbackDialer):
    """Dials a socket no loop takes: a datagram one."""

    def dial(self, client, destination):  # type: ignore[no-untyped-def]
        dialled = super().dial(client, destination)
        dialled.sock.close()
        dialled.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        dialled.sock.connect(("127.0.0.1", 9))
        self.sock = dialled.sock
        return dialled


async def test_a_socket_the_loop_refuses_is_closed_and_told(origin: socket.socket) -> None:
    dialer = Unadoptable(origin.getsockname())
    owner, opening = Owner(), Opening(dialer)
    opening.begin(CLIENT, NOBODY, owner)

    await until(lambda: owner.errors)
    opening.close()
    assert dialer.sock.fileno() == -1
