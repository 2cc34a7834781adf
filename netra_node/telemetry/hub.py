"""Telemetry as the rest of the daemon sees it: observers for pods, pages for readers, a start and a stop.

Belongs here: which part is joined to which. Does not belong here: any of their work.
"""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from time import gmtime, monotonic, strftime
from typing import TypedDict

from netra_node.core.addresses import PodUid
from netra_node.core.identity import PodIdentity
from netra_node.core.records import Exchange
from netra_node.telemetry import datagrams, graph
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.destinations import Destination, make_exporter
from netra_node.telemetry.families import Readings, families
from netra_node.telemetry.flow import Flow
from netra_node.telemetry.memory import RecentSpans, ShownSpan
from netra_node.telemetry.metrics import Metrics, ServiceSeries
from netra_node.telemetry.observer import PodObserver, SpanSink
from netra_node.telemetry.peers import Directory
from netra_node.telemetry.process import ProcessFamilies
from netra_node.telemetry.render import Format, render
from netra_node.telemetry.schemas import SpanOptions, schema_for
from netra_node.telemetry.statsd import Statsd, StatsdServer


@dataclass(frozen=True, slots=True)
class TelemetryOptions:
    """What the settings decide. Spans go to every destination, or stay in memory where there is none."""

    destinations: tuple[Destination, ...] = ()
    #: Last spans kept for `/traces` where there is no destination; 0 keeps none. One takes about 1 KB.
    memory_spans: int = 2000
    spans: SpanOptions = field(default_factory=SpanOptions)
    #: None: StatsD is told nothing.
    statsd: StatsdServer | None = None


class TracesDocument(TypedDict):
    """What `/traces` answers; the spans are drawn one by one."""

    spans: Iterator[ShownSpan]


class GraphDocument(TypedDict):
    """What `/graph` answers; edges and calls are drawn one by one."""

    #: 16 hex digits, others at each start: counts of one start only grow, those of several add up.
    start: str
    #: When counting began (RFC 3339, UTC).
    since: str
    edges: Iterator[graph.GraphEdge]
    calls: Iterator[graph.DayEdge]


class DependenciesDocument(TypedDict):
    """What `/api/dependencies` answers: the form of Jaeger's own, and since when we counted."""

    data: Iterator[graph.Dependency]
    total: int
    limit: int
    offset: int
    errors: None
    since: str


class Totals(TypedDict):
    """What was counted since the start and belongs to no pod: what was dropped, and why."""

    spans: dict[str, int]
    opaque: dict[str, int]
    resets: dict[str, int]


class Telemetry:
    """Everything observed on this node."""

    def __init__(self, options: TelemetryOptions, readings: Readings | None = None) -> None:
        """Needs no loop yet. `readings` are asked at each scrape. Raises PluginError."""
        self.directory = Directory()
        self._readings = readings or Readings()
        self._clock = WallClock()
        self.metrics = Metrics(self._clock)
        self._start = secrets.token_hex(8)
        self._since = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime())
        schema = schema_for("none", options.spans)
        self._recent = RecentSpans(schema, self._clock, options.memory_spans)
        self._exporters = [
            make_exporter(destination, options.spans, self.metrics.spans, self._clock)
            for destination in options.destinations
        ]
        self._sink = _sink_of([one.submit for one in self._exporters] or [self._recent.keep])
        self._statsd = None if options.statsd is None else _make_statsd(options.statsd)
        self._process = ProcessFamilies()
        self._observers: dict[PodUid, PodObserver] = {}
        #: Observers of pods that are gone and still have connections.
        self._leaving: list[PodObserver] = []

    def start(self) -> None:
        """Begin to export, on the running loop."""
        for exporter in self._exporters:
            exporter.start()
        if self._statsd is not None:
            self._statsd.start()

    async def stop(self, deadline: float) -> None:
        """Send the spans and counts that wait, for at most `deadline` seconds."""
        if self._statsd is not None:
            await self._statsd.stop()
        await asyncio.gather(*(exporter.stop(deadline) for exporter in self._exporters))

    def observer(self, identity: PodIdentity) -> PodObserver:
        """Return the observer of a pod. A changed identity makes a new one, for connections that are yet to open."""
        known = self._observers.get(identity.uid)
        if known is not None and known.owner.identity == identity:
            return known
        self._tidy()
        count = None if self._statsd is None else self._statsd.counter(identity)
        made = PodObserver(identity, self.metrics, self.directory, self._sink, count)
        self.forget(identity.uid)
        self._observers[identity.uid] = made
        return made

    def forget(self, uid: PodUid) -> None:
        """Tell that a pod is gone: its series go five minutes later. Its open connections are still counted."""
        observer = self._observers.pop(uid, None)
        if observer is not None:
            self.metrics.release(observer.pod, monotonic())
            self.metrics.release(observer.service, monotonic())
            self._leaving.append(observer)

    def observe_loop_lag(self, nanoseconds: int) -> None:
        """Count how long an event waited for the loop."""
        self.metrics.loop_lag.observe(nanoseconds)

    def render(self, *, openmetrics: bool) -> Iterator[bytes]:
        """Yield the metrics in pieces, each in well under a millisecond."""
        self._tidy()
        style = Format(openmetrics, self._clock.refresh())
        every = chain(
            families(self.metrics, self._readings, style, self._settle), self._process.families()
        )
        yield from render(every, style)

    def traces(self) -> TracesDocument:
        """Return the spans in memory, oldest first."""
        return TracesDocument(spans=self._recent.shown())

    def graph(self) -> GraphDocument:
        """Return who called whom, sorted by name."""
        return GraphDocument(
            start=self._start,
            since=self._since,
            edges=graph.edges(tuple(self.metrics.services.values())),
            calls=graph.day_edges(self.metrics.calls),
        )

    def dependencies(self) -> DependenciesDocument:
        """Return the same for those who know Jaeger's API: yesterday and today, services only."""
        return DependenciesDocument(
            data=graph.dependencies(self.metrics.calls),
            total=0,
            limit=0,
            offset=0,
            errors=None,
            since=max(self._since, self.metrics.calls.since),
        )

    def totals(self) -> Totals:
        """Return the counters that `/status` shows: spans by result, opaque connections by reason, resets by cause."""
        return Totals(
            spans=self.metrics.spans.counts(),
            opaque=dict(self.metrics.opaque),
            resets=dict(self.metrics.resets),
        )

    def _tidy(self) -> None:
        """Let go of what is over; done as pods come, too, as there may be no scrapes."""
        self.metrics.expire(monotonic())
        self._leaving = [gone for gone in self._leaving if gone.open_connections]

    def _settle(self, service: ServiceSeries) -> None:
        for observer in (*self._observers.values(), *self._leaving):
            if observer.service is service:
                observer.count_open_bytes()


def _make_statsd(server: StatsdServer) -> Statsd:
    return Statsd(
        server.prefix, datagrams.Destination("counts for StatsD", server.host, server.port)
    )


def _sink_of(sinks: Sequence[SpanSink]) -> SpanSink:
    """Return what gives an exchange to all of them."""
    if len(sinks) == 1:
        return sinks[0]

    def submit(flow: Flow, exchange: Exchange) -> None:
        for sink in sinks:
            sink(flow, exchange)

    return submit
