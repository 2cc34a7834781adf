"""Bodies of ten gibibytes: every byte arrives, and the daemon grows by none of them.

Every byte is compared (`support.stream_pump` says how). Memory is the daemon's own, looked at every 0.1 s; the figures
are printed.
"""

import os
import random
import socket
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.support.daemon import Daemon
from e2e.support.memory import looks
from e2e.support.node import Node
from e2e.support.route import BOTH, INBOUND, OUTBOUND, Route
from e2e.support.stream import OK, Line, chunk, open_line, recorded
from e2e.support.stream_pump import Pump, pump, receive

pytestmark = [pytest.mark.netns, pytest.mark.long, pytest.mark.timeout(180)]

GIBIBYTE = 1 << 30
SIZE = 10 * GIBIBYTE
MEBIBYTES = 4
_TICKS = os.sysconf("SC_CLK_TCK")
_random = random.Random(10)


@dataclass(frozen=True)
class Body:
    """A message body as it is on the wire: a unit, again and again, and what ends it."""

    framing: bytes
    unit: bytes
    count: int
    end: bytes = b""


def with_length() -> Body:
    unit = _random.randbytes(1_000_003)
    count = SIZE // len(unit) + 1
    return Body(b"Content-Length: %d\r\n" % (count * len(unit)), unit, count)


def in_chunks() -> Body:
    """Chunks of all sizes, from a byte to a mebibyte."""
    sizes = (1, 15, 16, 1460, 4096, 65_535, 65_536, 300_007, 1 << 20)
    unit = b"".join(chunk(_random.randbytes(size)) for size in sizes)
    return Body(b"Transfer-Encoding: chunked\r\n", unit, SIZE // sum(sizes) + 1, b"0\r\n\r\n")


@dataclass(frozen=True)
class Cost:
    """What the daemon took while something was moved: its own memory from time to time, and its CPU time."""

    mebibytes: list[float]
    cpu: float


def cpu_seconds(daemon: Daemon) -> float:
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def watch(daemon: Daemon, working: Callable[[], bool]) -> Cost:
    """Look at the daemon until the work is done."""
    cpu = cpu_seconds(daemon)
    with looks(daemon) as seen:
        while working():
            time.sleep(0.1)
    return Cost(seen, cpu_seconds(daemon) - cpu)


def move(
    node: Node, daemon: Daemon, directions: list[tuple[Line, bool]], body: Body, unit: Path
) -> Cost:
    """Send a body's units on lines, up or down each, and watch the daemon; prints what it cost."""
    unit.write_bytes(body.unit)
    pumps: list[Pump] = []
    for line, upload in directions:
        ends = (line.client, line.server) if upload else (line.server, line.client)
        for sock, role in zip(ends, ("send", "receive"), strict=True):
            pumps.append(pump(node.bed, "x", sock, role, unit, body.count))
    for end in pumps:
        end.begin()
    cost = watch(daemon, lambda: any(end.running for end in pumps))
    moved = [end.result() for end in pumps]
    assert {end.units for end in moved} == {body.count}
    megabytes = len(directions) * body.count * len(body.unit) / 1e6
    seconds = max(end.seconds for end in moved)
    print(
        f"{megabytes / 1e3:.1f} GB at {megabytes / seconds:.0f} MB/s, {cost.cpu / megabytes * 1e3:.2f} ms of CPU for 1 MB; "
        f"memory {min(cost.mebibytes):.1f} to {max(cost.mebibytes):.1f} MiB in {len(cost.mebibytes)} looks"
    )
    return cost


@pytest.mark.parametrize(
    ("spoil", "whole"),
    [
        (lambda data: data, 5),
        (lambda data: data[:250] + b"?" + data[251:], 2),
        (lambda data: data[:250] + data[251:], 2),
        (lambda data: data[:250] + data[249:], 2),
        (lambda data: data[:100] + data[200:300] + data[100:200] + data[300:], 2),
        (lambda data: data[:450], 4),
    ],
    ids=["sound", "changed", "lost", "doubled", "moved", "cut"],
)
def test_the_comparison_sees_whatever_becomes_of_a_byte(
    spoil: Callable[[bytes], bytes], whole: int
) -> None:
    unit = bytes(range(101))
    one, other = socket.socketpair()
    with one, other:
        one.sendall(spoil(unit * 5))
        one.close()

        assert receive(other, unit, 5) <= whole


@pytest.mark.parametrize("upload", [True, False], ids=["up", "down"])
@pytest.mark.parametrize(
    ("route", "make"),
    [(BOTH, with_length), (INBOUND, in_chunks), (OUTBOUND, in_chunks)],
    ids=["both-length", "in-chunked", "out-chunked"],
)
def test_ten_gibibytes_arrive_whole_and_leave_the_daemon_as_it_was(
    node: Node, daemon: Daemon, tmp_path: Path, route: Route, make: Callable[[], Body], upload: bool
) -> None:
    body = make()
    with recorded(daemon, {"ok": 3 * route.captures}):
        line = open_line(node, route)
        line.exchange()
        before = daemon.own_memory()
        if upload:
            line.ask(b"PUT /big HTTP/1.1\r\nHost: b\r\n%b\r\n" % body.framing)
        else:
            line.ask(b"GET /big HTTP/1.1\r\nHost: b\r\n\r\n")
            line.down(b"HTTP/1.1 200 OK\r\n%b\r\n" % body.framing)

        cost = move(node, daemon, [(line, upload)], body, tmp_path / "unit")

        if upload:
            line.up(body.end)
            line.down(OK)
        else:
            line.down(body.end)
        line.exchange()
        line.close()
    middle = statistics.median(cost.mebibytes)
    print(f"before {before:.1f} MiB, median {middle:.1f} MiB")
    assert max(abs(seen - middle) for seen in cost.mebibytes) <= MEBIBYTES
    assert max(cost.mebibytes) - before <= MEBIBYTES
