"""The specification of `netra_node.telemetry.sdk_exporter`, with exporters of the SDK's own kind."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from netra_node.core.addresses import PodUid
from netra_node.core.identity import PodIdentity
from netra_node.core.records import Direction
from netra_node.core.trace_context import DEBUG, RANDOM, SAMPLED, TraceContext
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.export import ExportLimits
from netra_node.telemetry.flow import Flow, Owner
from netra_node.telemetry.metrics import Edge, SpanResults
from netra_node.telemetry.schemas import SpanOptions, schema_for
from netra_node.telemetry.sdk_exporter import SdkExporter
from netra_node.telemetry.spans import path_of

SCHEMA = schema_for("console", SpanOptions())
LIMITS = ExportLimits(delay=0.02)


class Exporter(SpanExporter):
    """Remembers what came and in which thread; answers what it is told, or waits."""

    def __init__(
        self, result=SpanExportResult.SUCCESS, gate: threading.Event | None = None
    ) -> None:
        self._result = result
        self._gate = gate
        self.batches: list[list[ReadableSpan]] = []
        self.threads: set[str] = set()
        self.ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.threads.add(threading.current_thread().name)
        if self._gate is not None:
            self._gate.wait(20)
        self.batches.append(list(spans))
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    def shutdown(self) -> None:
        self.ended = True


@pytest.fixture
def run(make_connection, make_exchange, identity) -> Callable[..., object]:
    """Submits what it is given, or so many spans of one pod, and stops; returns what became of them."""

    async def export(exporter: Exporter, what=1, limits=LIMITS, deadline=20.0) -> dict[str, int]:
        results = SpanResults()
        adapter = SdkExporter(
            exporter, SCHEMA, results, limits, WallClock(lambda: 0, lambda: 10**18)
        )
        flow = Flow(Owner(identity), make_connection(), Edge("web"), None)
        if isinstance(what, int):
            what = [(flow, make_exchange()) for _ in range(what)]
        adapter.start()
        for one in what:
            adapter.submit(*one)
        await adapter.stop(deadline)
        return {name: count for name, count in results.counts().items() if count}

    return export


async def test_a_span_says_what_the_schema_says(
    run, make_connection, make_exchange, identity
) -> None:
    exporter = Exporter()
    flow = Flow(Owner(identity), make_connection(Direction.OUTBOUND), Edge("web"), None)
    exchange = make_exchange(
        status=503, trace=TraceContext(0xABC, 0xDEF, 0x123, SAMPLED | DEBUG | RANDOM)
    )

    assert await run(exporter, [(flow, exchange)]) == {"exported": 1}

    ((span,),) = exporter.batches
    assert span.name == SCHEMA.name(flow, exchange, path_of(exchange.target))
    assert dict(span.attributes) == dict(SCHEMA.all(flow, exchange))
    assert (span.context.trace_id, span.context.span_id, span.parent.span_id) == (
        0xABC,
        0xDEF,
        0x123,
    )
    assert (span.kind, span.status.status_code) == (SpanKind.CLIENT, StatusCode.ERROR)
    assert (span.start_time, span.end_time) == (exchange.start + 10**18, exchange.end + 10**18)
    assert dict(span.resource.attributes) == {"service.name": "orders", **dict(identity.attributes)}
    assert span.instrumentation_scope.name == "netra-node"


async def test_neither_debug_nor_w3cs_random_bit_is_handed_on(
    run, make_connection, make_exchange, identity
) -> None:
    exporter = Exporter()
    flow = Flow(Owner(identity), make_connection(), Edge("web"), None)
    trace = TraceContext(1, 2, 0, SAMPLED | DEBUG | RANDOM)

    await run(exporter, [(flow, make_exchange(trace=trace))])

    ((span,),) = exporter.batches
    assert span.context.trace_flags == 1
    assert span.parent is None


async def test_a_thread_does_the_work_and_ends_it(run) -> None:
    exporter = Exporter()

    await run(exporter)

    assert exporter.threads == {"SDK exporter"}
    assert exporter.ended
    assert "SDK exporter" not in {thread.name for thread in threading.enumerate()}


async def test_each_pod_is_exported_by_itself(run, make_connection, make_exchange) -> None:
    exporter = Exporter()
    flows = [
        Flow(
            Owner(PodIdentity(PodUid(name), "shop", name, name)), make_connection(), Edge("w"), None
        )
        for name in ("orders", "web")
    ]

    await run(exporter, [(flow, make_exchange()) for flow in flows * 3])

    for batch in exporter.batches:
        assert len({span.resource.attributes["service.name"] for span in batch}) == 1
    assert sum(map(len, exporter.batches)) == 6


async def test_batches_are_no_larger_than_said(run) -> None:
    exporter = Exporter()

    assert await run(exporter, 25, ExportLimits(batch=10, delay=60)) == {"exported": 25}
    assert [len(batch) for batch in exporter.batches] == [10, 10, 5]


async def test_spans_go_out_after_the_delay(make_connection, make_exchange, identity) -> None:
    results = SpanResults()
    adapter = SdkExporter(Exporter(), SCHEMA, results, LIMITS, WallClock())
    adapter.start()
    adapter.submit(Flow(Owner(identity), make_connection(), Edge("web"), None), make_exchange())

    async with asyncio.timeout(10):
        while not results.exported:  # noqa: ASYNC110 - what is awaited is a counter
            await asyncio.sleep(0.01)

    await adapter.stop(1)


async def test_more_than_the_queue_holds_is_dropped_and_counted(run) -> None:
    gate = threading.Event()
    asyncio.get_running_loop().call_later(0.1, gate.set)

    found = await run(Exporter(gate=gate), 30, ExportLimits(queue=10, batch=5))

    assert found == {"exported": 10, "queue_full": 20}


@pytest.mark.parametrize("result", [SpanExportResult.FAILURE, OSError("away")])
async def test_what_the_exporter_refuses_has_failed(run, result) -> None:
    assert await run(Exporter(result), 3) == {"failed": 3}


async def test_stopping_ends_at_its_deadline(run) -> None:
    gate = threading.Event()

    found = await run(Exporter(gate=gate), 3, deadline=0.1)

    gate.set()
    assert found == {"failed": 3}


async def test_before_the_start_and_after_the_stop_nothing_is_taken(
    make_connection, make_exchange, identity
) -> None:
    results = SpanResults()
    adapter = SdkExporter(Exporter(), SCHEMA, results, LIMITS, WallClock())
    flow = Flow(Owner(identity), make_connection(), Edge("web"), None)

    await adapter.stop(1)
    adapter.submit(flow, make_exchange())
    adapter.start()
    await adapter.stop(10)
    adapter.submit(flow, make_exchange())

    assert results.queue_full == 2
