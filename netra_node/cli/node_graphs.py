"""Service graphs of nodes, as `netra-node graph --json` prints one. Pure: documents in, one graph for all of them out.

Belongs here: what a graph must have to be one, adding several up. Does not belong here: asking (`graph`, `cluster_graph`), layout.
A request is counted once, on the node of the service that answered it: so graphs of several nodes add up.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from netra_node.telemetry.graph import DayEdge, Dependency, GraphEdge, both_services, joined

_START: Final = re.compile(r"[0-9a-f]{16}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DOCUMENT: Final = {"start": str, "since": str, "edges": list, "calls": list}
_EDGE: Final = {
    "source": str,
    "destination": str,
    "requests": int,
    "errors": int,
    "p50_ms": int | float,
    "p99_ms": int | float,
    "latency": dict,
}
_CALL: Final = {"day": str, "source": str, "destination": str, "requests": int, "errors": int}


@dataclass(frozen=True, slots=True)
class NodeGraph:
    """What one daemon counted since its start; see `telemetry.hub.GraphDocument`."""

    start: str
    since: str
    edges: list[GraphEdge]
    calls: list[DayEdge]


@dataclass(frozen=True, slots=True)
class NodeAnswer:
    """A node, and its daemon's graph; `problem`: why there is none."""

    node: str
    pod: str
    graph: NodeGraph | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Nodes:
    """All who were asked. `missing`: nodes that should have a daemon and have none."""

    answers: list[NodeAnswer]
    missing: int = 0

    @property
    def graphs(self) -> list[NodeGraph]:
        """Of those who answered."""
        return [answer.graph for answer in self.answers if answer.graph is not None]

    @property
    def complete(self) -> bool:
        """Tell whether every node that should have a daemon has one that answered."""
        return bool(self.answers) and not self.missing and len(self.graphs) == len(self.answers)

    def problems(self) -> list[str]:
        """Return a sentence for all that is missing from the sum."""
        told = [
            f"{answer.node} does not answer: {answer.problem}"
            for answer in self.answers
            if answer.graph is None
        ]
        if self.missing:
            nodes = f"{self.missing} node{'s' * (self.missing != 1)}"
            told.append(f"without a pod of the DaemonSet, though it wants one there: {nodes}")
        elif not self.answers:
            told.append(
                "the DaemonSet has a pod on no node; `netra-node doctor --cluster` tells more"
            )
        return told


def graph_of(document: Any) -> NodeGraph | None:
    """Take a document for a graph, if it is one: another version's may not be."""
    if not (isinstance(document, dict) and _has(document, _DOCUMENT)):
        return None
    good = (
        _START.fullmatch(document["start"])
        and all(map(_is_edge, document["edges"]))
        and all(map(_is_call, document["calls"]))
    )
    if not good:
        return None
    edges, calls = (
        cast("list[GraphEdge]", document["edges"]),
        cast("list[DayEdge]", document["calls"]),
    )
    return NodeGraph(document["start"], document["since"], edges, calls)


def edges_of(graphs: Iterable[NodeGraph]) -> list[GraphEdge]:
    """Return the edges of all graphs, those between the same two as one, sorted by name."""
    parts: dict[tuple[str, str], list[GraphEdge]] = {}
    for graph in graphs:
        for edge in graph.edges:
            parts.setdefault((edge["source"], edge["destination"]), []).append(edge)
    return [joined(*pair, edges) for pair, edges in sorted(parts.items())]


def calls_of(graphs: Iterable[NodeGraph]) -> list[DayEdge]:
    """Return each day's calls in all graphs, sorted by day and name."""
    sums: dict[tuple[str, str, str], DayEdge] = {}
    for graph in graphs:
        for call in graph.calls:
            key = (call["day"], call["source"], call["destination"])
            before = sums.get(key)
            sums[key] = call if before is None else _added(before, call)
    return [call for _, call in sorted(sums.items(), key=lambda item: item[0])]


def links_of(graphs: Iterable[NodeGraph]) -> list[Dependency]:
    """Return the links between services as Jaeger has them, summed up over the days, sorted by name."""
    sums: dict[tuple[str, str], int] = {}
    for call in calls_of(graphs):
        pair = (call["source"], call["destination"])
        if both_services(*pair):
            sums[pair] = sums.get(pair, 0) + call["requests"]
    return [
        Dependency(parent=p, child=c, callCount=count) for (p, c), count in sorted(sums.items())
    ]


def _added(one: DayEdge, other: DayEdge) -> DayEdge:
    return DayEdge(
        day=one["day"],
        source=one["source"],
        destination=one["destination"],
        requests=one["requests"] + other["requests"],
        errors=one["errors"] + other["errors"],
    )


def _has(document: Mapping[str, Any], members: Mapping[str, Any]) -> bool:
    return all(isinstance(document.get(name), kind) for name, kind in members.items())


def _is_edge(edge: Any) -> bool:
    if not (isinstance(edge, dict) and _has(edge, _EDGE)):
        return False
    latency = edge["latency"]
    return _has(latency, {"buckets": list, "slowest_ns": int}) and all(
        isinstance(pair, list | tuple)
        and len(pair) == 2  # noqa: PLR2004 - bucket and count
        and all(isinstance(number, int) for number in pair)
        for pair in latency["buckets"]
    )


def _is_call(call: Any) -> bool:
    return (
        isinstance(call, dict)
        and _has(call, _CALL)
        and bool(_DAY.fullmatch(call["day"]))
        and call["requests"] >= 0
    )
