"""The specification of `netra_node.telemetry.destinations`: what arrives at each kind of destination."""

import socket
import subprocess
import sys
from base64 import b64encode

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from netra_node import __version__
from netra_node.core.records import Direction
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.destinations import (
    JaegerAgent,
    JaegerCollector,
    OtlpCollector,
    SdkPlugin,
    make_exporter,
)
from netra_node.telemetry.export import ExportLimits
from netra_node.telemetry.flow import Flow, Owner
from netra_node.telemetry.metrics import Edge, SpanResults
from netra_node.telemetry.plugins import PluginError
from netra_node.telemetry.schemas import SpanOptions
from tests.telemetry import jaeger_reader

LIMITS = ExportLimits(delay=0.01)


@pytest.fixture
def export(identity, make_connection, make_exchange):
    """Sends one inbound and one outbound span; returns what became of them."""

    async def run(destination) -> SpanResults:
        results = SpanResults()
        exporter = make_exporter(destination, SpanOptions(), results, WallClock())
        exporter.start()
        owner = Owner(identity)
        for direction in Direction:
            flow = Flow(owner, make_connection(direction), Edge("web"), None)
            exporter.submit(flow, make_exchange())
        await exporter.stop(5)
        return results

    return run


async def test_otlp_is_posted_with_its_headers(http_sink, export) -> None:
    target = http_sink.target("/v1/traces")

    results = await export(OtlpCollector(target, (("X-Key", "k"),), limits=LIMITS))

    ((head, body),) = http_sink.requests
    assert head.startswith(b"POST /v1/traces HTTP/1.1\r\n")
    assert b"Content-Type: application/x-protobuf\r\n" in head
    assert b"User-Agent: netra-node/" in head
    assert b"X-Key: k\r\n" in head
    (group,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert group.resource.attributes[0].value.string_value == "orders"
    assert group.scope_spans[0].scope.name == "netra-node"
    assert [span.kind for span in group.scope_spans[0].spans] == [2, 3]
    assert results.exported == 2


async def test_jaegers_collector_gets_a_request_for_each_pod(http_sink, export) -> None:
    target = http_sink.target("/api/traces?format=jaeger.thrift")

    results = await export(JaegerCollector(target, ("me", "p:w"), (("zone", "b"),), LIMITS))

    ((head, body),) = http_sink.requests
    assert head.startswith(b"POST /api/traces?format=jaeger.thrift HTTP/1.1\r\n")
    assert b"Content-Type: application/x-thrift\r\n" in head
    assert b"Authorization: Basic %b\r\n" % b64encode(b"me:p:w") in head
    batch = jaeger_reader.read_request(body)
    assert batch.service == "orders"
    assert dict(batch.process)["jaeger.version"] == f"netra-node-{__version__}"
    assert dict(batch.process)["zone"] == "b"
    assert [dict(span.tags)["span.kind"] for span in batch.spans] == ["server", "client"]
    assert results.exported == 2


async def test_without_credentials_there_is_no_authorization(http_sink, export) -> None:
    await export(JaegerCollector(http_sink.target("/"), limits=LIMITS))

    ((head, _),) = http_sink.requests
    assert b"Authorization" not in head


async def test_jaegers_agent_gets_datagrams(export) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)

        results = await export(JaegerAgent(*server.getsockname(), limits=LIMITS))

        batch = jaeger_reader.read_datagram(server.recv(65_536))
    assert batch.service == "orders"
    assert len(batch.spans) == 2
    assert results.exported == 2


async def test_an_exporter_of_the_sdk_is_made_by_its_name(export) -> None:
    assert (await export(SdkPlugin("console", LIMITS))).exported == 2


async def test_one_that_cannot_be_made_is_an_error(export) -> None:
    with pytest.raises(PluginError, match="zipkin"):
        await export(SdkPlugin("zipkin"))


def test_jaeger_and_the_sdk_cost_nothing_where_they_are_off() -> None:
    code = (
        "import sys, netra_node.telemetry.hub;"
        "print([m for m in sys.modules if m.endswith(('thrift', 'jaeger')) or 'opentelemetry' in m])"
    )

    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert found.stdout.strip() == "[]"
