"""Limits of one connection, each reached: bytes arrive as they were sent, the connection lives on, the daemon does not grow.

Belongs here: heads, pipelining, bytes that a peer does not take, crowds of slow heads. Does not belong here: no more room at
all (`test_room`), netramesh's own ways to fall (`test_netramesh_bugs`).
"""

import random
import socket
import threading
import time
from pathlib import Path

import pytest

from e2e.support import declared
from e2e.support.daemon import Daemon, until
from e2e.support.memory import flat
from e2e.support.node import Node, read, read_head
from e2e.support.route import BOTH, Route
from e2e.support.stream import OK, chunk, open_line, recorded
from e2e.support.stream_pump import pump

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

KIBIBYTE, MEBIBYTE = 1 << 10, 1 << 20
GET = b"GET /%d HTTP/1.1\r\nHost: b\r\n\r\n"
TLS = b"\x16\x03\x01\x00\x05hello"


def sending(sock: socket.socket, data: bytes) -> threading.Thread:
    """Send beside what the test does, as one end cannot send a lot before the other reads."""
    thread = threading.Thread(target=sock.sendall, args=(data,))
    thread.start()
    return thread


# ---- heads


def head(first: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join((first, b"Host: b", *fields, b"", b""))


REQUEST = b"GET / HTTP/1.1"
TOO_LONG = {
    "64 KiB and a byte": head(REQUEST, b"X: " + b"x" * (64 * KIBIBYTE - 31)),
    "one header of 1 MiB": head(REQUEST, b"X: " + b"x" * MEBIBYTE),
    "10,000 headers": head(REQUEST, *(b"X-%d: 1" % number for number in range(10_000))),
    "201 headers": head(REQUEST, *(b"X: 1" for _ in range(200))),
    "a target of 64 KiB": head(b"GET /" + b"x" * 64 * KIBIBYTE + b" HTTP/1.1"),
}
JUST_SHORT = {
    "64 KiB": head(REQUEST, b"X: " + b"x" * (64 * KIBIBYTE - 32)),
    "200 headers": head(REQUEST, *(b"X: 1" for _ in range(199))),
}


@pytest.mark.parametrize("request_head", TOO_LONG.values(), ids=TOO_LONG)
def test_a_head_beyond_a_limit_passes_unread_and_so_does_what_follows(
    node: Node, daemon: Daemon, request_head: bytes
) -> None:
    line = open_line(node, BOTH)
    before = daemon.opaque()["too_large"]
    with flat(daemon):
        for sent in (request_head, GET % 2):
            thread = sending(line.client, sent)
            assert read(line.server, len(sent)) == sent
            thread.join()
            line.down(OK)
        line.close()

    assert daemon.opaque()["too_large"] - before == 2  # once for each pod


@pytest.mark.parametrize("request_head", JUST_SHORT.values(), ids=JUST_SHORT)
def test_a_head_at_a_limit_is_read(node: Node, daemon: Daemon, request_head: bytes) -> None:
    line = open_line(node, BOTH)
    # what a adds makes it too long for b
    before = daemon.requests()["ok"]
    thread = sending(line.client, request_head)
    got = read_head(line.server)
    thread.join()
    line.down(OK)
    line.close()

    assert declared.without(got) == request_head
    assert declared.count(got) == 1
    assert until(lambda: daemon.requests()["ok"] - before >= 1, 2)


@pytest.mark.parametrize(
    "fields", [(b"X: " + b"x" * MEBIBYTE,), (b"X: 1",) * 10_000], ids=["1 MiB", "10,000 headers"]
)
def test_an_answers_head_beyond_a_limit_passes_unread(
    node: Node, daemon: Daemon, fields: tuple[bytes, ...]
) -> None:
    line = open_line(node, BOTH)
    answer = head(b"HTTP/1.1 200 OK", b"Content-Length: 0", *fields)
    with recorded(daemon, {"opaque": 2}, "too_large"), flat(daemon):
        line.ask(GET % 1)
        thread = sending(line.server, answer)
        assert read(line.client, len(answer)) == answer
        thread.join()
        line.close()


# ---- flow control


PIPELINED = 10_000
PENDING = 64


def test_of_10000_pipelined_requests_64_wait_for_their_answer_and_the_others_for_those(
    node: Node, daemon: Daemon
) -> None:
    client, server = node.pair("x", "b")
    requests = [GET % number for number in range(PIPELINED)]
    with flat(daemon):
        sender = sending(client, b"".join(requests))
        for first in range(0, PIPELINED, PENDING):
            batch = b"".join(requests[first : first + PENDING])
            assert take_requests(server, len(batch)) == batch
            server.sendall(OK * len(requests[first : first + PENDING]))
        sender.join()
        assert read(client, len(OK) * PIPELINED) == OK * PIPELINED
    client.close()
    server.close()


def take_requests(server: socket.socket, size: int) -> bytes:
    """What comes, without declared headers, until `size` bytes of it are there."""
    got = bytearray()
    while len(clean := declared.without(bytes(got))) < size or not clean.endswith(b"\r\n\r\n"):
        data = server.recv(65536)
        assert data
        got += data
    return clean


def test_a_client_that_pipelines_and_never_reads_is_read_from_no_more(
    node: Node, daemon: Daemon
) -> None:
    client, server = node.pair("x", "b")
    client.settimeout(1)
    requests = b"".join(GET % number for number in range(1_000_000))
    with flat(daemon), pytest.raises(TimeoutError):
        client.sendall(requests)
    got = drain(server)

    assert declared.count(got) == PENDING
    client.close()
    server.close()


def drain(sock: socket.socket) -> bytes:
    """What is there to be read within half a second."""
    sock.settimeout(0.5)
    got = bytearray()
    try:
        while data := sock.recv(65536):
            got += data
    except TimeoutError:
        pass
    return bytes(got)


BULK = random.Random(4).randbytes(64 * MEBIBYTE)
OPAQUE, POST = b"", b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n" % len(BULK)


@pytest.mark.parametrize("before", [TLS, POST], ids=["opaque", "http"])
@pytest.mark.parametrize("sender", ["client", "server"])
def test_what_a_peer_does_not_take_is_not_kept(
    node: Node, daemon: Daemon, before: bytes, sender: str
) -> None:
    client, server = node.pair("x", "b")
    first = head(b"GET / HTTP/1.1") if before == POST and sender == "server" else before
    client.sendall(first)
    assert declared.without(read_first(server, first)) == first
    if sender == "server" and before == POST:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BULK)
        server.sendall(answer)
        assert read(client, len(answer)) == answer
    source, sink = (client, server) if sender == "client" else (server, client)
    source.settimeout(30)

    with flat(daemon, 2.0):
        thread = sending(source, BULK)
        time.sleep(0.5)  # by then all buffers are full
        assert thread.is_alive()
        assert read(sink, len(BULK)) == BULK
        thread.join()
    client.close()
    server.close()


def read_first(server: socket.socket, first: bytes) -> bytes:
    return read(server, len(first)) if first == TLS else read_head(server)


# ---- crowds


SLOW = 2000
HALF = b"GET / HTTP/1.1\r\nHost: b\r\nX-Half"


def test_2000_half_heads_in_one_pod_are_let_go_and_another_pods_requests_answered(
    node: Node, daemon: Daemon
) -> None:
    make = lambda: socket.create_server(("0.0.0.0", 0), backlog=SLOW)  # noqa: E731
    listener = node.keep(node.bed.run_inside("b", make))
    other = open_line(node, Route("x", "a", 1))
    address = (node.pod("b").ipv4, listener.getsockname()[1])
    slowest, pairs = 0.0, []
    with flat(daemon, 32.0):  # 16 KiB each, by far less than their heads may hold
        for number in range(SLOW):
            client = node.connect("x", address)
            client.sendall(HALF)
            pairs.append((client, node.accept(listener)))
            if number % 50 == 0:
                began = time.perf_counter()
                other.exchange()
                slowest = max(slowest, time.perf_counter() - began)
        for _, server in pairs:
            assert read(server, len(HALF)) == HALF
        for client, server in pairs:
            client.close()
            server.close()
    other.close()

    print(f"slowest answer in another pod meanwhile: {slowest * 1e3:.1f} ms")
    assert slowest < 1
    assert until(lambda: not daemon.pod("b")["connections"])


# ---- chunks


def test_a_body_of_ten_million_chunks_of_a_byte_is_kept_nowhere(
    node: Node, daemon: Daemon, tmp_path: Path
) -> None:
    client, server = node.pair("x", "b")
    unit = b"".join(chunk(b"%d" % (number % 10)) for number in range(100_003))
    (tmp_path / "unit").write_bytes(unit)
    count = 100
    client.sendall(head(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked"))
    read_head(server)
    before = daemon.requests()["ok"]
    with flat(daemon):
        ends = [
            pump(node.bed, pod, sock, role, tmp_path / "unit", count)
            for pod, sock, role in (("b", server, "receive"), ("x", client, "send"))
        ]
        for end in ends:
            end.begin()
        moved = [end.result() for end in ends]
    client.sendall(b"0\r\n\r\n")
    assert read(server, 5) == b"0\r\n\r\n"
    server.sendall(OK)
    assert read(client, len(OK)) == OK

    print(f"10 million chunks in {moved[0].seconds:.1f} s")
    assert [end.units for end in moved] == [count, count]
    assert until(lambda: daemon.requests()["ok"] > before, 2)
    client.close()
    server.close()
