"""What is captured, by the node's settings and the pods' annotations, and what happens when they change."""

import math
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from e2e.support import kernel
from e2e.support.daemon import Daemon, until
from e2e.support.load import Fate
from e2e.support.node import Node, manifest
from e2e.support.visitor import Visitor, exchange
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

#: The longest until a change of the file holds: half a second, and patience with a busy machine.
SOON = 5.0
#: What an application sees as its own address unless connections are redirected.
ANYIP = "192.0.0.8"
IN, OUT = ("x", "b"), ("b", "x")
WAYS = pytest.mark.parametrize("way", [IN, OUT], ids=["in", "out"])


@pytest.fixture(autouse=True)
def as_before(node: Node, daemon: Daemon) -> Iterator[None]:
    """However a test ends, the next finds the pods captured as the first did."""
    yield
    node.enrol("a", "b")
    daemon.wait_for("a", "b")
    assert until(lambda: not daemon.pod("b")["reason"])
    visitors = [Visitor(node, *way) for way in (IN, OUT)]
    assert until(lambda: own_address(node) == ANYIP)
    # often enough for what is left to chance no more
    assert until(lambda: all(v() is Fate.CAPTURED for v in visitors for _ in range(20)))


def own_address(node: Node) -> str:
    """What the application in `b` sees as its own address."""
    client, server = node.pair(*IN)
    with client, server:
        return str(server.getsockname()[0])


def annotate(node: Node, **annotations: str) -> None:
    """Have `b` alone carry these annotations."""
    node.write([manifest(node.pod("a")), manifest(node.pod("b"), **annotations)])


# ---- annotations


@WAYS
def test_only_the_named_ports_are_captured(
    node: Node, daemon: Daemon, way: tuple[str, str]
) -> None:
    named, other = Visitor(node, *way), Visitor(node, *way)
    direction = "inbound" if way == IN else "outbound"

    annotate(node, **{f"{direction}_ports": f"{named.port}, 1-9"})

    assert until(lambda: other() is Fate.DIRECT, SOON)
    assert named() is Fate.CAPTURED


@WAYS
@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_excluded_ports_go_direct(
    node: Node, daemon: Daemon, way: tuple[str, str], v6: bool
) -> None:
    excluded, other = Visitor(node, *way, v6=v6), Visitor(node, *way, v6=v6)
    direction = "inbound" if way == IN else "outbound"

    annotate(node, **{f"exclude_{direction}_ports": str(excluded.port)})

    assert until(lambda: excluded() is Fate.DIRECT, SOON)
    assert other() is Fate.CAPTURED


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_excluded_networks_are_reached_direct(node: Node, daemon: Daemon, v6: bool) -> None:
    excluded, other = Visitor(node, "b", "x", v6=v6), Visitor(node, "b", "y", v6=v6)

    annotate(node, exclude_outbound_cidrs=f"{excluded.target[0]}, 198.51.100.0/24, 2001:db8::/32")

    assert until(lambda: excluded() is Fate.DIRECT, SOON)
    assert other() is Fate.CAPTURED


def test_excluded_networks_are_of_one_direction(node: Node, daemon: Daemon) -> None:
    out, into = Visitor(node, *OUT), Visitor(node, *IN)

    annotate(node, exclude_outbound_cidrs="0.0.0.0/0")

    assert until(lambda: out() is Fate.DIRECT, SOON)
    assert into() is Fate.CAPTURED


@WAYS
@pytest.mark.parametrize("chance", ["0", "0.3", "1"])
def test_the_share_of_a_probability_is_captured(
    node: Node, daemon: Daemon, way: tuple[str, str], chance: str
) -> None:
    """Six standard deviations: one false alarm in five hundred million runs."""
    visitor, tries, share = Visitor(node, *way), 300, float(chance)
    excluded = Visitor(node, *OUT)
    direction = "inbound" if way == IN else "outbound"

    annotate(
        node,
        **{f"{direction}_probability": chance},
        exclude_outbound_ports=str(excluded.port),
    )

    # all of a change holds at once: so this tells of the rest
    assert until(lambda: excluded() is Fate.DIRECT, SOON)
    seen = Counter(visitor() for _ in range(tries))
    assert set(seen) <= {Fate.DIRECT, Fate.CAPTURED}
    bound = 6 * math.sqrt(tries * share * (1 - share))
    assert abs(seen[Fate.CAPTURED] - tries * share) <= bound


# ---- mode redirect


def ends(client: socket.socket, server: socket.socket) -> list[tuple[str, int]]:
    """The client as both applications see it, then the server."""
    pairs = (client.getsockname(), server.getpeername(), client.getpeername(), server.getsockname())
    return [(host, port) for host, port, *_ in pairs]


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_redirected_the_application_sees_its_clients_and_its_own_address(
    node: Node, daemon: Daemon, v6: bool
) -> None:
    listener = node.listen("b", "::" if v6 else "0.0.0.0")
    pod = node.pod("b")
    target = (pod.ipv6 if v6 else pod.ipv4, listener.getsockname()[1])

    def own_address_seen() -> bool:
        client = node.connect("x", target)
        server = node.accept(listener)
        captured = exchange(client, server)
        theirs, seen, ours, own = ends(client, server)
        assert captured
        assert theirs == seen
        assert ours == target
        return own == target

    assert not own_address_seen()
    annotate(node, inbound_mode="redirect")
    assert until(own_address_seen, SOON)


def test_redirected_many_connections_come_and_go(node: Node, daemon: Daemon) -> None:
    visitor = Visitor(node, *IN)
    annotate(node, inbound_mode="redirect")
    assert until(lambda: daemon.state("b") == "running")

    assert Counter(visitor() for _ in range(300)) == {Fate.CAPTURED: 300}


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_redirected_a_client_may_use_one_port_for_two_of_the_pods(
    node: Node, daemon: Daemon, v6: bool
) -> None:
    annotate(node, inbound_mode="redirect")
    assert until(lambda: own_address(node) == node.pod("b").ipv4)
    host = node.pod("b").ipv6 if v6 else node.pod("b").ipv4
    pairs = []
    for _ in range(2):
        listener = node.listen("b", "::" if v6 else "0.0.0.0")
        target = (host, listener.getsockname()[1])
        client = node.endpoint("x", target)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("", 20003))
        client.connect(target)
        pairs.append((client, node.accept(listener)))

    assert all(exchange(*pair) for pair in pairs)
    theirs = [(client.getsockname()[:2], server.getpeername()[:2]) for client, server in pairs]
    assert theirs[0][0] == theirs[0][1]
    assert theirs[1][0][0] == theirs[1][1][0]


def test_redirected_a_closed_port_refuses_and_so_do_ours(node: Node, daemon: Daemon) -> None:
    annotate(node, inbound_mode="redirect")
    visitor = Visitor(node, *IN)
    assert until(lambda: visitor() is Fate.CAPTURED)

    for port in (9, 14955, 14956):
        with pytest.raises(ConnectionRefusedError):
            node.connect("x", (node.pod("b").ipv4, port))


# ---- changes


@pytest.mark.parametrize(
    "annotations",
    [
        {"inbound_ports": "1", "outbound_ports": "1"},
        {"inbound_probability": "0", "outbound_probability": "0"},
        {"inbound_mode": "redirect", "exclude_outbound_cidrs": "0.0.0.0/0"},
    ],
    ids=["ports", "probabilities", "mode"],
)
def test_a_change_leaves_open_connections_captured(
    node: Node, daemon: Daemon, annotations: dict[str, str]
) -> None:
    pairs = [node.pair(*IN), node.pair(*OUT)]
    assert all(exchange(*pair) for pair in pairs)
    out = Visitor(node, *OUT)

    annotate(node, **annotations)
    assert until(lambda: out() is Fate.DIRECT, SOON)

    assert all(exchange(*pair) for pair in pairs)
    assert daemon.total("netra_connections_reset_total") == 0


def test_changes_back_and_forth_lose_no_connection(node: Node, daemon: Daemon) -> None:
    visitors = [Visitor(node, *IN), Visitor(node, *OUT)]
    pairs = [node.pair(*IN), node.pair(*OUT)]
    seen: Counter[Fate] = Counter()
    for turn in range(8):
        mode = ("tproxy", "redirect")[turn % 2]
        annotate(node, inbound_mode=mode, outbound_ports=("*", "1")[turn // 2 % 2])
        seen.update(visitor() for _ in range(20) for visitor in visitors)
        assert all(exchange(*pair) for pair in pairs)

    assert set(seen) <= {Fate.CAPTURED, Fate.DIRECT}
    assert daemon.total("netra_connections_reset_total") == 0


@pytest.mark.parametrize(
    ("annotation", "value", "takes"),
    [
        ("inbound_ports", "http", "* for all, or ports and ranges 0..65535, such as 80,8000-8010"),
        ("exclude_outbound_cidrs", "10.0.0.0/33", "IPv4 and IPv6 networks, such as "),
        ("outbound_probability", "50%", "a number, 0..1"),
        ("inbound_mode", "nat", "tproxy or redirect"),
    ],
)
def test_a_bad_annotation_at_the_start_leaves_the_pod_alone(
    node: Node, bed: Testbed, daemon: Daemon, annotation: str, value: str, takes: str
) -> None:
    bad = manifest(node.pod("y"), **{annotation: value})

    node.write([manifest(node.pod("a")), manifest(node.pod("b")), bad])

    start = f"annotation netra.io/{annotation.replace('_', '-')}={value!r}: "
    assert until(lambda: daemon.pod("y").get("reason", "").startswith(start), SOON)
    assert daemon.state("y") == "refused"
    reason = daemon.pod("y")["reason"]
    assert f"; it takes {takes}" in reason
    assert reason in daemon.log.read_text()
    assert kernel.tables(node.pod("y")) == set()


def test_a_bad_change_keeps_the_last_good_options(node: Node, daemon: Daemon) -> None:
    excluded, other = Visitor(node, *OUT), Visitor(node, *OUT)
    annotate(node, exclude_outbound_ports=str(excluded.port))
    assert until(lambda: excluded() is Fate.DIRECT)
    pair = node.pair(*IN)
    assert exchange(*pair)

    annotate(node, exclude_outbound_ports=str(excluded.port), inbound_mode="nat")

    assert until(lambda: daemon.pod("b")["reason"], SOON)
    status = daemon.pod("b")
    assert status["state"] == "running"
    assert status["reason"] == (
        "annotation netra.io/inbound-mode='nat': no such mode; it takes tproxy or redirect; "
        "it stays captured by the last good options"
    )
    assert "not changing e2e/b: annotation netra.io/inbound-mode=" in daemon.log.read_text()
    assert (excluded(), other()) == (Fate.DIRECT, Fate.CAPTURED)
    assert exchange(*pair)


def test_a_good_change_ends_the_reason(node: Node, daemon: Daemon) -> None:
    annotate(node, inbound_mode="nat")
    assert until(lambda: daemon.pod("b")["reason"])

    annotate(node, inbound_ports="1")

    assert until(lambda: not daemon.pod("b")["reason"], SOON)
    visitor = Visitor(node, *IN)
    assert until(lambda: visitor() is Fate.DIRECT, SOON)
