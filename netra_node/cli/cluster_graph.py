"""`netra-node graph --cluster`: the graphs of every node's daemon, added up. Belongs here: asking and the exit code, no layout."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from netra_node.cli import cluster_view as view
from netra_node.cli import graph_write
from netra_node.cli.cluster_ask import Answer
from netra_node.cli.graph_report import as_jaeger, as_json, table
from netra_node.cli.graph_write import Destination
from netra_node.cli.node_graphs import NodeAnswer, Nodes, graph_of
from netra_node.cli.style import style_for

if TYPE_CHECKING:
    from netra_node.cli.cluster_api import Cluster

_FAILED: Final = 1
#: As for `status`, and a graph may be long.
_PATIENCE: Final = 20.0


def main(args: argparse.Namespace, to: Destination | None) -> int:
    """Show it, or write it where it shall go, and return the exit code."""
    return view.guarded(args, lambda cluster, namespace: _show(cluster, namespace, args, to))


def _show(
    cluster: "Cluster", namespace: str, args: argparse.Namespace, to: Destination | None
) -> int:
    found = view.find(cluster, namespace)
    if not found.daemon_sets:
        print(f"netra-node: {view.no_daemon_set(cluster, namespace)}", file=sys.stderr)
        return _FAILED
    answers = view.ask_each(cluster, found.daemons, ["graph"], _PATIENCE)
    nodes = Nodes([_node_of(answer) for answer in answers], found.missing)
    if to is not None:
        return graph_write.write(nodes, to)
    if args.json:
        print(as_json(nodes, _about(cluster, namespace)))
    elif args.format:
        print(as_jaeger(nodes))
    else:
        style = style_for(sys.stdout, os.environ)
        print(style.bold(f"service graph of namespace {namespace} of {cluster.name}"))
        print("\n".join(table(nodes, style)))
    return 0 if nodes.complete else _FAILED


def _node_of(answer: Answer) -> NodeAnswer:
    daemon, document = answer.daemon, answer.document
    if document is None:
        return NodeAnswer(daemon.node, daemon.pod, None, answer.problem)
    graph = graph_of(document)
    problem = "" if graph else "its graph is of another kind; is its netra-node another version?"
    return NodeAnswer(daemon.node, daemon.pod, graph, problem)


def _about(cluster: "Cluster", namespace: str) -> dict[str, Any]:
    return {"server": cluster.server, "context": cluster.context, "namespace": namespace}
