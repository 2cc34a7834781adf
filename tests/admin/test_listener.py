"""Opening admin sockets."""

import errno
import socket

import pytest

from netra_node.admin.listener import ListenError, open_listener


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_every_address_means_both_families(address: str) -> None:
    with (
        open_listener(None, 0) as listener,
        socket.create_connection((address, _port(listener)), timeout=2) as client,
    ):
        assert client.getpeername()[:2] == (address, _port(listener))


def test_a_kernel_without_ipv6_gets_ipv4_alone() -> None:
    def without_ipv6(family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "planted")
        return socket.socket(family, kind)

    with open_listener(None, 0, without_ipv6) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


def test_one_address_is_not_reachable_by_another() -> None:
    with open_listener("127.0.0.1", 0) as listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", _port(listener)), timeout=2)


def test_a_v6_address_is_served() -> None:
    with (
        open_listener("::1", 0) as listener,
        socket.create_connection(("::1", _port(listener)), timeout=2),
    ):
        pass


@pytest.mark.parametrize("taken_by", ["127.0.0.1", None])
def test_a_taken_port_is_one_clear_line(taken_by: str | None) -> None:
    with open_listener(taken_by, 0) as listener:
        port = _port(listener)
        with pytest.raises(ListenError) as caught:
            open_listener(None, port)

    assert str(caught.value) == f"cannot listen on port {port}: address already in use"


def test_a_taken_address_is_named() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        port = _port(listener)
        with pytest.raises(ListenError) as caught:
            open_listener("127.0.0.1", port)

    assert str(caught.value).startswith(f"cannot listen on 127.0.0.1 port {port}: ")


def test_a_name_that_is_no_address_is_an_error_that_says_so() -> None:
    with pytest.raises(ListenError, match=r"cannot listen on no\.such\.invalid port 1: "):
        open_listener("no.such.invalid", 1)
