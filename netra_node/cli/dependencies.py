"""The day's document that Jaeger's dependency page reads from Elasticsearch. Pure: graphs and a stored document in, a document out.

Belongs here: its form, and the rule by which what is stored and what daemons say now become one. Does not belong here: the store
(`elasticsearch`), who writes when (`graph_write`).

The document is Jaeger's (`timestamp`, `dependencies`: internal/storage/v2/elasticsearch/depstore/dbmodel of jaegertracing/jaeger) and has
one more member, which Jaeger ignores: what each start of a daemon has contributed. Within one start a counter only grows, so of two
numbers the larger is the later one; starts add up. Merging is therefore exact in any order and any number of times: a daemon that was
restarted begins a contribution of its own, one that cannot be reached keeps the one it has, and no sum ever gets smaller.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from netra_node.cli.node_graphs import NodeGraph
from netra_node.telemetry.graph import Dependency, both_services

#: Of one day: a thousand nodes, each started ten times.
MAX_STARTS: Final = 10_000

Pair = tuple[str, str]
#: Start of a daemon → parent and child → calls.
Starts = dict[str, dict[Pair, int]]

#: How the store shall take it: names are words, also where they look like dates, and what is ours is kept unread.
PROPERTIES: Final[Mapping[str, Any]] = {
    "timestamp": {"type": "date"},
    "dependencies": {
        "properties": {
            "parent": {"type": "keyword", "ignore_above": 1024},
            "child": {"type": "keyword", "ignore_above": 1024},
            "callCount": {"type": "long"},
        }
    },
}
OWN_PROPERTIES: Final[Mapping[str, Any]] = {"netra": {"type": "object", "enabled": False}}


class DocumentError(Exception):
    """A document cannot be merged with; the message says why."""


def contributions(graphs: Iterable[NodeGraph]) -> dict[str, Starts]:
    """Return, by day, what each start counted between services."""
    days: dict[str, Starts] = {}
    for graph in graphs:
        for call in graph.calls:
            pair = (call["source"], call["destination"])
            if both_services(*pair) and call["requests"]:
                starts = days.setdefault(call["day"], {})
                starts.setdefault(graph.start, {})[pair] = call["requests"]
    return days


def merged(one: Starts, other: Starts) -> Starts:
    """Return the fuller of both, counter by counter. Raises DocumentError where that is beyond all bounds."""
    both = {start: dict(pairs) for start, pairs in one.items()}
    for start, pairs in other.items():
        known = both.setdefault(start, {})
        for pair, count in pairs.items():
            known[pair] = max(count, known.get(pair, 0))
    if len(both) > MAX_STARTS:
        message = f"daemons were started more than {MAX_STARTS} times on that day: what they counted is not stored"
        raise DocumentError(message)
    return both


def links(starts: Starts) -> list[Dependency]:
    """Return the sums as Jaeger has them, sorted by name."""
    sums: dict[Pair, int] = {}
    for pairs in starts.values():
        for pair, count in pairs.items():
            sums[pair] = sums.get(pair, 0) + count
    return [
        Dependency(parent=p, child=c, callCount=count) for (p, c), count in sorted(sums.items())
    ]


def document(day: str, starts: Starts) -> dict[str, Any]:
    """Return what is stored for `day` (YYYY-MM-DD, UTC).

    The time is the day's first moment, as in those of Jaeger's own batch: Jaeger looks for documents of the last 24 hours.
    """
    told = [
        {"start": start, "calls": [[*pair, count] for pair, count in sorted(pairs.items())]}
        for start, pairs in sorted(starts.items())
    ]
    return {
        "timestamp": f"{day}T00:00:00Z",
        "dependencies": links(starts),
        "netra": {"starts": told},
    }


def starts_of(stored: Any) -> Starts:
    """Return what a stored document says each start contributed. Raises DocumentError where it is not one of ours."""
    try:
        return {
            str(one["start"]): {
                (str(parent), str(child)): int(count) for parent, child, count in one["calls"]
            }
            for one in stored["netra"]["starts"]
        }
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        message = "it was not written by netra-node, or by another version: it is left as it is"
        raise DocumentError(message) from error
