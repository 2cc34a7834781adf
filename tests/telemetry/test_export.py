"""The way of spans to a collector, in virtual time: a scripted collector stands in for the connection."""

import asyncio
import itertools
import logging
from collections.abc import Iterator, Mapping

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from netra_node.core.records import Direction
from netra_node.http_client import Answer, TransportError
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.collector import HttpCarrier
from netra_node.telemetry.export import (
    ExportLimits,
    Message,
    NotNowError,
    Receipt,
    SpanExporter,
)
from netra_node.telemetry.flow import Finished, Flow, Owner
from netra_node.telemetry.metrics import Edge, SpanResults
from netra_node.telemetry.otlp import SpanEncoder, rejected_spans
from netra_node.telemetry.paths import PathNames
from netra_node.telemetry.spans import OtelSchema

ACCEPT = Answer(200, {}, b"")
AWAY = TransportError("connection refused")


class Collector:
    """Gives the scripted answers in order, then accepts everything. Remembers what came, and when."""

    authority = "collector:4318"

    def __init__(self, *script: Answer | TransportError | float) -> None:
        self.script = list(script)
        self.bodies: list[bytes] = []
        self.fields: list[tuple] = []
        self.times: list[float] = []
        self.closed = False

    async def post(self, body: bytes, fields=()) -> Answer:
        self.times.append(asyncio.get_running_loop().time())
        self.bodies.append(body)
        self.fields.append(tuple(fields))
        answer = self.script.pop(0) if self.script else ACCEPT
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = ACCEPT
        if isinstance(answer, TransportError):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True

    def spans(self) -> list[int]:
        """How many spans each request held."""
        return [
            sum(len(group.scope_spans[0].spans) for group in request.resource_spans)
            for request in map(ExportTraceServiceRequest.FromString, self.bodies)
        ]


@pytest.fixture
def flow(make_connection, identity) -> Flow:
    return Flow(Owner(identity), make_connection(Direction.INBOUND), Edge("web"), None)


def make(collector: Collector, results: SpanResults, **limits) -> SpanExporter:
    clock = WallClock(lambda: 0, lambda: 10**18)
    encoder = SpanEncoder(OtelSchema(PathNames()), "1")
    carrier = HttpCarrier(collector, rejected_spans)
    return SpanExporter(encoder, carrier, results, ExportLimits(**limits), clock, lambda: 1.0)


@pytest.fixture
def export(run_virtually, flow, make_exchange):
    """Submits `count` spans at once, waits `seconds`, stops; returns what became of them."""

    def run(collector: Collector, count: int, seconds: float = 5, stop=10.0, **limits):
        results = SpanResults()

        async def scenario() -> None:
            exporter = make(collector, results, **limits)
            exporter.start()
            for _ in range(count):
                exporter.submit(flow, make_exchange())
            await asyncio.sleep(seconds)
            await exporter.stop(stop)

        run_virtually(scenario())
        return {name: getattr(results, name) for name in results.__slots__}

    return run


NOTHING = dict.fromkeys(SpanResults.__slots__, 0)


def test_spans_go_out_in_one_batch_after_the_delay(export) -> None:
    collector = Collector()

    assert export(collector, 3, delay=1.0) == {**NOTHING, "exported": 3}
    assert collector.spans() == [3]
    assert collector.times[0] == pytest.approx(1.02, abs=0.01)


def test_a_full_batch_goes_at_once(export) -> None:
    collector = Collector()

    export(collector, 250, batch=100, delay=1.0)

    assert collector.spans() == [100, 100, 50]
    assert collector.times[0] < 0.1 < collector.times[2]


def test_encoding_lets_the_loop_turn_every_20_spans(run_virtually, flow, make_exchange) -> None:
    held: list[int] = []

    async def scenario() -> None:
        exporter = make(Collector(), SpanResults())
        exporter.start()
        for _ in range(400):
            exporter.submit(flow, make_exchange())
        await asyncio.sleep(0.02)  # when the first slice is due
        while exporter._waiting:
            held.append(len(exporter._waiting))
            await asyncio.sleep(0)
        await exporter.stop(1)

    run_virtually(scenario())

    steps = [before - after for before, after in itertools.pairwise(held)]
    assert len(steps) > 5
    assert max(steps) <= 20


def test_more_than_the_queue_holds_is_dropped_and_counted(export) -> None:
    assert export(Collector(), 30, queue=10) == {**NOTHING, "exported": 10, "queue_full": 20}


def test_while_the_collector_is_away_memory_is_bounded(run_virtually, flow, make_exchange) -> None:
    results = SpanResults()

    async def scenario() -> int:
        exporter = make(Collector(*[AWAY] * 1000), results, queue=10**9, patience=10**9)
        exporter.start()
        for _ in range(40):
            for _ in range(1000):
                exporter.submit(flow, make_exchange())
            await asyncio.sleep(1)
        held = exporter._held_bytes
        await exporter.stop(0)
        return held

    assert run_virtually(scenario()) < 5 << 20
    assert results.queue_full > 20_000


def test_a_submission_before_the_start_or_after_the_stop_is_dropped(
    run_virtually, flow, make_exchange
) -> None:
    results = SpanResults()

    async def scenario() -> None:
        exporter = make(Collector(), results)
        exporter.submit(flow, make_exchange())
        exporter.start()
        await exporter.stop(1)
        exporter.submit(flow, make_exchange())

    run_virtually(scenario())

    assert results.queue_full == 2


@pytest.mark.parametrize(
    "trouble", [AWAY, *(Answer(status, {}, b"") for status in (429, 502, 503, 504))]
)
def test_a_passing_trouble_is_waited_out_with_growing_pauses(export, trouble) -> None:
    collector = Collector(trouble, trouble, trouble)

    assert export(collector, 1, seconds=60) == {**NOTHING, "exported": 1}
    pauses = [b - a for a, b in zip(collector.times, collector.times[1:], strict=False)]
    assert pauses == pytest.approx([0.5, 1.0, 2.0])
    assert len(set(collector.bodies)) == 1


def test_retry_after_is_honoured(export) -> None:
    collector = Collector(Answer(429, {"retry-after": "17"}, b""))

    export(collector, 1, seconds=60)

    assert collector.times[1] - collector.times[0] == pytest.approx(17)


def test_pauses_grow_to_30_seconds_and_patience_ends(export) -> None:
    collector = Collector(*[AWAY] * 1000)

    assert export(collector, 1, seconds=1000, patience=300) == {**NOTHING, "failed": 1}
    pauses = [b - a for a, b in zip(collector.times, collector.times[1:], strict=False)]
    assert max(pauses) == pytest.approx(30)
    assert collector.times[-1] - collector.times[0] <= 300


def test_a_batch_that_failed_does_not_hold_up_the_next(export) -> None:
    collector = Collector(AWAY)

    found = export(collector, 4, batch=2, patience=0.1)

    assert found == {**NOTHING, "failed": 2, "exported": 2}


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500])
def test_a_refusal_is_final(export, status) -> None:
    collector = Collector(Answer(status, {}, b""))

    assert export(collector, 2, seconds=60) == {**NOTHING, "rejected": 2}
    assert len(collector.times) == 1


def test_a_partial_success_is_counted_in_parts(export) -> None:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 3

    collector = Collector(Answer(200, {}, answer.SerializeToString()))

    assert export(collector, 5) == {**NOTHING, "exported": 2, "rejected": 3}


def test_no_more_is_rejected_than_was_sent(export) -> None:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 99

    collector = Collector(Answer(200, {}, answer.SerializeToString()))

    assert export(collector, 5) == {**NOTHING, "rejected": 5}


def test_stopping_sends_what_waits(export) -> None:
    collector = Collector()

    assert export(collector, 300, seconds=0, batch=512, delay=60) == {**NOTHING, "exported": 300}
    assert collector.closed


def test_stopping_tries_once_more_and_gives_up(export) -> None:
    collector = Collector(*[AWAY] * 100)

    assert export(collector, 1, seconds=5) == {**NOTHING, "failed": 1}
    assert collector.times[-1] == pytest.approx(5, abs=0.1)


def test_stopping_ends_at_its_deadline(run_virtually, flow, make_exchange) -> None:
    results = SpanResults()

    async def scenario() -> float:
        exporter = make(Collector(3600.0), results, batch=1)
        exporter.start()
        for _ in range(2):
            exporter.submit(flow, make_exchange())
        await asyncio.sleep(1)
        await exporter.stop(2)
        return asyncio.get_running_loop().time()

    assert run_virtually(scenario()) == pytest.approx(3, abs=0.1)
    assert results.failed == 2


def test_stopping_what_never_started_is_nothing(run_virtually) -> None:
    run_virtually(make(Collector(), SpanResults()).stop(1))


def test_trouble_is_logged_once_and_so_is_its_end(export, caplog) -> None:
    caplog.set_level(logging.INFO)

    export(Collector(AWAY, AWAY, AWAY), 1, seconds=60)

    assert [record.getMessage() for record in caplog.records] == [
        "spans are not exported to collector:4318: connection refused",
        "spans are exported to collector:4318 again",
    ]


class Singles:
    """An encoder whose messages hold one span each, and none that is longer than `longest`."""

    def __init__(self, longest: int = 10) -> None:
        self._longest = longest

    def encode(self, finished: Finished, _offset: int) -> bytes:
        return finished[1].target

    def messages(self, groups: Mapping[Owner, list[bytes]]) -> Iterator[Message]:
        for spans in groups.values():
            yield from (Message(span, 1) for span in spans if len(span) <= self._longest)


class Carried:
    """A carrier that remembers what it took, and takes none of what it is told to."""

    where = "somewhere"

    def __init__(self, *refused: bytes) -> None:
        self._refused = refused
        self.asked: list[bytes] = []
        self.running: list[bool] = []

    def start(self) -> None:
        self.running.append(True)

    async def carry(self, message: Message) -> Receipt:
        self.asked.append(message.body)
        if message.body in self._refused:
            raise NotNowError("nobody there")
        return Receipt()

    async def stop(self) -> None:
        self.running.append(False)


@pytest.fixture
def export_singly(run_virtually, flow, make_exchange):
    """Submits a span for each target; returns what became of them."""

    def run(carrier: Carried, *targets: bytes, encoder=None, **limits) -> dict[str, int]:
        results = SpanResults()

        async def scenario() -> None:
            exporter = SpanExporter(
                encoder or Singles(), carrier, results, ExportLimits(**limits), WallClock()
            )
            exporter.start()
            for target in targets:
                exporter.submit(flow, make_exchange(target=target))
            await asyncio.sleep(5)
            await exporter.stop(10)

        run_virtually(scenario())
        return results.counts()

    return run


def test_a_batch_may_be_several_messages(export_singly) -> None:
    carrier = Carried()

    assert export_singly(carrier, b"/a", b"/b", b"/c") == {**NOTHING, "exported": 3}
    assert carrier.asked == [b"/a", b"/b", b"/c"]
    assert carrier.running == [True, False]


def test_what_fits_no_message_is_rejected(export_singly, caplog) -> None:
    found = export_singly(Carried(), b"/a", b"/longer-than-ten", b"/c")

    assert found == {**NOTHING, "exported": 2, "rejected": 1}
    assert "1 spans are too large" in caplog.text


def test_patience_is_for_a_batch_and_not_for_each_of_its_messages(export_singly) -> None:
    carrier = Carried(b"/b")

    found = export_singly(carrier, b"/a", b"/b", b"/c", b"/d", patience=0.1)

    assert found == {**NOTHING, "exported": 1, "failed": 3}
    assert carrier.asked == [b"/a", b"/b"]


def test_messages_of_a_batch_that_is_given_up_make_room_for_others(
    run_virtually, flow, make_exchange
) -> None:
    results = SpanResults()

    async def scenario() -> None:
        limits = ExportLimits(queue=2, batch=2, patience=0.1)
        exporter = SpanExporter(Singles(), Carried(b"/b"), results, limits, WallClock())
        exporter.start()
        for target in (b"/a", b"/b", b"/too-many", b"/too-many"):
            exporter.submit(flow, make_exchange(target=target))
        await asyncio.sleep(5)
        for target in (b"/c", b"/d"):
            exporter.submit(flow, make_exchange(target=target))
        await exporter.stop(10)

    run_virtually(scenario())

    assert results.counts() == {**NOTHING, "exported": 3, "failed": 1, "queue_full": 2}
