"""Edges and percentiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.telemetry.calls import DailyCalls
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.graph import (
    bucket_middle,
    day_edges,
    dependencies,
    edges,
    joined,
    latency_bucket,
    percentile,
)
from netra_node.telemetry.metrics import ServiceSeries

MILLISECOND = 1_000_000


@given(st.integers(min_value=8, max_value=10**14))
def test_the_middle_of_a_bucket_is_within_a_sixteenth_of_what_fell_into_it(value: int) -> None:
    assert abs(bucket_middle(latency_bucket(value)) - value) <= value / 16


@given(st.integers(min_value=0, max_value=10**14))
def test_a_longer_duration_is_never_in_an_earlier_bucket(value: int) -> None:
    assert latency_bucket(value) <= latency_bucket(value + 1)


def test_a_clock_that_ran_backwards_counts_as_nothing() -> None:
    assert latency_bucket(-5) == 0


def counts(*milliseconds: float) -> dict[int, int]:
    found: dict[int, int] = {}
    for value in milliseconds:
        bucket = latency_bucket(int(value * MILLISECOND))
        found[bucket] = found.get(bucket, 0) + 1
    return found


def test_percentiles_of_a_hundred_durations() -> None:
    hundred = counts(*range(1, 101))

    assert percentile(hundred, 0.5, 100_000_000) == pytest.approx(50, rel=1 / 16)
    assert percentile(hundred, 0.99, 100_000_000) == pytest.approx(99, rel=1 / 16)


def test_of_one_request_every_percentile_is_its_duration() -> None:
    assert percentile(counts(7), 0.5, 7_100_000) == percentile(counts(7), 0.99, 7_100_000) == 7.1


def test_of_nothing_a_percentile_is_zero() -> None:
    assert percentile({}, 0.5, 0) == 0.0


def service(namespace: str, name: str, **peers: int) -> ServiceSeries:
    series = ServiceSeries(namespace, name)
    for peer, requests in peers.items():
        edge = series.edge(peer, inbound=True)
        edge.requests[("GET", 200, "ok")] = requests
        edge.latency = counts(*[5] * requests)
        edge.errors = 1
    return series


def test_an_edge_is_counted_at_its_server_side_only() -> None:
    orders = service("shop", "orders", web=3)
    orders.edge("stock", inbound=False).requests[("GET", 200, "ok")] = 9

    assert [(e["source"], e["destination"], e["requests"]) for e in edges([orders])] == [
        ("web", "orders", 3)
    ]


def test_probes_are_no_edge() -> None:
    assert list(edges([service("shop", "orders", kubelet=7)])) == []


def test_a_peer_that_never_asked_anything_is_no_edge() -> None:
    orders = ServiceSeries("shop", "orders")
    orders.edge("web", inbound=True)

    assert list(edges([orders])) == []


def test_services_of_one_name_are_merged_and_edges_sorted() -> None:
    found = list(edges([service("b", "orders", web=3, app=1), service("a", "orders", web=2)]))

    assert [(e["source"], e["requests"], e["errors"]) for e in found] == [
        ("app", 1, 1),
        ("web", 5, 2),
    ]
    assert found[1]["p50_ms"] == pytest.approx(5, rel=1 / 16)


def test_edges_of_several_nodes_join_as_if_one_node_had_seen_them_all() -> None:
    fast, slow, both = ServiceSeries("a", "x"), ServiceSeries("a", "x"), ServiceSeries("a", "x")
    for series, durations in ((fast, (1, 2, 2)), (slow, (9, 40)), (both, (1, 2, 2, 9, 40))):
        edge = series.edge("web", inbound=True)
        edge.requests["GET", 200, "ok"] = len(durations)
        edge.latency.update(counts(*durations))
        edge.slowest = max(durations) * MILLISECOND
        edge.errors = len(durations)
    parts = [*edges([fast]), *edges([slow])]

    assert joined("web", "x", parts) == next(edges([both]))


DAY = 86_400 * 10**9


def two_days() -> DailyCalls:
    """1970-01-01 and the day after."""
    calls = DailyCalls(WallClock(lambda: 0, lambda: 0))
    for source, destination in (
        ("web", "orders"),
        ("external", "web"),
        ("kubelet", "web"),
        ("other", "other"),
        ("orders", "orders"),
    ):
        for day in (0, 1):
            counted = calls.of(source, destination, day * DAY)
            counted.requests, counted.errors = day + 1, day
    return calls


def test_a_days_edges_have_all_but_probes() -> None:
    found = [tuple(edge.values()) for edge in day_edges(two_days())]

    assert found[:2] == [
        ("1970-01-01", "web", "orders", 1, 0),
        ("1970-01-01", "external", "web", 1, 0),
    ]
    assert ("1970-01-02", "web", "orders", 2, 1) in found
    assert len(found) == 8


def test_jaegers_links_are_between_services_that_have_spans_and_of_all_days() -> None:
    assert list(dependencies(two_days())) == [
        {"parent": "web", "child": "orders", "callCount": 3},
        {"parent": "orders", "child": "orders", "callCount": 3},
    ]
