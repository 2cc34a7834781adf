"""How long the daemon keeps what it must not keep: first bytes, greetings, FIN, RST. Delays are printed, added ones asserted.

A median of many against a limit ten times what an idle machine shows. What a timer of ours or of TCP's would add, 40 ms and
more, is far above each limit; the wait for a core of a busy machine is not counted.
"""

import socket
import statistics
import time
from collections.abc import Callable

import pytest

from e2e.support.daemon import Daemon
from e2e.support.node import Node, reset
from e2e.support.route import DIRECT, ROUTES, Route
from e2e.support.stream import (
    OK,
    Clock,
    Line,
    clock_beside,
    fin_delay,
    milliseconds,
    open_line,
    passes,
)

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60), pytest.mark.usefixtures("daemon")]

ROUNDS = 40
#: Milliseconds. The first two are promises (anchors.md, section 4.2), and ten times what is seen here, and more.
GREETING, FIN, RST, FIRST_BYTE = 5, 10, 10, 1
GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

Delay = Callable[[Node, Route, Clock], float]


@pytest.fixture
def clock(daemon: Daemon) -> Clock:
    return clock_beside(daemon)


def added(node: Node, route: Route, delay: Delay, clock: Clock) -> float:
    """The median of what the route costs more than the direct one, in milliseconds."""
    through, direct = [], []
    for _ in range(ROUNDS):
        # in turn, so that whatever else the machine does meets both
        direct.append(delay(node, DIRECT, clock))
        through.append(delay(node, route, clock))
    print(f"{delay.__name__}: {milliseconds(through)}; directly {milliseconds(direct)}")
    return (statistics.median(through) - statistics.median(direct)) * 1e3


# ---- first bytes


def first_byte_of_a_status_line(node: Node, route: Route, clock: Clock) -> float:
    line = open_line(node, route)
    line.ask(GET)
    delay = passes(line.server, line.client, b"H", clock)
    line.down(OK[1:])
    line.close()
    return delay


def first_byte_of_a_body(node: Node, route: Route, clock: Clock) -> float:
    line = open_line(node, route)
    line.ask(GET)
    line.down(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    delay = passes(line.server, line.client, b"o", clock)
    line.down(b"k")
    line.close()
    return delay


def first_byte_of_an_upload(node: Node, route: Route, clock: Clock) -> float:
    line = open_line(node, route)
    line.ask(POST)
    delay = passes(line.client, line.server, b"2", clock)
    line.up(b"\r\nab\r\n0\r\n\r\n")
    line.down(OK)
    line.close()
    return delay


def large_first_piece(node: Node, route: Route, clock: Clock) -> float:
    """More than a segment, so that Nagle's algorithm would keep its end until the beginning is acknowledged."""
    line = open_line(node, route)
    line.ask(GET)
    delay = passes(line.server, line.client, CHUNKED + b"fff\r\n" + bytes(4095), clock)
    line.down(b"\r\n0\r\n\r\n")
    line.close()
    return delay


@ROUTES
@pytest.mark.parametrize(
    "delay",
    [
        first_byte_of_a_status_line,
        first_byte_of_a_body,
        first_byte_of_an_upload,
        large_first_piece,
    ],
)
def test_a_first_byte_is_not_delayed(node: Node, route: Route, delay: Delay, clock: Clock) -> None:
    assert added(node, route, delay, clock) < FIRST_BYTE * route.captures


def greeting(node: Node, route: Route, clock: Clock) -> float:
    """From the client's connect to the greeting of a server that speaks as soon as it has accepted."""
    listener = node.listen(route.server)
    target = (node.pod(route.server).ipv4, listener.getsockname()[1])
    began = clock()
    client = node.connect(route.client, target)
    server = node.accept(listener)
    passes(server, client, b"220 mail.example ESMTP ready\r\n")
    delay = clock() - began
    Line(client, server).close()
    return delay


@ROUTES
def test_a_greeting_is_not_delayed(node: Node, route: Route, clock: Clock) -> None:
    assert added(node, route, greeting, clock) < GREETING


# ---- FIN


def silent(line: Line) -> None:
    del line


def between_exchanges(line: Line) -> None:
    line.ask(GET)
    line.down(OK)


def in_a_request(line: Line) -> None:
    line.ask(POST)
    line.up(b"5\r\nhel")


def in_an_answer(line: Line) -> None:
    line.ask(GET)
    line.down(CHUNKED, b"5\r\nhel")


def in_an_answer_until_close(line: Line) -> None:
    line.ask(GET)
    line.down(b"HTTP/1.0 200 OK\r\n\r\n", b"hel")


def in_both(line: Line) -> None:
    line.ask(POST)
    line.up(b"5\r\nhel")
    line.down(CHUNKED, b"5\r\nhel")


def in_opaque_bytes(line: Line) -> None:
    line.up(b"\0hello")
    line.down(b"\0hello")


PHASES = pytest.mark.parametrize(
    "phase",
    [
        silent,
        between_exchanges,
        in_a_request,
        in_an_answer,
        in_an_answer_until_close,
        in_both,
        in_opaque_bytes,
    ],
)
SIDES = pytest.mark.parametrize("side", ["client", "server"])
Phase = Callable[[Line], None]


def sides(line: Line, first: str) -> tuple[socket.socket, socket.socket]:
    return (line.client, line.server) if first == "client" else (line.server, line.client)


@ROUTES
@PHASES
@SIDES
def test_a_fin_is_passed_on_at_once(
    node: Node, route: Route, phase: Phase, side: str, clock: Clock
) -> None:
    """Also a server's on an idle connection, which clients must see before they use it again (cilium#33880)."""
    delays = []
    for _ in range(5):
        line = open_line(node, route)
        phase(line)
        one, other = sides(line, side)
        delays += [fin_delay(one, other, clock), fin_delay(other, one, clock)]
    print(milliseconds(delays))
    assert statistics.median(delays) * 1e3 < FIN


# ---- RST


def reset_delay(sender: socket.socket, receiver: socket.socket, clock: Clock) -> float:
    """Send RST; the seconds until it was there. Nothing else may come."""
    began = clock()
    reset(sender)
    with pytest.raises(ConnectionResetError):
        receiver.recv(1)
    return clock() - began


@ROUTES
@PHASES
@SIDES
def test_a_reset_is_passed_on_at_once_as_a_reset(
    node: Node, route: Route, phase: Phase, side: str, clock: Clock
) -> None:
    delays = []
    for _ in range(5):
        line = open_line(node, route)
        phase(line)
        delays.append(reset_delay(*sides(line, side), clock))
    print(milliseconds(delays))
    assert statistics.median(delays) * 1e3 < RST


@ROUTES
@SIDES
def test_a_reset_after_the_other_sides_fin_is_passed_on_as_a_reset(
    node: Node, route: Route, side: str, clock: Clock
) -> None:
    line = open_line(node, route)
    between_exchanges(line)
    one, other = sides(line, side)
    fin_delay(other, one)

    assert reset_delay(one, other, clock) * 1e3 < 10 * RST


@ROUTES
@SIDES
def test_a_reset_after_ones_own_fin_is_passed_on_as_a_reset(
    node: Node, route: Route, side: str
) -> None:
    line = open_line(node, route)
    between_exchanges(line)
    one, other = sides(line, side)
    fin_delay(one, other)

    reset(one)

    assert_ends_as_directly(other)


def assert_ends_as_directly(sock: socket.socket) -> None:
    """A reset after a FIN: who writes is told so, as reading has come to its end already."""
    with pytest.raises(ConnectionError):
        talk_on(sock)


def talk_on(sock: socket.socket) -> None:
    for _ in range(100):
        sock.sendall(b"more")
        time.sleep(0.01)
