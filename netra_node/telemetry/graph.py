"""Who calls whom, how often and how fast: counted at the server side, where a request is seen once.

Belongs here: percentiles and the merged edges a person looks at. Does not belong here: counting (`observer`).
"""

from collections.abc import Iterable, Iterator
from typing import TypedDict

from netra_node.telemetry.metrics import Edge, ServiceSeries
from netra_node.telemetry.peers import KUBELET

#: Sub-buckets of each power of two: a percentile is at most 1/16 off.
_STEPS_BITS = 3
_STEPS = 1 << _STEPS_BITS
_MILLISECOND = 1_000_000


class GraphEdge(TypedDict):
    """Requests of `source` answered by `destination`; errors as spans have them; times in milliseconds."""

    source: str
    destination: str
    requests: int
    errors: int
    p50_ms: float
    p99_ms: float


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


def _merge(source: str, destination: str, parts: list[Edge]) -> GraphEdge:
    """Services of one name in several namespaces are one to a person."""
    latency: dict[int, int] = {}
    slowest = max(part.slowest for part in parts)
    for part in parts:
        for bucket, count in part.latency.items():
            latency[bucket] = latency.get(bucket, 0) + count
    return GraphEdge(
        source=source,
        destination=destination,
        requests=sum(sum(part.requests.values()) for part in parts),
        errors=sum(part.errors for part in parts),
        p50_ms=percentile(latency, 0.5, slowest),
        p99_ms=percentile(latency, 0.99, slowest),
    )
