"""The admin server on real loopback sockets."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from netra_node.admin.message import Request, Response, text
from netra_node.admin.server import AdminLimits, AdminServer, Handler


def _hello(_request: Request) -> Response:
    return text("hello")


def _fallback(request: Request) -> Response:
    return text(f"fallback for {request.path}")


@asynccontextmanager
async def serving(
    handler: Handler = _hello, limits: AdminLimits | None = None
) -> AsyncIterator[int]:
    """Serve `handler` at /hello on a loopback port and yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = AdminServer({"/hello": handler}, _fallback, limits)
    await server.start(listener)
    try:
        yield port
    finally:
        await server.stop()


async def ask(port: int, request: bytes) -> bytes:
    """Send bytes and return everything up to the server's end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


async def test_a_route_is_found_by_its_path() -> None:
    async with serving() as port:
        answer = await ask(port, b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b"6\r\nhello\n\r\n0\r\n\r\n"


async def test_any_other_path_reaches_the_fallback() -> None:
    async with serving() as port:
        answer = await ask(port, b"GET /else HTTP/1.0\r\n\r\n")

    assert answer.endswith(b"\r\n\r\nfallback for /else\n")


async def test_a_head_that_comes_in_pieces_is_answered() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in b"GET /hello HTTP/1.0\r\n\r\n":
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        answer = await reader.read()
        writer.close()

    assert answer.endswith(b"hello\n")


async def test_head_gets_the_head_alone() -> None:
    async with serving() as port:
        answer = await ask(port, b"HEAD /hello HTTP/1.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert b"hello" not in answer


@pytest.mark.parametrize("method", [b"POST", b"DELETE", b"OPTIONS"])
async def test_another_method_is_not_allowed_and_told_which_are(method: bytes) -> None:
    async with serving() as port:
        answer = await ask(port, method + b" /hello HTTP/1.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nAllow: GET, HEAD\r\n" in answer


async def test_a_handler_may_wait_before_it_answers() -> None:
    async def later(_request: Request) -> Response:
        await asyncio.sleep(0.01)
        return text("waited")

    async with serving(later) as port:
        answer = await ask(port, b"GET /hello HTTP/1.0\r\n\r\n")

    assert answer.endswith(b"waited\n")


async def test_a_handler_that_fails_after_waiting_is_a_500(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(_request: Request) -> Response:
        await asyncio.sleep(0)
        raise RuntimeError("planted")

    async with serving(fail) as port:
        answer = await ask(port, b"GET /hello HTTP/1.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert "admin page /hello failed" in caplog.text


async def test_garbage_is_a_bad_request() -> None:
    async with serving() as port:
        answer = await ask(port, b"\x16\x03\x01\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")


async def test_a_head_beyond_its_limit_is_refused() -> None:
    async with serving(limits=AdminLimits(head_bytes=100)) as port:
        answer = await ask(port, b"GET /hello HTTP/1.1\r\nX: " + b"x" * 100)

    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_failing_page_is_a_500_and_a_log_entry(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_request: Request) -> Response:
        raise RuntimeError("planted")

    async with serving(fail) as port:
        answer = await ask(port, b"GET /hello HTTP/1.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert "admin page /hello failed" in caplog.text


async def test_a_page_that_fails_half_way_is_visibly_cut_short(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"begun"
        raise RuntimeError("planted")

    async def never_ends(port: int) -> bytes:
        try:
            return await ask(port, b"GET /hello HTTP/1.1\r\n\r\n")
        except ConnectionResetError:
            return b""

    async with serving(lambda _request: Response(pieces())) as port:
        answer = await never_ends(port)

    assert not answer.endswith(b"0\r\n\r\n")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_client_that_says_nothing_is_let_go() -> None:
    async with serving(limits=AdminLimits(head_seconds=0.05)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        gone = await _ends(reader.read)
        writer.close()

    assert gone


async def test_a_client_that_reads_nothing_is_let_go() -> None:
    endless = Response(b"x" * 65536 for _ in iter(int, 1))

    async with serving(lambda _: endless, AdminLimits(exchange_seconds=0.1)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /hello HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.3)
        gone = await _ends(reader.read)
        writer.close()

    assert gone


async def _ends(read: Callable[[], Awaitable[bytes]]) -> bool:
    """Read to the end; a reset is an end too."""
    try:
        async with asyncio.timeout(2):
            await read()
    except ConnectionResetError:
        return True
    return True


async def test_connections_that_give_way_or_are_stopped_are_no_errors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(limits=AdminLimits(connections=1)) as port:
        given_way, stopped = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await _ends(given_way[0].read)
    await _ends(stopped[0].read)
    for _, writer in (given_way, stopped):
        writer.close()

    assert caplog.records == []


async def test_at_the_limit_the_oldest_connection_gives_way_to_a_probe() -> None:
    async with serving(limits=AdminLimits(connections=2)) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        answer = await ask(port, b"GET /hello HTTP/1.0\r\n\r\n")
        oldest_is_gone = await _ends(idle[0][0].read)
        youngest_stays = not idle[1][0].at_eof()
        for _, writer in idle:
            writer.close()

    assert answer.endswith(b"hello\n")
    assert oldest_is_gone
    assert youngest_stays


async def test_the_loop_turns_between_two_pieces_of_a_long_body() -> None:
    turns = 0

    async def turn_for_ever() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def pieces() -> Iterator[bytes]:
        before = turns
        for _ in range(100):
            yield b"x"
            assert turns > before
            before = turns

    async with serving(lambda _: Response(pieces())) as port, asyncio.TaskGroup() as group:
        other_work = group.create_task(turn_for_ever())
        answer = await ask(port, b"GET /hello HTTP/1.0\r\n\r\n")
        other_work.cancel()

    assert answer.endswith(b"x" * 100)


async def test_an_empty_piece_does_not_end_a_chunked_body() -> None:
    async with serving(lambda _: Response((b"a", b"", b"b"))) as port:
        answer = await ask(port, b"GET /hello HTTP/1.1\r\n\r\n")

    assert answer.endswith(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


async def test_stopping_ends_open_connections_and_refuses_new_ones() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.01)

    assert await _ends(reader.read)
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_server_that_never_started_can_be_stopped() -> None:
    await AdminServer({}, _fallback).stop()
