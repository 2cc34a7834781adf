"""Spans from the real daemon to stand-ins for Jaeger's agent and collector, read by Apache Thrift's own library."""

import contextlib
import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from e2e.golden.cases import CASES, play
from e2e.support.daemon import RUN, UNDISTURBED, Daemon, until
from e2e.support.jaeger import AgentSink, CollectorSink, collecting, spans_of
from e2e.support.node import Node, read, read_head
from netra_node import __version__
from netra_node.telemetry.jaeger import ProcessTags, agent_encoder, collector_encoder
from netra_node.telemetry.schemas import NAMES, OTEL, SpanOptions, schema_for
from netra_node.testbed import Testbed
from tests.telemetry import jaeger_reader
from tests.telemetry.jaeger_reader import Span

pytestmark = pytest.mark.timeout(60)

netns = pytest.mark.netns
GOLDEN = Path(__file__).with_name("golden")
#: Ten times what the daemon's own pauses add up to.
PATIENCE = 40.0
QUICK = {**UNDISTURBED, "JAEGER_REPORTER_FLUSH_INTERVAL": "50ms"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


# ---- what the schemas say, on Jaeger's wires


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("make", "read"),
    [
        (agent_encoder, jaeger_reader.read_datagram),
        (collector_encoder, jaeger_reader.read_request),
    ],
    ids=["agent", "collector"],
)
def test_golden_spans_are_the_same_in_jaegers_words(make: Any, read: Any, name: str) -> None:
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    encoder = make(schema_for("jaeger", SpanOptions(schema=name)), ProcessTags("1", (), lambda: 1))
    for case in CASES:
        for finished, wanted in zip(play(case), golden[case.name], strict=True):
            owner = finished[0].owner
            (message,) = encoder.messages({owner: [encoder.encode(finished, 0)]})
            batch = read(message.body)
            (span,) = batch.spans
            assert batch.service == wanted["resource"]["service.name"]
            assert in_golden_words(span, otel=name == OTEL) == {
                key: wanted[key] for key in wanted if key not in {"resource", "start", "end"}
            }
            assert (span.start, span.start + span.duration) == (
                wanted["start"] // 1000,
                wanted["end"] // 1000,
            )


def in_golden_words(span: Span, *, otel: bool) -> dict[str, Any]:
    """What a golden file says of a span but for its times; of `otel` the tags that Jaeger alone has are taken away again."""
    tags = dict(span.tags)
    kind, error = tags["span.kind"], tags.get("error")
    added = {"span.kind", "error"} if otel else set()
    return {
        "trace_id": f"{span.trace_id:032x}",
        "span_id": f"{span.span_id:016x}",
        "parent_span_id": f"{span.parent_id:016x}" if span.parent_id else "",
        "kind": f"SPAN_KIND_{kind.upper()}",
        "name": span.operation,
        "status": 2 if error in (True, "true") else 0,
        "attributes": [[key, value] for key, value in span.tags if key not in added],
    }


# ---- the daemon


@contextlib.contextmanager
def running(
    bed: Testbed, directory: Path, argv: tuple[str, ...] = RUN, **settings: str
) -> Iterator[tuple[Node, Daemon]]:
    """Pods `a` and `b` captured by a daemon with these settings."""
    with Node(bed, directory / "pods.json") as node:
        node.enrol("a", "b")
        with Daemon(node.file, directory, argv, **{**QUICK, **settings}) as daemon:
            daemon.wait_for("a", "b")
            yield node, daemon
            assert daemon.mishaps() == []


def ask(pair: tuple[socket.socket, socket.socket], times: int = 1) -> None:
    """Exchanges on one connection, both of whose ends are here."""
    client, server = pair
    for _ in range(times):
        client.sendall(b"GET /orders HTTP/1.1\r\nHost: b\r\n\r\n")
        read_head(server)
        server.sendall(OK)
        assert read(client, len(OK)) == OK


def counted(daemon: Daemon, result: str) -> float:
    return sum(
        value
        for name, labels, value in daemon.metrics()
        if name == "netra_spans_total" and labels["result"] == result
    )


@netns
def test_the_agent_gets_every_span_of_every_pod_until_the_end(
    bed: Testbed, directory: Path
) -> None:
    settings = {
        "JAEGER_REPORTER_FLUSH_INTERVAL": "1h",
        "JAEGER_TAGS": "zone=${ZONE:b}",
        "ZONE": "c",
    }
    with AgentSink() as sink:
        port = str(sink.port)
        with running(bed, directory, JAEGER_AGENT_PORT=port, **settings) as (node, daemon):
            assert daemon.status()["collector"] == f"udp://localhost:{port}"
            address = node.pod("b").ipv4
            ask(node.pair("a", "b"), times=200)
            assert sink.batches == []

    spans = sink.spans
    assert {service: len(found) for service, found in spans.items()} == {"a": 200, "b": 200}
    assert max(map(len, sink.raw)) <= 8192
    calls = {span.span_id: span for span in spans["a"]}
    for called in spans["b"]:
        calling = calls.pop(called.parent_id)
        assert called.trace_id == calling.trace_id
        assert calling.start <= called.start
        assert called.start + called.duration <= calling.start + calling.duration
        assert (called.operation, calling.operation) == ("/orders", "b/orders")
        assert calling.parent_id == 0
    process = dict(next(batch.process for batch in sink.batches if batch.service == "b"))
    assert process["jaeger.version"] == f"netra-node-{__version__}"
    assert (process["hostname"], process["ip"], process["zone"]) == ("b", address, "c")
    assert process["k8s.pod.name"] == "b"
    assert process["client-uuid"]


@netns
def test_an_agent_may_come_late_and_go_and_move(
    bed: Testbed, directory: Path, tmp_path: Path
) -> None:
    """The daemon has an /etc/hosts of its own, in which the name comes and moves."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    command = 'mount --bind "$0" /etc/hosts && exec "$@"'
    argv = ("unshare", "--mount", "sh", "-c", command, str(hosts), *RUN)
    settings = {
        "JAEGER_AGENT_HOST": "agent.example",
        "JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL": "1s",
    }
    first = AgentSink()
    settings["JAEGER_AGENT_PORT"] = str(first.port)
    with running(bed, directory, argv, **settings) as (node, daemon):
        pair = node.pair("a", "b")
        ask(pair)
        assert until(lambda: "agent.example" in daemon.log.read_text(), PATIENCE)
        with first:
            hosts.write_text("127.0.0.1 localhost agent.example\n")
            assert until(lambda: len(first.spans) == 2, PATIENCE), daemon.last_words()
            # a refusal has a millisecond to come back before it counts
            assert until(lambda: counted(daemon, "exported") == 2)

        refused = refusals()
        ask(pair)
        hosts.write_text("127.0.0.1 localhost\n127.0.0.2 agent.example\n")
        assert until(lambda: refusals() > refused, PATIENCE)
        with AgentSink("127.0.0.2", first.port) as second:
            assert until(lambda: len(second.spans) == 2, PATIENCE), daemon.last_words()
        assert counted(daemon, "failed") == 0

    assert [len(spans) for spans in second.spans.values()] == [1, 1]


def refusals() -> int:
    """Datagrams that came to a port where nobody listens, on this machine."""
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if "Udp: " in line
    )
    return int(values[names.index("NoPorts")])


@pytest.fixture
def collector() -> Iterator[CollectorSink]:
    with collecting() as sink:
        yield sink


@netns
def test_jaegers_collector_and_otlps_get_the_same_spans_each_in_its_own_schema(
    bed: Testbed, directory: Path, collector: CollectorSink
) -> None:
    path = "/jaeger/api/traces?format=jaeger.thrift"
    settings = {
        "OTEL_TRACES_EXPORTER": "otlp,jaeger",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "JAEGER_ENDPOINT": collector.url + path,
        "JAEGER_USER": "me",
        "JAEGER_PASSWORD": "p:word",
    }
    with running(bed, directory, **settings) as (node, daemon):
        ask(node.pair("a", "b"))
        assert until(lambda: counted(daemon, "exported") == 4, PATIENCE)
        shown = json.dumps(daemon.status()) + daemon.log.read_text()

    assert "p:word" not in shown
    assert {where for where, _, _ in collector.requests} == {path, "/v1/traces"}
    for where, fields, _ in collector.requests:
        known = fields.get("Authorization")
        assert known == (f"Basic {b64encode(b'me:p:word').decode()}" if where == path else None)
        kind = "application/x-thrift" if where == path else "application/x-protobuf"
        assert fields["Content-Type"] == kind
    jaeger = spans_of(collector.batches(path))
    assert {service: len(spans) for service, spans in jaeger.items()} == {"a": 1, "b": 1}
    otlp = [
        span
        for where, _, body in collector.requests
        if where == "/v1/traces"
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for span in group.scope_spans[0].spans
    ]
    found = [span for spans in jaeger.values() for span in spans]
    assert {int.from_bytes(span.span_id, "big") for span in otlp} == {
        span.span_id for span in found
    }
    assert {span.name for span in otlp} == {"GET /orders"}
    assert {span.operation for span in found} == {"/orders", "b/orders"}
