"""Against the kernel: what was set is read back. Namespaces are needed where another address is spoken for."""

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from netra_node.core.addresses import ClientAddr
from netra_node.proxy import sockets
from tests.proxy.support import is_reset


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield made


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    client.setblocking(False)
    return client, accepted


@pytest.mark.parametrize(
    ("host", "family"), [("10.0.0.1", socket.AF_INET), ("fd00::1", socket.AF_INET6)]
)
def test_the_family_is_seen_in_the_address(host: str, family: socket.AddressFamily) -> None:
    assert sockets.family_of(host) is family


def test_keepalive_asks_after_a_minute_three_times_ten_seconds_apart(sock: socket.socket) -> None:
    sockets.keep_alive(sock)

    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert [
        sock.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    ] == [60, 10, 3]


def test_nothing_waits_for_more_to_be_written(sock: socket.socket) -> None:
    sockets.no_delay(sock)

    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_the_mark_is_set(sock: socket.socket) -> None:
    sockets.mark(sock, 0x1539)

    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_MARK) == 0x1539


def test_corked_bytes_wait_for_the_fin() -> None:
    client, accepted = connected()
    with client, accepted:
        sockets.cork(accepted)
        accepted.send(b"last")
        with pytest.raises(BlockingIOError):
            client.recv(1)
        accepted.shutdown(socket.SHUT_WR)

        assert client.recv(9) == b"last"


async def test_close_sends_a_reset_when_told_so() -> None:
    client, accepted = connected()
    with client:
        sockets.reset_on_close(accepted)
        accepted.close()

        assert await asyncio.wait_for(is_reset(client), 1)


@pytest.mark.parametrize(
    ("family", "client"),
    [
        (socket.AF_INET, ClientAddr("203.0.113.7", 40000)),
        (socket.AF_INET6, ClientAddr("2001:db8::7", 40000)),
    ],
)
def test_a_socket_speaks_for_an_address_that_is_not_ours(
    family: socket.AddressFamily, client: ClientAddr
) -> None:
    with socket.socket(family) as sock:
        sockets.speak_for(sock, client)

        assert sock.getsockname()[:2] == client


def test_several_sockets_speak_for_the_same_client_at_once() -> None:
    client = ClientAddr("203.0.113.7", 40001)
    with socket.socket() as one, socket.socket() as other:
        sockets.speak_for(one, client)
        sockets.speak_for(other, client)

        assert other.getsockname() == client


def test_no_socket_speaks_for_a_port_the_pod_listens_on() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener, socket.socket() as sock:
        taken = ClientAddr("203.0.113.7", listener.getsockname()[1])

        with pytest.raises(OSError, match="in use") as refusal:
            sockets.speak_for(sock, taken)

    assert refusal.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_a_connection_that_was_not_redirected_has_no_other_destination(
    family: socket.AddressFamily, host: str
) -> None:
    with socket.create_server((host, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        accepted, _ = listener.accept()
    with client, accepted:
        try:
            found = sockets.original_destination(accepted)
        except OSError as reason:
            # conntrack is not watching in this namespace
            assert reason.errno in (errno.ENOENT, errno.ENOPROTOOPT)  # noqa: PT017
        else:
            assert found == accepted.getsockname()[:2]


@pytest.mark.netns
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_listener_for_nat_keeps_its_address_and_is_transparent_no_more(
    family: socket.AddressFamily,
) -> None:
    level, option = (socket.SOL_IP, 19) if family == socket.AF_INET else (socket.IPPROTO_IPV6, 75)
    with socket.socket(family) as listener:
        listener.setsockopt(level, option, 1)
        listener.bind(("192.0.0.8" if family == socket.AF_INET else "100::8", 0))
        before = listener.getsockname()

        sockets.accept_by_nat(listener)

        assert listener.getsockname() == before
        assert listener.getsockopt(level, option) == 0


def test_a_fin_has_come_when_all_before_it_was_read() -> None:
    client, server = connected()
    with client, server:
        assert not sockets.fin_has_come(client)
        server.sendall(b"x")
        server.shutdown(socket.SHUT_WR)
        assert not sockets.fin_has_come(client)
        assert client.recv(1) == b"x"

        assert sockets.fin_has_come(client)


def test_looking_for_a_fin_leaves_a_reset_to_be_read() -> None:
    client, server = connected()
    with client:
        sockets.reset_on_close(server)
        server.close()

        assert not sockets.fin_has_come(client)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_looking_for_a_reset_leaves_it_to_be_read() -> None:
    client, server = connected()
    with client:
        assert not sockets.was_reset(client)
        sockets.reset_on_close(server)
        server.close()

        assert sockets.was_reset(client)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_an_end_in_peace_is_no_reset() -> None:
    client, server = connected()
    with client:
        server.close()
        client.shutdown(socket.SHUT_WR)

        assert not sockets.was_reset(client)
