"""The specification of `netra_node.telemetry.agent`, on real loopback sockets and virtual time."""

import asyncio
import socket
from collections.abc import Iterator, Sequence

import pytest

from netra_node.telemetry.agent import AgentCarrier
from netra_node.telemetry.datagrams import Address, Destination
from netra_node.telemetry.export import Message, NotNowError, Receipt
from tests.telemetry.conftest import RunVirtually


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(2)
        yield made


def carrier_to(server: socket.socket, patience: float = 0) -> AgentCarrier:
    """The address is known after `patience` seconds."""
    address = (socket.AF_INET, server.getsockname())

    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        await asyncio.sleep(patience)
        return [address]

    return AgentCarrier(Destination("spans", "agent", 6831, resolve))


def test_a_message_is_a_datagram(server: socket.socket, run_virtually: RunVirtually) -> None:
    async def go() -> None:
        carrier = carrier_to(server)
        carrier.start()
        assert await carrier.carry(Message(b"batch", 3)) == Receipt()
        await carrier.stop()
        assert carrier.where == "agent port 6831"

    run_virtually(go())

    assert server.recv(100) == b"batch"


def test_one_that_nobody_took_is_told_at_once(
    server: socket.socket, run_virtually: RunVirtually
) -> None:
    async def go() -> None:
        carrier = carrier_to(server)
        server.close()
        carrier.start()
        for _ in range(3):
            with pytest.raises(NotNowError, match=r"^$"):
                await carrier.carry(Message(b"batch", 3))
        await carrier.stop()

    run_virtually(go())


def test_the_first_message_waits_a_moment_for_the_address(
    server: socket.socket, run_virtually: RunVirtually
) -> None:
    async def go() -> None:
        carrier = carrier_to(server, patience=0.5)
        carrier.start()
        assert await carrier.carry(Message(b"batch", 3)) == Receipt()
        await carrier.stop()

    run_virtually(go())

    assert server.recv(100) == b"batch"


def test_without_an_address_a_message_waits_for_later(
    server: socket.socket, run_virtually: RunVirtually
) -> None:
    async def go() -> float:
        carrier = carrier_to(server, patience=3600)
        carrier.start()
        with pytest.raises(NotNowError):
            await carrier.carry(Message(b"batch", 3))
        waited = asyncio.get_running_loop().time()
        await carrier.stop()
        return waited

    assert run_virtually(go()) == pytest.approx(1, abs=0.1)


def test_what_is_too_large_for_the_way_is_rejected(
    server: socket.socket, run_virtually: RunVirtually
) -> None:
    async def go() -> Receipt:
        carrier = carrier_to(server)
        carrier.start()
        receipt = await carrier.carry(Message(b"x" * 70_000, 3))
        await carrier.stop()
        return receipt

    assert run_virtually(go()) == Receipt(3, "70000 bytes are too many for the way")


def test_datagrams_are_a_millisecond_apart(
    server: socket.socket, run_virtually: RunVirtually
) -> None:
    async def go() -> float:
        carrier = carrier_to(server)
        carrier.start()
        for _ in range(100):
            await carrier.carry(Message(b"x", 1))
        await carrier.stop()
        return asyncio.get_running_loop().time()

    assert run_virtually(go()) == pytest.approx(0.1, rel=0.1)


class Full(Destination):
    """Stands in where the kernel has no room for a datagram."""

    def send(self, _datagram: bytes) -> None:
        raise BlockingIOError


def test_where_the_kernel_has_no_room_a_message_waits_for_later(
    server: socket.socket, run_virtually: RunVirtually
) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        return [(socket.AF_INET, server.getsockname())]

    async def go() -> None:
        carrier = AgentCarrier(Full("spans", "agent", 6831, resolve))
        carrier.start()
        with pytest.raises(NotNowError):
            await carrier.carry(Message(b"batch", 3))
        await carrier.stop()

    run_virtually(go())
