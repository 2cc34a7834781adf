"""The specification of `netra_node.telemetry.destinations`: what arrives at each kind of destination."""

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from netra_node.core.records import Direction
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.destinations import OtlpCollector, make_exporter
from netra_node.telemetry.export import ExportLimits
from netra_node.telemetry.flow import Flow, Owner
from netra_node.telemetry.metrics import Edge, SpanResults
from netra_node.telemetry.schemas import SpanOptions

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
