"""Requests over a real loopback connection to a server that says what the test wants."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from netra_node.http_client import Client, Target, TransportError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Server:
    """Answers the n-th request it gets with the n-th answer; then closes. None closes without an answer."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.open: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            while (answer := await self._next(reader)) is not None:
                writer.write(answer)
                await writer.drain()
                if b"Connection: close" in answer or b"Length" not in answer:
                    break
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.transport.abort()
            self.open.discard(task)

    async def _next(self, reader: asyncio.StreamReader) -> bytes | None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
        self.requests.append(head + await reader.readexactly(length))
        return self.answers.pop(0) if self.answers else None


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()
    if made.open:
        await asyncio.wait(made.open, timeout=5)
    assert not made.open


@pytest.fixture
async def post(server: Server) -> AsyncIterator[Callable[[bytes], Awaitable[object]]]:
    poster = Client(Target("127.0.0.1", server.port, "/v1/traces"), [("X-Key", "k")], timeout=2)
    yield poster.post
    poster.close()


async def test_a_request_on_the_wire(server, post) -> None:
    server.answers = [OK]

    await post(b"abc", [("Content-Encoding", "gzip")])

    assert server.requests == [
        b"POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Key: k\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc" % server.port
    ]


async def test_a_question_has_no_body_and_no_length(server) -> None:
    server.answers = [OK]
    client = Client(Target("127.0.0.1", server.port, "/pods"), [], timeout=2)

    await client.get([("Authorization", "Bearer t")])
    client.close()

    assert server.requests == [
        b"GET /pods HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer t\r\n\r\n" % server.port
    ]


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 1000000\r\n\r\n" + b"x" * 1_000_000,
        b"Transfer-Encoding: chunked\r\n\r\nf4240\r\n" + b"x" * 1_000_000 + b"\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n"
        + b"3e8\r\n%b\r\n" % (b"x" * 1000) * 1000
        + b"0\r\n\r\n",
    ],
    ids=["by length", "one chunk", "many chunks"],
)
async def test_a_long_answer_is_read_up_to_the_limit(server, framing) -> None:
    server.answers = [b"HTTP/1.1 200 OK\r\n" + framing] * 2
    target = Target("127.0.0.1", server.port, "/pods")
    enough, short = (Client(target, [], timeout=5, limit=n) for n in (1_000_000, 999_999))

    assert (await enough.get()).body == b"x" * 1_000_000
    with pytest.raises(TransportError, match="where 999"):
        await short.get()
    enough.close()


async def test_an_answer_has_status_fields_and_body(server, post) -> None:
    server.answers = [b"HTTP/1.1 429 Slow\r\nRetry-After:  7 \r\nContent-Length: 2\r\n\r\nno"]

    answer = await post(b"")

    assert (answer.status, answer.fields["retry-after"], answer.body) == (429, "7", b"no")


async def test_one_connection_carries_many_requests(server, post) -> None:
    server.answers = [OK, OK, OK]
    for _ in range(3):
        await post(b"abc")

    assert server.connections == 1


async def test_a_kept_connection_that_the_server_closed_is_replaced(server, post) -> None:
    server.answers = [OK]
    await post(b"1")
    server.answers = [
        None,
        OK,
    ]  # the first is taken by the connection that closes without an answer

    answer = await post(b"2")

    assert (answer.status, server.connections) == (200, 2)


async def test_connection_close_is_obeyed(server, post) -> None:
    server.answers = [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", OK]
    await post(b"1")
    await post(b"2")

    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\nT: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
    ids=["chunked", "until close", "1.0", "after 100"],
)
async def test_bodies_of_every_framing_are_read(server, post, answer) -> None:
    server.answers = [answer]

    found = await post(b"abc")

    assert (found.status, found.body) == (200, b"hi")


async def test_no_content_has_no_body(server, post) -> None:
    server.answers = [b"HTTP/1.1 204 No Content\r\n\r\n"]

    assert (await post(b"")).body == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000,
        None,
    ],
)
async def test_what_is_no_sound_answer_is_a_transport_error(server, post, answer) -> None:
    server.answers = [answer]

    with pytest.raises(TransportError):
        await post(b"abc")


async def test_after_an_error_the_next_request_starts_afresh(server, post) -> None:
    server.answers = [b"SSH-2.0-OpenSSH\r\n\r\n", OK]
    with pytest.raises(TransportError):
        await post(b"1")

    assert (await post(b"2")).status == 200


async def test_a_server_that_is_not_there_is_a_transport_error(unused_tcp_port) -> None:
    poster = Client(Target("127.0.0.1", unused_tcp_port, "/"), [], timeout=2)

    with pytest.raises(TransportError):
        await poster.post(b"")


async def test_a_server_that_says_nothing_is_a_transport_error_in_time() -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.transport.abort()
        left.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        poster = Client(Target("127.0.0.1", port, "/"), [], timeout=0.05)
        with pytest.raises(TransportError, match=r"no answer within 0.05 s"):
            await poster.post(b"")
        await left.wait()


def test_an_ipv6_target_is_bracketed_in_the_host_field() -> None:
    assert Target("::1", 4318, "/v1").authority == "[::1]:4318"
