import asyncio
import contextlib
import os
import resource
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from netra_node.core.ports import PortSet
from netra_node.proxy.connection import Connection
from netra_node.proxy.listener import Listeners
from netra_node.proxy.transports import socket_of
from tests.proxy.support import (
    GET,
    TLS,
    Proxied,
    is_reset,
    open_descriptors,
    proxied,
    read,
    send,
    until,
)

OTHER_PORTS = PortSet(((1, 1),))


async def test_connections_are_counted_while_they_are_open() -> None:
    async with proxied() as proxy:
        await proxy.pair()
        client, server = await proxy.pair()
        await proxy.opened(2)
        assert len(proxy.listeners.open) == 2
        client.close()
        server.close()

        await until(lambda: len(proxy.listeners.open) == 1)


async def test_a_changed_route_holds_for_new_connections() -> None:
    async with proxied() as proxy:
        proxy.listeners.reroute(lambda route: replace(route, http_ports=OTHER_PORTS))
        await proxy.pair()
        await proxy.opened(1)

        assert proxy.observer.events == ["opened", "opaque port"]


async def test_open_connections_keep_their_route() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await proxy.opened(1)
        proxy.listeners.reroute(lambda route: replace(route, http_ports=OTHER_PORTS))
        await send(client, GET)
        await read(server, len(GET))

        assert proxy.observer.events == ["opened"]


async def test_after_close_nobody_is_accepted_and_the_open_ones_go_on() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await proxy.opened(1)
        proxy.listeners.close()
        await asyncio.sleep(0.01)

        with socket.socket() as late:
            assert late.connect_ex(proxy.entrance) != 0
        await send(client, TLS)
        assert await read(server, len(TLS)) == TLS


async def test_closing_twice_is_closing() -> None:
    async with proxied() as proxy:
        proxy.listeners.close()
        proxy.listeners.close()


async def test_draining_and_cutting_nothing_is_nothing() -> None:
    async with proxied() as proxy:
        proxy.listeners.drain()
        await proxy.listeners.cut()

        assert not proxy.observer.events


async def test_drain_and_cut_reach_every_connection() -> None:
    async with proxied() as proxy:
        busy, _ = await proxy.pair()
        await send(busy, TLS)
        await proxy.pair()
        await until(lambda: proxy.observer.events.count("opaque tls") == 1)
        await proxy.opened(2)
        proxy.listeners.drain()
        await proxy.listeners.cut()

        events = await proxy.ended()
        assert events.count("ended drained") == 2


# ---- pausing


async def crowd_at(proxy: Proxied, size: int) -> list[socket.socket]:
    """All of them connected as far as the kernel is concerned."""
    return [await proxy.client() for _ in range(size)]


async def test_what_connects_while_accepting_is_paused_waits_and_is_served_then() -> None:
    async with proxied() as proxy:
        proxy.listeners.pause()
        clients = await crowd_at(proxy, 10)
        await asyncio.sleep(0.05)
        assert not proxy.observer.events
        proxy.listeners.resume()
        await proxy.opened(10)

        for client in clients:
            await send(client, TLS)
            assert await read(await proxy.server(), len(TLS)) == TLS


async def test_none_of_a_burst_is_lost_by_pausing_again_and_again() -> None:
    async with proxied() as proxy:
        clients = await crowd_at(proxy, 16)
        for _ in range(40):
            proxy.listeners.pause()
            clients += await crowd_at(proxy, 10)
            proxy.listeners.resume()
            await asyncio.sleep(0)
        await proxy.opened(len(clients))

        assert not [event for event in proxy.observer.events if event != "opened"]


async def test_paused_it_costs_nothing_to_leave_connections_waiting() -> None:
    async with proxied() as proxy:
        proxy.listeners.pause()
        await crowd_at(proxy, 10)
        began = time.process_time()
        await asyncio.sleep(0.2)

        assert time.process_time() - began < 0.02  # a busy loop takes all of 0.2


async def test_open_connections_go_on_while_accepting_is_paused() -> None:
    async with proxied() as proxy:
        client, server = await proxy.pair()
        await proxy.opened(1)
        proxy.listeners.pause()
        await send(client, TLS)

        assert await read(server, len(TLS)) == TLS


async def test_pausing_and_resuming_hold_no_descriptor() -> None:
    async with proxied() as proxy:
        before = open_descriptors()
        for _ in range(10):
            proxy.listeners.pause()
            proxy.listeners.pause()
            await asyncio.sleep(0)
            proxy.listeners.resume()
            proxy.listeners.resume()
            await asyncio.sleep(0.01)

        await until(lambda: open_descriptors() == before)


async def test_without_a_descriptor_to_accept_through_it_stays_paused() -> None:
    async with proxied() as proxy:
        proxy.listeners.pause()
        await asyncio.sleep(0.01)
        with no_descriptors():
            proxy.listeners.resume()
            await asyncio.sleep(0.01)
        proxy.listeners.resume()  # as it is paused, this begins anew
        await proxy.pair()

        await proxy.opened(1)


async def test_closing_while_paused_ends_what_waits() -> None:
    async with proxied() as proxy:
        proxy.listeners.pause()
        client = await proxy.client()
        proxy.listeners.close()

        assert await is_reset(client)


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """Every number that this process may still have is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as lowest:  # noqa: PTH123 - its number is what counts
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest.fileno(), hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_every_change_of_their_number_is_told() -> None:
    counted: list[int] = []
    listeners = Listeners(counted.append)
    one, other = (cast("Connection", object()) for _ in range(2))
    listeners.open.add(one)
    listeners.open.add(other)
    listeners.open.discard(one)

    assert counted == [1, 2, 1]


class Crowd:
    """Listeners with many connections that only write down in which turn of the loop they were ended."""

    SIZE = 400

    def __init__(self) -> None:
        self.turn = 0
        self.ended_in: list[int] = []
        self.listeners = Listeners()
        self.listeners.open.update(cast("Connection", Ended(self)) for _ in range(self.SIZE))
        self.count()

    def count(self) -> None:
        self.turn += 1
        if len(self.ended_in) < self.SIZE:
            asyncio.get_running_loop().call_soon(self.count)

    async def most_in_one_turn(self) -> int:
        await until(lambda: len(self.ended_in) == self.SIZE)
        return max(self.ended_in.count(turn) for turn in self.ended_in)


class Ended:
    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd

    def drain(self) -> None:
        self.crowd.ended_in.append(self.crowd.turn)

    cut = drain


async def test_a_crowd_is_drained_in_many_turns_of_the_loop() -> None:
    crowd = Crowd()
    crowd.listeners.drain()

    assert await crowd.most_in_one_turn() < 100


async def test_a_crowd_is_cut_in_many_turns_of_the_loop() -> None:
    crowd = Crowd()
    await crowd.listeners.cut()

    assert await crowd.most_in_one_turn() < 100


async def test_what_is_accepted_finds_out_about_a_peer_that_vanished() -> None:
    async with proxied() as proxy:
        await proxy.pair()
        await proxy.opened(1)
        down = socket_of(next(iter(proxy.listeners.open))._down)
        assert down is not None

        assert down.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert down.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


async def test_what_is_accepted_sends_at_once() -> None:
    async with proxied() as proxy:
        await proxy.pair()
        await proxy.opened(1)
        down = socket_of(next(iter(proxy.listeners.open))._down)
        assert down is not None

        assert down.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
