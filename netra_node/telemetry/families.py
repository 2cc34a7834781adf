"""Which metric families there are (`design.md` §6): their names, labels, help, and the lines of their samples.

Belongs here: one function per shape of family. Does not belong here: the formats (`render`), the counting (`metrics`).
"""

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from netra_node import __version__
from netra_node.telemetry.labels import label_text
from netra_node.telemetry.metrics import Edge, Metrics, PodSeries, ServiceSeries
from netra_node.telemetry.render import Family, Format, histogram, sample


def _nothing_counted() -> Mapping[str, int]:
    return {}


@dataclass(frozen=True, slots=True)
class Readings:
    """What other modules know and the scrape asks for. Each is called once per scrape, on the loop."""

    #: state → pods (`netra_pods`)
    pods: Callable[[], Mapping[str, int]] = _nothing_counted
    #: seconds since the oldest lease was refreshed; None while there is no lease
    lease_age: Callable[[], float | None] = lambda: None
    #: entries that link inbound to outbound requests
    trace_contexts: Callable[[], int] = lambda: 0
    #: result → look-ups (`netra_trace_links_total`)
    trace_links: Callable[[], Mapping[str, int]] = _nothing_counted
    #: what a route came to → requests (`netra_routed_requests_total`), and why it led nowhere (`netra_route_failures_total`)
    routes: Callable[[], Mapping[str, int]] = _nothing_counted
    route_failures: Callable[[], Mapping[str, int]] = _nothing_counted
    #: what was used up → pods whose new connections began to go direct (`netra_pod_capture_suspended_total`)
    suspensions: Callable[[], Mapping[str, int]] = _nothing_counted


def families(
    metrics: Metrics, readings: Readings, style: Format, settle: Callable[[ServiceSeries], None]
) -> Iterator[Family]:
    """Yield every family. `settle` brings the byte counts of a service's open connections up to date."""
    yield from _per_edge(metrics, style, settle)
    yield from _per_pod(metrics)
    yield from _per_process(metrics, style)
    yield from _readings(readings)


def _per_edge(
    metrics: Metrics, style: Format, settle: Callable[[ServiceSeries], None]
) -> Iterator[Family]:
    def per_edge(block: Callable[[Edge], str]) -> Iterator[str]:
        for service in tuple(metrics.services.values()):
            for edge in _edges(service):
                yield block(edge)

    def settled(block: Callable[[Edge], str]) -> Iterator[str]:
        for service in tuple(metrics.services.values()):
            settle(service)
            for edge in _edges(service):
                yield block(edge)

    name = "netra_http_requests_total"
    yield Family(name, "counter", "HTTP exchanges that ended.", per_edge(_requests(name)))
    name = "netra_http_request_duration_seconds"
    text = "From the first byte of a request to the end of its response."
    yield Family(name, "histogram", text, per_edge(_durations(name, style)))
    name = "netra_tcp_connections_opened_total"
    text = "Connections intercepted; the peer is known by its address alone."
    yield Family(name, "counter", text, per_edge(_value(name, lambda edge: edge.opened)))
    name = "netra_tcp_connections_closed_total"
    yield Family(name, "counter", "Connections that ended.", per_edge(_closed(name)))
    name = "netra_tcp_open_connections"
    yield Family(
        name, "gauge", "Connections open now.", per_edge(_value(name, lambda edge: edge.open))
    )
    name = "netra_tcp_received_bytes_total"
    text = "Bytes from the side that opened the connection."
    yield Family(name, "counter", text, settled(_value(name, lambda edge: edge.received)))
    name = "netra_tcp_sent_bytes_total"
    text = "Bytes to the side that opened the connection."
    yield Family(name, "counter", text, per_edge(_value(name, lambda edge: edge.sent)))


def _edges(service: ServiceSeries) -> tuple[Edge, ...]:
    """Return a copy of references: edges appear while a scrape is drawn."""
    return (*service.inbound.values(), *service.outbound.values())


def _requests(name: str) -> Callable[[Edge], str]:
    def block(edge: Edge) -> str:
        return "".join(
            f'{name}{{{edge.labels},method="{method}",code="{_code(status)}"'
            f',outcome="{outcome}"}} {count}\n'
            for (method, status, outcome), count in edge.requests.items()
        )

    return block


def _code(status: int) -> str:
    """Name a status; negative is what has no series of its own (`Edge.add_series`)."""
    return str(status) if status >= 0 else "other"


def _durations(name: str, style: Format) -> Callable[[Edge], str]:
    def block(edge: Edge) -> str:
        return histogram(name, edge.labels, edge.duration, style) if edge.requests else ""

    return block


def _value(name: str, read: Callable[[Edge], int]) -> Callable[[Edge], str]:
    def block(edge: Edge) -> str:
        # An edge named by a header has exchanges, and its connections count under the address.
        return sample(name, edge.labels, read(edge)) if edge.opened else ""

    return block


def _closed(name: str) -> Callable[[Edge], str]:
    def block(edge: Edge) -> str:
        return "".join(
            f'{name}{{{edge.labels},outcome="{outcome}"}} {count}\n'
            for outcome, count in edge.closed.items()
        )

    return block


def _per_pod(metrics: Metrics) -> Iterator[Family]:
    name = "netra_pod_http_requests_total"
    blocks = (_classes(name, pod) for pod in tuple(metrics.pods.values()))
    yield Family(name, "counter", "HTTP exchanges of a pod by status class.", blocks)


def _classes(name: str, pod: PodSeries) -> str:
    lines = []
    for direction, counts in (("inbound", pod.inbound), ("outbound", pod.outbound)):
        for index, count in enumerate(counts):
            labels = {
                "namespace": pod.namespace,
                "pod": pod.name,
                "direction": direction,
                "class": f"{index}xx" if index else "none",
            }
            if count:
                lines.append(sample(name, label_text(labels), count))
    return "".join(lines)


def _per_process(metrics: Metrics, style: Format) -> Iterator[Family]:
    lag = "netra_loop_lag_seconds"
    yield _labelled(
        ("netra_opaque_connections_total", "counter"),
        "Connections passed on as bytes, and why; slow_head: single requests.",
        "reason",
        metrics.opaque,
    )
    yield _labelled(
        ("netra_connections_reset_total", "counter"),
        "Connections that were reset: by a peer, or by us and why.",
        "cause",
        metrics.resets,
    )
    yield _labelled(
        ("netra_spans_total", "counter"),
        "Spans, and what became of them.",
        "result",
        metrics.spans.counts(),
    )
    yield Family(
        lag,
        "histogram",
        "How long an event that was ready waited for the loop, sampled 10 times a second.",
        [histogram(lag, "", metrics.loop_lag, style)],
    )
    build = label_text({"version": __version__, "python": platform.python_version()})
    text = "What is running."
    yield Family("netra_build_info", "gauge", text, [sample("netra_build_info", build, 1)])


def _readings(readings: Readings) -> Iterator[Family]:
    yield _labelled(
        ("netra_pods", "gauge"), "Pods of this node that ask for capture.", "state", readings.pods()
    )
    age = readings.lease_age()
    if age is not None:
        name = "netra_interception_lease_age_seconds"
        yield Family(
            name, "gauge", "Since the oldest lease was refreshed.", [sample(name, "", age)]
        )
    name = "netra_trace_contexts"
    yield Family(
        name,
        "gauge",
        "Requests that outbound ones can be linked to.",
        [sample(name, "", readings.trace_contexts())],
    )
    yield _labelled(
        ("netra_trace_links_total", "counter"),
        "Look-ups of the inbound request behind an outbound one.",
        "result",
        readings.trace_links(),
    )
    yield _labelled(
        ("netra_routed_requests_total", "counter"),
        "Requests that had a route, and what it came to; inbound ones only where it is malformed.",
        "result",
        readings.routes(),
    )
    yield _labelled(
        ("netra_route_failures_total", "counter"),
        "Requests whose route led nowhere, answered by us.",
        "reason",
        readings.route_failures(),
    )
    yield _labelled(
        ("netra_pod_capture_suspended_total", "counter"),
        "Times that a pod's new connections began to go direct, and what was used up.",
        "reason",
        readings.suspensions(),
    )


def _labelled(
    name_and_type: tuple[str, str], text: str, label: str, counts: Mapping[str, int]
) -> Family:
    name, family_type = name_and_type
    lines = [sample(name, label_text({label: key}), count) for key, count in counts.items()]
    return Family(name, family_type, text, lines)
