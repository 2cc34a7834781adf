"""Prints service graphs: a table for a person, JSON for a program, Jaeger's form for its tools. Pure: answers in, text out."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from netra_node.cli.edges_table import render_edges
from netra_node.cli.node_graphs import Nodes, calls_of, edges_of, links_of
from netra_node.cli.status_report import printable
from netra_node.cli.style import Style


def table(nodes: Nodes, style: Style) -> list[str]:
    """Return since when is counted, a line for each edge, what is missing, last the sum."""
    edges = edges_of(nodes.graphs)
    problems = [style.red(printable(problem)) for problem in nodes.problems()]
    requests, errors = (sum(edge[key] for edge in edges) for key in ("requests", "errors"))
    return [
        *_since(nodes),
        "",
        *render_edges(edges, style),
        "",
        *(["a part of the graph, as some is missing:", *problems, ""] if problems else []),
        f"{_many(len(edges), 'edge')}, {_many(requests, 'request')}, {_many(errors, 'error')}",
    ]


def as_json(nodes: Nodes, about: Mapping[str, Any]) -> str:
    """Return one object: `about` the cluster, each node, and the sums."""
    document = {
        **about,
        "complete": nodes.complete,
        "nodes_without_pod": nodes.missing,
        "nodes": [
            {
                "node": answer.node,
                "pod": answer.pod,
                "problem": answer.problem or None,
                "start": answer.graph.start if answer.graph else None,
                "since": answer.graph.since if answer.graph else None,
            }
            for answer in nodes.answers
        ],
        "edges": edges_of(nodes.graphs),
        "calls": calls_of(nodes.graphs),
    }
    return json.dumps(document, indent=2)


def as_jaeger(nodes: Nodes) -> str:
    """Return what Jaeger's `/api/dependencies` would; a part of the graph carries errors, as Jaeger's partial answers do."""
    errors = [
        {"code": int(HTTPStatus.SERVICE_UNAVAILABLE), "msg": problem}
        for problem in nodes.problems()
    ]
    document = {
        "data": links_of(nodes.graphs),
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": errors or None,
    }
    return json.dumps(document, indent=2)


def _since(nodes: Nodes) -> list[str]:
    starts = sorted(graph.since for graph in nodes.graphs)
    if not starts:
        return []
    latest = f" to {printable(starts[-1])}, each daemon from its own start" * (
        starts[-1] != starts[0]
    )
    return [
        f"counted since {printable(starts[0])}{latest}; pods that are gone leave after 5 minutes"
    ]


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"
