"""Every case of `e2e.corpus` directly and through the daemon: nobody can tell the difference, save by the declared headers."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.corpus import marks
from e2e.corpus.case import OK, UNREAD, Case
from e2e.corpus.cases import ALL
from e2e.corpus.marks import Declared
from e2e.support.counted import Counted
from e2e.support.daemon import Daemon, until
from e2e.support.node import Node, manifest, read_head
from e2e.support.transcript import Delivery, Transcript, play
from netra_node.core.records import OpaqueReason
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

#: Who calls whom, what is declared on the way, how many of the daemon's captures lie between.
ROUTES = {
    "outbound": ("a", "y", Declared.OUTBOUND, 1),
    "inbound": ("x", "b", Declared.INBOUND, 1),
    "both": ("a", "b", Declared.OUTBOUND, 2),
}
#: Between these a port is not named that is used.
OTHER_PORTS = {"outbound": ("p", "y"), "inbound": ("x", "q"), "both": ("p", "q")}
#: The kernel's scheduler may take a head's second piece for a slow one: then it is played again.
ATTEMPTS = 3
BY_NAME = {case.name: case for case in ALL}


@pytest.fixture(scope="module")
def daemon(bed: Testbed, directory: Path) -> Iterator[Daemon]:
    """Captures `a` and `b`, and `p` and `q`, where HTTP is spoken at port 1 only."""
    for name in ("p", "q"):
        bed.add_pod(name)
    with Node(bed, directory / "pods.json") as node:
        node.write(
            [
                *(manifest(node.pod(name)) for name in "ab"),
                *(manifest(node.pod(name), http_ports="1") for name in "pq"),
            ]
        )
        with Daemon(node.file, directory, NETRA_DRAIN_MILLISECONDS="200") as daemon:
            daemon.wait_for(*"abpq")
            yield daemon
            assert daemon.mishaps() == []


def plays() -> Iterator[object]:
    """Both captures in every delivery, each alone as a whole; the rest of the product is long."""
    for route in ROUTES:
        for delivery in Delivery:
            usual = route == "both" or delivery is Delivery.WHOLE
            marked = () if usual else pytest.mark.long
            yield pytest.param(route, delivery, id=f"{route}, {delivery.value}", marks=marked)


def closed(daemon: Daemon) -> Counted:
    """What is counted when every connection has ended."""
    until(lambda: Counted.by(daemon).open == 0, 2)
    return Counted.by(daemon)


@pytest.mark.parametrize(("route", "delivery"), list(plays()))
@pytest.mark.parametrize("name", list(BY_NAME))
def test_both_sides_see_what_they_see_without_the_daemon(
    node: Node, daemon: Daemon, name: str, route: str, delivery: Delivery
) -> None:
    case = BY_NAME[name]
    direct = play(case, node.pair("x", "y"))
    proxied, counted = played(node, daemon, case, route, delivery)

    declared, captures = ROUTES[route][2:]
    said = case.marked(client=True)
    assert marks.undeclared(said, proxied.by_server, declared) == direct.by_server
    assert proxied.by_client == direct.by_client
    assert proxied.seen_by_client is direct.seen_by_client
    assert proxied.seen_by_server is direct.seen_by_server
    spans = marks.spans(said, proxied.by_server, declared)
    assert len(set(spans)) == case.traced
    assert counted.outcomes == Counter({o: n * captures for o, n in case.outcomes.items()})
    assert counted.opaque == Counter({case.opaque: captures} if case.opaque else {})


def played(
    node: Node, daemon: Daemon, case: Case, route: str, delivery: Delivery
) -> tuple[Transcript, Counted]:
    """Play until no piece of a head was kept from the daemon by anything but the case."""
    caller, called, declared, captures = ROUTES[route]
    if case.other_port:
        caller, called = OTHER_PORTS[route]
    for attempt in range(1, ATTEMPTS + 1):
        before = closed(daemon)
        try:
            transcript = play(case, node.pair(caller, called), delivery, declared)
        except AssertionError:
            if attempt == ATTEMPTS or closed(daemon).since(before).slow == 0:
                raise
            continue
        counted = closed(daemon).since(before)
        if counted.slow == case.slow * captures:
            break
    return transcript, counted


def test_every_byte_of_an_answer_leaves_before_the_next_is_sent(node: Node, daemon: Daemon) -> None:
    del daemon
    client, server = node.pair("a", "b")
    client.sendall(UNREAD)
    read_head(server)

    for byte in OK:
        server.sendall(bytes((byte,)))
        assert client.recv(10) == bytes((byte,))


# ---- the list itself


def test_no_two_cases_have_the_same_name() -> None:
    assert [name for name, count in Counter(case.name for case in ALL).items() if count > 1] == []


def test_there_is_a_case_for_every_reason_but_an_error_of_ours() -> None:
    assert {case.opaque for case in ALL} == {"", *(r.value for r in OpaqueReason)} - {
        OpaqueReason.INTERNAL.value
    }
