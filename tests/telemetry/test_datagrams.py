"""The specification of `netra_node.telemetry.datagrams`, on real loopback sockets and virtual time."""

import asyncio
import logging
import socket
from collections.abc import Iterator, Sequence

import pytest

from netra_node.telemetry.datagrams import Address, Destination
from netra_node.telemetry.datagrams import resolve as system_resolve
from tests.telemetry.conftest import RunVirtually


class Names:
    """A resolver that answers what it is told, and counts."""

    def __init__(self, *servers: socket.socket) -> None:
        self.answer: list[Address] | Exception = [at(server) for server in servers]
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> Sequence[Address]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def at(server: socket.socket) -> Address:
    return socket.AddressFamily(server.family), server.getsockname()


def bound(host: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind((host, 0))
    made.settimeout(2)
    return made


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with bound() as made:
        yield made


@pytest.fixture
def other() -> Iterator[socket.socket]:
    with bound() as made:
        yield made


def make(names: Names, **options: float | None) -> Destination:
    return Destination("counts", "statsd.example", 8125, names, **options)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_datagram_arrives_as_it_is(server: socket.socket, run_virtually: RunVirtually) -> None:
    async def go() -> None:
        to = make(Names(server))
        to.start()
        await asyncio.sleep(1)
        assert to.ready
        to.send(b"a:1|c")
        await to.stop()

    run_virtually(go())

    assert server.recv(100) == b"a:1|c"


def test_before_there_is_an_address_sending_is_refused(run_virtually: RunVirtually) -> None:
    async def go() -> None:
        to = make(Names())
        assert not to.ready
        with pytest.raises(OSError, match="no address"):
            to.send(b"x")
        await to.stop()

    run_virtually(go())


@pytest.mark.parametrize(
    "failure",
    [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long"), []],
    ids=["unknown", "no name", "no address"],
)
def test_a_name_without_address_is_told_once_and_asked_for_again_soon(
    server: socket.socket,
    run_virtually: RunVirtually,
    caplog: pytest.LogCaptureFixture,
    failure: Exception | list[Address],
) -> None:
    names = Names()
    names.answer = failure

    async def go() -> None:
        to = make(names)
        to.start()
        await asyncio.sleep(60)
        assert names.asked >= 60 / 3 - 1
        names.answer = [at(server)]
        await asyncio.sleep(4)
        to.send(b"late")
        await to.stop()

    run_virtually(go())

    assert server.recv(100) == b"late"
    (line,) = said(caplog)
    assert line.startswith("counts do not reach statsd.example port 8125: ")


def test_a_name_is_followed_to_its_new_address(
    server: socket.socket, other: socket.socket, run_virtually: RunVirtually
) -> None:
    names = Names(server)

    async def go() -> None:
        to = make(names)
        to.start()
        await asyncio.sleep(1)
        names.answer = [at(other)]
        await asyncio.sleep(31)
        to.send(b"moved")
        await to.stop()

    run_virtually(go())

    assert other.recv(100) == b"moved"


def test_an_address_that_still_is_the_names_keeps_its_socket(
    server: socket.socket, other: socket.socket, run_virtually: RunVirtually
) -> None:
    names = Names(server)

    async def go() -> None:
        to = make(names)
        to.start()
        await asyncio.sleep(1)
        to.send(b"one")
        names.answer = [at(other), at(server)]
        await asyncio.sleep(31)
        to.send(b"two")
        await to.stop()

    run_virtually(go())

    first, second = server.recvfrom(100), server.recvfrom(100)
    assert (first[0], second[0]) == (b"one", b"two")
    assert first[1] == second[1]


def test_where_the_name_is_lost_later_the_last_address_stays(
    server: socket.socket, run_virtually: RunVirtually
) -> None:
    names = Names(server)

    async def go() -> None:
        to = make(names)
        to.start()
        await asyncio.sleep(1)
        names.answer = OSError("no name server")
        await asyncio.sleep(100)
        to.send(b"still")
        await to.stop()

    run_virtually(go())

    assert server.recv(100) == b"still"


def test_ipv4_is_preferred(server: socket.socket, run_virtually: RunVirtually) -> None:
    with bound("::1") as v6:

        async def go() -> None:
            to = make(Names(v6, server))
            to.start()
            await asyncio.sleep(1)
            to.send(b"x")
            await to.stop()

        run_virtually(go())

    assert server.recv(100) == b"x"


def test_an_address_without_a_way_is_passed_over(
    server: socket.socket, run_virtually: RunVirtually
) -> None:
    names = Names()
    # no datagram socket connects to broadcast without being told so
    names.answer = [(socket.AF_INET, ("255.255.255.255", 9)), at(server)]

    async def go() -> None:
        to = make(names)
        to.start()
        await asyncio.sleep(1)
        to.send(b"x")
        await to.stop()

    run_virtually(go())

    assert server.recv(100) == b"x"


def test_a_refusal_mutes_nothing_and_is_told_once_and_so_is_its_end(
    run_virtually: RunVirtually, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with bound() as gone:
        address = gone.getsockname()

    async def go() -> None:
        names = Names()
        names.answer = [(socket.AF_INET, address)]
        to = make(names)
        to.start()
        await asyncio.sleep(1)
        for _ in range(5):
            to.send(b"lost")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
            back.bind(address)
            back.settimeout(2)
            to.send(b"found")
            assert back.recv(100) == b"found"
            await asyncio.sleep(11)
            to.send(b"more")
            assert back.recv(100) == b"more"
            await to.stop()
        assert names.asked >= 2

    run_virtually(go())

    first, second = said(caplog)
    assert first.startswith("counts do not reach statsd.example port 8125: ")
    assert first.endswith("Connection refused")
    assert second == "counts reach statsd.example port 8125 again"


def test_what_is_too_long_for_a_datagram_is_an_error(
    server: socket.socket, run_virtually: RunVirtually
) -> None:
    async def go() -> None:
        to = make(Names(server))
        to.start()
        await asyncio.sleep(1)
        with pytest.raises(OSError, match="too long"):
            to.send(bytes(70_000))
        to.send(b"short")
        await to.stop()

    run_virtually(go())

    assert server.recv(100) == b"short"


def test_stopped_it_sends_no_more_and_asks_no_more(
    server: socket.socket, run_virtually: RunVirtually
) -> None:
    names = Names(server)

    async def go() -> None:
        to = make(names)
        to.start()
        await asyncio.sleep(1)
        await to.stop()
        asked = names.asked
        await asyncio.sleep(100)
        assert names.asked == asked
        assert not to.ready

    run_virtually(go())


async def test_the_system_knows_an_address() -> None:
    assert await system_resolve("127.0.0.1", 8125) == [(socket.AF_INET, ("127.0.0.1", 8125))]


@pytest.mark.parametrize(("interval", "looks"), [(1.0, 60), (10.0, 6), (30.0, 2), (None, 1)])
def test_how_often_a_name_is_asked_for_can_be_said(
    server: socket.socket, run_virtually: RunVirtually, interval: float | None, looks: int
) -> None:
    names = Names(server)

    async def go() -> None:
        to = make(names, interval=interval)
        to.start()
        await asyncio.sleep(59.5)
        await to.stop()

    run_virtually(go())

    assert names.asked == looks


def test_a_name_that_is_asked_for_once_is_asked_until_it_has_an_address(
    server: socket.socket, run_virtually: RunVirtually
) -> None:
    names = Names()

    async def go() -> None:
        to = make(names, interval=None)
        to.start()
        await asyncio.sleep(60)
        names.answer = [at(server)]
        await asyncio.sleep(60)
        assert to.ready
        asked = names.asked
        await asyncio.sleep(600)
        assert names.asked == asked
        await to.stop()

    run_virtually(go())


def test_the_first_look_can_be_waited_for(run_virtually: RunVirtually) -> None:
    names = Names()
    names.answer = OSError("nobody knows")

    async def go() -> None:
        to = make(names)
        to.start()
        await to.wait_for_look()
        assert names.asked == 1
        await to.stop()

    run_virtually(go())


def test_a_refusal_is_told_once_to_who_asks(
    server: socket.socket, run_virtually: RunVirtually, caplog: pytest.LogCaptureFixture
) -> None:
    names = Names(server)

    async def go() -> None:
        to = make(names)
        to.check()
        to.start()
        await to.wait_for_look()
        to.send(b"taken")
        to.check()
        server.close()
        to.send(b"lost")
        with pytest.raises(ConnectionRefusedError):
            to.check()
        to.check()
        await to.stop()

    run_virtually(go())

    (line,) = said(caplog)
    assert line == "counts do not reach statsd.example port 8125: [Errno 111] Connection refused"
