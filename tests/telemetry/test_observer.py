"""What one pod's observer counts, under which peer, and what it hands on."""

import pytest

from netra_node.core.records import Direction, OpaqueReason, Outcome, ResetCause
from netra_node.core.trace_context import TraceContext
from netra_node.telemetry.metrics import Metrics
from netra_node.telemetry.observer import PodObserver
from netra_node.telemetry.peers import Directory


class Bench:
    """An observer, what it counts into, and the spans it handed on."""

    def __init__(self, identity) -> None:
        self.metrics = Metrics()
        self.directory = Directory()
        self.spans = []
        self.observer = PodObserver(
            identity, self.metrics, self.directory, lambda *span: self.spans.append(span)
        )

    @property
    def service(self):
        return self.observer.service

    def ended(self, connection, *exchanges) -> None:
        self.observer.connection_opened(connection)
        for exchange in exchanges:
            connection.exchanges += 1
            self.observer.exchange_ended(connection, exchange)


@pytest.fixture
def bench(identity) -> Bench:
    return Bench(identity)


def requests(edges) -> dict[str, int]:
    return {peer: sum(edge.requests.values()) for peer, edge in edges.items() if edge.requests}


def test_an_exchange_is_counted_by_method_status_and_outcome(
    bench, make_connection, make_exchange
) -> None:
    bench.ended(make_connection(), make_exchange(), make_exchange(), make_exchange(status=404))

    assert bench.service.inbound["external"].requests == {
        ("GET", 200, "ok"): 2,
        ("GET", 404, "ok"): 1,
    }


def test_the_label_of_an_unusual_method_is_other(bench, make_connection, make_exchange) -> None:
    bench.ended(make_connection(), make_exchange(method=b"PROPFIND"))

    assert list(bench.service.inbound["external"].requests) == [("_OTHER", 200, "ok")]


def test_an_unanswered_exchange_is_counted_with_its_outcome_and_as_an_error(
    bench, make_connection, make_exchange
) -> None:
    bench.ended(make_connection(), make_exchange(status=0, outcome=Outcome.UPSTREAM_RESET))

    edge = bench.service.inbound["external"]
    assert edge.requests == {("GET", 0, "upstream_reset"): 1}
    assert edge.errors == 1


def test_durations_are_counted_for_the_histogram_and_for_percentiles(
    bench, make_connection, make_exchange
) -> None:
    bench.ended(make_connection(), make_exchange())

    edge = bench.service.inbound["external"]
    assert edge.duration.total == 3_000_000
    assert sum(edge.duration.buckets) == sum(edge.latency.values()) == 1


@pytest.mark.parametrize(("status", "index"), [(200, 2), (101, 1), (0, 0), (503, 5), (999, 9)])
def test_a_pod_counts_status_classes(bench, make_connection, make_exchange, status, index) -> None:
    bench.ended(make_connection(), make_exchange(status=status))

    assert bench.observer.pod.inbound[index] == 1
    assert sum(bench.observer.pod.outbound) == 0


def test_a_pod_of_this_node_is_the_peer_whatever_the_request_claims(
    bench, make_connection, make_exchange
) -> None:
    bench.directory.set_address("10.0.0.5", "web")

    bench.ended(make_connection(), make_exchange(source=b"impostor"))

    assert requests(bench.service.inbound) == {"web": 1}


def test_x_source_names_an_unknown_inbound_peer_exchange_by_exchange(
    bench, make_connection, make_exchange
) -> None:
    exchanges = [make_exchange(source=source) for source in (b"web", b"app", b"web", b"", b"1.2")]

    bench.ended(make_connection(), *exchanges)

    assert requests(bench.service.inbound) == {"web": 2, "app": 1, "external": 2}


def test_the_host_names_an_outbound_peer_at_a_private_address(
    bench, make_connection, make_exchange
) -> None:
    bench.ended(make_connection(Direction.OUTBOUND), make_exchange(host=b"Stock:8080"))

    assert requests(bench.service.outbound) == {"stock": 1}


def test_a_public_destination_is_external_whatever_its_host(
    bench, make_connection, make_exchange
) -> None:
    connection = make_connection(Direction.OUTBOUND, destination=("8.8.8.8", 80))

    bench.ended(connection, make_exchange(host=b"api.example.com"))

    assert requests(bench.service.outbound) == {"external": 1}


def test_an_outbound_connection_to_a_pod_of_this_node_has_its_service_as_peer(
    bench, make_connection, make_exchange
) -> None:
    bench.directory.set_address("10.0.0.9", "stock")

    bench.ended(make_connection(Direction.OUTBOUND), make_exchange(host=b"other-name"))

    assert requests(bench.service.outbound) == {"stock": 1}


def test_a_probe_is_the_kubelets_and_no_span(bench, make_connection, make_exchange) -> None:
    bench.ended(make_connection(), make_exchange(probe=True, trace=None))

    assert requests(bench.service.inbound) == {"kubelet": 1}
    assert bench.spans == []


def test_the_201st_peer_is_other(bench, make_connection, make_exchange) -> None:
    bench.ended(make_connection(), *[make_exchange(source=b"s%d" % n) for n in range(250)])

    assert len(requests(bench.service.inbound)) == 201
    assert requests(bench.service.inbound)["other"] == 50


def test_a_sampled_exchange_is_handed_on_with_its_peer(
    bench, make_connection, make_exchange
) -> None:
    exchange = make_exchange(source=b"web")

    bench.ended(make_connection(), exchange)

    ((flow, handed),) = bench.spans
    assert (handed, flow.peer) == (exchange, "web")


def test_spans_that_wait_keep_the_peer_they_had(bench, make_connection, make_exchange) -> None:
    bench.ended(make_connection(), make_exchange(source=b"web"), make_exchange(source=b"app"))

    assert [flow.peer for flow, _ in bench.spans] == ["web", "app"]


def test_an_unsampled_exchange_is_counted_and_not_handed_on(
    bench, make_connection, make_exchange
) -> None:
    bench.ended(make_connection(), make_exchange(trace=TraceContext(1, 2, 0, 0)))

    assert bench.metrics.spans.unsampled == 1
    assert bench.spans == []


def test_a_sampled_exchange_is_the_exemplar_of_its_bucket(
    bench, make_connection, make_exchange
) -> None:
    bench.ended(make_connection(), make_exchange(trace=TraceContext(0x77, 2, 0, 1)))

    (exemplar,) = bench.service.inbound["external"].duration.exemplars.values()
    assert exemplar == (0x77, 3_000_000, 1_003_000_000)


def test_long_texts_are_shortened_before_they_wait(bench, make_connection, make_exchange) -> None:
    bench.ended(make_connection(), make_exchange(target=b"/" + b"x" * 60_000))

    ((_, exchange),) = bench.spans
    assert len(exchange.target) == 512


def test_connections_are_counted_from_open_to_close(bench, make_connection) -> None:
    connection = make_connection()
    bench.observer.connection_opened(connection)
    edge = bench.service.inbound["external"]
    while_open = edge.open
    connection.outcome = Outcome.CLIENT_CLOSED
    bench.observer.connection_ended(connection)

    assert (while_open, edge.open, edge.closed) == (1, 0, {"client_closed": 1})


def test_bytes_of_open_connections_are_counted_once(bench, make_connection) -> None:
    connection = make_connection()
    bench.observer.connection_opened(connection)
    connection.received, connection.sent = 10, 20
    bench.observer.count_open_bytes()
    connection.received, connection.sent = 11, 22
    bench.observer.count_open_bytes()
    bench.observer.connection_ended(connection)

    edge = bench.service.inbound["external"]
    assert (edge.received, edge.sent) == (11, 22)


def test_bytes_stay_with_the_address_when_a_header_names_the_peer(
    bench, make_connection, make_exchange
) -> None:
    connection = make_connection()
    bench.observer.connection_opened(connection)
    connection.received = 10
    bench.observer.count_open_bytes()
    bench.observer.exchange_ended(connection, make_exchange(source=b"web"))
    connection.received = 15
    bench.observer.connection_ended(connection)

    assert bench.service.inbound["external"].received == 15
    assert bench.service.inbound["web"].opened == 0


def test_an_opaque_connection_is_counted_by_reason(bench, make_connection) -> None:
    connection = make_connection()
    bench.observer.connection_opened(connection)
    connection.opaque = OpaqueReason.TLS
    bench.observer.turned_opaque(connection)

    assert bench.metrics.opaque["tls"] == 1


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (Outcome.CLIENT_RESET, "client"),
        (Outcome.UPSTREAM_RESET, "upstream"),
        (Outcome.UPSTREAM_REFUSED, "unreachable"),
        (Outcome.UPSTREAM_TIMEOUT, "unreachable"),
    ],
)
def test_resets_are_counted_by_cause(bench, make_connection, outcome, cause) -> None:
    connection = make_connection()
    bench.observer.connection_opened(connection)
    connection.outcome = outcome
    bench.observer.connection_ended(connection)

    assert {name: n for name, n in bench.metrics.resets.items() if n} == {cause: 1}


@pytest.mark.parametrize("cause", list(ResetCause))
def test_our_own_resets_are_counted_by_cause(bench, cause) -> None:
    bench.observer.connection_reset(cause)

    assert {name: n for name, n in bench.metrics.resets.items() if n} == {cause.value: 1}


def test_an_orderly_end_is_no_reset(bench, make_connection) -> None:
    connection = make_connection()
    bench.observer.connection_opened(connection)
    connection.outcome = Outcome.DRAINED
    bench.observer.connection_ended(connection)

    assert not any(bench.metrics.resets.values())


def test_a_request_whose_head_came_slowly_is_counted(bench, make_connection, make_exchange) -> None:
    bench.ended(make_connection(), make_exchange(slow_head=True, trace=None))

    assert bench.metrics.opaque["slow_head"] == 1


def test_an_exchange_that_outlives_its_connection_is_still_counted(
    bench, make_connection, make_exchange
) -> None:
    connection = make_connection()
    bench.observer.connection_opened(connection)
    bench.observer.connection_ended(connection)
    bench.observer.exchange_ended(connection, make_exchange(source=b"web"))

    assert requests(bench.service.inbound) == {"web": 1}
    assert bench.observer.open_connections == 0


def test_a_connection_that_ends_twice_is_counted_once(bench, make_connection) -> None:
    connection = make_connection()
    bench.observer.connection_opened(connection)
    bench.observer.connection_ended(connection)
    bench.observer.connection_ended(connection)

    assert bench.service.inbound["external"].closed == {"ok": 1}


def calls(bench) -> dict[tuple[str, str], tuple[int, int]]:
    return {pair: (one.requests, one.errors) for _, pair, one in bench.metrics.calls.rows()}


def test_the_day_counts_what_the_edge_counts(bench, make_connection, make_exchange) -> None:
    bench.directory.set_address("10.0.0.5", "web")
    bench.ended(make_connection(), make_exchange(), make_exchange(status=503))
    bench.ended(make_connection(client=("8.8.8.8", 1)), make_exchange())

    assert calls(bench) == {("web", "orders"): (2, 1), ("external", "orders"): (1, 0)}


def test_the_day_counts_a_call_at_its_server_side_only(
    bench, make_connection, make_exchange
) -> None:
    bench.ended(make_connection(Direction.OUTBOUND), make_exchange())

    assert calls(bench) == {}


def test_an_exchange_that_ends_a_day_later_counts_for_that_day(
    bench, make_connection, make_exchange
) -> None:
    later = make_exchange()
    later.end += 86_400 * 10**9
    bench.ended(make_connection(), make_exchange(), make_exchange(), later)

    assert [one.requests for _, _, one in bench.metrics.calls.rows()] == [2, 1]


def test_inbound_answers_are_counted_for_statsd_sampled_or_not(
    identity, make_connection, make_exchange
) -> None:
    counted = []
    observer = PodObserver(identity, Metrics(), Directory(), lambda *_: None, counted.append)
    inbound, outbound = make_connection(), make_connection(Direction.OUTBOUND)
    sampled, unsampled = make_exchange(), make_exchange(trace=TraceContext(1, 2, 0, 0))

    for exchange in (
        sampled,
        unsampled,
        make_exchange(trace=None),
        make_exchange(probe=True, trace=None),
    ):
        observer.exchange_ended(inbound, exchange)
    observer.exchange_ended(outbound, make_exchange())

    assert counted == [sampled, unsampled]
