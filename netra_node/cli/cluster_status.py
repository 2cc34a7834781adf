"""`netra-node status --cluster`: what every node's daemon says of itself. Belongs here: asking and the exit code, no layout."""

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from netra_node.cli import cluster_view as view
from netra_node.cli.cluster_status_report import Node, complete, node_of, render_nodes
from netra_node.cli.style import style_for

if TYPE_CHECKING:
    from netra_node.cli.cluster_api import Cluster

_FAILED: Final = 1
#: A process is started in each container, which a busy node does in a second or two.
_PATIENCE: Final = 15.0


def main(args: argparse.Namespace) -> int:
    """Show it and return the exit code."""
    return view.guarded(args, lambda cluster, namespace: _show(cluster, namespace, args))


def _show(cluster: "Cluster", namespace: str, args: argparse.Namespace) -> int:
    found = view.find(cluster, namespace)
    if not found.daemon_sets:
        print(f"netra-node: {view.no_daemon_set(cluster, namespace)}", file=sys.stderr)
        return _FAILED
    answers = view.ask_each(cluster, found.daemons, ["status"], _PATIENCE)
    nodes = [node_of(answer) for answer in answers]
    if args.json:
        print(json.dumps(_document(cluster, namespace, nodes, found.missing), indent=2))
    else:
        style = style_for(sys.stdout, os.environ)
        print(style.bold(f"netra-node in namespace {namespace} of {cluster.name}"))
        print("\n".join(render_nodes(nodes, found.missing, style)))
    return 0 if complete(nodes, found.missing) else _FAILED


def _document(
    cluster: "Cluster", namespace: str, nodes: list[Node], missing: int
) -> dict[str, Any]:
    return {
        **view.where(cluster, namespace),
        "complete": complete(nodes, missing),
        "nodes_without_pod": missing,
        "nodes": [
            {
                "node": node.name,
                "pod": node.pod,
                "problem": node.problem or None,
                "status": node.status,
            }
            for node in nodes
        ],
    }
