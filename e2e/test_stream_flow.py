"""Slow readers and fast senders: nobody is asked for more than the other takes, nothing is lost, nobody waits for another.

Belongs here: flow control, and bytes that flow on beside an ending. Whose bytes they are does not matter.
"""

import asyncio
import random
import select
import socket
import time
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass

import pytest

from e2e.support.daemon import Daemon
from e2e.support.memory import looks
from e2e.support.node import Node, reset
from e2e.support.route import BOTH, ROUTES, Route
from e2e.support.stream import Line, open_line, recorded

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

KIBIBYTE, MEBIBYTE = 1 << 10, 1 << 20
DATA = random.Random(4).randbytes(16 * MEBIBYTE)
POST = b"POST /%d HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


async def send(sock: socket.socket, data: bytes) -> float:
    """The moment the last byte was taken."""
    await asyncio.get_running_loop().sock_sendall(sock, data)
    return time.monotonic()


async def receive(sock: socket.socket, data: bytes, pause: float = 0) -> float:
    """Read, 64 KiB at a time with pauses, what must be `data`; the moment the last byte was there."""
    loop, position = asyncio.get_running_loop(), 0
    while position < len(data):
        got = await loop.sock_recv(sock, min(64 * KIBIBYTE, len(data) - position))
        assert got
        assert data.startswith(got, position)
        position += len(got)
        await asyncio.sleep(pause)
    return time.monotonic()


def together(daemon: Daemon, *work: Awaitable[float]) -> tuple[list[float], float]:
    """Do all of it at once: the moments it was done, and the MiB by which the daemon was larger meanwhile."""

    async def gather() -> list[float]:
        return await asyncio.wait_for(asyncio.gather(*work), 40)

    with looks(daemon) as seen:
        moments = asyncio.run(gather())
    return moments, max(seen) - seen[0]


def ends(line: Line, first: str) -> tuple[socket.socket, socket.socket]:
    return (line.client, line.server) if first == "client" else (line.server, line.client)


def narrow(reader: socket.socket, sender: socket.socket) -> None:
    """Keep the kernels from taking what the applications do not: their buffers would grow to megabytes."""
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIBIBYTE)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * KIBIBYTE)


def exchange_of(line: Line, number: int, size: int) -> None:
    """Have the connection carry a body of `size` bytes each way."""
    line.ask(POST % (number, size))
    line.down(ANSWER % size)
    for sock in (line.client, line.server):
        sock.setblocking(False)


@pytest.mark.parametrize("slow", ["client", "server"])
def test_a_slow_reader_gets_every_byte_of_a_fast_sender_at_no_cost_of_memory(
    node: Node, daemon: Daemon, slow: str
) -> None:
    line = open_line(node, BOTH)
    reader, sender = ends(line, slow)
    narrow(reader, sender)
    exchange_of(line, 0, 2 * len(DATA))

    began = time.monotonic()
    (sent, read), grown = together(daemon, send(sender, DATA * 2), receive(reader, DATA * 2, 0.002))

    print(f"sent in {sent - began:.1f} s, read in {read - began:.1f} s, grown by {grown:.1f} MiB")
    assert grown < 3


@dataclass(frozen=True)
class Stream:
    """One body each way on a connection of its own."""

    line: Line
    data: bytes

    def work(self, go_on: asyncio.Event) -> Iterator[Awaitable[float]]:
        for one, other in (
            (self.line.client, self.line.server),
            (self.line.server, self.line.client),
        ):
            yield send(one, self.data)
            yield receive_late(other, self.data, go_on)


async def receive_late(sock: socket.socket, data: bytes, go_on: asyncio.Event) -> float:
    """Take a little, and the rest when one may."""
    little = 64 * KIBIBYTE
    await receive(sock, data[:little])
    await go_on.wait()
    return await receive(sock, data[little:])


async def all_then(work: list[Awaitable[float]], done: asyncio.Event) -> float:
    moments = await asyncio.gather(*work)
    done.set()
    return max(moments)


SLOW, FAST = 50, 50
#: What waits for a slow reader: two directions in two captures, each with 64 KiB and what was read at a time, 256 KiB.
WAITING, HELD = 4, 320


def test_of_a_hundred_streams_the_fast_do_not_wait_for_the_slow(node: Node, daemon: Daemon) -> None:
    """The slow take nothing until the fast have everything: would those wait, it would be for ever."""
    streams = []
    for number in range(SLOW + FAST):
        line = open_line(node, BOTH)
        data = DATA[number * 1009 :][:MEBIBYTE]
        if number % 2:
            narrow(line.client, line.server)
            narrow(line.server, line.client)
        exchange_of(line, number, len(data))
        streams.append(Stream(line, data))
    at_once, fast_done = asyncio.Event(), asyncio.Event()
    at_once.set()
    fast = [work for stream in streams[::2] for work in stream.work(at_once)]
    slow = [work for stream in streams[1::2] for work in stream.work(fast_done)]

    began = time.monotonic()
    (fast_there, *slow_there), grown = together(daemon, all_then(fast, fast_done), *slow)

    print(
        f"fast: done after {fast_there - began:.1f} s; slow: after {max(slow_there) - began:.1f} s"
    )
    print(f"grown by {grown:.1f} MiB, {grown * 1024 / SLOW:.0f} KiB for each slow one")
    assert grown * 1024 < SLOW * WAITING * HELD


# ---- endings beside it


async def finish(sock: socket.socket, data: bytes) -> float:
    await send(sock, data)
    sock.shutdown(socket.SHUT_WR)
    return time.monotonic()


async def receive_to_the_end(sock: socket.socket, data: bytes) -> float:
    await receive(sock, data)
    assert await asyncio.get_running_loop().sock_recv(sock, 1) == b""
    return time.monotonic()


@ROUTES
@pytest.mark.parametrize("first", ["client", "server"])
@pytest.mark.parametrize("kind", ["http", "opaque"])
def test_a_fin_overtakes_nothing_and_stops_nothing_of_the_other_direction(
    node: Node, daemon: Daemon, route: Route, first: str, kind: str
) -> None:
    """Both sides send at full speed; the first one's FIN arrives behind its last byte, while the other has far to go."""
    line = open_line(node, route)
    one, other = ends(line, first)
    little, much = DATA[: MEBIBYTE // 2], DATA
    if kind == "http":
        up, down = (little, much) if first == "client" else (much, little)
        line.ask(POST % (0, len(up)))
        line.down(ANSWER % len(down))
    else:
        line.up(b"\0")
    for sock in (one, other):
        sock.setblocking(False)

    (_, little_there, _, much_there), _ = together(
        daemon,
        finish(one, little),
        receive_to_the_end(other, little),
        finish(other, much),
        receive_to_the_end(one, much),
    )

    assert little_there < much_there


@pytest.mark.parametrize("silent", ["client", "server"])
def test_a_reset_reaches_a_side_that_does_not_read(node: Node, daemon: Daemon, silent: str) -> None:
    """Directly it is told at once, however much it has not read; through us within two looks of a second each."""
    outcome = "upstream_reset" if silent == "client" else "client_reset"
    with recorded(daemon, {outcome: BOTH.captures}):
        line = open_line(node, BOTH)
        reader, sender = ends(line, silent)
        narrow(reader, sender)
        line.ask(POST % (0, 16 * len(DATA)))
        line.down(ANSWER % (16 * len(DATA)))
        sender.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sender.sendall(DATA * 16)
        reset(sender)
        began = time.monotonic()

        poll = select.poll()
        poll.register(reader, 0)
        (found,) = poll.poll(20_000)

    assert found[1] & select.POLLERR
    print(f"told after {time.monotonic() - began:.2f} s")
