"""Both sides in the test's hands: as raw sockets where the kernel matters, as fakes where the order of events does."""

import asyncio
import contextlib
import gc
import logging
import select
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.limits import Limits
from netra_node.core.ports import PortSet
from netra_node.core.records import ConnectionRecord, Direction, Exchange, Outcome
from netra_node.proxy.connection import Connection
from netra_node.proxy.sockets import unacknowledged
from tests.core.transcript import FakeTracing
from tests.proxy.support import (
    CLIENT,
    GET,
    NOBODY,
    OK,
    TLS,
    FailingDialer,
    FakeTransport,
    LoopbackDialer,
    PendingDialer,
    RaisingObserver,
    RecordingObserver,
    is_reset,
    open_descriptors,
    proxied,
    read,
    read_all,
    reset,
    route,
    rules,
    send,
    until,
)

MILLISECOND = 1_000_000
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
EXCHANGE = ["opened", "exchange ok", "ended ok"]


@pytest.fixture
def pending() -> Iterator[PendingDialer]:
    dialer = PendingDialer()
    yield dialer
    dialer.close()


# ---- bytes


async def test_bytes_pass_unchanged_both_ways() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        assert await read(server, len(GET)) == GET
        await send(server, OK)

        assert await read(client, len(OK)) == OK


async def test_an_exchange_is_told_once_and_the_connection_once() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        await read(server, len(GET))
        await send(server, OK)
        await read(client, len(OK))
        client.close()
        server.close()

        assert await proxy.ended() == EXCHANGE


async def test_the_record_counts_the_bytes_of_both_directions() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, TLS)
        await send(server, TLS * 3)
        await read(client, len(TLS) * 3)
        client.close()
        server.close()
        await proxy.ended()

        (record,) = proxy.observer.connections
        assert (record.received, record.sent) == (len(TLS), 3 * len(TLS))


async def test_what_is_not_http_passes_from_its_first_byte() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, TLS)

        assert await read(server, len(TLS)) == TLS
        assert proxy.observer.events == ["opened", "opaque tls"]


async def test_a_server_that_speaks_first_is_heard_at_once() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(server, b"220 ready\r\n")

        assert await read(client, 11) == b"220 ready\r\n"
        assert proxy.observer.events == ["opened", "opaque server_first"]


async def test_a_port_that_is_not_among_the_http_ports_is_not_read() -> None:
    async with proxied(http_ports=PortSet(((1, 1),))) as proxy:
        client, server = await proxy.pair()
        await send(client, GET)

        assert await read(server, len(GET)) == GET
        assert proxy.observer.events == ["opened", "opaque port"]


async def test_a_held_head_is_let_go_after_50_ms_of_silence() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        begin = asyncio.get_running_loop().time()
        await send(client, GET[:9])

        assert await read(server, 9) == GET[:9]
        assert 0.045 <= asyncio.get_running_loop().time() - begin < 1


async def test_a_head_that_trickles_in_is_held_until_it_is_silent() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        begin = asyncio.get_running_loop().time()
        for at in range(4):
            await send(client, GET[at : at + 1])
            await asyncio.sleep(0.02)

        assert await read(server, 4) == GET[:4]
        assert asyncio.get_running_loop().time() - begin >= 0.105


async def test_a_head_whose_rest_came_while_the_loop_stood_still_is_complete() -> None:
    async with proxied(rules=rules(Limits(hold_after_last=200 * MILLISECOND))) as proxy:
        client, server = await proxy.pair()
        await send(client, GET[:9])
        await asyncio.sleep(0.01)

        def come_while_it_stands_still() -> None:
            asyncio.get_running_loop().remove_reader(bell)
            client.send(GET[9:])
            time.sleep(0.3)

        bell, ringer = socket.socketpair()
        with bell, ringer:
            # where it reads: what it has not looked for then it reads only after its timers
            asyncio.get_running_loop().add_reader(bell, come_while_it_stands_still)
            ringer.send(b"!")
            assert await read(server, len(GET)) == GET
        await send(server, OK)
        await read(client, len(OK))

        assert [exchange.slow_head for exchange in proxy.observer.exchanges] == [False]


async def test_a_head_that_was_let_go_is_an_exchange_all_the_same() -> None:
    async with proxied(rules=rules(Limits(hold_after_last=MILLISECOND))) as proxy:
        client, server = await proxy.pair()
        await send(client, GET[:9])
        await read(server, 9)
        await send(client, GET[9:])
        await read(server, len(GET) - 9)
        await send(server, OK)
        await read(client, len(OK))

        assert [exchange.slow_head for exchange in proxy.observer.exchanges] == [True]


async def test_a_head_held_at_the_clients_fin_goes_on_before_the_fin() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET[:9])
        client.shutdown(socket.SHUT_WR)

        assert await read_all(server) == GET[:9]


async def test_of_many_pipelined_requests_64_go_on_unanswered() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET * 200)
        await read(server, len(GET) * 64)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.get_running_loop().sock_recv(server, 1), 0.05)


async def test_each_answer_lets_one_more_pipelined_request_go_and_the_fin_comes_last() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET * 200)
        client.shutdown(socket.SHUT_WR)
        await read(server, len(GET) * 64)
        for _ in range(136):
            await send(server, OK)
            assert await read(server, len(GET)) == GET
        await send(server, OK * 64)

        assert await read_all(server) == b""
        server.close()
        assert await read_all(client) == OK * 200
        assert (await proxy.ended()).count("exchange ok") == 200


# ---- opening


async def test_a_refused_dial_resets_the_client() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # as long as it is bound nobody else listens there
        async with proxied(dialer=LoopbackDialer(nobody.getsockname())) as proxy:
            client = await proxy.client()

            assert await is_reset(client)
            assert await proxy.ended() == ["opened", "ended upstream_refused"]


@pytest.mark.parametrize(
    ("number", "outcome"), [(110, "upstream_timeout"), (113, "upstream_refused")]
)
async def test_a_dial_that_fails_says_how(number: int, outcome: str) -> None:
    async with proxied(dialer=FailingDialer(OSError(number, "planted"))) as proxy:
        assert await is_reset(await proxy.client())
        assert await proxy.ended() == ["opened", f"ended {outcome}"]


async def test_a_dialler_at_fault_costs_the_connection_and_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with proxied(dialer=FailingDialer(ZeroDivisionError("planted"))) as proxy:
        assert await is_reset(await proxy.client())
        assert await proxy.ended() == ["opened", "ended upstream_refused"]
    assert "ZeroDivisionError" in caplog.text


async def test_what_the_client_says_while_we_dial_arrives_after_it(pending: PendingDialer) -> None:
    async with proxied(dialer=pending) as proxy:
        client = await proxy.client()
        await send(client, TLS)
        await until(lambda: proxy.observer.events == ["opened", "opaque tls"])
        server = await pending.answer()

        assert await read(server, len(TLS)) == TLS


async def test_a_fin_that_comes_while_we_dial_is_passed_on_after_it(pending: PendingDialer) -> None:
    async with proxied(dialer=pending) as proxy:
        client = await proxy.client()
        await send(client, TLS)
        client.shutdown(socket.SHUT_WR)
        await until(lambda: "opaque tls" in proxy.observer.events)
        server = await pending.answer()

        assert await read_all(server) == TLS


async def test_a_client_that_leaves_while_we_dial_ends_the_dial(pending: PendingDialer) -> None:
    async with proxied(dialer=pending) as proxy:
        reset(await proxy.client())

        assert await proxy.ended() == ["opened", "ended client_reset"]
    assert (pending.sock.fileno(), pending.released) == (-1, 1)


async def test_what_a_client_said_that_resets_while_we_dial_arrives_and_the_reset_behind_it(
    pending: PendingDialer,
) -> None:
    async with proxied(dialer=pending) as proxy:
        client = await proxy.client()
        await send(client, GET[:9])
        await until(lambda: bool(proxy.observer.events))
        await asyncio.sleep(0.01)
        reset(client)
        await asyncio.sleep(0.01)
        server = await pending.answer()

        assert await read(server, 9) == GET[:9]
        assert await is_reset(server)
        assert await proxy.ended() == ["opened", "ended client_reset"]
    assert pending.released == 1


async def test_a_dial_that_fails_after_the_client_spoke_and_left_ends_the_connection() -> None:
    async with bench() as table:
        table.client(TLS)
        table.client_reset()
        assert table.record.outcome is None
        table.refused()

        assert table.record.outcome is Outcome.CLIENT_RESET
        assert table.opened == set()


async def test_a_connection_that_still_dials_for_a_client_that_left_can_be_cut() -> None:
    async with bench() as table:
        table.client(TLS)
        table.client_reset()
        table.connection.cut()

        assert table.opened == set()
        table.made()
        assert table.up.calls == ["reset"]


async def test_a_client_that_leaves_before_it_is_accepted_disturbs_nobody() -> None:
    async with proxied() as proxy:
        gone = socket.create_connection(proxy.entrance)
        reset(gone)
        client, server = await proxy.pair()
        await send(client, TLS)
        with contextlib.suppress(ConnectionResetError):
            if await read(server, len(TLS)) == TLS:
                return

        assert await read(await proxy.server(), len(TLS)) == TLS


# ---- FIN and RST


async def test_a_client_that_has_said_all_still_hears_the_answer() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        client.shutdown(socket.SHUT_WR)
        assert await read_all(server) == GET
        await send(server, OK)
        server.close()

        assert await read_all(client) == OK
        assert await proxy.ended() == EXCHANGE


async def test_a_server_that_has_said_all_still_hears_the_client() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, TLS)
        await send(server, TLS)
        server.shutdown(socket.SHUT_WR)
        assert await read_all(client) == TLS
        await send(client, b"more")
        client.close()

        assert await read_all(server) == TLS + b"more"
        assert await proxy.ended() == ["opened", "opaque tls", "ended ok"]


async def test_a_clients_reset_reaches_the_server_as_one() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        await read(server, len(GET))
        reset(client)

        assert await is_reset(server)
        assert await proxy.ended() == ["opened", "exchange client_reset", "ended client_reset"]


async def test_a_servers_reset_reaches_the_client_as_one() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        await read(server, len(GET))
        reset(server)

        assert await is_reset(client)
        assert await proxy.ended() == ["opened", "exchange upstream_reset", "ended upstream_reset"]


async def test_a_servers_reset_right_behind_its_bytes_reaches_the_client_as_one() -> None:
    """Once opaque, and after `Connection: close`, we look for a FIN behind the bytes: of a reset the kernel tells only once."""
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, TLS)
        await read(server, len(TLS))
        server.sendall(TLS)
        reset(server)

        assert await read(client, len(TLS)) == TLS
        assert await is_reset(client)
        assert await proxy.ended() == ["opened", "opaque tls", "ended upstream_reset"]


async def test_what_a_server_sent_before_its_reset_arrives_before_it() -> None:
    large = TLS * 30_000
    async with proxied() as proxy:
        client = await proxy.client(receive_buffer=1 << 16)
        server = await proxy.server()
        await send(client, TLS)
        await read(server, len(TLS))
        await send(server, large)
        await until(lambda: unacknowledged(server) == 0)  # else the server's own kernel forgets it
        reset(server)
        await asyncio.sleep(0.05)  # the reset is noticed before the client reads

        assert await read(client, len(large)) == large
        assert await is_reset(client)


async def test_half_a_head_arrives_before_its_clients_reset() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET[:-1])
        reset(client)

        assert await read(server, len(GET) - 1) == GET[:-1]
        assert await is_reset(server)


async def test_a_request_the_server_hangs_up_on_is_told() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        await read(server, len(GET))
        server.close()
        assert await read_all(client) == b""
        client.close()

        assert await proxy.ended() == ["opened", "exchange upstream_closed", "ended ok"]


async def test_a_request_the_client_gave_up_is_told() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        client.shutdown(socket.SHUT_WR)
        await read_all(server)
        server.close()

        assert await proxy.ended() == ["opened", "exchange client_closed", "ended ok"]


async def test_a_client_that_left_and_resets_the_answer_has_closed() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        client.close()
        assert await read_all(server) == GET
        (connection,) = proxy.listeners.open
        await send(server, OK[:5])
        # no loop reads on behind a FIN: a reset is met by writing, and so by writing twice
        await until(lambda: connection.record.sent)
        await send(server, OK[5:-1])

        assert await proxy.ended() == ["opened", "exchange client_closed", "ended client_closed"]


async def test_an_answer_cut_short_by_the_servers_fin_is_told() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        await read(server, len(GET))
        await send(server, OK[:-1])
        server.close()
        assert await read_all(client) == OK[:-1]
        client.close()

        assert await proxy.ended() == ["opened", "exchange upstream_closed", "ended ok"]


async def test_a_request_after_the_servers_fin_was_never_answered() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        server.shutdown(socket.SHUT_WR)
        assert await read_all(client) == b""
        await send(client, GET)
        await read(server, len(GET))
        client.close()

        assert await proxy.ended() == ["opened", "exchange upstream_closed", "ended ok"]


async def test_an_answer_until_the_close_is_complete_at_the_servers_fin() -> None:
    answer = b"HTTP/1.0 200 OK\r\n\r\nall of it"
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        await read(server, len(GET))
        await send(server, answer)
        server.close()
        assert await read_all(client) == answer
        client.close()

        assert await proxy.ended() == EXCHANGE


def answer_and_hang_up(server: socket.socket, answer: bytes) -> None:
    """Send the last bytes and FIN in one segment."""
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    server.send(answer)
    server.shutdown(socket.SHUT_WR)


async def first_sight(sock: socket.socket, of: int = select.POLLIN | select.POLLRDHUP) -> int:
    """Return what poll says the moment there is something to say; of errors it always says."""
    poll = select.poll()
    poll.register(sock, of)
    return (await asyncio.to_thread(poll.poll, 10_000))[0][1]


async def test_last_bytes_and_the_fin_that_came_with_them_leave_together() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        await read(server, len(GET))
        seen = asyncio.ensure_future(first_sight(client))  # noqa: TID251 - awaited below
        await asyncio.sleep(0.02)
        answer_and_hang_up(server, CLOSING)

        assert await seen & select.POLLRDHUP
        assert await read_all(client) == CLOSING


async def test_last_bytes_wait_for_no_fin() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        await read(server, len(GET))
        await send(server, CLOSING)

        assert await read(client, len(CLOSING)) == CLOSING


async def test_a_long_last_answer_and_its_fin_arrive_whole() -> None:
    body = bytes(3 << 20)
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        await read(server, len(GET))
        sending = asyncio.gather(send(server, answer + body), read(client, len(answer + body)))
        _, got = await asyncio.wait_for(sending, 5)
        server.close()

        assert got == answer + body
        assert await read_all(client) == b""


# ---- flow control


async def stuffed(sock: socket.socket, limit: int) -> int:
    """Send without anybody reading, until nothing more is taken for 50 ms or `limit` bytes are; return how many were."""
    sent = 0
    quiet_since = asyncio.get_running_loop().time()
    while sent < limit and asyncio.get_running_loop().time() - quiet_since < 0.05:
        try:
            sent += sock.send(bytes(min(1 << 16, limit - sent)))
            quiet_since = asyncio.get_running_loop().time()
        except BlockingIOError:
            await asyncio.sleep(0.002)
    return sent


@pytest.mark.parametrize("downloading", [True, False])
async def test_a_slow_reader_stops_the_sender_and_gets_every_byte(downloading: bool) -> None:
    whole = 48 << 20
    async with proxied() as proxy:
        client = await proxy.client(receive_buffer=1 << 16)
        server = await proxy.server()
        await send(client, TLS)
        await read(server, len(TLS))
        sender, reader = (server, client) if downloading else (client, server)

        sent = await stuffed(sender, whole)

        (connection,) = proxy.listeners.open
        side = connection._down if downloading else connection._up
        assert side is not None
        assert side.get_write_buffer_size() < 1 << 20
        assert sent < whole
        assert len(await read(reader, sent)) == sent
        await send(sender, b"end")
        assert await read(reader, 3) == b"end"


@pytest.mark.parametrize(
    ("downloading", "outcome"), [(True, "upstream_reset"), (False, "client_reset")]
)
async def test_a_reset_reaches_a_side_that_does_not_read(downloading: bool, outcome: str) -> None:
    async with proxied() as proxy:
        client = await proxy.client(receive_buffer=1 << 16)
        server = await proxy.server()
        await send(client, TLS)
        await read(server, len(TLS))
        sender, silent = (server, client) if downloading else (client, server)
        await stuffed(sender, 48 << 20)
        reset(sender)

        assert await first_sight(silent, 0) & select.POLLERR
        assert await proxy.ended() == ["opened", "opaque tls", f"ended {outcome}"]


async def test_a_slow_reader_gets_what_was_sent_before_the_fin() -> None:
    async with proxied() as proxy:
        client = await proxy.client(receive_buffer=1 << 16)
        server = await proxy.server()
        await send(client, TLS)
        await read(server, len(TLS))
        sent = await stuffed(server, 48 << 20)
        server.close()

        assert len(await read_all(client)) == sent


# ---- drain


async def test_drain_ends_an_idle_connection_with_fin_on_both_sides() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await until(lambda: next(iter(proxy.listeners.open))._up is not None)
        proxy.listeners.drain()

        assert await read_all(client) == b""
        assert await read_all(server) == b""
        assert await proxy.ended() == ["opened", "ended drained"]


async def test_drain_lets_an_exchange_end_and_closes_then() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        await read(server, len(GET))
        proxy.listeners.drain()
        await send(server, OK)

        assert await read_all(client) == OK
        assert await read_all(server) == b""
        assert await proxy.ended() == ["opened", "exchange ok", "ended drained"]


async def test_drain_leaves_alone_what_it_cannot_read() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, TLS)
        await read(server, len(TLS))
        proxy.listeners.drain()
        await send(server, TLS)

        assert await read(client, len(TLS)) == TLS


async def test_cut_resets_both_sides_and_is_counted_as_ours() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        await read(server, len(GET))
        await proxy.listeners.cut()

        assert await is_reset(client)
        assert await is_reset(server)
        assert await proxy.ended() == [
            "opened",
            "exchange drained",
            "reset drain",
            "ended drained",
        ]


async def test_cut_ends_also_what_waits_for_a_client_that_does_not_read() -> None:
    async with proxied() as proxy:
        client = await proxy.client(receive_buffer=1 << 16)
        server = await proxy.server()
        await send(client, TLS)
        await read(server, len(TLS))
        await stuffed(server, 48 << 20)
        client.shutdown(socket.SHUT_WR)
        server.close()
        await proxy.listeners.cut()

        assert (await proxy.ended())[-2:] == ["reset drain", "ended drained"]


# ---- our own faults


async def test_an_error_of_ours_costs_the_reading_and_no_byte() -> None:
    async with proxied(rules=rules(failure=KeyError("planted"))) as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        assert await read(server, len(GET)) == GET
        await send(server, OK)

        assert await read(client, len(OK)) == OK
        assert proxy.observer.events == ["opened", "opaque internal"]


async def test_an_error_of_ours_is_logged_once_without_what_was_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    failure = LookupError("Cookie: secret")
    async with proxied(rules=rules(failure=failure)) as proxy:
        for _ in range(3):
            client, server = await proxy.pair()
            await send(client, GET)
            await read(server, len(GET))

    lines = [line for line in caplog.text.splitlines() if "LookupError" in line]
    assert len(lines) == 1
    assert "secret" not in caplog.text


class FailingEnd(FakeTracing):
    """Cannot end what it began."""

    def ended(self, exchange: Exchange, now: int) -> None:
        raise LookupError("planted")


async def test_an_error_while_exchanges_end_does_not_keep_the_connection() -> None:
    async with proxied(rules=rules(tracing=FailingEnd())) as proxy:
        client, server = await proxy.pair()
        await send(client, GET * 2)
        await read(server, len(GET) * 2)
        reset(client)

        assert (await proxy.ended())[-1] == "ended client_reset"


async def test_an_observer_that_raises_costs_the_connection_nothing() -> None:
    async with proxied(observer=RaisingObserver()) as proxy:
        client, server = await proxy.pair()
        await send(client, GET)
        assert await read(server, len(GET)) == GET
        await send(server, OK + TLS)

        assert await read(client, len(OK + TLS)) == OK + TLS
        client.close()
        server.close()
        await until(lambda: not proxy.listeners.open)


# ---- nothing stays


async def one_of_each_ending() -> None:
    async with proxied() as proxy:
        for end in (reset, socket.socket.close):
            for side in (0, 1):
                pair = await proxy.pair()
                await send(pair[0], GET)
                await read(pair[1], len(GET))
                end(pair[side])
        reset(await proxy.client())
        await proxy.pair()
        await proxy.opened(6)
        await proxy.listeners.cut()
        await until(lambda: not proxy.listeners.open)


async def test_no_descriptor_stays_open_whatever_the_ending() -> None:
    await one_of_each_ending()
    before = open_descriptors()

    for _ in range(5):
        await one_of_each_ending()

    await until(lambda: open_descriptors() <= before)


async def test_an_ended_connection_needs_no_garbage_collection() -> None:
    gc.collect()
    gc.disable()
    try:
        await one_of_each_ending()
        await until(lambda: not any(type(thing) is Connection for thing in gc.get_objects()))
    finally:
        gc.enable()


# ---- the order of events, by hand


class Bench:
    """A connection between two fake transports. A loop reports what was closed only later: `lose` does."""

    def __init__(self, dialer: PendingDialer, **different: object) -> None:
        self.observer = RecordingObserver()
        self.opened: set[Connection] = set()
        self.down = FakeTransport()
        self.up = FakeTransport()
        self.record = ConnectionRecord(Direction.INBOUND, CLIENT, NOBODY, 1)
        self.connection = Connection(
            route(dialer, self.observer, **different), self.opened, self.down, self.record
        )
        self.connection.open()
        self._made = False
        self._fins: set[FakeTransport] = set()
        self._lost: set[FakeTransport] = set()

    def made(self) -> None:
        if not self._made:
            self._made = True
            self.connection.upstream_made(self.up)

    def refused(self) -> None:
        if not self._made:
            self._made = True
            self._lost.add(self.up)
            self.connection.dial_failed(ConnectionRefusedError(111, "planted"))

    def _speaks(self, side: FakeTransport) -> bool:
        there = side is self.down or self._made
        return there and not side.is_closing() and side not in self._fins | self._lost

    def client(self, data: bytes) -> None:
        if self._speaks(self.down):
            self.connection.client_data(data)

    def server(self, data: bytes) -> None:
        if self._speaks(self.up):
            self.connection.server_data(data)

    def client_fin(self) -> None:
        if self._speaks(self.down):
            self._fins.add(self.down)
            self.connection.client_eof()

    def server_fin(self) -> None:
        if self._speaks(self.up):
            self._fins.add(self.up)
            self.connection.server_eof()

    def client_reset(self) -> None:
        self._lose(self.down, ConnectionResetError(104, "planted"))

    def server_reset(self) -> None:
        if self._made:
            self._lose(self.up, ConnectionResetError(104, "planted"))

    def _lose(self, side: FakeTransport, error: Exception | None) -> None:
        if side in self._lost:
            return
        self._lost.add(side)
        if error is not None and not side.is_closing():
            side.calls.append("close")  # a loop closes what failed before it tells
        tell = self.connection.client_lost if side is self.down else self.connection.upstream_lost
        tell(error)

    def lose(self) -> None:
        """Let the loop come round."""
        for side in (self.down, self.up):
            if side.is_closing():
                self._lose(side, None)

    def flow(self) -> None:
        connection = self.connection
        for turn in (
            connection.client_full,
            connection.upstream_full,
            connection.client_drained,
            connection.upstream_drained,
        ):
            turn()


@contextlib.asynccontextmanager
async def bench(**different: object) -> AsyncIterator[Bench]:
    dialer = PendingDialer()
    made = Bench(dialer, **different)
    try:
        yield made
    finally:
        made.connection.cut()
        for _ in range(3):
            made.lose()
        dialer.close()


async def test_the_upstream_made_after_the_client_left_is_reset() -> None:
    async with bench() as table:
        table.client_reset()
        table.made()

        assert table.up.calls == ["reset"]


async def test_the_upstream_made_after_a_drain_is_reset() -> None:
    async with bench() as table:
        table.connection.drain()
        table.made()

        assert table.up.calls == ["reset"]


async def test_draining_reads_on_behind_no_connection_that_has_ended() -> None:
    async with bench() as table:
        table.client(GET * 70)
        table.refused()
        table.lose()
        table.connection.drain()
        await asyncio.sleep(0)

        assert len(table.observer.exchanges) == table.record.exchanges == 64


async def test_what_waits_for_the_dial_is_limited_and_reading_goes_on_after_it() -> None:
    async with bench() as table:
        table.client(TLS)
        table.client(bytes(1 << 16))
        assert table.down.calls == ["pause"]
        table.made()

        assert table.down.calls == ["pause", "resume"]
        assert table.up.written == TLS + bytes(1 << 16)


async def test_small_pieces_add_up_to_the_limit_while_we_dial() -> None:
    async with bench() as table:
        table.client(TLS)
        for _ in range(1 << 10):
            table.client(bytes(64))

        assert table.down.calls == ["pause"]


async def test_how_much_is_kept_for_a_dial_and_for_either_peer_is_the_routes_choice() -> None:
    async with bench(buffer=4096) as table:
        table.client(TLS + bytes(4096))
        assert table.down.calls == ["pause"]
        table.made()

        assert (table.down.buffer, table.up.buffer) == (4096, 4096)


async def test_reading_goes_on_only_when_every_reason_against_it_is_gone() -> None:
    async with bench() as table:
        table.client(TLS + bytes(1 << 16))
        table.connection.upstream_full()
        table.made()
        assert table.down.calls == ["pause"]
        table.connection.upstream_drained()

        assert table.down.calls == ["pause", "resume"]


async def test_a_fin_is_not_read_twice_by_going_on_to_read() -> None:
    async with bench() as table:
        table.made()
        table.connection.client_full()
        table.server_fin()
        table.connection.client_drained()

        assert table.up.calls == ["pause"]


async def test_a_fin_behind_too_many_requests_waits_for_them() -> None:
    async with bench() as table:
        table.made()
        table.client(GET * 65)
        table.client_fin()
        assert "eof" not in table.up.calls
        table.server(OK)

        assert table.up.written == GET * 65
        assert "eof" not in table.up.calls or table.up.calls[-1] == "eof"
        for _ in range(64):
            table.server(OK)
        assert table.up.calls == ["eof"]


#: A head that is as much as is read in a turn of the loop.
LONG = GET[:-2] + b"X: " + b"x" * Limits().turn + b"\r\n\r\n"


async def test_many_heads_in_one_read_take_turns_with_everybody_else() -> None:
    async with bench() as table:
        table.made()
        table.client(LONG * 3)
        seen = [len(table.up.written) // len(LONG)]
        for _ in range(3):
            await asyncio.sleep(0)
            seen.append(len(table.up.written) // len(LONG))

        assert seen == [1, 2, 3, 3]
        assert table.up.written == LONG * 3


async def test_meanwhile_the_client_is_not_read_from() -> None:
    async with bench() as table:
        table.made()
        table.client(LONG * 2)
        assert table.down.calls == ["pause"]
        await asyncio.sleep(0)

        assert table.down.calls == ["pause", "resume"]


async def test_what_waits_for_a_turn_goes_before_the_clients_reset() -> None:
    async with bench() as table:
        table.made()
        table.client(LONG * 3 + GET[:9])
        table.client_reset()

        assert table.up.written == LONG * 3 + GET[:9]


async def test_a_drained_connection_waits_for_what_waits_for_a_turn() -> None:
    async with bench() as table:
        table.made()
        table.client(LONG * 2)
        table.server(OK)
        table.connection.drain()
        assert not table.down.is_closing()
        await asyncio.sleep(0)
        table.server(OK)

        assert table.up.written == LONG * 2
        assert table.down.is_closing()


async def test_nothing_is_read_after_the_end() -> None:
    async with bench() as table:
        table.made()
        table.client(LONG * 3)
        table.connection.cut()
        table.lose()
        told = len(table.observer.exchanges)
        await asyncio.sleep(0)

        assert len(table.observer.exchanges) == told == table.record.exchanges


async def test_a_connection_is_open_until_its_last_bytes_have_left() -> None:
    async with bench() as table:
        table.made()
        table.client_fin()
        table.server_fin()
        table._lose(table.up, None)
        assert table.opened == {table.connection}
        table._lose(table.down, None)

        assert not table.opened
        assert table.observer.events[-1] == "ended ok"


async def test_a_servers_reset_spares_a_client_that_is_getting_its_last_bytes() -> None:
    async with bench() as table:
        table.made()
        table.client_fin()
        table.server_fin()
        table.server_reset()

        assert "reset" not in table.down.calls


STEPS: dict[str, Callable[[Bench], None]] = {
    "made": Bench.made,
    "refused": Bench.refused,
    "request": lambda table: table.client(GET),
    "half": lambda table: table.client(GET[:7]),
    "many": lambda table: table.client(GET * 70),
    "long": lambda table: table.client(LONG * 3),
    "turn": lambda table: None,
    "tls": lambda table: table.client(TLS),
    "upgrade": lambda table: table.client(GET[:-2] + b"Upgrade: a\r\nConnection: upgrade\r\n\r\n"),
    "ok": lambda table: table.server(OK),
    "closing": lambda table: table.server(CLOSING),
    "garbage": lambda table: table.server(b"\x00garbage"),
    "client fin": Bench.client_fin,
    "server fin": Bench.server_fin,
    "client reset": Bench.client_reset,
    "server reset": Bench.server_reset,
    "drain": lambda table: table.connection.drain(),
    "cut": lambda table: table.connection.cut(),
    "lose": Bench.lose,
    "flow": Bench.flow,
}


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=14))
def test_whatever_happens_each_exchange_and_the_connection_are_told_once(steps: list[str]) -> None:
    async def play() -> Bench:
        async with bench() as table:
            for step in steps:
                STEPS[step](table)
                if step == "turn":
                    await asyncio.sleep(0)
        return table

    table = asyncio.run(play())

    assert not table.opened
    assert [event.split()[0] for event in table.observer.events].count("ended") == 1
    assert len(table.observer.exchanges) == table.record.exchanges
    assert len(set(map(id, table.observer.exchanges))) == table.record.exchanges
    assert table.down.is_closing()
