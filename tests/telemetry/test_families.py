"""All metric families, read by the library's own parsers."""

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from netra_node.telemetry.families import Readings, families
from netra_node.telemetry.metrics import Metrics
from netra_node.telemetry.render import Format, render

READINGS = Readings(
    pods=lambda: {"running": 2, "pending": 1},
    lease_age=lambda: 0.25,
    trace_contexts=lambda: 7,
    trace_links=lambda: {"linked": 3},
    routes=lambda: {"routed": 4},
    route_failures=lambda: {"refused": 1},
    suspensions=lambda: {"connections": 2, "descriptors": 0},
)
FORMATS = pytest.mark.parametrize(
    ("parse", "style"),
    [
        (parse_text, Format(openmetrics=False)),
        (parse_openmetrics, Format(openmetrics=True, offset=10**18)),
    ],
)


def counted() -> Metrics:
    metrics = Metrics()
    edge = metrics.use_service("shop", "orders").edge("web", inbound=True)
    edge.add_series(("GET", 200, "ok"))
    edge.add_series(("GET", 0, "client_closed"))
    edge.duration.observe(3_000_000)
    edge.duration.exemplars[2] = (0xAB, 3_000_000, 1)
    edge.opened, edge.closed = 3, {"ok": 1}
    edge.received, edge.sent = 10, 20
    metrics.use_pod("shop", "orders-1").inbound[2] = 1
    metrics.use_pod("shop", "orders-1").outbound[0] = 4
    metrics.opaque["tls"] = 1
    metrics.spans.exported = 5
    metrics.loop_lag.observe(200_000)
    return metrics


def page(metrics: Metrics, style: Format, settle=lambda _service: None) -> str:
    return b"".join(render(families(metrics, READINGS, style, settle), style)).decode()


def samples(parse, text: str) -> dict[tuple, float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


EDGE = (("direction", "inbound"), ("namespace", "shop"), ("peer", "web"), ("service", "orders"))


@FORMATS
@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        (
            "netra_http_requests_total",
            {**dict(EDGE), "method": "GET", "code": "200", "outcome": "ok"},
            1,
        ),
        (
            "netra_http_requests_total",
            {**dict(EDGE), "method": "GET", "code": "0", "outcome": "client_closed"},
            1,
        ),
        ("netra_http_request_duration_seconds_count", dict(EDGE), 1),
        ("netra_http_request_duration_seconds_sum", dict(EDGE), 0.003),
        ("netra_http_request_duration_seconds_bucket", {**dict(EDGE), "le": "0.0025"}, 0),
        ("netra_http_request_duration_seconds_bucket", {**dict(EDGE), "le": "0.005"}, 1),
        ("netra_tcp_connections_opened_total", dict(EDGE), 3),
        ("netra_tcp_connections_closed_total", {**dict(EDGE), "outcome": "ok"}, 1),
        ("netra_tcp_open_connections", dict(EDGE), 2),
        ("netra_tcp_received_bytes_total", dict(EDGE), 10),
        ("netra_tcp_sent_bytes_total", dict(EDGE), 20),
        (
            "netra_pod_http_requests_total",
            {"namespace": "shop", "pod": "orders-1", "direction": "inbound", "class": "2xx"},
            1,
        ),
        (
            "netra_pod_http_requests_total",
            {"namespace": "shop", "pod": "orders-1", "direction": "outbound", "class": "none"},
            4,
        ),
        ("netra_opaque_connections_total", {"reason": "tls"}, 1),
        ("netra_opaque_connections_total", {"reason": "h2"}, 0),
        ("netra_connections_reset_total", {"cause": "own_listener"}, 0),
        ("netra_pods", {"state": "pending"}, 1),
        ("netra_interception_lease_age_seconds", {}, 0.25),
        ("netra_spans_total", {"result": "exported"}, 5),
        ("netra_spans_total", {"result": "queue_full"}, 0),
        ("netra_trace_contexts", {}, 7),
        ("netra_trace_links_total", {"result": "linked"}, 3),
        ("netra_routed_requests_total", {"result": "routed"}, 4),
        ("netra_route_failures_total", {"reason": "refused"}, 1),
        ("netra_pod_capture_suspended_total", {"reason": "connections"}, 2),
        ("netra_loop_lag_seconds_count", {}, 1),
    ],
)
def test_every_family_is_told_with_its_labels(parse, style, name, labels, value) -> None:
    found = samples(parse, page(counted(), style))

    assert found[name, *sorted(labels.items())] == value


@FORMATS
def test_what_is_running_is_told(parse, style) -> None:
    assert any(key[0] == "netra_build_info" for key in samples(parse, page(counted(), style)))


def test_no_series_appears_twice() -> None:
    lines = [
        line.rsplit(" ", 1)[0]
        for line in page(counted(), Format(openmetrics=False)).splitlines()
        if not line.startswith("#")
    ]

    assert len(lines) == len(set(lines))


def test_both_formats_tell_the_same() -> None:
    text = samples(parse_text, page(counted(), Format(openmetrics=False)))

    assert text == samples(parse_openmetrics, page(counted(), Format(openmetrics=True)))


def test_an_edge_named_by_a_header_has_no_connections_of_its_own() -> None:
    metrics = Metrics()
    metrics.use_service("shop", "orders").edge("web", inbound=True).add_series(("GET", 200, "ok"))

    assert "netra_tcp" not in page(metrics, Format(openmetrics=False))


def test_an_edge_without_exchanges_has_no_histogram() -> None:
    metrics = Metrics()
    metrics.use_service("shop", "orders").edge("web", inbound=True).opened = 1

    assert "netra_http" not in page(metrics, Format(openmetrics=False))


def test_without_a_lease_there_is_no_age() -> None:
    style = Format(openmetrics=False)
    pieces = render(families(Metrics(), Readings(), style, lambda _service: None), style)

    assert b"lease_age" not in b"".join(pieces)


def test_open_connections_are_settled_before_their_bytes_are_told() -> None:
    metrics = counted()

    def settle(service) -> None:
        service.inbound["web"].received = 99

    found = samples(parse_text, page(metrics, Format(openmetrics=False), settle))

    assert found["netra_tcp_received_bytes_total", *EDGE] == 99


def test_counters_that_move_between_two_pieces_disturb_nobody() -> None:
    metrics = Metrics()
    service = metrics.use_service("shop", "orders")
    for number in range(200):
        service.edge(f"s{number}", inbound=True).add_series(("GET", 200, "ok"))
    style = Format(openmetrics=False)
    pieces = []
    for piece in render(families(metrics, READINGS, style, lambda _service: None), style):
        pieces.append(piece)
        service.edge(f"late{len(pieces)}", inbound=True).add_series(("GET", 200, "ok"))
        metrics.use_service("shop", f"late{len(pieces)}")
        metrics.use_pod("shop", f"late{len(pieces)}")

    assert len(pieces) > 10
    assert samples(parse_text, b"".join(pieces).decode())


def test_more_kinds_of_exchanges_than_there_is_room_for_are_one_series() -> None:
    metrics = Metrics()
    edge = metrics.use_service("shop", "orders").edge("web", inbound=True)
    for status in range(100, 300):
        edge.add_series(("GET", status, "ok"))

    assert 'code="other",outcome="ok"} 136' in page(metrics, Format(openmetrics=False))
