"""Everything that is counted, as plain integers. Belongs here: what is counted under which labels, and until when.

Does not belong here: how it is printed (`render`, `families`), what decides a label's value (`peers`, `observer`).
A library's counter costs five times the memory and, at a scrape, forty times the time (measured).
"""

from bisect import bisect_left
from collections import defaultdict
from typing import TypeVar

from netra_node.core.records import OpaqueReason, Outcome, ResetCause
from netra_node.telemetry.calls import NO_CALLS, DailyCalls
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.labels import label_text

#: Method labels: RFC 9110 §9 and PATCH (RFC 5789).
METHODS = {
    name.encode(): name
    for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
}
OTHER_METHOD = "_OTHER"
#: A request whose head came too slowly to get our headers; its connection is still read (`http.md`, rule 1).
SLOW_HEAD = "slow_head"
#: Resets that a peer began or its absence caused; the others (`ResetCause`) are ours and must stay 0.
PEER_RESETS = ("client", "upstream", "unreachable")
#: (method, status, outcome) series of one edge; a peer that invents status codes shares the last one.
MAX_SERIES = 64
#: How long the series of a pod that is gone stay: several scrapes, so that its last requests are seen.
LINGER_SECONDS = 300.0

_NANOSECONDS = 1_000_000_000
_REQUEST_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1)

#: (trace id, duration in ns, monotonic time in ns)
Exemplar = tuple[int, int, int]


class Histogram:
    """Durations in nanoseconds, counted in buckets; not cumulative, the last one is +Inf."""

    __slots__ = ("bounds", "buckets", "exemplars", "total")

    def __init__(self, bounds_seconds: tuple[float, ...]) -> None:
        """`bounds_seconds` are inclusive upper bounds, ascending."""
        self.bounds = tuple(round(bound * _NANOSECONDS) for bound in bounds_seconds)
        self.buckets = [0] * (len(bounds_seconds) + 1)
        self.total = 0
        self.exemplars: dict[int, Exemplar] = {}

    def observe(self, nanoseconds: int) -> int:
        """Count one duration; return the index of its bucket."""
        index = bisect_left(self.bounds, nanoseconds)
        self.buckets[index] += 1
        self.total += nanoseconds
        return index


class Edge:
    """What one service and one of its peers did in one direction."""

    __slots__ = (
        "calls",
        "closed",
        "duration",
        "errors",
        "labels",
        "latency",
        "opened",
        "peer",
        "received",
        "requests",
        "sent",
        "slowest",
    )

    def __init__(self, peer: str, labels: str = "") -> None:
        """`peer` is a label value (`peers`); `labels` are those of all its series, as text: made once, printed often."""
        self.peer = peer
        self.labels = labels
        #: (method label, status, outcome) → exchanges; status 0 = unanswered, -1 = too many different ones.
        self.requests: dict[tuple[str, int, str], int] = {}
        self.errors = 0
        #: Those of today, inbound only (`observer`).
        self.calls = NO_CALLS
        self.duration = Histogram(_REQUEST_BOUNDS)
        #: Fine counts for percentiles (`graph`), inbound only.
        self.latency: defaultdict[int, int] = defaultdict(int)
        #: The longest of them in nanoseconds: what a person sees as a span shall be the same number as a percentile.
        self.slowest = 0
        self.opened = 0
        #: outcome → connections
        self.closed: dict[str, int] = {}
        self.received = 0
        self.sent = 0

    def add_series(self, key: tuple[str, int, str]) -> None:
        """Count the first exchange of its kind, or one more of a kind there is no more room for."""
        if len(self.requests) >= MAX_SERIES:
            key = (OTHER_METHOD, -1, Outcome.OK.value)
        self.requests[key] = self.requests.get(key, 0) + 1

    @property
    def open(self) -> int:
        """Connections open now."""
        return self.opened - sum(self.closed.values())


class ServiceSeries:
    """The edges of one service: all its pods on this node share them, as their labels do not tell pods apart."""

    __slots__ = ("inbound", "namespace", "outbound", "service", "unused_since", "users")

    def __init__(self, namespace: str, service: str) -> None:
        """No edge yet."""
        self.namespace = namespace
        self.service = service
        self.inbound: dict[str, Edge] = {}
        self.outbound: dict[str, Edge] = {}
        self.users = 0
        self.unused_since = 0.0

    def edge(self, peer: str, *, inbound: bool) -> Edge:
        """Return the edge with `peer`, a new one if there is none."""
        edges = self.inbound if inbound else self.outbound
        edge = edges.get(peer)
        if edge is None:
            edge = edges[peer] = Edge(peer, self._labels(peer, inbound=inbound))
        return edge

    def _labels(self, peer: str, *, inbound: bool) -> str:
        return label_text(
            {
                "direction": "inbound" if inbound else "outbound",
                "namespace": self.namespace,
                "service": self.service,
                "peer": peer,
            }
        )


class PodSeries:
    """Exchanges of one pod by status class; a pod recreated under its name goes on counting."""

    __slots__ = ("inbound", "name", "namespace", "outbound", "unused_since", "users")

    def __init__(self, namespace: str, name: str) -> None:
        """Index 0 of both lists is unanswered, 2 is 2xx."""
        self.namespace = namespace
        self.name = name
        self.inbound = [0] * 10
        self.outbound = [0] * 10
        self.users = 0
        self.unused_since = 0.0


_Series = TypeVar("_Series", ServiceSeries, PodSeries)


class SpanResults:
    """What became of spans (`design.md` §6)."""

    __slots__ = ("exported", "failed", "queue_full", "rejected", "unsampled")

    def __init__(self) -> None:
        """Nothing yet."""
        self.exported = 0
        self.unsampled = 0
        self.queue_full = 0
        self.rejected = 0
        self.failed = 0

    def counts(self) -> dict[str, int]:
        """Return them all by their names."""
        return {result: getattr(self, result) for result in self.__slots__}


class Metrics:
    """All counters of this process, by the labels they carry."""

    __slots__ = ("calls", "loop_lag", "opaque", "pods", "resets", "services", "spans")

    def __init__(self, clock: WallClock | None = None) -> None:
        """Closed label sets start at zero, so that the first event is an increase and not a new series. `clock` tells the day."""
        self.calls = DailyCalls(clock or WallClock())
        self.services: dict[tuple[str, str], ServiceSeries] = {}
        self.pods: dict[tuple[str, str], PodSeries] = {}
        self.opaque = dict.fromkeys((*(reason.value for reason in OpaqueReason), SLOW_HEAD), 0)
        self.resets = dict.fromkeys((*PEER_RESETS, *(cause.value for cause in ResetCause)), 0)
        self.spans = SpanResults()
        self.loop_lag = Histogram(_LAG_BOUNDS)

    def use_service(self, namespace: str, service: str) -> ServiceSeries:
        """Return the series of a service on behalf of one more pod."""
        series = self.services.setdefault((namespace, service), ServiceSeries(namespace, service))
        series.users += 1
        return series

    def use_pod(self, namespace: str, name: str) -> PodSeries:
        """Return the series of a pod on behalf of one more life of it."""
        series = self.pods.setdefault((namespace, name), PodSeries(namespace, name))
        series.users += 1
        return series

    def release(self, series: ServiceSeries | PodSeries, now: float) -> None:
        """Tell that a pod no longer counts into `series`; `now` in seconds."""
        series.users -= 1
        series.unused_since = now

    def expire(self, now: float) -> None:
        """Drop what nobody counted into for `LINGER_SECONDS`."""
        _drop_unused(self.services, now)
        _drop_unused(self.pods, now)


def _drop_unused(table: dict[tuple[str, str], _Series], now: float) -> None:
    for key, series in list(table.items()):
        if not series.users and now - series.unused_since > LINGER_SECONDS:
            del table[key]
