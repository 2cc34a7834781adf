import asyncio
import socket
from dataclasses import replace
from typing import cast

from netra_node.core.ports import PortSet
from netra_node.proxy.connection import Connection
from netra_node.proxy.listener import Listeners
from netra_node.proxy.transports import socket_of
from tests.proxy.support import GET, TLS, proxied, read, send, until

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
