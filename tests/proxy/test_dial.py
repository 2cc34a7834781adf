"""With namespaces where the exact client matters: only there are our routes and marks."""

import contextlib
import errno
import socket
from collections.abc import Callable, Iterator

import pytest

from netra_node.core.addresses import ClientAddr, OriginalDst
from netra_node.proxy.dial import Dialled, InboundDialer, OutboundDialer, is_connected
from tests.unprivileged import NET_BIND_SERVICE, lacking

ANY_IP = ("127.0.0.8", "::1")
MARK = 0x153A
#: The loopback of this namespace stands for a pod: all of 127/8 is local there, as the AnyIP route makes 192.0.0.8 in a pod.
CLIENT = ClientAddr("127.0.0.77", 40077)


class Sockets:
    """Makes real sockets and remembers them; `spoil` may do something to each before it is handed out."""

    def __init__(self, spoil: Callable[[int], OSError | None] = lambda _count: None) -> None:
        self.made: list[socket.socket] = []
        self._spoil = spoil

    def tcp(self, family: socket.AddressFamily) -> socket.socket:
        error = self._spoil(len(self.made))
        if error is not None:
            raise error
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.made.append(sock)
        return sock

    def all_closed(self) -> bool:
        return all(sock.fileno() == -1 for sock in self.made)


@pytest.fixture
def factory() -> Iterator[Sockets]:
    sockets = Sockets()
    yield sockets
    for sock in sockets.made:
        sock.close()


@contextlib.contextmanager
def app(host: str, backlog: int = 16) -> Iterator[socket.socket]:
    with socket.create_server((host, 0), backlog=backlog) as listener:
        yield listener


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port where nobody listens, nor anybody else can begin to meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield port_of(bound)


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def inbound(factory: Sockets) -> InboundDialer:
    return InboundDialer(factory, MARK, ANY_IP)


# ---- outbound


def test_outbound_goes_to_the_destination_with_our_mark(factory: Sockets) -> None:
    with app("127.0.0.1") as listener:
        dialled = OutboundDialer(factory, MARK).dial(CLIENT, OriginalDst(*listener.getsockname()))

        assert dialled.sock.getpeername() == listener.getsockname()
        assert dialled.sock.getsockopt(socket.SOL_SOCKET, socket.SO_MARK) == MARK


def test_outbound_keeps_alive_and_sends_at_once(factory: Sockets) -> None:
    with app("127.0.0.1") as listener:
        sock = OutboundDialer(factory, MARK).dial(CLIENT, OriginalDst(*listener.getsockname())).sock

        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_outbound_that_the_kernel_refuses_at_once_leaves_no_socket(factory: Sockets) -> None:
    with pytest.raises(OSError, match=r".") as refusal:
        OutboundDialer(factory, MARK).dial(CLIENT, OriginalDst("255.255.255.255", 9))

    assert refusal.value.errno in (errno.EACCES, errno.ENETUNREACH)
    assert factory.all_closed()


def test_a_redirected_connection_is_dialled_where_its_client_wanted_to_go(
    factory: Sockets,
) -> None:
    with app("127.0.0.9") as listener:
        dialer = InboundDialer(factory, MARK, None)
        dialled = dialer.dial(CLIENT, OriginalDst(*listener.getsockname()))

        assert dialled.sock.getpeername() == listener.getsockname()
        assert dialled.sock.getsockname() == CLIENT


def test_outbound_claims_nothing(factory: Sockets) -> None:
    with app("127.0.0.1") as listener:
        dialer = OutboundDialer(factory, MARK)
        dialled = dialer.dial(CLIENT, OriginalDst(*listener.getsockname()))
        dialer.release(dialled)

        assert dialled.claim is None


# ---- whether it is connected


def test_a_connect_under_way_is_not_connected() -> None:
    with app("127.0.0.1", backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):  # more than the accept queue takes
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())

        assert not is_connected(sock)


def test_a_refused_connect_is_told_by_its_error() -> None:
    with closed_port() as closed, socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", closed))

        with pytest.raises(ConnectionRefusedError):
            is_connected(sock)


# ---- inbound


def test_inbound_speaks_as_the_client_to_the_any_ip_address(factory: Sockets) -> None:
    with app("0.0.0.0") as listener:
        dialled = inbound(factory).dial(CLIENT, OriginalDst("127.0.0.1", port_of(listener)))
        accepted, peer = listener.accept()
        accepted.close()

        assert peer == CLIENT
        assert dialled.sock.getpeername() == (ANY_IP[0], port_of(listener))
        assert dialled.claim is None


def test_inbound_falls_back_to_the_pods_own_address_and_another_port(factory: Sockets) -> None:
    with app("127.0.0.1") as listener:  # as an application bound to the pod's IP
        dialled = inbound(factory).dial(CLIENT, OriginalDst("127.0.0.1", port_of(listener)))
        accepted, peer = listener.accept()
        accepted.close()

        assert peer[0] == CLIENT.host
        assert peer[1] != CLIENT.port
        assert dialled.claim == (CLIENT.host, OriginalDst("127.0.0.1", port_of(listener)), peer[1])


def test_inbound_falls_back_where_the_clients_port_is_taken(factory: Sockets) -> None:
    with app("0.0.0.0") as listener:
        client = ClientAddr("127.0.0.77", port_of(listener))
        dialled = inbound(factory).dial(client, OriginalDst("127.0.0.1", port_of(listener)))

        assert dialled.claim is not None


def test_inbound_falls_back_where_the_clients_port_is_not_for_us_to_use(
    factory: Sockets,
) -> None:
    with app("0.0.0.0") as listener, lacking(NET_BIND_SERVICE):
        destination = OriginalDst("127.0.0.1", port_of(listener))
        sock = inbound(factory).dial(ClientAddr("127.0.0.77", 999), destination).sock

        assert sock.getsockname()[0] == "127.0.0.77"
        assert sock.getsockname()[1] >= 1024
        assert sock.getpeername() == ("127.0.0.1", port_of(listener))


def test_inbound_to_nobody_is_refused_and_leaves_nothing(factory: Sockets) -> None:
    dialer = inbound(factory)

    with closed_port() as closed, pytest.raises(ConnectionRefusedError):
        dialer.dial(CLIENT, OriginalDst("127.0.0.1", closed))

    assert factory.all_closed()
    assert not dialer._claimed


def test_an_error_that_no_other_port_cures_is_told_at_once() -> None:
    factory = Sockets(lambda _count: OSError(errno.EMFILE, "planted"))

    with pytest.raises(OSError, match="planted"):
        inbound(factory).dial(CLIENT, OriginalDst("127.0.0.1", 80))

    assert factory.all_closed()


def test_each_fallback_has_a_port_of_its_own(factory: Sockets) -> None:
    with app("127.0.0.1") as listener:
        dialer = inbound(factory)
        there = OriginalDst("127.0.0.1", port_of(listener))

        claims = [dialer.dial(CLIENT, there).claim for _ in range(5)]

    assert len(set(claims)) == 5


def test_a_released_port_is_claimed_no_longer(factory: Sockets) -> None:
    with app("127.0.0.1") as listener:
        dialer = inbound(factory)
        dialled = dialer.dial(CLIENT, OriginalDst("127.0.0.1", port_of(listener)))
        assert dialer._claimed == {dialled.claim}

        dialer.release(dialled)

    assert not dialer._claimed


def test_releasing_what_claimed_nothing_is_nothing(factory: Sockets) -> None:
    with socket.socket() as sock:
        inbound(factory).release(Dialled(sock))


def test_the_fallback_keeps_no_memory_of_clients(factory: Sockets) -> None:
    with app("127.0.0.1", backlog=64) as listener:
        dialer = inbound(factory)
        for last in range(1, 40):
            client = ClientAddr(f"127.0.1.{last}", 40000)
            dialled = dialer.dial(client, OriginalDst("127.0.0.1", port_of(listener)))
            dialled.sock.close()
            dialer.release(dialled)

    held = [
        value for value in vars(dialer).values() if isinstance(value, (set, dict, list)) and value
    ]
    assert not held


def test_a_full_table_is_an_error_and_no_endless_search(factory: Sockets) -> None:
    with app("127.0.0.1") as listener:
        there = OriginalDst("127.0.0.1", port_of(listener))
        dialer = inbound(factory)
        dialer._claimed = {(CLIENT.host, there, port) for port in range(1024, 32768)}

        with pytest.raises(OSError, match="every source port") as refusal:
            dialer.dial(CLIENT, there)

    assert refusal.value.errno == errno.EADDRNOTAVAIL


def test_a_full_accept_queue_is_waited_for_after_a_few_ports(factory: Sockets) -> None:
    with app("127.0.0.1", backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        dialer = inbound(factory)

        dialled = dialer.dial(CLIENT, OriginalDst("127.0.0.1", port_of(listener)))

        assert not is_connected(dialled.sock)
        assert dialer._claimed == {dialled.claim}
        assert [sock.fileno() != -1 for sock in factory.made].count(True) == 1
