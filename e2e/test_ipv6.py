"""Pods and nodes that have one address family, and what of IPv6 is never captured."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from e2e.support.daemon import Daemon, until
from e2e.support.node import Node, manifest, read, read_head
from netra_node.testbed import BedPod, Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def pair(
    node: Node, caller: str, target: tuple[Any, ...], called: str
) -> tuple[socket.socket, ...]:
    """Both ends of a connection to `target`, whose port is chosen here, on every address of `called`."""
    listener = node.listen(called, "::" if ":" in target[0] else "0.0.0.0")
    port = listener.getsockname()[1]
    client = node.connect(caller, (target[0], port, *target[1:]))
    return client, node.accept(listener)


def captured(client: socket.socket, server: socket.socket) -> bool:
    client.sendall(GET)
    head = read_head(server)
    server.sendall(OK)
    assert read(client, len(OK)) == OK
    return b"traceparent" in head


def link_local(node: Node, pod: str) -> tuple[str, int, int]:
    """Its address on its own link and, as the third, the number of `eth0` in a pod: address, flow, scope."""

    def look() -> tuple[str, int, int] | None:
        table = Path("/proc/thread-self/net/if_inet6").read_text()
        # address, interface number, prefix length, scope 20 (link), flags 80 (permanent, not tentative), name
        found = re.search(r"^(fe80\w+) (\w+) \w+ 20 80 +eth0$", table, re.MULTILINE)
        if found is None:
            return None
        return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(found[1])), 0, int(found[2], 16)

    address = until(lambda: node.bed.run_inside(pod, look))
    assert address is not None
    return address


@pytest.fixture(scope="module")
def one_family(bed: Testbed) -> tuple[BedPod, BedPod, BedPod]:
    """`six` has no IPv4 but loopback's, `four` no IPv6 at all, `loopless` IPv6 but no `::1`."""
    loopless = bed.add_pod("loopless")
    switch = Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
    bed.run_inside("loopless", lambda: switch.write_text("1"))
    return bed.add_pod("six", ipv4=False), bed.add_pod("four", ipv6=False), loopless


@pytest.fixture
def enrolled(node: Node, daemon: Daemon, one_family: tuple[BedPod, ...]) -> Iterator[Node]:
    names = [pod.name for pod in one_family]
    node.enrol("a", "b", *names)
    daemon.wait_for(*names)
    yield node
    node.enrol("a", "b")


@pytest.fixture
def other_node(bed: Testbed, directory: Path) -> Iterator[Node]:
    """With a file that the module's daemon does not read."""
    with Node(bed, directory / "other.json") as node:
        yield node


# ---- pods with one family


@pytest.mark.parametrize(("name", "family"), [("six", "ipv6"), ("four", "ipv4")])
def test_a_pod_with_one_family_is_called_as_by_the_client_itself(
    enrolled: Node, name: str, family: str
) -> None:
    client, server = pair(enrolled, "x", (getattr(enrolled.pod(name), family),), name)

    assert server.getpeername()[:2] == client.getsockname()[:2]
    assert server.getpeername()[0] == getattr(enrolled.pod("x"), family)
    assert captured(client, server)


@pytest.mark.parametrize(("name", "family"), [("six", "ipv6"), ("four", "ipv4")])
def test_a_pod_with_one_family_calls_through_us_from_its_own_address(
    enrolled: Node, name: str, family: str
) -> None:
    client, server = pair(enrolled, name, (getattr(enrolled.pod("y"), family),), "y")

    assert server.getpeername()[0] == getattr(enrolled.pod(name), family)
    assert captured(client, server)


@pytest.mark.parametrize(("name", "family"), [("six", "ipv6"), ("four", "ipv4")])
def test_between_captured_pods_both_ends_are_captured(
    enrolled: Node, daemon: Daemon, name: str, family: str
) -> None:
    before = daemon.total("netra_tcp_connections_opened_total")
    client, server = pair(enrolled, name, (getattr(enrolled.pod("b"), family),), "b")

    assert captured(client, server)
    assert until(lambda: daemon.total("netra_tcp_connections_opened_total") == before + 2, 3)


@pytest.mark.parametrize(("name", "family"), [("six", "ipv6"), ("four", "ipv4")])
def test_a_closed_port_of_a_pod_with_one_family_refuses(
    enrolled: Node, name: str, family: str
) -> None:
    with pytest.raises(ConnectionRefusedError):
        enrolled.connect("x", (getattr(enrolled.pod(name), family), 81))


def test_in_a_pod_without_a_loopback_address_of_ipv6_that_family_goes_direct(
    enrolled: Node,
) -> None:
    """Redirected it would come to an address where nobody can listen, and wait for ever."""
    six = pair(enrolled, "loopless", (enrolled.pod("y").ipv6,), "y")
    four = pair(enrolled, "loopless", (enrolled.pod("y").ipv4,), "y")

    assert not captured(*six)
    assert captured(*four)


def test_into_a_pod_without_a_loopback_address_of_ipv6_that_family_goes_direct(
    enrolled: Node,
) -> None:
    assert not captured(*pair(enrolled, "x", (enrolled.pod("loopless").ipv6,), "loopless"))
    assert captured(*pair(enrolled, "x", (enrolled.pod("loopless").ipv4,), "loopless"))


def test_connections_inside_a_pod_of_ipv6_alone_are_left_alone(enrolled: Node) -> None:
    for host in ("::1", enrolled.pod("six").ipv6):
        assert not captured(*pair(enrolled, "six", (host,), "six"))


def test_killed_it_leaves_a_pod_of_ipv6_alone_reachable(
    other_node: Node, directory: Path, one_family: tuple[BedPod, ...]
) -> None:
    node, six = other_node, one_family[0]
    node.write([manifest(six)])
    with Daemon(node.file, directory) as daemon:
        daemon.wait_for("six")
        client, server = pair(node, "x", (six.ipv6,), "six")
        assert captured(client, server)
        daemon.kill()

        assert client.recv(1) == b""
        assert until(lambda: daemon.exit_code is not None)
        assert not captured(*pair(node, "x", (six.ipv6,), "six"))
        assert not captured(*pair(node, "six", (node.pod("y").ipv6,), "y"))


# ---- link-local addresses


@pytest.mark.parametrize(("caller", "called"), [("a", "y"), ("x", "b"), ("a", "b")])
@pytest.mark.usefixtures("daemon")
def test_connections_to_a_link_local_address_are_left_alone(
    node: Node, caller: str, called: str
) -> None:
    host, flow, _ = link_local(node, called)
    scope = link_local(node, caller)[2]
    client, server = pair(node, caller, (host, flow, scope), called)

    assert server.getpeername()[0].partition("%")[0] == link_local(node, caller)[0]
    assert not captured(client, server)


@pytest.mark.usefixtures("daemon")
def test_connections_from_a_link_local_address_are_left_alone(node: Node) -> None:
    """As those of a node that has no other address on the pods' link."""
    listener = node.listen("b", "::")
    target = (node.pod("b").ipv6, listener.getsockname()[1])
    client = node.endpoint("x", target)
    client.bind((link_local(node, "x")[0], 0, *link_local(node, "x")[1:]))
    client.connect(target)

    assert not captured(client, node.accept(listener))


# ---- a node without IPv6


class Inside(Daemon):
    """A daemon that lives in a pod of the bed, as the only process of a node."""

    def __init__(self, node: Node, home: str, directory: Path) -> None:
        super().__init__(node.file, directory)
        self._node = node
        self._home = home

    def __enter__(self) -> Self:
        self._node.bed.run_inside(self._home, super().__enter__)
        return self

    def ask(self, path: str) -> Any:
        return self._node.bed.run_inside(self._home, lambda: super(Inside, self).ask(path))

    def blockers(self) -> list[str]:
        return self._node.bed.run_inside(self._home, super().blockers)


def test_on_a_node_without_ipv6_pods_are_captured_and_the_admin_ports_answer(
    other_node: Node, directory: Path, one_family: tuple[BedPod, ...]
) -> None:
    """And the node's own namespace is never captured, by whatever name it comes."""
    node = other_node
    six, four, _ = one_family
    node.write(map(manifest, (six, four)))
    with Inside(node, "four", directory) as daemon:
        daemon.wait_for("six")

        assert until(lambda: daemon.blockers() == [])
        assert captured(*pair(node, "x", (six.ipv6,), "six"))
        assert daemon.state("four") == "pending"
        assert "the host's or the daemon's own" in daemon.pod("four")["reason"]
        assert not captured(*pair(node, "x", (four.ipv4,), "four"))
