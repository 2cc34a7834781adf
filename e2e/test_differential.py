"""Every case of `e2e.corpus` directly and through the daemon: nobody can tell the difference, save by the declared headers."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.corpus import marks
from e2e.corpus.__main__ import PAGE, page
from e2e.corpus.case import GET, OK, UNREAD, Case
from e2e.corpus.cases import ALL
from e2e.corpus.marks import Declared
from e2e.support.daemon import UNDISTURBED, Daemon
from e2e.support.differential import ROUTES, Differential, Route
from e2e.support.node import Node, manifest, read_head
from e2e.support.transcript import Delivery
from netra_node.core.records import OpaqueReason
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

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
        with Daemon(node.file, directory, **UNDISTURBED) as daemon:
            daemon.wait_for(*"abpq")
            yield daemon
            assert daemon.mishaps() == []


def plays() -> Iterator[object]:
    """Both captures, whole and by the byte; the rest of the product is long."""
    for route in ROUTES:
        for delivery in Delivery:
            usual = route == "both" and delivery is not Delivery.LINE
            marked = () if usual else pytest.mark.long
            yield pytest.param(route, delivery, id=f"{route}, {delivery.value}", marks=marked)


@pytest.fixture(scope="module")
def both_ways(daemon: Daemon) -> Differential:
    return Differential(daemon)


@pytest.mark.parametrize(("route", "delivery"), list(plays()))
@pytest.mark.parametrize("name", list(BY_NAME))
def test_both_sides_see_what_they_see_without_the_daemon(
    node: Node, both_ways: Differential, name: str, route: str, delivery: Delivery
) -> None:
    check(node, both_ways, BY_NAME[name], ROUTES[route], delivery)


@pytest.mark.long
@pytest.mark.parametrize("delivery", [Delivery.WHOLE, Delivery.LINE], ids=lambda d: d.value)
@pytest.mark.parametrize("name", [case.name for case in ALL if not case.other_port])
def test_so_they_do_behind_another_request(
    node: Node, both_ways: Differential, name: str, delivery: Delivery
) -> None:
    check(node, both_ways, BY_NAME[name].behind_another(), ROUTES["both"], delivery)


def check(
    node: Node, both_ways: Differential, case: Case, route: Route, delivery: Delivery
) -> None:
    """Play a case both ways and compare; and look whether its verdict is what the daemon has counted."""
    direct = both_ways.direct(node, case)
    proxied, counted = both_ways.proxied(node, case, route, delivery)

    said = case.marked(client=True)
    assert marks.undeclared(said, proxied.by_server, route.declared) == direct.by_server
    assert proxied.by_client == direct.by_client
    assert proxied.seen_by_client is direct.seen_by_client
    assert proxied.seen_by_server is direct.seen_by_server
    assert len(set(marks.spans(said, proxied.by_server, route.declared))) == case.traced
    outcomes = {outcome: number * route.captures for outcome, number in case.outcomes.items()}
    assert counted.outcomes == Counter(outcomes)
    assert counted.opaque == Counter({case.opaque: route.captures} if case.opaque else {})


def test_every_byte_of_an_answer_leaves_before_the_next_is_sent(node: Node, daemon: Daemon) -> None:
    del daemon
    client, server = node.pair("a", "b")
    client.sendall(UNREAD)
    read_head(server)

    for byte in OK:
        server.sendall(bytes((byte,)))
        assert client.recv(10) == bytes((byte,))


# ---- the list itself


def test_the_page_in_docs_is_the_one_that_is_generated() -> None:
    assert PAGE.read_text() == page(), "run `python -m e2e.corpus`"


def test_no_two_cases_have_the_same_name() -> None:
    assert [name for name, count in Counter(case.name for case in ALL).items() if count > 1] == []


def test_there_is_a_case_for_every_reason_but_an_error_of_ours() -> None:
    assert {case.opaque for case in ALL} == {"", *(r.value for r in OpaqueReason)} - {
        OpaqueReason.INTERNAL.value
    }


# ---- the marks: what is no declared header where one belongs is a difference

START = b"GET / HTTP/1.1\r\nHost: y\r\n"
IDS = b"traceparent: 00-%b-%b-01\r\nuber-trace-id: %b:%b:0:1\r\n"
SAME = IDS % (marks.TRACE, marks.SPAN, marks.TRACE, marks.SPAN)
REQUEST_ID = b"X-Request-Id: 0b6a6cb4-8b1b-4e0b-9a29-3d5b1a0e7c11\r\n"
SOURCE = b"X-Source: a\r\n"


def test_declared_headers_where_they_belong_are_no_difference() -> None:
    got = START + SAME + REQUEST_ID + SOURCE + b"\r\n"

    assert marks.difference(GET, got, Declared.OUTBOUND) == ""
    assert marks.undeclared(GET, got, Declared.OUTBOUND) == UNREAD


@pytest.mark.parametrize(
    "got",
    [
        UNREAD,
        START + REQUEST_ID + SOURCE + b"\r\n",
        START + SAME + REQUEST_ID + b"\r\n",
        START + SAME + SAME + REQUEST_ID + SOURCE + b"\r\n",
        START
        + IDS % (marks.TRACE, marks.SPAN, marks.TRACE, b"1" * 16)
        + REQUEST_ID
        + SOURCE
        + b"\r\n",
        START
        + IDS % (b"0" * 32, marks.SPAN, b"0" * 32, marks.SPAN)
        + REQUEST_ID
        + SOURCE
        + b"\r\n",
        b"GET / HTTP/1.1\r\n" + SAME + b"Host: y\r\n" + REQUEST_ID + SOURCE + b"\r\n",
        START.lower() + SAME + REQUEST_ID + SOURCE + b"\r\n",
        START + SAME + REQUEST_ID + SOURCE + b"\r\n\n",
        START + SAME + REQUEST_ID + SOURCE + b"\r",
    ],
    ids=[
        "none",
        "no trace",
        "no source",
        "twice",
        "two spans",
        "trace id of zeros",
        "elsewhere",
        "in lower case",
        "one byte more",
        "one byte less",
    ],
)
def test_anything_else_there_is_a_difference(got: bytes) -> None:
    assert marks.difference(GET, got, Declared.OUTBOUND) != ""


def test_a_declared_header_is_a_difference_where_nothing_is_declared() -> None:
    got = START + SAME + REQUEST_ID + SOURCE + b"\r\n"

    assert marks.difference(UNREAD, got, Declared.OUTBOUND) != ""
    assert marks.difference(GET, got, Declared.INBOUND) != ""
