"""Peers that invent methods, paths, hosts, names and statuses: what is counted of them, shown and remembered has a bound.

They may cost themselves their names, not the node its memory nor its metrics store.
"""

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.support.daemon import Daemon, until
from e2e.support.node import Node, read
from netra_node.telemetry.metrics import MAX_SERIES
from netra_node.telemetry.paths import PATH_LIMIT
from netra_node.telemetry.peers import EXTERNAL, KUBELET, MAX_NAMES, OTHER
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

#: Captured like `a` and `b`, and not flooded.
UNTOUCHED = "c"

REQUESTS, AT_ONCE = 1120, 32
STATUSES = 400
#: Known to llhttp, so that they are read; only the first and the last are a label of their own.
METHODS = (b"GET", b"PROPFIND", b"MKCOL", b"M-SEARCH", b"PURGE", b"REPORT", b"SOURCE", b"PATCH")
#: What can be no name of a service, one of five.
RUBBISH = (b'"} 1\\n', b"\xff\xfe", b"a" * 300, b"-", b"10.0.0.1")

Series = set[tuple[str, tuple[tuple[str, str], ...]]]


@pytest.fixture(scope="module")
def daemon(bed: Testbed, directory: Path) -> Iterator[Daemon]:
    bed.add_pod(UNTOUCHED)
    with Node(bed, directory / "pods.json") as node:
        node.enrol("a", "b", UNTOUCHED)
        with Daemon(node.file, directory, NETRA_DRAIN_MILLISECONDS="200") as daemon:
            daemon.wait_for("a", "b", UNTOUCHED)
            yield daemon
            assert daemon.mishaps() == []


def series(daemon: Daemon) -> Series:
    return {(name, tuple(sorted(labels.items()))) for name, labels, _ in daemon.metrics()}


def labels(seen: Series, key: str) -> set[str]:
    return {value for _, pairs in seen for name, value in pairs if name == key}


def request(chance: random.Random, number: int) -> bytes:
    name = b"n%08x.example" % chance.getrandbits(32) if number % 5 else chance.choice(RUBBISH)
    return b"%b /%x/%x?q=%x HTTP/1.1\r\nHost: %b\r\nX-Source: %b\r\nX-Request-Id: %b\r\n\r\n" % (
        chance.choice(METHODS),
        *(chance.getrandbits(40) for _ in range(3)),
        name,
        name,
        chance.randbytes(500).hex().encode(),
    )


def flood(client: socket.socket, server: socket.socket, seed: int) -> None:
    """Ask for everything there is, nothing twice, and answer with every status."""
    chance = random.Random(seed)
    for first in range(0, REQUESTS, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        client.sendall(b"".join(request(chance, number) for number in numbers))
        got = b""
        while got.count(b"\r\n\r\n") < AT_ONCE:
            got += server.recv(1 << 18)
        statuses = (200 + number % STATUSES for number in numbers)
        answers = b"".join(
            b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % each for each in statuses
        )
        server.sendall(answers)
        assert read(client, len(answers)) == answers


@pytest.fixture
def floods(node: Node, daemon: Daemon) -> Iterator[int]:
    """Floods into one captured pod and out of another, each with seeds of its own; how many there were."""

    def both() -> Iterator[int]:
        (x, b), (a, y) = node.pair("x", "b"), node.pair("a", "y")
        for number in range(100):
            before = sum(daemon.requests().values())
            flood(x, b, 2 * number)
            flood(a, y, 2 * number + 1)
            until(lambda: sum(daemon.requests().values()) - before >= 2 * REQUESTS, 5)  # noqa: B023
            yield number

    return both()


def test_after_the_first_flood_of_invented_names_no_series_is_added(
    daemon: Daemon, floods: Iterator[int]
) -> None:
    next(floods)
    before = series(daemon)

    next(floods)
    next(floods)

    assert series(daemon) - before == set()
    print(f"{len(before)} series")


def test_peers_methods_and_statuses_are_bounded_and_none_is_raw(
    daemon: Daemon, floods: Iterator[int]
) -> None:
    next(floods)

    seen = series(daemon)
    for direction, service in (("inbound", "b"), ("outbound", "a")):
        own = {
            (name, pairs)
            for name, pairs in seen
            if {("direction", direction), ("service", service)} <= set(pairs)
        }
        peers = labels(own, "peer")
        assert MAX_NAMES < len(peers) <= MAX_NAMES + len({EXTERNAL, OTHER, KUBELET})
        assert {EXTERNAL, OTHER} <= peers
        kinds = [pairs for name, pairs in own if name == "netra_http_requests_total"]
        of_others = [pairs for pairs in kinds if ("peer", OTHER) in pairs]
        assert len(of_others) <= MAX_SERIES + 1
    assert labels(seen, "method") <= {"GET", "PATCH", "_OTHER"}
    assert not [peer for peer in labels(seen, "peer") if not peer.isascii() or '"' in peer]


def test_the_graph_has_no_more_edges_than_a_pod_has_names_for_its_peers(
    daemon: Daemon, floods: Iterator[int]
) -> None:
    next(floods)
    next(floods)

    edges = (daemon.ask("/graph") or {})["edges"]
    into = [edge for edge in edges if edge["destination"] == "b"]
    assert MAX_NAMES < len(into) <= MAX_NAMES + len({EXTERNAL, OTHER, "a"})


def test_three_floods_cost_no_more_memory_than_one(daemon: Daemon, floods: Iterator[int]) -> None:
    next(floods)
    daemon.metrics()
    before = daemon.own_memory()

    for _ in range(3):
        next(floods)
        daemon.metrics()

    grown = daemon.own_memory() - before
    print(f"grown {grown:.2f} MiB by {3 * 2 * REQUESTS} requests")
    assert grown < 4


def test_after_the_first_floods_no_span_name_is_added(
    daemon: Daemon, floods: Iterator[int]
) -> None:
    for _ in range(3):  # names are made when somebody looks at the last 2,000 spans
        next(floods)
        daemon.traces()

    next(floods)

    spans = daemon.traces()
    assert {span["name"] for span in spans} == {"GET", "PATCH", "HTTP"}
    assert len({span["attributes"]["url.path"] for span in spans}) > 1900


def test_invented_ids_are_one_span_name_and_a_long_path_is_cut(node: Node, daemon: Daemon) -> None:
    chance = random.Random(1)
    client, server = node.pair("x", UNTOUCHED)
    paths = [f"/cardinality/{chance.getrandbits(30)}" for _ in range(20)]
    paths += [f"/cardinality/{chance.randbytes(16).hex()}0" for _ in range(20)]
    paths += ["/cardinality/" + "long" * 5000]
    for path in paths:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: b\r\n\r\n".encode())
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            got += server.recv(65536)
        server.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        read(client, 27)

    def names() -> list[str]:
        return [s["name"] for s in daemon.traces() if s["name"].startswith("GET /cardinality/")]

    assert until(lambda: len(names()) == len(paths), 5)
    short = {name for name in names() if len(name) < 100}
    assert short == {"GET /cardinality/{id}"}
    assert max(map(len, names())) <= len("GET ") + PATH_LIMIT
