import asyncio
import socket
from typing import Any

import pytest

from netra_node.proxy import sockets
from netra_node.proxy.transports import cork, has_unsent, reset, send_fin, socket_of, was_reset
from tests.proxy.support import FakeTransport, is_reset, read_all


async def connected() -> tuple[asyncio.Transport, socket.socket]:
    """Return a transport of the running loop and its peer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport: Any
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, *listener.getsockname()
        )
        peer, _ = listener.accept()
    peer.setblocking(False)
    return transport, peer


async def test_fin_comes_after_what_was_written() -> None:
    transport, peer = await connected()
    with peer:
        transport.write(b"last")
        send_fin(transport)

        assert await read_all(peer) == b"last"
        transport.abort()
        await asyncio.sleep(0)


async def test_fin_twice_is_one() -> None:
    transport, peer = await connected()
    with peer:
        send_fin(transport)
        send_fin(transport)

        assert await read_all(peer) == b""
        transport.abort()
        await asyncio.sleep(0)


def test_a_closing_transport_needs_no_fin() -> None:
    transport = FakeTransport()
    transport.close()

    send_fin(transport)

    assert transport.calls == ["close"]


async def test_corked_bytes_leave_with_the_fin() -> None:
    transport, peer = await connected()
    with peer:
        cork(transport)
        transport.write(b"last")
        await asyncio.sleep(0.01)
        with pytest.raises(BlockingIOError):
            peer.recv(1)
        send_fin(transport)

        assert await read_all(peer) == b"last"
        transport.abort()
        await asyncio.sleep(0)


async def test_reset_is_seen_as_one() -> None:
    transport, peer = await connected()
    with peer:
        reset(transport)

        assert await is_reset(peer)


async def test_reset_ends_also_what_is_closing_and_has_bytes_left() -> None:
    transport, peer = await connected()
    with peer:
        transport.write(bytes(32 << 20))
        transport.close()
        reset(transport)

        assert await is_reset(peer)


async def test_a_transport_that_is_gone_is_left_alone() -> None:
    transport, peer = await connected()
    with peer:
        transport.abort()
        await asyncio.sleep(0.01)

        cork(transport)
        send_fin(transport)
        reset(transport)


async def test_a_transport_that_is_gone_after_it_was_asked_for_its_socket_is_left_alone() -> None:
    transport, peer = await connected()
    with peer:
        assert socket_of(transport) is not None
        transport.abort()
        await asyncio.sleep(0.01)

        cork(transport)
        reset(transport)


class HalfGone(FakeTransport):
    """Its peer reset it; the loop does not know yet."""

    def write_eof(self) -> None:
        raise OSError(107, "not connected")


def test_a_reset_the_loop_has_not_seen_yet_is_no_error() -> None:
    send_fin(HalfGone())


@pytest.mark.parametrize("option", [socket.TCP_NODELAY, socket.TCP_CORK])
async def test_socket_options_reach_the_kernel(option: int) -> None:
    transport, peer = await connected()
    with peer:
        sock = socket_of(transport)
        assert sock is not None
        sock.setsockopt(socket.IPPROTO_TCP, option, 1)

        assert sock.getsockopt(socket.IPPROTO_TCP, option) == 1
        transport.abort()
        await asyncio.sleep(0)


async def test_a_reset_is_seen_while_nothing_is_read() -> None:
    transport, peer = await connected()
    transport.pause_reading()
    assert not was_reset(transport)

    sockets.reset_on_close(peer)
    peer.close()

    assert was_reset(transport)
    transport.abort()
    assert not was_reset(transport)
    await asyncio.sleep(0)


async def test_what_the_peer_has_not_acknowledged_is_unsent() -> None:
    transport, peer = await connected()
    with peer:
        assert not has_unsent(transport)
        transport.write(bytes(8 << 20))
        assert has_unsent(transport)
        transport.write_eof()
        assert len(await read_all(peer)) == 8 << 20
        transport.abort()
        await asyncio.sleep(0)

        assert not has_unsent(transport)


def test_a_transport_without_a_descriptor_has_nothing_unsent() -> None:
    assert not has_unsent(FakeTransport())
