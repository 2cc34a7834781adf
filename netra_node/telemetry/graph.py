"""Who calls whom, how often and how fast: counted at the server side, where a request is seen once.

Belongs here: percentiles, the merged edges a person looks at, a day's calls and Jaeger's form of them. Does not belong here:
counting (`observer`, `calls`).
"""

from collections.abc import Iterable, Iterator
from typing import TypedDict

from netra_node.telemetry.calls import DailyCalls
from netra_node.telemetry.metrics import Edge, ServiceSeries
from netra_node.telemetry.peers import EXTERNAL, KUBELET, OTHER

#: Sub-buckets of each power of two: a percentile is at most 1/16 off.
_STEPS_BITS = 3
_STEPS = 1 << _STEPS_BITS
_MILLISECOND = 1_000_000


#: Names that stand for somebody without one: no span carries them as its service.
_NO_SERVICES = frozenset({EXTERNAL, KUBELET, OTHER})


class Latency(TypedDict):
    """From what percentiles are made, so that those of several nodes can be."""

    #: [bucket, count], ascending; for buckets see `latency_bucket`.
    buckets: list[tuple[int, int]]
    slowest_ns: int


class GraphEdge(TypedDict):
    """Requests of `source` answered by `destination`; errors as spans have them; times in milliseconds."""

    source: str
    destination: str
    requests: int
    errors: int
    p50_ms: float
    p99_ms: float
    latency: Latency


class DayEdge(TypedDict):
    """Requests of one UTC day (YYYY-MM-DD), by the time they ended; also those of pods that are gone since."""

    day: str
    source: str
    destination: str
    requests: int
    errors: int


class Dependency(TypedDict):
    """A link as Jaeger's dependencies API has it: both names are services that spans carry."""

    parent: str
    child: str
    callCount: int


def latency_bucket(nanoseconds: int) -> int:
    """Return the bucket of a duration: eight to each power of two."""
    if nanoseconds < _STEPS:
        return max(nanoseconds, 0)
    exponent = nanoseconds.bit_length() - _STEPS_BITS - 1
    return (exponent << _STEPS_BITS) + (nanoseconds >> exponent)


def bucket_middle(bucket: int) -> float:
    """Return the middle of a bucket, in nanoseconds."""
    if bucket < _STEPS:
        return float(bucket)
    exponent = (bucket >> _STEPS_BITS) - 1
    lower = (bucket - (exponent << _STEPS_BITS)) << exponent
    return lower + (1 << exponent) / 2


def percentile(counts: dict[int, int], share: float, slowest: int) -> float:
    """Return the duration in milliseconds that `share` of all stay within; 0 where nothing was counted.

    `slowest` is the longest duration in nanoseconds: of what falls into its bucket nothing better is known.
    """
    rank = share * sum(counts.values())
    passed = 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed >= rank:
            last = bucket == latency_bucket(slowest)
            return round((slowest if last else bucket_middle(bucket)) / _MILLISECOND, 3)
    return 0.0


def edges(services: Iterable[ServiceSeries]) -> Iterator[GraphEdge]:
    """Yield one edge per pair of names; the kubelet's probes are no edge. Costs about 20 µs each."""
    merged: dict[tuple[str, str], list[Edge]] = {}
    for service in services:
        for edge in service.inbound.values():
            if edge.requests and edge.peer != KUBELET:
                merged.setdefault((edge.peer, service.service), []).append(edge)
    for (source, destination), parts in sorted(merged.items()):
        yield _merge(source, destination, parts)


def day_edges(calls: DailyCalls) -> Iterator[DayEdge]:
    """Yield what was counted on each day that is kept; the kubelet's probes are no edge."""
    for day, (source, destination), counted in calls.rows():
        if source != KUBELET:
            yield DayEdge(
                day=day,
                source=source,
                destination=destination,
                requests=counted.requests,
                errors=counted.errors,
            )


def dependencies(calls: DailyCalls) -> Iterator[Dependency]:
    """Yield the links between services, summed up over the days that are kept."""
    for (parent, child), count in calls.sums():
        if both_services(parent, child):
            yield Dependency(parent=parent, child=child, callCount=count)


def both_services(source: str, destination: str) -> bool:
    """Tell whether both are services, as spans name them, and neither is somebody we cannot name."""
    return source not in _NO_SERVICES and destination not in _NO_SERVICES


def joined(source: str, destination: str, edges: Iterable[GraphEdge]) -> GraphEdge:
    """Return several edges between the same two as one; exact, percentiles too."""
    parts = list(edges)
    return _edge(
        source,
        destination,
        requests=sum(part["requests"] for part in parts),
        errors=sum(part["errors"] for part in parts),
        latency=_summed(part["latency"]["buckets"] for part in parts),
        slowest=max((part["latency"]["slowest_ns"] for part in parts), default=0),
    )


def _merge(source: str, destination: str, parts: list[Edge]) -> GraphEdge:
    """Services of one name in several namespaces are one to a person."""
    return _edge(
        source,
        destination,
        requests=sum(sum(part.requests.values()) for part in parts),
        errors=sum(part.errors for part in parts),
        latency=_summed(part.latency.items() for part in parts),
        slowest=max(part.slowest for part in parts),
    )


def _summed(parts: Iterable[Iterable[tuple[int, int]]]) -> dict[int, int]:
    latency: dict[int, int] = {}
    for part in parts:
        for bucket, count in part:
            latency[bucket] = latency.get(bucket, 0) + count
    return latency


def _edge(
    source: str,
    destination: str,
    *,
    requests: int,
    errors: int,
    latency: dict[int, int],
    slowest: int,
) -> GraphEdge:
    return GraphEdge(
        source=source,
        destination=destination,
        requests=requests,
        errors=errors,
        p50_ms=percentile(latency, 0.5, slowest),
        p99_ms=percentile(latency, 0.99, slowest),
        latency=Latency(buckets=sorted(latency.items()), slowest_ns=slowest),
    )
