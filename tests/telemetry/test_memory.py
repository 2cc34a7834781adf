"""Spans in memory."""

import pytest

from netra_node.core.records import Direction, Outcome
from netra_node.core.trace_context import TraceContext
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.flow import Flow, Owner
from netra_node.telemetry.memory import RecentSpans
from netra_node.telemetry.metrics import Edge
from netra_node.telemetry.paths import PathNames
from netra_node.telemetry.spans import OtelSchema


@pytest.fixture
def recent() -> RecentSpans:
    clock = WallClock(lambda: 0, lambda: 10**18)
    return RecentSpans(OtelSchema(PathNames()), clock, limit=3)


@pytest.fixture
def flow(make_connection, identity) -> Flow:
    return Flow(Owner(identity), make_connection(Direction.OUTBOUND), Edge("stock"), None)


def test_a_span_is_shown_in_full(recent, flow, make_exchange) -> None:
    recent.keep(flow, make_exchange(trace=TraceContext(0xAB, 0xCD, 0xEF, 1), host=b"stock"))

    (span,) = recent.recent()

    attributes = span.pop("attributes")
    assert span == {
        "trace_id": "000000000000000000000000000000ab",
        "span_id": "00000000000000cd",
        "parent_span_id": "00000000000000ef",
        "service": "orders",
        "kind": "client",
        "name": "GET /orders/{id}",
        "start_unix_nano": 10**18 + 1_000_000_000,
        "end_unix_nano": 10**18 + 1_003_000_000,
        "status_code": 200,
        "outcome": "ok",
    }
    assert attributes["url.full"] == "http://stock/orders/42"


def test_a_root_has_no_parent_and_an_unanswered_span_status_zero(
    recent, flow, make_exchange
) -> None:
    recent.keep(flow, make_exchange(status=0, outcome=Outcome.CLIENT_CLOSED))

    (span,) = recent.recent()

    assert span["parent_span_id"] == ""
    assert (span["status_code"], span["outcome"]) == (0, "client_closed")


def test_the_oldest_span_makes_room(recent, flow, make_exchange) -> None:
    for status in (201, 202, 203, 204):
        recent.keep(flow, make_exchange(status=status))

    assert [span["status_code"] for span in recent.recent()] == [202, 203, 204]


def test_spans_that_come_while_others_are_shown_disturb_nobody(recent, flow, make_exchange) -> None:
    recent.keep(flow, make_exchange(status=201))
    recent.keep(flow, make_exchange(status=202))
    shown = recent.shown()
    first = next(shown)
    for _ in range(5):
        recent.keep(flow, make_exchange(status=500))

    assert [first["status_code"], *(span["status_code"] for span in shown)] == [201, 202]
