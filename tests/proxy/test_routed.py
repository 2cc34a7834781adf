"""One client, several servers: raw sockets on loopback, so that they can wait, half-close and reset."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_node.core.limits import Limits
from netra_node.core.records import ConnectionRecord, Exchange, Outcome
from netra_node.core.targets import parse
from netra_node.proxy.resolver import Resolved, UnresolvedError
from netra_node.proxy.routed import RoutedConnection
from tests.proxy.routed_support import REFUSED, SILENT, Routed, get, routed
from tests.proxy.support import (
    OK,
    TLS,
    is_reset,
    open_descriptors,
    read,
    read_all,
    reset,
    send,
    until,
)

CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


async def exchange(client: socket.socket, server: socket.socket, request: bytes) -> None:
    """Pass one request and its answer."""
    await send(client, request)
    await answer(client, server, request)


async def answer(client: socket.socket, server: socket.socket, request: bytes) -> None:
    assert await read(server, len(request)) == request
    await send(server, OK)
    assert await read(client, len(OK)) == OK


async def refused(client: socket.socket, proxy: Routed, *, head: bool = False) -> str:
    """Return the text of our own answer, and see that it is one and FIN comes behind it."""
    got = (await read_all(client)).decode()
    start, _, body = got.partition("\r\n\r\n")
    assert start.startswith("HTTP/1.1 502 Bad Gateway\r\n")
    assert "\r\nConnection: close" in start
    assert "\r\nContent-Type: text/plain; charset=utf-8" in start
    assert head or f"\r\nContent-Length: {len(body)}" in start
    client.close()
    await proxy.ended()
    return body


# ---- where bytes go


async def test_a_request_without_route_goes_where_it_wanted_to() -> None:
    async with routed("b") as proxy:
        client = await proxy.client()
        await send(client, get())
        await answer(client, await proxy.origin(), get())

        assert proxy.hosts() == ["-"]


async def test_a_routed_request_goes_where_its_route_leads_and_nowhere_else() -> None:
    async with routed("b") as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        await answer(client, await proxy.at("b"), get("b"))

        assert proxy.addresses.dialled == [("10.9.0.1", 80)]


async def test_an_address_and_a_port_are_dialled_as_they_are() -> None:
    async with routed("b") as proxy:
        client = await proxy.client()
        await send(client, get("10.9.0.1:8080"))
        await answer(client, await proxy.at("b"), get("10.9.0.1:8080"))

        assert proxy.addresses.dialled == [("10.9.0.1", 8080)]
        assert proxy.names.asked == []


async def test_keep_alive_requests_may_alternate_between_upstreams_that_are_kept() -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        servers: dict[str, socket.socket] = {}
        for host in ("b", "c", "", "b", "", "c", "b", "b"):
            await send(client, get(host))
            if host not in servers:
                servers[host] = await (proxy.at(host) if host else proxy.origin())
            await answer(client, servers[host], get(host))

        assert proxy.hosts() == ["b", "c", "-"]


async def test_pipelined_requests_to_several_upstreams_are_answered_in_order() -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        hosts = ["b", "b", "c", "", "b"]
        await send(client, b"".join(map(get, hosts)))
        servers: dict[str, socket.socket] = {}
        for number, host in enumerate(hosts):
            if host not in servers:
                servers[host] = await (proxy.at(host) if host else proxy.origin())
            assert await read(servers[host], len(get(host))) == get(host)
            await send(servers[host], OK.replace(b"ok", b"%02d" % number))

        answers = await read(client, len(OK) * len(hosts))
        assert [answers[end - 2 : end] for end in range(len(OK), len(answers) + 1, len(OK))] == [
            b"00", b"01", b"02", b"03", b"04",
        ]  # fmt: skip


async def test_a_second_upstream_is_not_dialled_before_the_first_has_answered() -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b") + get("c"))
        first = await proxy.at("b")
        await read(first, len(get("b")))
        await asyncio.sleep(0.02)
        assert proxy.hosts() == ["b"]

        await send(first, OK[:-1])
        await asyncio.sleep(0.02)
        assert proxy.hosts() == ["b"]
        await send(first, OK[-1:])
        await proxy.at("c")


async def test_interim_answers_are_passed_and_the_final_one_is_the_one_that_counts() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b") + get("c"))
        server = await proxy.at("b")
        await read(server, len(get("b")))
        await send(server, interim)
        assert await read(client, len(interim)) == interim
        assert proxy.hosts() == ["b"]
        await send(server, OK)
        assert await read(client, len(OK)) == OK
        await answer(client, await proxy.at("c"), get("c"))


async def test_a_large_body_flows_to_a_routed_upstream_with_flow_control() -> None:
    size = 8 * 1024 * 1024
    async with routed("b") as proxy:
        client = await proxy.client()
        head = get("b").replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % size)
        loop = asyncio.get_running_loop()
        sending = loop.create_task(loop.sock_sendall(client, head + bytes(size)))
        server = await proxy.at("b")
        await asyncio.sleep(0.1)
        (connection,) = proxy.proxy.listeners.open
        assert connection._up is not None
        assert connection._up.get_write_buffer_size() < 512 * 1024

        assert len(await read(server, len(head) + size)) == len(head) + size
        await sending
        await send(server, OK)
        assert await read(client, len(OK)) == OK


async def test_while_a_name_is_asked_for_no_more_is_read_than_is_kept() -> None:
    size = 8 * 1024 * 1024
    async with routed("b") as proxy:
        known = proxy.names.known_names.pop("b")
        proxy.names.slow["b"] = known
        client = await proxy.client()
        head = get("b").replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % size)
        loop = asyncio.get_running_loop()
        sending = loop.create_task(loop.sock_sendall(client, head + bytes(size)))
        await until(lambda: proxy.names.asked)
        await asyncio.sleep(0.1)
        (connection,) = proxy.proxy.listeners.open
        assert len(connection._early) < 512 * 1024

        proxy.names.known_names["b"] = known
        proxy.names.answer()
        assert len(await read(await proxy.at("b"), len(head) + size)) == len(head) + size
        await sending


# ---- when nothing is routed


async def test_a_server_that_speaks_first_is_heard_after_50_ms() -> None:
    async with routed("b", limits=Limits()) as proxy:
        begin = asyncio.get_running_loop().time()
        client = await proxy.client()
        server = await proxy.origin()
        assert 0.045 <= asyncio.get_running_loop().time() - begin < 1
        await send(server, b"220 ready\r\n")

        assert await read(client, 11) == b"220 ready\r\n"
        assert proxy.observer.events == ["opened", "opaque server_first"]


async def test_a_request_after_the_silence_is_routed_all_the_same() -> None:
    async with routed("b", limits=Limits()) as proxy:
        client = await proxy.client()
        await proxy.origin()
        await send(client, get("b"))
        await answer(client, await proxy.at("b"), get("b"))


async def test_what_is_not_http_goes_where_it_wanted_to_at_its_first_byte() -> None:
    async with routed("b") as proxy:
        client = await proxy.client()
        await send(client, TLS)

        assert await read(await proxy.origin(), len(TLS)) == TLS
        assert proxy.observer.events == ["opened", "opaque tls"]


async def test_a_head_that_stays_incomplete_goes_where_it_wanted_to_after_50_ms() -> None:
    async with routed("b", limits=Limits()) as proxy:
        client = await proxy.client()
        await send(client, get("b")[:30])
        server = await proxy.origin()

        assert await read(server, 30) == get("b")[:30]
        await send(client, get("b")[30:])
        assert await read(server, len(get("b")) - 30) == get("b")[30:]


async def test_so_does_one_behind_a_routed_request() -> None:
    async with routed("b", limits=Limits()) as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        await answer(client, await proxy.at("b"), get("b"))
        await send(client, get("b")[:30])

        assert await read(await proxy.origin(), 30) == get("b")[:30]


async def test_so_does_one_that_a_fin_ends_behind_a_routed_request() -> None:
    async with routed("b") as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        await answer(client, await proxy.at("b"), get("b"))
        await send(client, get("b")[:30])
        client.shutdown(socket.SHUT_WR)

        assert await read_all(await proxy.origin()) == get("b")[:30]


async def test_but_not_before_the_routed_request_is_answered() -> None:
    async with routed("b", limits=Limits()) as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        server = await proxy.at("b")
        await send(client, get()[:20])
        await asyncio.sleep(0.15)
        assert proxy.hosts() == ["b"]

        await answer(client, server, get("b"))
        assert await read(await proxy.origin(), 20) == get()[:20]


async def test_a_fin_before_any_byte_reaches_the_server_that_was_meant() -> None:
    async with routed() as proxy:
        client = await proxy.client()
        client.shutdown(socket.SHUT_WR)
        server = await proxy.origin()

        assert await read_all(server) == b""
        server.close()
        assert await read_all(client) == b""
        assert await proxy.ended() == ["opened", "ended ok"]


async def test_a_reset_before_any_byte_ends_it() -> None:
    async with routed() as proxy:
        client = await proxy.client()
        await proxy.proxy.opened(1)
        reset(client)

        assert await proxy.ended() == ["opened", "ended client_reset"]
        assert proxy.hosts() == []


async def test_a_reset_within_the_first_head_ends_it() -> None:
    async with routed() as proxy:
        client = await proxy.client()
        await send(client, get("b")[:20])
        await until(lambda: any(each.record.received for each in proxy.proxy.listeners.open))
        reset(client)

        assert await proxy.ended() == ["opened", "ended client_reset"]
        assert proxy.hosts() == []


async def test_an_original_destination_that_refuses_is_a_reset() -> None:
    async with routed() as proxy:
        proxy.addresses.origin = ("127.0.0.1", 1)
        client = await proxy.client()
        await send(client, get())

        assert await is_reset(client)
        assert (await proxy.ended())[1:] == ["exchange upstream_refused", "ended upstream_refused"]


# ---- endings


async def test_half_closing_behind_requests_lets_all_be_answered() -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b") + get("c"))
        client.shutdown(socket.SHUT_WR)
        first = await proxy.at("b")
        await answer(client, first, get("b"))
        second = await proxy.at("c")
        assert await read_all(second) == get("c")
        await send(second, OK)
        second.close()

        assert await read_all(client) == OK
        assert await read_all(first) == b""


async def test_the_fin_of_the_upstream_in_use_is_the_clients() -> None:
    async with routed("b") as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        server = await proxy.at("b")
        await answer(client, server, get("b"))
        server.close()

        assert await read_all(client) == b""


async def test_an_upstream_that_dies_unanswered_ends_the_client_at_once() -> None:
    async with routed("b") as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        server = await proxy.at("b")
        await read(server, len(get("b")))
        reset(server)

        assert await is_reset(client)
        assert (await proxy.ended())[1:] == ["exchange upstream_reset", "ended upstream_reset"]


async def test_the_fin_of_a_kept_upstream_is_forgotten_and_it_is_dialled_anew() -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        first = await proxy.at("b")
        await answer(client, first, get("b"))
        await send(client, get("c"))
        second = await proxy.at("c")
        await answer(client, second, get("c"))
        first.close()
        await asyncio.sleep(0.02)

        await send(client, get("b"))
        await answer(client, await proxy.at("b"), get("b"))
        assert proxy.hosts() == ["b", "c", "b"]


async def test_one_whose_fin_comes_just_as_it_would_be_used_again_is_dialled_anew() -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        first = await proxy.at("b")
        await answer(client, first, get("b"))
        await send(client, get("c"))
        await answer(client, await proxy.at("c"), get("c"))
        # both are there when the loop looks, and it takes what was ready first
        client.send(get("b"))
        first.close()

        await answer(client, await proxy.at("b"), get("b"))


@pytest.mark.parametrize("how", ["reset", "speaks"])
async def test_so_is_one_that_resets_or_speaks(how: str) -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        first = await proxy.at("b")
        await answer(client, first, get("b"))
        await send(client, get("c"))
        await answer(client, await proxy.at("c"), get("c"))
        if how == "reset":
            reset(first)
        else:
            await send(first, OK)
            assert await read_all_or_reset(first) == b""
        await asyncio.sleep(0.02)

        await send(client, get("b"))
        await answer(client, await proxy.at("b"), get("b"))


async def read_all_or_reset(sock: socket.socket) -> bytes:
    try:
        return await read_all(sock)
    except ConnectionResetError:
        return b""


async def test_a_kept_upstream_is_closed_after_a_while() -> None:
    async with routed("b", "c", idle=0.1) as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        first = await proxy.at("b")
        await answer(client, first, get("b"))
        begin = asyncio.get_running_loop().time()
        await send(client, get("c"))
        second = await proxy.at("c")
        await answer(client, second, get("c"))

        assert await read_all(first) == b""
        assert 0.09 < asyncio.get_running_loop().time() - begin < 4
        await exchange(client, second, get("c"))


async def test_the_answer_of_one_that_closes_behind_it_is_followed_by_the_next_one() -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b") + get("c"))
        first = await proxy.at("b")
        await read(first, len(get("b")))
        await send(first, CLOSING)
        first.close()

        assert await read(client, len(CLOSING)) == CLOSING
        await answer(client, await proxy.at("c"), get("c"))


async def test_a_body_until_close_ends_with_the_clients_connection() -> None:
    async with routed("b") as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        server = await proxy.at("b")
        await read(server, len(get("b")))
        await send(server, UNTIL_CLOSE + b"body")
        server.close()

        assert await read_all(client) == UNTIL_CLOSE + b"body"
        client.close()
        assert (await proxy.ended())[1:] == ["exchange ok", "ended ok"]


async def test_what_waits_behind_a_body_until_close_is_never_sent_to_anybody() -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b") + get("c"))
        server = await proxy.at("b")
        await read(server, len(get("b")))
        await send(server, UNTIL_CLOSE + b"body")
        server.close()

        assert await read_all(client) == UNTIL_CLOSE + b"body"
        await send(client, get("b"))
        client.close()
        assert (await proxy.ended())[1:] == ["exchange ok", "ended ok"]
        assert proxy.hosts() == ["b"]


async def test_a_request_for_another_upstream_behind_the_servers_fin_is_taken_and_not_answered() -> (
    None
):
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        server = await proxy.at("b")
        await answer(client, server, get("b"))
        server.shutdown(socket.SHUT_WR)
        assert await read_all(client) == b""
        await send(client, get("c"))

        assert await read_all(server) == b""
        client.close()
        assert (await proxy.ended())[-1] == "ended ok"
        assert proxy.hosts() == ["b"]


async def test_so_is_the_beginning_of_one() -> None:
    async with routed("b", limits=Limits()) as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        server = await proxy.at("b")
        await answer(client, server, get("b"))
        server.shutdown(socket.SHUT_WR)
        assert await read_all(client) == b""
        await send(client, get("b")[:20])

        assert await read_all(server) == b""
        client.close()
        await proxy.ended()


async def test_an_upgrade_stays_with_its_upstream() -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        request = get("b")[:-2] + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n"
        await send(client, request)
        server = await proxy.at("b")
        await read(server, len(request))
        await send(server, switching)
        await read(client, len(switching))
        await send(client, get("c"))

        assert await read(server, len(get("c"))) == get("c")


@pytest.mark.parametrize("said", [b"what?", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"])
async def test_an_upstream_cannot_keep_the_connection_by_an_answer_that_cannot_be_read(
    said: bytes,
) -> None:
    async with routed("b") as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        server = await proxy.at("b")
        await read(server, len(get("b")))
        await send(server, said)
        assert await read(client, len(said)) == said
        await send(client, get())

        assert await read_all(client) == b""
        assert await read_all(server) == b""
        client.close()
        await proxy.ended()


@pytest.mark.parametrize("waiting", [b"", get("c"), get()])
async def test_nor_answer_what_it_was_not_asked(waiting: bytes) -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b") + waiting)
        server = await proxy.at("b")
        await read(server, len(get("b")))
        await send(server, OK + OK.replace(b"ok", b"no"))

        assert await read_all(client) == OK
        assert await read_all_or_reset(server) == b""
        client.close()
        await proxy.ended()
        assert proxy.hosts() == ["b"]


async def test_nor_get_what_waits_for_another() -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b") + get("c"))
        server = await proxy.at("b")
        await read(server, len(get("b")))
        await send(server, b"what?")

        assert await read_all(client) == b"what?"
        assert await read_all(server) == b""
        client.close()
        await proxy.ended()
        assert proxy.hosts() == ["b"]


async def test_what_cannot_be_read_behind_a_routed_request_goes_where_it_wanted_to() -> None:
    async with routed("b") as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        await answer(client, await proxy.at("b"), get("b"))
        await send(client, TLS)

        assert await read(await proxy.origin(), len(TLS)) == TLS


async def test_draining_lets_a_waiting_request_be_answered() -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b") + get("c"))
        first = await proxy.at("b")
        proxy.proxy.listeners.drain()
        await answer(client, first, get("b"))
        await answer(client, await proxy.at("c"), get("c"))

        assert await read_all(client) == b""


async def test_draining_ends_one_that_was_never_dialled() -> None:
    async with routed() as proxy:
        client = await proxy.client()
        await proxy.proxy.opened(1)
        proxy.proxy.listeners.drain()

        assert await read_all(client) == b""
        client.close()
        await proxy.ended()


async def test_cutting_resets_the_client_and_leaves_no_upstream() -> None:
    async with routed("b", "c") as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        first = await proxy.at("b")
        await answer(client, first, get("b"))
        await send(client, get("c"))
        second = await proxy.at("c")
        await read(second, len(get("c")))
        await proxy.proxy.listeners.cut()

        assert await is_reset(client)
        assert await is_reset(second)
        assert await read_all(first) == b""


async def test_a_client_that_resets_while_its_upstream_is_dialled_has_its_request_delivered() -> (
    None
):
    async with routed("b") as proxy:
        known = proxy.names.known_names.pop("b")
        proxy.names.slow["b"] = known
        client = await proxy.client()
        await send(client, get("b"))
        await until(lambda: proxy.names.asked)
        reset(client)
        await asyncio.sleep(0.02)
        proxy.names.known_names["b"] = known
        proxy.names.answer()

        assert await is_reset(await proxy.at("b"))
        assert (await proxy.ended())[-1] == "ended client_reset"


async def test_a_client_that_resets_while_its_name_is_asked_for_in_vain_ends_it() -> None:
    async with routed() as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        await until(lambda: proxy.names.asked)
        reset(client)
        await asyncio.sleep(0.02)
        proxy.names.answer()

        assert (await proxy.ended())[1:] == ["exchange client_reset", "ended client_reset"]


# ---- routes that lead nowhere


@pytest.mark.parametrize(
    ("route", "text", "outcome", "failure"),
    [
        (REFUSED, f"leads to {REFUSED}:80, which cannot be reached", "upstream_refused", "refused"),
        (SILENT, f"leads to {SILENT}:80, which does not answer", "upstream_timeout", "timed_out"),
        ("b:x", "names no host and port", "upstream_refused", "invalid"),
        ("127.0.0.1", "leads to 127.0.0.1:80, where routes may not lead", "upstream_refused", "not_allowed"),
        ("none", "leads to none:80, which cannot be resolved", "upstream_refused", "unresolved"),
    ],
)  # fmt: skip
async def test_a_route_that_leads_nowhere_is_a_502_that_says_why(
    route: str, text: str, outcome: str, failure: str
) -> None:
    async with routed() as proxy:
        proxy.names.known_names["none"] = Resolved("", ())
        client = await proxy.client()
        await send(client, get(route))

        assert await refused(client, proxy) == f"netra-node: the route of this request {text}\n"
        (ended,) = proxy.observer.exchanges
        assert (ended.status, ended.outcome) == (502, Outcome(outcome))
        assert ended.first_response >= ended.start
        assert proxy.routes.failures == {failure: 1}
        assert proxy.observer.connections[0].outcome is Outcome.UPSTREAM_CLOSED
        assert proxy.hosts() in ([], ["-"])


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (UnresolvedError("nowhere"), "unresolved"),
        (UnresolvedError("nobody", timed_out=True), "resolving_timed_out"),
    ],
)
async def test_so_is_one_that_had_to_be_asked_for(error: Exception, failure: str) -> None:
    async with routed() as proxy:
        proxy.names.slow["b"] = error
        client = await proxy.client()
        await send(client, get("b"))
        await until(lambda: proxy.names.asked)
        proxy.names.answer()

        assert "leads to b:80" in await refused(client, proxy)
        assert proxy.routes.failures == {failure: 1}


async def test_an_error_of_ours_while_resolving_resets_that_client_alone() -> None:
    async with routed("c") as proxy:
        proxy.names.slow["b"] = LookupError("planted")
        client, other = await proxy.client(), await proxy.client()
        await send(client, get("b"))
        await until(lambda: proxy.names.asked)
        proxy.names.answer()

        assert await is_reset(client)
        await send(other, get("c"))
        await answer(other, await proxy.at("c"), get("c"))


async def test_our_answer_to_head_has_no_body() -> None:
    async with routed() as proxy:
        client = await proxy.client()
        await send(client, get(REFUSED, method="HEAD"))

        assert await refused(client, proxy, head=True) == ""


async def test_it_comes_behind_the_answers_that_were_owed() -> None:
    async with routed("b") as proxy:
        client = await proxy.client()
        await send(client, get("b") + get(REFUSED) + get("b"))
        server = await proxy.at("b")
        await read(server, len(get("b")))
        await send(server, OK)
        assert await read(client, len(OK)) == OK

        await refused(client, proxy)
        assert [e.outcome for e in proxy.observer.exchanges] == [
            Outcome.OK,
            Outcome.UPSTREAM_REFUSED,
        ]
        assert await read_all(server) == b""


async def test_a_body_that_still_comes_is_dropped_so_that_the_answer_can_be_read() -> None:
    size = 4 * 1024 * 1024
    async with routed() as proxy:
        client = await proxy.client()
        head = get(REFUSED).replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % size)
        await send(client, head + bytes(size))

        await refused(client, proxy)
        assert proxy.observer.connections[0].received == len(head) + size


async def test_behind_the_clients_fin_our_answer_closes() -> None:
    async with routed() as proxy:
        client = await proxy.client()
        await send(client, get(REFUSED))
        client.shutdown(socket.SHUT_WR)

        await refused(client, proxy)


async def test_draining_does_not_wait_for_a_client_that_got_our_answer() -> None:
    async with routed() as proxy:
        client = await proxy.client()
        await send(client, get(REFUSED, "body")[:-1])
        await read_all(client)
        proxy.proxy.listeners.drain()

        await until(lambda: not proxy.proxy.listeners.open)


async def test_the_second_address_is_dialled_where_the_first_refuses() -> None:
    async with routed("b") as proxy:
        proxy.names.add("two", REFUSED, "10.9.0.1")
        client = await proxy.client()
        await send(client, get("two"))

        await answer(client, await proxy.at("b"), get("two"))


async def test_only_listed_targets_are_dialled() -> None:
    async with routed("b", "c", targets=parse("b")) as proxy:
        client, other = await proxy.client(), await proxy.client()
        await send(client, get("b"))
        await answer(client, await proxy.at("b"), get("b"))
        await send(other, get("c"))
        assert "may not lead" in (await read_all(other)).decode()

        assert proxy.hosts() == ["b"]


async def test_a_name_whose_whole_form_is_listed_is_dialled() -> None:
    async with routed("b", targets=parse("*.ns")) as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        await answer(client, await proxy.at("b"), get("b"))


# ---- what is told and what is left


class Seen:
    """The peers of exchanges."""

    def __init__(self) -> None:
        self.peers: list[str] = []

    def exchange_ended(self, connection: ConnectionRecord, exchange: Exchange) -> None:
        self.peers.append(connection.destination.host)

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


async def test_the_peer_of_an_exchange_is_where_it_was_routed_to() -> None:
    seen = Seen()
    async with routed("b", observer=seen) as proxy:
        client = await proxy.client()
        await send(client, get("b"))
        await answer(client, await proxy.at("b"), get("b"))
        await send(client, get())
        await answer(client, await proxy.origin(), get())
        await until(lambda: len(seen.peers) == 2)

        assert seen.peers == ["10.9.0.1", client.getpeername()[0]]


async def test_so_many_upstreams_are_kept_and_the_one_idle_longest_goes() -> None:
    hosts = [f"b{number}" for number in range(10)]
    async with routed(*hosts) as proxy:
        client = await proxy.client()
        servers = []
        for host in hosts:
            await send(client, get(host))
            servers.append(await proxy.at(host))
            await answer(client, servers[-1], get(host))

        assert len(proxy.addresses.open) == 8
        assert await read_all(servers[0]) == b""
        assert await read_all(servers[1]) == b""
        await exchange(client, servers[9], get("b9"))


async def test_nothing_is_left_of_a_routed_connection() -> None:
    async with routed("b", "c") as proxy:
        before = open_descriptors()
        for _ in range(5):
            client = await proxy.client()
            await send(client, get("b") + get("c") + get(REFUSED))
            first = await proxy.at("b")
            await answer(client, first, get("b"))
            second = await proxy.at("c")
            await answer(client, second, get("c"))
            await read_all(client)
            for sock in (client, first, second):
                sock.close()
        await proxy.ended()
        await until(lambda: open_descriptors() == before)


async def test_an_ended_routed_connection_needs_no_garbage_collection() -> None:
    async with routed("b") as proxy:
        gc.collect()
        gc.disable()
        try:
            client = await proxy.client()
            await send(client, get("b"))
            server = await proxy.at("b")
            await answer(client, server, get("b"))
            client.close()
            server.close()
            await proxy.ended()
            del client, server
            await until(lambda: not any(type(o) is RoutedConnection for o in gc.get_objects()))
        finally:
            gc.enable()


# ---- any order of events


class Play:
    """A client and the servers that were dialled; each step does what is possible then, and waits for nothing."""

    def __init__(self, proxy: Routed, client: socket.socket) -> None:
        self.proxy = proxy
        self.client = client
        self.servers: list[socket.socket] = []
        self.asked = 0

    def step(self, step: str) -> None:
        """Do one; what is over already, or would wait, is nothing."""
        with contextlib.suppress(BlockingIOError, OSError):
            name, _, rest = step.partition(" ")
            getattr(self, name)(rest)

    def ask(self, host: str) -> None:
        request = get("" if host == "-" else host)
        if self.client.send(request) == len(request):
            self.asked += 1

    def half(self, host: str) -> None:
        self.client.send(get(host)[:-2])

    def junk(self, _rest: str) -> None:
        self.client.send(b"\x16junk")

    def answer(self, number: str) -> None:
        server = self.servers[int(number) % len(self.servers)] if self.servers else None
        if server is not None and server.recv(1 << 16):
            server.send(OK)

    def answer_badly(self, _rest: str) -> None:
        if self.servers:
            self.servers[-1].send(b"what?")

    def fin(self, number: str) -> None:
        if self.servers:
            self.servers[int(number) % len(self.servers)].shutdown(socket.SHUT_WR)

    def rst(self, number: str) -> None:
        if self.servers:
            reset(self.servers[int(number) % len(self.servers)])

    def client_fin(self, _rest: str) -> None:
        self.client.shutdown(socket.SHUT_WR)

    def client_rst(self, _rest: str) -> None:
        reset(self.client)

    def drain(self, _rest: str) -> None:
        self.proxy.proxy.listeners.drain()

    def accept(self) -> None:
        for listener in (*self.proxy.addresses.listeners.values(), self.proxy.proxy.origin):
            with contextlib.suppress(BlockingIOError):
                while True:
                    server, _ = listener.accept()
                    server.setblocking(False)
                    self.servers.append(self.proxy.proxy._keep(server))


STEPS = [
    *(f"ask {host}" for host in ("b", "c", "-", REFUSED, "nowhere", "b:x")),
    "ask b", "ask c", "half b", "junk", "answer 0", "answer 1", "answer 2", "answer 0", "answer_badly",
    "fin 0", "fin 1", "rst 0", "rst 1", "client_fin", "client_rst", "drain", "wait",
]  # fmt: skip


async def played(steps: list[str]) -> tuple[Routed, Play]:
    async with routed("b", "c", limits=Limits(hold_after_last=2_000_000)) as proxy:
        proxy.names.answer()
        play = Play(proxy, await proxy.client())
        await proxy.proxy.opened(1)
        for step in steps:
            play.accept()
            if step == "wait":
                await asyncio.sleep(0.004)
            else:
                play.step(step)
            for _ in range(4):
                await asyncio.sleep(0)
        play.accept()
        play.client.close()
        for server in play.servers:
            server.close()
        # a request that was routed late dials late
        async with asyncio.timeout(5):
            while proxy.proxy.listeners.open:
                play.accept()
                for server in play.servers:
                    server.close()
                await asyncio.sleep(0.001)
    return proxy, play


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@settings(max_examples=25)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=14))
def test_whatever_happens_each_exchange_and_the_connection_are_told_once(
    loop: Callable[[], asyncio.AbstractEventLoop], steps: list[str]
) -> None:
    told: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = told.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            proxy, play = runner.run(played(steps))
    finally:
        logging.getLogger().removeHandler(handler)

    assert told == []
    events = [event.split()[0] for event in proxy.observer.events]
    assert (events.count("opened"), events.count("ended")) == (1, 1)
    assert events[-1] == "ended"
    (record,) = proxy.observer.connections
    assert len(proxy.observer.exchanges) == record.exchanges <= play.asked
    assert len(set(map(id, proxy.observer.exchanges))) == record.exchanges
