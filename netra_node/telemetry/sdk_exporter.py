"""Spans to an exporter of the OpenTelemetry SDK, whose code waits and so gets a thread. Belongs here: that thread, our spans as its.

Does not belong here: which exporter (`plugins`). The SDK's door: nothing else of ours imports it, and this only where it is wanted.
It is slow: ten times the work of our own encoders, and Python's lock is taken from the data path meanwhile.
"""

import asyncio
import contextlib
import logging
import queue
import threading
from functools import partial
from time import monotonic
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter as SdkSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from netra_node import __version__
from netra_node.core.records import Exchange
from netra_node.core.trace_context import SAMPLED
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.export import ExportLimits
from netra_node.telemetry.flow import Finished, Flow, Owner
from netra_node.telemetry.metrics import SpanResults
from netra_node.telemetry.spans import Schema, failure, path_of

logger = logging.getLogger(__name__)

_SCOPE: Final = InstrumentationScope("netra-node", __version__)


class SdkExporter:
    """Takes finished exchanges as `export.SpanExporter` does. What the exporter refuses is not tried again: it has its own ways."""

    def __init__(
        self,
        exporter: SdkSpanExporter,
        schema: Schema,
        results: SpanResults,
        limits: ExportLimits,
        clock: WallClock,
    ) -> None:
        """`exporter` is used by the thread alone."""
        self._exporter, self._schema, self._results = exporter, schema, results
        self._limits, self._clock = limits, clock
        self._waiting: queue.SimpleQueue[Finished | None] = queue.SimpleQueue()
        #: Taken and not yet settled.
        self._held = 0
        #: None: it does not run.
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        logger.warning("spans go through an exporter of the OpenTelemetry SDK, which is slow")
        arguments = (asyncio.get_running_loop(),)
        self._thread = threading.Thread(
            target=self._work, args=arguments, name="SDK exporter", daemon=True
        )
        self._thread.start()

    def submit(self, flow: Flow, exchange: Exchange) -> None:
        """Take an exchange that has a sampled trace context."""
        if self._thread is None or self._held >= self._limits.queue:
            self._results.queue_full += 1
            return
        self._held += 1
        self._waiting.put((flow, exchange))

    async def stop(self, deadline: float) -> None:
        """Let what waits be exported, for at most `deadline` seconds; what then remains counts as `failed`."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._waiting.put(None)
        await asyncio.to_thread(thread.join, deadline)
        self._results.failed += self._held
        self._held = 0

    def _settle(self, count: int, *, taken: bool) -> None:
        settled = min(count, self._held)
        self._held -= settled
        self._results.exported += settled if taken else 0
        self._results.failed += 0 if taken else settled

    # ---- in the thread

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        more = True
        while more:
            groups: dict[Owner, list[Finished]] = {}
            more = self._gather(groups)
            for owner, batch in groups.items():
                taken = self._export(owner, batch)
                settle = partial(self._settle, len(batch), taken=taken)
                # closed: who stopped us has lost patience
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(settle)
        with contextlib.suppress(Exception):
            self._exporter.shutdown()

    def _gather(self, groups: dict[Owner, list[Finished]]) -> bool:
        """Fill a batch, by pod, as some exporters take the service of the first span for all; return whether there may be more."""
        end = 0.0
        for number in range(self._limits.batch):
            try:
                finished = self._waiting.get(timeout=max(0, end - monotonic()) if number else None)
            except queue.Empty:
                break
            if finished is None:
                return False
            end = end or monotonic() + self._limits.delay
            groups.setdefault(finished[0].owner, []).append(finished)
        return True

    def _export(self, owner: Owner, batch: list[Finished]) -> bool:
        resource = Resource(
            {"service.name": owner.identity.service, **dict(owner.identity.attributes)}
        )
        offset = self._clock.refresh()
        try:
            spans = [self._span(flow, exchange, resource, offset) for flow, exchange in batch]
            return self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:
            logger.exception("the exporter failed")
            return False

    def _span(
        self, flow: Flow, exchange: Exchange, resource: Resource, offset: int
    ) -> ReadableSpan:
        trace = exchange.trace
        assert trace is not None  # noqa: S101 - the caller's promise
        # without W3C's random bit: Jaeger's exporter would take it for debug
        flags = TraceFlags(trace.flags & SAMPLED)
        parent = SpanContext(trace.trace_id, trace.parent_id, is_remote=True, trace_flags=flags)
        return ReadableSpan(
            self._schema.name(flow, exchange, path_of(exchange.target)),
            context=SpanContext(trace.trace_id, trace.span_id, is_remote=False, trace_flags=flags),
            parent=parent if trace.parent_id else None,
            resource=resource,
            attributes=dict(self._schema.all(flow, exchange)),
            kind=SpanKind.SERVER if flow.inbound else SpanKind.CLIENT,
            status=Status(StatusCode.ERROR if failure(exchange) else StatusCode.UNSET),
            start_time=exchange.start + offset,
            end_time=exchange.end + offset,
            instrumentation_scope=_SCOPE,
        )
