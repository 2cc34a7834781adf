"""Everything joined: records in, pages and requests to a collector out."""

import asyncio
import json
import socket

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)

from netra_node.core.addresses import PodUid
from netra_node.core.identity import PodIdentity
from netra_node.core.records import Direction, Observer
from netra_node.telemetry.destinations import OtlpCollector
from netra_node.telemetry.export import ExportLimits
from netra_node.telemetry.hub import Telemetry, TelemetryOptions
from netra_node.telemetry.paths import parse_templates
from netra_node.telemetry.schemas import SpanOptions
from netra_node.telemetry.statsd import StatsdServer


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(TelemetryOptions())


def page(telemetry: Telemetry) -> str:
    return b"".join(telemetry.render(openmetrics=True)).decode()


def requests(telemetry: Telemetry) -> dict[str, float]:
    return {
        sample.labels["service"]: sample.value
        for family in parse_openmetrics(page(telemetry))
        for sample in family.samples
        if sample.name == "netra_http_requests_total"
    }


def pod(service: str, uid: str = "u") -> PodIdentity:
    return PodIdentity(PodUid(uid), "shop", f"{service}-1", service)


def test_an_observer_keeps_the_contract_of_the_proxy(telemetry, identity) -> None:
    observer: Observer = telemetry.observer(identity)

    assert observer is telemetry.observer(identity)


def test_an_exchange_shows_in_metrics_traces_and_graph(
    telemetry, identity, make_connection, make_exchange
) -> None:
    telemetry.directory.set_address("10.0.0.5", "web")
    observer = telemetry.observer(identity)
    connection = make_connection()
    observer.connection_opened(connection)
    observer.exchange_ended(connection, make_exchange())

    assert requests(telemetry) == {"orders": 1}
    (span,) = telemetry.traces()["spans"]
    assert (span["service"], span["name"]) == ("orders", "GET /orders/{id}")
    (edge,) = telemetry.graph()["edges"]
    assert (edge["source"], edge["destination"], edge["requests"]) == ("web", "orders", 1)
    assert json.dumps([span, edge])


def test_a_days_calls_outlive_the_series_of_the_pod(
    telemetry, identity, make_connection, make_exchange
) -> None:
    telemetry.directory.set_address("10.0.0.5", "web")
    observer = telemetry.observer(identity)
    connection = make_connection()
    observer.connection_opened(connection)
    observer.exchange_ended(connection, make_exchange())
    observer.connection_ended(connection)
    telemetry.forget(identity.uid)
    telemetry.metrics.expire(float("inf"))

    document = telemetry.graph()
    (call,) = document["calls"]
    assert list(document["edges"]) == []
    assert (call["source"], call["destination"], call["requests"]) == ("web", "orders", 1)
    assert telemetry.dependencies()["since"] >= document["since"]
    assert list(telemetry.dependencies()["data"]) == [
        {"parent": "web", "child": "orders", "callCount": 1}
    ]


def test_each_start_has_a_name_of_its_own(telemetry) -> None:
    assert len(telemetry.graph()["start"]) == 16
    assert telemetry.graph()["start"] == telemetry.graph()["start"]
    assert telemetry.graph()["start"] != Telemetry(TelemetryOptions()).graph()["start"]


def test_jaegers_form_has_every_member_of_jaegers(telemetry) -> None:
    document = telemetry.dependencies()

    assert {**document, "data": list(document["data"]), "since": ""} == {
        "data": [],
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": None,
        "since": "",
    }


def test_totals_are_what_the_metrics_count(telemetry) -> None:
    telemetry.metrics.spans.queue_full = 3
    telemetry.metrics.opaque["tls"] = 2
    telemetry.metrics.resets["client"] = 1
    totals = telemetry.totals()

    assert totals["spans"] == {
        "exported": 0,
        "failed": 0,
        "queue_full": 3,
        "rejected": 0,
        "unsampled": 0,
    }
    assert totals["opaque"]["tls"] == 2
    assert totals["resets"]["client"] == 1


def test_a_renamed_service_counts_new_connections_under_its_new_name(
    telemetry, make_connection, make_exchange
) -> None:
    old = telemetry.observer(pod("orders"))
    connection = make_connection()
    old.connection_opened(connection)
    new = telemetry.observer(pod("checkout"))
    old.exchange_ended(connection, make_exchange())
    new.exchange_ended(make_connection(), make_exchange())

    assert requests(telemetry) == {"orders": 1, "checkout": 1}


def test_connections_of_a_pod_that_is_gone_are_still_counted(
    telemetry, identity, make_connection
) -> None:
    observer = telemetry.observer(identity)
    connection = make_connection()
    observer.connection_opened(connection)
    telemetry.forget(identity.uid)
    connection.received = 7

    assert 'netra_tcp_received_bytes_total{direction="inbound",namespace="shop"' in page(telemetry)
    assert observer.service.inbound["external"].received == 7


def test_forgetting_a_pod_twice_is_no_error(telemetry, identity) -> None:
    telemetry.observer(identity)
    telemetry.forget(identity.uid)
    telemetry.forget(identity.uid)


def test_pods_that_come_and_go_without_a_scrape_leave_nothing_behind(telemetry) -> None:
    for number in range(50):
        telemetry.observer(pod("orders", uid=f"u{number}"))
        telemetry.forget(PodUid(f"u{number}"))

    assert len(telemetry._leaving) <= 1
    assert telemetry.metrics.services["shop", "orders"].users == 0


def test_loop_lag_is_told(telemetry) -> None:
    telemetry.observe_loop_lag(300_000)

    assert 'netra_loop_lag_seconds_bucket{le="0.0005"} 1.0' in page(telemetry).replace(
        "} 1\n", "} 1.0\n"
    )


def test_process_metrics_are_told(telemetry) -> None:
    assert "process_resident_memory_bytes" in page(telemetry)


def test_templates_and_collapsing_are_options(identity, make_connection, make_exchange) -> None:
    options = TelemetryOptions(
        spans=SpanOptions(path_templates=parse_templates("^/orders=>/o"), path_collapse=False),
        memory_spans=1,
    )
    telemetry = Telemetry(options)
    observer = telemetry.observer(identity)
    for _ in range(2):
        observer.exchange_ended(make_connection(), make_exchange())

    assert [span["name"] for span in telemetry.traces()["spans"]] == ["GET /o/42"]


async def test_without_a_collector_start_and_stop_do_nothing(telemetry) -> None:
    telemetry.start()
    await telemetry.stop(1)


async def test_spans_reach_every_destination_and_are_counted(
    http_sink, identity, make_connection, make_exchange
) -> None:
    limits = ExportLimits(delay=0.01)
    destinations = [
        OtlpCollector(http_sink.target(f"/{name}"), limits=limits) for name in ("a", "b")
    ]
    telemetry = Telemetry(TelemetryOptions(tuple(destinations)))
    telemetry.start()
    observer = telemetry.observer(identity)
    for direction in Direction:
        observer.exchange_ended(make_connection(direction), make_exchange())
    await telemetry.stop(5)

    heads = sorted(head.split(b" HTTP")[0] for head, _ in http_sink.requests)
    assert heads == [b"POST /a", b"POST /b"]
    assert 'netra_spans_total{result="exported"} 4\n' in page(telemetry)
    assert not list(telemetry.traces()["spans"])


async def test_statsd_is_told_of_what_observers_see(
    identity, make_connection, make_exchange
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        statsd = StatsdServer("127.0.0.1", server.getsockname()[1], "shop.")
        telemetry = Telemetry(TelemetryOptions(statsd=statsd))
        telemetry.start()
        observer, connection = telemetry.observer(identity), make_connection()
        received = asyncio.get_running_loop().create_task(
            asyncio.get_running_loop().sock_recv(server, 2000)
        )
        # what is counted before the name is known is dropped
        while not received.done():
            observer.exchange_ended(connection, make_exchange())
            await asyncio.sleep(0.01)
        await telemetry.stop(1)

    assert received.result().startswith(b"shop.inbound.200:")
