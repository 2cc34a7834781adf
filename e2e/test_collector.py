"""Spans through a real collector: Rotel (Rust, from PyPI) takes our OTLP, decodes it and sends it on to a sink that we read."""

import asyncio
import importlib.util
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from netra_node.cli.daemon_process import free_ports
from netra_node.core.addresses import ClientAddr, OriginalDst, PodUid
from netra_node.core.identity import PodIdentity
from netra_node.core.records import ConnectionRecord, Direction, Exchange, Outcome
from netra_node.core.trace_context import TraceContext
from netra_node.http_client import Client, Target
from netra_node.telemetry.destinations import OtlpCollector
from netra_node.telemetry.export import ExportLimits
from netra_node.telemetry.hub import Telemetry, TelemetryOptions

pytestmark = pytest.mark.timeout(60)

SPANS = 3000
CONTENT_TYPE = [("Content-Type", "application/x-protobuf")]


class Sink(ThreadingHTTPServer):
    """Takes what Rotel sends on, in a thread. That may come after Rotel has answered us, or before."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _SinkHandler)
        self.groups: list[ResourceSpans] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def spans(self) -> dict[int, tuple[ResourceSpans, object]]:
        return {
            int.from_bytes(span.span_id, "big"): (group, span)
            for group in list(self.groups)
            for scope in group.scope_spans
            for span in scope.spans
        }


class _SinkHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Sink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip  # noqa: PLC0415 - what Rotel prefers is its own business

            body = gzip.decompress(body)
        self.server.groups += ExportTraceServiceRequest.FromString(body).resource_spans
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Stay silent."""


class Rotel:
    """One collector process at a time, always on the same port."""

    def __init__(self, sink: Sink, directory: Path) -> None:
        self.http, grpc = free_ports(2)
        spec = importlib.util.find_spec("rotel")
        assert spec is not None
        assert spec.origin is not None
        self._command = [
            str(Path(spec.origin).with_name("rotel-agent")),
            "start",
            f"--otlp-grpc-endpoint=127.0.0.1:{grpc}",
            f"--otlp-http-endpoint=127.0.0.1:{self.http}",
            "--exporter=otlp",
            f"--otlp-exporter-endpoint=http://127.0.0.1:{sink.server_address[1]}",
            "--otlp-exporter-protocol=http",
            # With batching it answers 200 and then drops what is far over its own batch size.
            "--disable-batching",
            f"--pid-file={directory / 'rotel.pid'}",
            f"--log-file={directory / 'rotel.log'}",
        ]
        self._log = directory / "rotel.out"
        self._process: subprocess.Popen[bytes] | None = None

    def target(self) -> Target:
        return Target("127.0.0.1", self.http, "/v1/traces")

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not self._listens():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
            self._process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.http)) == 0


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as made:
        yield made
        made.shutdown()


@pytest.fixture
def rotel(sink: Sink, tmp_path: Path) -> Iterator[Rotel]:
    made = Rotel(sink, tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(params=[False, True], ids=["plain", "gzip"])
async def telemetry(request: pytest.FixtureRequest, rotel: Rotel) -> AsyncIterator[Telemetry]:
    target = rotel.target()
    limits = ExportLimits(delay=0.05)
    collector = OtlpCollector(target, gzip=request.param, limits=limits)
    made = Telemetry(TelemetryOptions((collector,)))
    made.start()
    yield made
    await made.stop(1)


def pod(service: str) -> PodIdentity:
    attributes = (("k8s.pod.name", f"{service}-1"), ("service.namespace", "café"))
    return PodIdentity(PodUid(service), "shop", f"{service}-1", service, attributes)


def connection(direction: Direction = Direction.INBOUND) -> ConnectionRecord:
    return ConnectionRecord(
        direction, ClientAddr("10.0.0.5", 40000), OriginalDst("10.0.0.9", 8080), 1
    )


def exchange(number: int) -> Exchange:
    now = time.monotonic_ns()
    made = Exchange(b"GET", b"/orders/%d?card=4111" % number, b"1.1", now)
    made.end = now + 1_000_000 + number
    made.host, made.user_agent, made.request_id = b"orders:8080", b"caf\xe9/1", b"r-%d" % number
    made.status, made.outcome, made.request_complete = 200, Outcome.OK, True
    made.trace = TraceContext((number << 64) + 7, number, number // 2, 1, b"vendor=1")
    return made


def result(telemetry: Telemetry, name: str) -> int:
    value: int = getattr(telemetry.metrics.spans, name)
    return value


async def until(condition: object, seconds: float = 20) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is awaited is a counter
            await asyncio.sleep(0.02)


async def test_every_span_arrives_exactly_as_we_show_it(telemetry: Telemetry, sink: Sink) -> None:
    observer = telemetry.observer(pod("orders"))
    for direction in Direction:
        opened = connection(direction)
        observer.connection_opened(opened)
        for number in range(1, 101):
            offset = 0 if direction is Direction.INBOUND else 1000
            observer.exchange_ended(opened, exchange(number + offset))

    await until(lambda: len(sink.spans()) == 200)
    await until(lambda: result(telemetry, "exported") == 200)

    arrived = sink.spans()
    for shown in telemetry.traces()["spans"]:
        group, span = arrived[int(shown["span_id"], 16)]
        assert span.trace_id.hex() == shown["trace_id"]
        assert span.parent_span_id.hex() == shown["parent_span_id"]
        assert span.name == shown["name"]
        assert span.start_time_unix_nano == shown["start_unix_nano"]
        assert span.end_time_unix_nano == shown["end_unix_nano"]
        assert (span.trace_state, span.flags) == ("vendor=1", 1)
        assert {
            pair.key: getattr(pair.value, pair.value.WhichOneof("value"))
            for pair in span.attributes
        } == shown["attributes"]
        resource = {pair.key: pair.value.string_value for pair in group.resource.attributes}
        assert resource == {
            "service.name": "orders",
            "k8s.pod.name": "orders-1",
            "service.namespace": "café",
        }
    assert b"4111" not in b"".join(group.SerializeToString() for group in sink.groups)


async def test_thousands_of_spans_of_several_pods_all_arrive(
    telemetry: Telemetry, sink: Sink
) -> None:
    observers = [telemetry.observer(pod(f"s{number}")) for number in range(5)]
    connections = [connection() for _ in observers]
    for observer, opened in zip(observers, connections, strict=True):
        observer.connection_opened(opened)
    for number in range(1, SPANS + 1):
        which = number % len(observers)
        observers[which].exchange_ended(connections[which], exchange(number))

    await until(lambda: len(sink.spans()) == SPANS)
    await until(lambda: result(telemetry, "exported") == SPANS)

    services = {group.resource.attributes[0].value.string_value for group in sink.groups}
    assert services == {"s0", "s1", "s2", "s3", "s4"}


async def test_spans_wait_while_the_collector_restarts(
    telemetry: Telemetry, sink: Sink, rotel: Rotel
) -> None:
    observer = telemetry.observer(pod("orders"))
    observer.exchange_ended(connection(), exchange(1))
    await until(lambda: result(telemetry, "exported") == 1)

    await asyncio.to_thread(rotel.stop)
    for number in range(2, 600):
        observer.exchange_ended(connection(), exchange(number))
    await asyncio.sleep(0.3)
    assert result(telemetry, "exported") == 1
    await asyncio.to_thread(rotel.start)
    await until(lambda: len(sink.spans()) == 599)
    await until(lambda: result(telemetry, "exported") == 599)

    assert set(sink.spans()) == set(range(1, 600))
    assert result(telemetry, "failed") == 0


async def test_the_collector_tells_sense_from_garbage(rotel: Rotel) -> None:
    poster = Client(rotel.target(), CONTENT_TYPE, 5)

    answer = await poster.post(b"\x0a\xff\xff")
    poster.close()

    assert answer.status == 400
