"""Counters and their lifetimes."""

from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.records import OpaqueReason, ResetCause
from netra_node.telemetry.metrics import LINGER_SECONDS, MAX_SERIES, Edge, Histogram, Metrics


def test_a_bound_is_inclusive_and_the_last_bucket_takes_the_rest() -> None:
    histogram = Histogram((0.001, 1))
    for nanoseconds in (0, 1_000_000, 1_000_001, 1_000_000_000, 1_000_000_001):
        histogram.observe(nanoseconds)

    assert histogram.buckets == [2, 2, 1]


@given(st.lists(st.integers(min_value=0, max_value=10**12)))
def test_every_observation_is_in_one_bucket_and_in_the_sum(values: list[int]) -> None:
    histogram = Histogram((0.005, 0.5))
    for value in values:
        histogram.observe(value)

    assert (sum(histogram.buckets), histogram.total) == (len(values), sum(values))


def test_a_peer_that_invents_statuses_gets_no_endless_series() -> None:
    edge = Edge("web")
    for status in range(1000):
        edge.add_series(("GET", status, "ok"))

    assert len(edge.requests) == MAX_SERIES + 1
    assert sum(edge.requests.values()) == 1000


def test_open_connections_are_those_opened_and_not_closed() -> None:
    edge = Edge("web")
    edge.opened = 5
    edge.closed = {"ok": 2, "client_reset": 1}

    assert edge.open == 2


def test_pods_of_one_service_share_their_edges() -> None:
    metrics = Metrics()

    first = metrics.use_service("shop", "web").edge("orders", inbound=False)

    assert metrics.use_service("shop", "web").edge("orders", inbound=False) is first


def test_the_two_directions_with_one_peer_are_two_edges() -> None:
    service = Metrics().use_service("shop", "web")

    assert service.edge("web", inbound=True) is not service.edge("web", inbound=False)


def test_series_go_when_the_last_pod_of_their_service_is_gone_for_a_while() -> None:
    metrics = Metrics()
    first, second = (metrics.use_service("shop", "web") for _ in range(2))
    metrics.release(first, now=0)
    metrics.expire(now=LINGER_SECONDS * 9)
    with_one_pod = dict(metrics.services)
    metrics.release(second, now=100)
    metrics.expire(now=100 + LINGER_SECONDS)
    just_left = dict(metrics.services)
    metrics.expire(now=101 + LINGER_SECONDS)

    assert with_one_pod
    assert just_left
    assert not metrics.services


def test_a_pod_that_comes_back_under_its_name_goes_on_counting() -> None:
    metrics = Metrics()
    first = metrics.use_pod("shop", "db-0")
    metrics.release(first, now=0)

    assert metrics.use_pod("shop", "db-0") is first
    metrics.expire(now=LINGER_SECONDS * 9)
    assert metrics.pods


def test_closed_label_sets_start_at_zero() -> None:
    metrics = Metrics()

    assert set(metrics.opaque) == {reason.value for reason in OpaqueReason} | {"slow_head"}
    assert set(metrics.resets) > {cause.value for cause in ResetCause}
    assert not any((*metrics.opaque.values(), *metrics.resets.values()))
