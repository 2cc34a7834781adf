"""What is sent piece by piece arrives piece by piece: streams, long polls, uploads, heads, in time and in step.

In step: the next piece is sent when the one before has arrived, so whatever waits for more fails, however long it waits.
"""

import socket
import time

import pytest

from e2e.support import declared
from e2e.support.daemon import Daemon
from e2e.support.node import Node, read
from e2e.support.route import BOTH, DIRECT, INBOUND, OUTBOUND, ROUTES, Route
from e2e.support.stream import OK, Line, chunk, milliseconds, open_line, recorded

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

GET = b"GET /stream HTTP/1.1\r\nHost: b\r\nAccept: text/event-stream\r\n\r\n"
POST_CHUNKED = b"POST /up HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
EXPECT = b"PUT /up HTTP/1.1\r\nHost: b\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST = b"0\r\n\r\n"
#: Longer than a held head would be held.
LONGER_THAN_HELD = 0.07
#: For what takes a second or more: through both captures, and in `make long` through each alone.
SLOWLY = pytest.mark.parametrize(
    "route",
    [
        pytest.param(BOTH, id="both"),
        pytest.param(OUTBOUND, id="out", marks=pytest.mark.long),
        pytest.param(INBOUND, id="in", marks=pytest.mark.long),
    ],
)


def ok(route: Route, requests: int = 1) -> dict[str, int]:
    return {"ok": requests * route.captures}


def bytewise(data: bytes) -> list[bytes]:
    return [bytes((byte,)) for byte in data]


# ---- answers that last


def events(count: int) -> list[bytes]:
    """Server-sent events as real servers write them: data, names, ids, several lines, comments that keep the line alive."""
    kinds = (
        b"data: %d\n\n",
        b"event: price\r\nid: %d\r\ndata: {}\r\n\r\n",
        b": keep-alive %d\n\n",
        b"data: first %d\ndata:\ndata: third\n\n",
        b"retry: %d\n\n",
    )
    return [kinds[number % len(kinds)] % number for number in range(count)]


@ROUTES
def test_every_event_of_a_chunked_stream_arrives_before_the_next(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        line.ask(GET)
        line.down(EVENTS + b"Transfer-Encoding: chunked\r\n\r\n")

        delays = line.down(*map(chunk, events(300)))

        line.down(LAST)
        line.exchange()
        line.close()
    print(f"events: {milliseconds(delays)}")


@ROUTES
def test_every_event_of_a_stream_until_close_arrives_before_the_next(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, ok(route)):
        line = open_line(node, route)
        line.ask(GET)
        line.down(EVENTS + b"Connection: close\r\n\r\n", *events(300))
        line.server.close()
        assert line.client.recv(1) == b""


@ROUTES
def test_a_client_that_leaves_a_stream_is_noticed_by_the_server(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, {"client_closed": route.captures}):
        line = open_line(node, route)
        line.ask(GET)
        line.down(EVENTS + b"Transfer-Encoding: chunked\r\n\r\n", *map(chunk, events(3)))
        line.client.close()
        assert line.server.recv(1) == b""
        line.server.close()


@pytest.mark.parametrize("seconds", [1.5, pytest.param(5.2, marks=pytest.mark.long)])
def test_an_answer_after_seconds_of_silence_arrives(
    node: Node, daemon: Daemon, seconds: float
) -> None:
    routes = (OUTBOUND, INBOUND, BOTH)
    with recorded(daemon, {"ok": sum(2 * route.captures for route in routes)}):
        lines = [open_line(node, route) for route in routes]
        for line in lines:
            line.ask(b"GET /poll HTTP/1.1\r\nHost: b\r\n\r\n")
        time.sleep(seconds)
        for line in lines:
            line.down(OK)
            line.exchange()
            line.close()


@SLOWLY
def test_a_chunked_answer_with_pauses_arrives_wherever_it_pauses(
    node: Node, daemon: Daemon, route: Route
) -> None:
    head = (b"HTTP/1.1 200 OK\r\nTransfer-", b"Encoding: chunked\r\n", b"\r\n")
    body = (b"1", b"0;ext", b'=" "', b"\r", b"\n0123", b"456789abcdef", b"\r\n3", b"\r\nabc\r\n")
    end = (b"0", b"\r\n", b"X-Sum", b": 1\r", b"\n\r", b"\n")
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        line.ask(GET)
        line.down(*head, *body, *end, pause=LONGER_THAN_HELD)
        line.exchange()
        line.close()


@SLOWLY
def test_a_trickled_answer_arrives_byte_by_byte(node: Node, daemon: Daemon, route: Route) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0003;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n"
    )
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        line.ask(GET)
        line.down(*bytewise(answer), pause=0.02)
        line.exchange()
        line.close()


@ROUTES
def test_early_hints_arrive_before_the_answer_is_known(
    node: Node, daemon: Daemon, route: Route
) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </%d.css>; rel=preload; as=style\r\n\r\n"
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        line.ask(GET)
        line.down(*(hint % number for number in range(5)), pause=LONGER_THAN_HELD)
        line.down(OK)
        line.exchange()
        line.close()


# ---- uploads that last


@ROUTES
def test_every_piece_of_a_chunked_upload_arrives_before_the_next(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        line.ask(POST_CHUNKED)
        delays = line.up(*(chunk(b"%d" % number * 9) for number in range(300)), LAST)
        line.down(OK)
        line.exchange()
        line.close()
    print(f"pieces: {milliseconds(delays)}")


@SLOWLY
def test_a_chunked_upload_with_pauses_arrives_wherever_it_pauses(
    node: Node, daemon: Daemon, route: Route
) -> None:
    body = (b"1", b"0;ext", b'=" "', b"\r", b"\n0123", b"456789abcdef", b"\r\n3", b"\r\nabc\r\n")
    end = (b"0", b"\r\n", b"X-Sum", b": 1\r", b"\n\r", b"\n")
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        line.ask(POST_CHUNKED)
        line.up(*body, *end, pause=LONGER_THAN_HELD)
        line.down(OK)
        line.exchange()
        line.close()


@SLOWLY
def test_a_trickled_chunk_size_arrives_byte_by_byte(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        line.ask(POST_CHUNKED)
        line.up(*bytewise(b'000000a;name="some value"\r\n0123456789\r\n0\r\n\r\n'), pause=0.02)
        line.down(OK)
        line.exchange()
        line.close()


@ROUTES
def test_an_upload_and_its_answer_flow_in_step_with_each_other(
    node: Node, daemon: Daemon, route: Route
) -> None:
    """An echo: every piece of the answer is made of a piece of the request."""
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        line.ask(POST_CHUNKED)
        line.down(CHUNKED)
        for number in range(100):
            line.up(chunk(b"%d" % number))
            line.down(chunk(b"%d" % number))
        line.up(LAST)
        line.down(LAST)
        line.exchange()
        line.close()


# ---- Expect: 100-continue


@ROUTES
def test_a_client_that_waits_for_100_gets_it_and_sends(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        assert declared.count(line.ask(EXPECT)) == 1
        time.sleep(LONGER_THAN_HELD)
        line.down(CONTINUE)
        line.up(b"abcd", b"efgh")
        line.down(OK)
        line.exchange()
        line.close()


@SLOWLY
def test_a_client_that_waits_for_100_in_vain_sends_after_its_own_time(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        line.ask(EXPECT)
        line.client.settimeout(1)  # curl's
        with pytest.raises(TimeoutError):
            line.client.recv(1)
        line.up(b"abcdefgh")
        line.down(OK)
        line.exchange()
        line.close()


@ROUTES
@pytest.mark.parametrize("status", [b"417 Expectation Failed", b"413 Content Too Large"])
def test_a_refusal_instead_of_100_reaches_a_client_that_then_leaves(
    node: Node, daemon: Daemon, route: Route, status: bytes
) -> None:
    with recorded(daemon, ok(route)):
        line = open_line(node, route)
        line.ask(EXPECT)
        line.down(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)
        line.client.close()
        assert line.server.recv(1) == b""
        line.server.close()


@ROUTES
def test_a_refusal_instead_of_100_reaches_a_client_before_the_server_leaves(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, ok(route)):
        line = open_line(node, route)
        line.ask(EXPECT)
        line.down(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
        line.server.close()
        assert line.client.recv(1) == b""
        line.client.close()


@ROUTES
def test_a_client_that_is_refused_and_sends_the_body_all_the_same_goes_on(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        line.ask(EXPECT)
        line.down(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        line.up(b"abcd", b"efgh")
        line.exchange()
        line.close()


@ROUTES
def test_a_client_that_is_refused_and_asks_anew_without_the_body_loses_no_byte(
    node: Node, daemon: Daemon, route: Route
) -> None:
    """Servers disagree on whether the body is still owed; so we count it as owed, add nothing, and let bytes pass."""
    del daemon
    line = open_line(node, route)
    line.ask(EXPECT)
    line.down(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
    line.up(b"PUT /up HTTP/1.1\r\nHost: b\r\nContent-Length: 8\r\n\r\nabcdefgh")
    line.down(OK)
    line.up(GET)
    line.down(OK)
    line.close()


# ---- answers before the request ends


@ROUTES
def test_a_whole_answer_in_the_midst_of_an_upload_lets_the_upload_go_on(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        line.ask(POST_CHUNKED)
        line.up(chunk(b"first"))
        line.down(OK)
        line.up(*(chunk(b"%d" % number) for number in range(20)), LAST)
        line.exchange()
        line.close()


@ROUTES
def test_an_answer_that_outlives_the_upload_flows_beside_it(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        line.ask(POST_CHUNKED)
        line.down(CHUNKED, chunk(b"early"))
        line.up(chunk(b"body"), LAST)
        line.down(*(chunk(b"%d" % number) for number in range(20)), LAST)
        line.exchange()
        line.close()


@ROUTES
def test_a_server_that_answers_an_upload_and_leaves_is_heard_whole(
    node: Node, daemon: Daemon, route: Route
) -> None:
    """Directly, the client gets the answer and the FIN, and may say what it will: nobody listens."""
    with recorded(daemon, ok(route)):
        line = open_line(node, route)
        line.ask(POST_CHUNKED)
        line.up(chunk(b"first"))
        line.down(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
        line.server.close()
        assert line.client.recv(1) == b""
        line.client.sendall(chunk(b"second"))
        with pytest.raises(ConnectionError):
            talk_until_reset(line.client)


def talk_until_reset(sock: socket.socket) -> None:
    """Send on until the other side's reset is there; no longer than a second."""
    for _ in range(100):
        sock.sendall(chunk(b"more"))
        time.sleep(0.01)


# ---- heads that take their time


SHORT = b"GET /slow HTTP/1.1\r\nHost: b\r\n\r\n"
LONG = b"GET /slow HTTP/1.1\r\nHost: b\r\nX-Long: " + b"x" * 40 + b"\r\n\r\n"


def trickle(line: Line, head: bytes, pause: float) -> bytes:
    """Send a head byte by byte; all of what arrives of it."""
    for byte in bytewise(head):
        line.client.sendall(byte)
        time.sleep(pause)
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        got += line.server.recv(65536)
    return got


@ROUTES
def test_a_head_that_trickles_for_less_than_a_second_gets_its_headers(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, ok(route, 2)):
        line = open_line(node, route)
        # a tenth of the silence that lets a head go
        got = trickle(line, SHORT, 0.005)
        line.down(OK)
        line.exchange()
        line.close()
    assert declared.without(got) == SHORT
    assert declared.count(got) == 1


@pytest.mark.parametrize(
    "route",
    [
        pytest.param(BOTH, id="both"),
        pytest.param(INBOUND, id="in"),
        pytest.param(OUTBOUND, id="out", marks=pytest.mark.long),
    ],
)
def test_a_head_that_trickles_for_over_a_second_is_let_go_and_the_next_gets_headers(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, ok(route, 2), opaque="slow_head"):
        line = open_line(node, route)
        got = trickle(line, LONG, 0.02)
        line.down(OK)
        line.exchange()
        line.close()
    assert declared.without(got) == LONG
    # what the first capture lets go after a second may be complete for the second one in time
    assert declared.count(got) < route.captures


@ROUTES
def test_a_head_that_pauses_arrives_up_to_its_pause_and_the_next_gets_headers(
    node: Node, daemon: Daemon, route: Route
) -> None:
    """Each piece is on its way 50 ms after its last byte; the first alone is held, the others are passed on at once."""
    pieces = (b"GET /slow HTTP/1.1\r\nHo", b"st: b\r\nX-Lo", b"ng: 1\r", b"\n\r", b"\n")
    with recorded(daemon, ok(route, 2), opaque="slow_head"):
        line = open_line(node, route)
        first, *rest = line.up(*pieces, pause=LONGER_THAN_HELD)
        line.down(OK)
        line.exchange()
        line.close()
    print(f"first piece {first * 1e3:.0f} ms, the others {milliseconds(rest)}")
    assert first > 0.045 * route.captures
    assert first < 0.5 * route.captures


@ROUTES
def test_a_slow_head_is_answered_while_it_is_still_incomplete(
    node: Node, daemon: Daemon, route: Route
) -> None:
    """As servers do on a timeout or a header they dislike: 408 or 400, and FIN."""
    del daemon
    line = open_line(node, route)
    line.up(b"GET /slow HTTP/1.1\r\nHost: b\r\n")
    line.down(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    line.server.close()
    assert line.client.recv(1) == b""


# ---- no HTTP


@ROUTES
@pytest.mark.parametrize("size", [1, 2, 5, 6, 9, 100])
def test_a_client_hello_in_pieces_arrives_piece_by_piece(
    node: Node, daemon: Daemon, route: Route, size: int
) -> None:
    hello = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" + bytes(range(194))
    with recorded(daemon, {}, opaque="tls"):
        line = open_line(node, route)
        line.up(*(hello[at : at + size] for at in range(0, len(hello), size)))
        line.down(b"\x16\x03\x03\x00\x2c\x02" + bytes(43), b"\x14\x03\x03\x00\x01\x01")
        line.close()


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@ROUTES
def test_an_h2_preface_split_anywhere_arrives_whole(
    node: Node, daemon: Daemon, route: Route
) -> None:
    for cut in range(1, len(PREFACE)):
        with recorded(daemon, {}, opaque="h2"):
            line = open_line(node, route)
            line.client.sendall(PREFACE[:cut])
            time.sleep(0.005)
            line.client.sendall(PREFACE[cut:] + SETTINGS)
            assert read(line.server, len(PREFACE + SETTINGS)) == PREFACE + SETTINGS
            line.down(SETTINGS)
            line.up(SETTINGS[:4] + b"\x01" + SETTINGS[5:])
            line.close()


@ROUTES
def test_an_h2_preface_that_pauses_anywhere_arrives_up_to_its_pause(
    node: Node, daemon: Daemon, route: Route
) -> None:
    with recorded(daemon, {}, opaque="h2"):
        line = open_line(node, route)
        line.up(*bytewise(PREFACE), SETTINGS)
        line.down(SETTINGS)
        line.close()


@ROUTES
@pytest.mark.parametrize("port", [1, 22, 443, 3306, 6379, 65535])
def test_http_is_read_on_whatever_port_it_is_spoken(
    node: Node, daemon: Daemon, route: Route, port: int
) -> None:
    listener = node.listen(route.server, port=port)
    with recorded(daemon, ok(route, 2)), listener:
        client = node.connect(route.client, (node.pod(route.server).ipv4, port))
        line = Line(client, node.accept(listener))
        line.exchange()
        line.exchange()
        line.close()


SMTP = (b"220 mail.example ESMTP ready\r\n", b"EHLO client\r\n", b"250 mail.example\r\n")
MYSQL = (
    b"J\0\0\0\n8.0.36\0\x08\0\0\0" + bytes(range(1, 9)) + b"\0\xff\xf7\xff\x02\0" + bytes(45),
    b"\x20\0\0\x01\x85\xa6\xff\x01" + bytes(28),
    b"\x07\0\0\x02\0\0\0\x02\0\0\0",
)


@ROUTES
@pytest.mark.parametrize("protocol", [SMTP, MYSQL], ids=["smtp", "mysql"])
def test_a_server_that_speaks_first_is_heard_by_a_client_that_waits(
    node: Node, daemon: Daemon, route: Route, protocol: tuple[bytes, bytes, bytes]
) -> None:
    greeting, hello, answer = protocol
    with recorded(daemon, {}, opaque="server_first"):
        line = open_line(node, route)
        line.down(greeting)
        line.up(hello)
        line.down(answer)
        line.close()


@pytest.mark.parametrize("seconds", [1, pytest.param(60, marks=pytest.mark.long)])
@pytest.mark.timeout(120)
def test_whoever_was_silent_for_long_is_heard(node: Node, daemon: Daemon, seconds: int) -> None:
    """A client that says nothing to a server that says nothing, then either of them speaks."""
    routes = (DIRECT, OUTBOUND, INBOUND, BOTH)
    pairs = [(open_line(node, route), open_line(node, route)) for route in routes]
    time.sleep(seconds)

    for route, (server_speaks, client_speaks) in zip(routes, pairs, strict=True):
        server_speaks.down(SMTP[0])
        server_speaks.up(SMTP[1])
        server_speaks.close()
        got = client_speaks.ask(GET)
        assert declared.count(got) == (route.captures > 0)
        client_speaks.down(OK)
        client_speaks.close()
    assert daemon.mishaps() == []
