"""The same conversation directly and through the daemon: the same bytes arrive, save the declared headers of requests."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from e2e.support import declared
from e2e.support.daemon import Daemon, until
from e2e.support.node import Node
from e2e.support.transcript import Ending, Step, c, pause, play, s

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

#: Who calls whom, and how many of the daemon's captures lie between.
ROUTES = {"outbound": ("a", "y", 1), "inbound": ("x", "b", 1), "both": ("a", "b", 2)}
DIRECT = ("x", "y")

BINARY = random.Random(7).randbytes(3000).replace(b"\r\n\r\n", b"----")
GET = b"GET / HTTP/1.1\r\nHost: y\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NONE: dict[str, int] = {}


@dataclass(frozen=True)
class Case:
    """A conversation, how many requests of it get headers, what outcomes they have, and why it becomes opaque."""

    steps: tuple[Step, ...]
    traced: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    opaque: str = ""


def http(*steps: Step, requests: int = 1, outcomes: dict[str, int] | None = None) -> Case:
    """A conversation that is understood to its end."""
    return Case(steps, requests, outcomes or {"ok": requests})


def becomes(reason: str, *steps: Step, traced: int = 0, **outcomes: int) -> Case:
    """A conversation that is passed on as bytes from some point on."""
    return Case(steps, traced, outcomes, reason)


def garbage(reason: str, first: bytes, answer: bytes = b"\x00\x01fine\r\n\r\n") -> Case:
    """Bytes that are no HTTP from the first on, answered by others."""
    return becomes(reason, c(first), s(answer), c(BINARY), s(BINARY))


def ambiguous(head: bytes) -> Case:
    """A request two readers could understand differently: it and all that follows pass untouched."""
    return becomes("ambiguous", c(head), s(OK), c(GET), s(OK))


CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: y\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    b'5;ext=1;other="q"\r\nhello\r\n00a\r\n0123456789\r\n0;last\r\nX-Sum: abc\r\nX-More:\t1 \r\n\r\n'
)
CHUNKED_ANSWER = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;a=b\r\nabc\r\n1\r\n\n\r\n0\r\nX-Trailer: \xe9\r\n\r\n"
)
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: y\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

CASES = {
    "keep_alive": http(
        *(c(GET), s(OK), c(b"HEAD /h HTTP/1.1\r\nHost: y\r\n\r\n")),
        s(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        c(b"POST /p HTTP/1.1\r\nHost: y\r\nContent-Length: 5\r\n\r\nhello"),
        s(b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n"),
        *(c(GET), s(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n")),
        *(c(GET), s(OK)),
        requests=5,
    ),
    "pipelined": http(
        c(GET + b"POST / HTTP/1.1\r\nHost: y\r\nContent-Length: 3\r\n\r\nabc" + GET + GET),
        s(OK + OK + OK),
        s(OK),
        requests=4,
    ),
    "chunked": http(c(CHUNKED), s(CHUNKED_ANSWER), c(GET), s(OK), requests=2),
    "body_in_pieces": http(
        c(b"PUT / HTTP/1.1\r\nHost: y\r\nContent-Length: 9\r\n\r\nabc"), c(b"def"), c(b"ghi"), s(OK)
    ),
    "head_in_pieces": http(
        *(c(b"G"), c(b"ET / HTT"), c(b"P/1.1\r\nHo"), c(b"st: y\r"), c(b"\n\r"), c(b"\n"), s(OK)),
    ),
    "slow_head": Case(
        (c(b"GET / HTTP/1.1\r\nHo"), pause(0.3), c(b"st: y\r\n\r\n"), s(OK), c(GET), s(OK)),
        traced=1,
        outcomes={"ok": 2},
    ),
    "blank_line_before_request": http(c(b"\r\n" + GET), s(OK), c(b"\r\n" + GET), s(OK), requests=2),
    "expect_continue": http(
        c(b"PUT / HTTP/1.1\r\nHost: y\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"),
        *(s(b"HTTP/1.1 100 Continue\r\n\r\n"), c(b"body")),
        s(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
        *(s(OK), c(GET), s(OK)),
        requests=2,
    ),
    "early_response": http(
        *(c(b"POST / HTTP/1.1\r\nHost: y\r\nContent-Length: 10\r\n\r\nabc"), s(OK)),
        *(c(b"defg"), c(b"hij" + GET), s(OK)),
        requests=2,
    ),
    "body_until_close": http(
        c(GET), s(b"HTTP/1.1 200 OK\r\n\r\n"), s(BINARY), s(b"more"), s(Ending.FIN)
    ),
    "announced_close": http(
        c(GET),
        s(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
        s(Ending.FIN),
    ),
    "client_half_closes": http(c(GET), c(Ending.FIN), s(OK)),
    "http_1_0": http(
        *(c(b"GET /old HTTP/1.0\r\n\r\n"), s(b"HTTP/1.0 200 OK\r\n\r\nbody"), s(Ending.FIN)),
    ),
    "http_1_0_keep_alive": http(
        c(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        s(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n1"),
        *(c(b"GET / HTTP/1.0\r\n\r\n"), s(b"HTTP/1.0 200 OK\r\n\r\n2"), s(Ending.FIN)),
        requests=2,
    ),
    "targets": http(
        *(c(b"GET http://y/%7Ea%2f?q=%00&t HTTP/1.1\r\nHost: y\r\n\r\n"), s(OK)),
        *(c(b"OPTIONS * HTTP/1.1\r\nHost: y\r\n\r\n"), s(OK)),
        *(c(b"GET //a/../b;p=1 HTTP/1.1\r\nHost: y\r\n\r\n"), s(OK)),
        requests=3,
    ),
    "odd_headers": http(
        c(
            b"GET / HTTP/1.1\r\nhOsT:y\r\nX-Obs: \xe4\xf6\xfc\xff\r\nX-Empty:\r\nX-Tab:\t a \t\r\n"
            b"X-Twice: 1\r\nX-Twice: 2\r\nCookie: a=b; c=d\r\nBaggage: k=v\r\n\r\n"
        ),
        s(
            b"HTTP/1.1 299 \xe4h\r\nx-obs: \xff\r\nSet-Cookie: a\r\nSet-Cookie: b\r\ncontent-LENGTH: 0\r\n\r\n"
        ),
    ),
    "no_reason_phrase": http(c(GET), s(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n")),
    "unanswered": http(c(GET), s(Ending.FIN), outcomes={"upstream_closed": 1}),
    "cut_short": http(
        *(c(GET), s(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"), s(Ending.FIN)),
        outcomes={"upstream_closed": 1},
    ),
    "probe": Case(
        (c(b"GET /livez HTTP/1.1\r\nHost: y\r\nUser-Agent: kube-probe/1.31\r\n\r\n"), s(OK)),
        outcomes={"ok": 1},
    ),
    "upgrade": becomes(
        "upgrade", c(UPGRADE), s(SWITCHING + b"\x81\x02hi"), c(BINARY), s(BINARY), traced=1, ok=1
    ),
    "upgrade_refused": http(
        *(c(UPGRADE), s(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), c(GET), s(OK)),
        requests=2,
    ),
    "connect": becomes(
        "connect",
        *(c(b"CONNECT y:443 HTTP/1.1\r\nHost: y:443\r\n\r\n"), s(b"HTTP/1.1 200 OK\r\n\r\n")),
        *(c(BINARY), s(BINARY)),
        traced=1,
        ok=1,
    ),
    "client_speaks_before_the_tunnel_stands": becomes(
        "connect",
        c(b"CONNECT y:443 HTTP/1.1\r\nHost: y:443\r\n\r\n" + BINARY),
        *(s(b"HTTP/1.1 200 OK\r\n\r\n"), s(BINARY)),
        traced=1,
        ok=1,
    ),
    "tls": garbage("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + BINARY),
    "h2_preface": garbage(
        "h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    ),
    "binary": garbage("not_http", b"\x00\xff" + BINARY),
    "redis": garbage("not_http", b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    "http_0_9": garbage("not_http", b"GET /\r\n"),
    "server_first": becomes(
        "server_first", s(b"220 mail ready\r\n"), c(b"EHLO y\r\n"), s(b"250 y\r\n")
    ),
    "unknown_method": becomes(
        "method", c(b"BREW / HTTP/1.1\r\nHost: y\r\n\r\n"), s(OK), c(GET), s(OK)
    ),
    "garbage_after_a_request": becomes(
        "not_http", c(GET), s(OK), c(b"\x01\x02\r\n\r\n"), s(BINARY), traced=1, ok=1
    ),
    "unsolicited_answer": becomes(
        "unsolicited", *(c(GET), s(OK), s(OK), c(GET), s(OK)), traced=1, ok=1
    ),
    "ambiguous_answer": becomes(
        "ambiguous_response",
        c(GET),
        s(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        *(c(GET), s(OK)),
        traced=1,
        opaque=1,
    ),
    "answer_that_is_no_http": becomes("ambiguous_response", c(GET), s(BINARY), traced=1, opaque=1),
    "broken_chunks": becomes(
        "ambiguous",
        c(b"POST / HTTP/1.1\r\nHost: y\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n"),
        *(s(OK), c(GET), s(OK)),
        traced=1,
        opaque=1,
    ),
    "too_large": becomes(
        "too_large",
        c(b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000),
        c(b"\r\n\r\n"),
        s(OK),
        c(GET),
        s(OK),
    ),
    "cl_and_te": ambiguous(
        b"POST / HTTP/1.1\r\nHost: y\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "two_lengths": ambiguous(
        b"POST / HTTP/1.1\r\nHost: y\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"
    ),
    "signed_length": ambiguous(b"POST / HTTP/1.1\r\nHost: y\r\nContent-Length: +3\r\n\r\nabc"),
    "te_not_chunked": ambiguous(
        b"POST / HTTP/1.1\r\nHost: y\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    ),
    "te_on_1_0": ambiguous(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "obs_fold": ambiguous(b"GET / HTTP/1.1\r\nHost: y\r\nX: a\r\n b\r\n\r\n"),
    "bare_lf": ambiguous(b"GET / HTTP/1.1\nHost: y\n\n"),
    "bare_lf_in_a_field": ambiguous(b"GET / HTTP/1.1\r\nHost: y\nX: 1\r\n\r\n"),
    "bare_cr": ambiguous(b"GET / HTTP/1.1\r\nHost: y\r\nX: a\rb\r\n\r\n"),
    "blank_before_colon": ambiguous(b"GET / HTTP/1.1\r\nHost: y\r\nX : 1\r\n\r\n"),
    "nul": ambiguous(b"GET / HTTP/1.1\r\nHost: y\r\nX: a\0b\r\n\r\n"),
    "empty_name": ambiguous(b"GET / HTTP/1.1\r\nHost: y\r\n: 1\r\n\r\n"),
    "two_hosts": ambiguous(b"GET / HTTP/1.1\r\nHost: y\r\nHost: z\r\n\r\n"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("daemon")
def test_the_conversation_itself_is_sound(node: Node, name: str) -> None:
    client, server = node.pair(*DIRECT)

    received = play(client, server, *CASES[name].steps)

    assert declared.count(received.by_server) == 0


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("route", ROUTES)
def test_both_sides_receive_what_they_would_directly(
    node: Node, daemon: Daemon, route: str, name: str
) -> None:
    case = CASES[name]
    caller, called, captures = ROUTES[route]
    opaque, requests = daemon.opaque(), daemon.requests()
    client, server = node.pair(caller, called)

    received = play(client, server, *case.steps)  # fails where any other byte differs

    assert declared.count(received.by_server) == case.traced
    expected = {outcome: captures * count for outcome, count in case.outcomes.items()}
    assert until(lambda: daemon.requests() - requests == expected, 1), daemon.requests() - requests
    reasons = {case.opaque: captures} if case.opaque else NONE
    seen = daemon.opaque() - opaque
    del seen["slow_head"]  # counted by the same family, but the connection is read on
    assert seen == reasons


def exchange(node: Node, caller: str, called: str, request: bytes) -> bytes:
    """What the server receives of one request."""
    client, server = node.pair(caller, called)
    client.sendall(request)
    got = server.recv(65536)
    server.sendall(OK)
    client.recv(65536)
    return got


TRACE = b"0af7651916cd43dd8448eb211c80319c"
PARENT = b"b7ad6b7169203331"


@pytest.mark.usefixtures("daemon")
def test_headers_that_are_there_are_replaced_where_they_stand(node: Node) -> None:
    request = (
        b"GET / HTTP/1.1\r\nTRACEPARENT:  00-%b-%b-01 \r\nx-source: me\r\nHost: y\r\n"
        b"X-REQUEST-ID: mine\r\nUber-Trace-Id: 1:2:0:1\r\nTraceState: v=1\r\nLast: 1\r\n\r\n"
    ) % (TRACE, PARENT)

    got = exchange(node, "a", "y", request)

    lines = got.split(b"\r\n")
    traceparent, uber = lines.pop(1), lines.pop(4)
    assert b"\r\n".join(lines) == (
        b"GET / HTTP/1.1\r\nx-source: me\r\nHost: y\r\nX-REQUEST-ID: mine\r\n"
        b"TraceState: v=1\r\nLast: 1\r\n\r\n"
    )
    span = traceparent.removeprefix(b"TRACEPARENT:  00-" + TRACE + b"-").partition(b"-")[0]
    assert len(span) == 16
    assert span != PARENT
    assert uber.startswith(b"Uber-Trace-Id: %b:%b:" % (TRACE, span))


@pytest.mark.usefixtures("daemon")
def test_a_second_copy_of_a_declared_header_is_removed(node: Node) -> None:
    request = (
        b"GET / HTTP/1.1\r\nuber-trace-id: 1:2:0:1\r\nHost: y\r\nuber-trace-id: 3:4:0:1\r\n\r\n"
    )

    got = exchange(node, "a", "y", request)

    assert got.count(b"uber-trace-id:") == 1
    assert got.startswith(b"GET / HTTP/1.1\r\nuber-trace-id: ")


def test_every_response_byte_leaves_before_the_next_is_sent(node: Node, daemon: Daemon) -> None:
    del daemon
    client, server = node.pair("a", "b")
    client.sendall(GET)
    server.recv(65536)
    answer: Any = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"

    for byte in answer:
        server.sendall(bytes((byte,)))
        assert client.recv(10) == bytes((byte,))
