"""`netra-node graph`: which service calls which. Belongs here: whom to ask, in which form it is given, the exit code."""

import argparse
import json
import os
import sys
from typing import Any

from netra_node.cli import cluster_graph, graph_write
from netra_node.cli.cluster_options import add_options, misused
from netra_node.cli.daemon_client import NoDaemonError, ask, where
from netra_node.cli.elasticsearch import PlaceError
from netra_node.cli.graph_report import as_jaeger, table
from netra_node.cli.graph_write import Destination
from netra_node.cli.node_graphs import NodeAnswer, Nodes, graph_of
from netra_node.cli.style import style_for
from netra_node.settings.model import SettingsError

_FAILED, _USAGE = 1, 2


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "graph",
        help="show which service calls which, how often, how fast, with how many errors",
        description="Asks the daemon that runs on this node, on NETRA_PPROF_ADDRESS and NETRA_PPROF_PORT (127.0.0.1 and 14957), "
        "who called the services of its pods. A request is counted once, on the node of the service that answers it, so the "
        "graphs of all nodes add up: --cluster asks every node's daemon, as `status --cluster` does, and adds them. "
        "Exit code 1: no daemon answers; with --cluster: a node's daemon does not answer, so a part is missing.",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json",
        action="store_true",
        help="print what the daemon answers, as it is; with --cluster one object with each node and the sums",
    )
    form.add_argument(
        "--format",
        choices=["jaeger"],
        help="print what Jaeger's /api/dependencies would: calls of yesterday and today between services that spans name",
    )
    form.add_argument(
        "--write-elasticsearch",
        metavar="URL",
        help="instead of showing it, merge each day's calls between services into the document that Jaeger's dependency page reads "
        "(Elasticsearch 7 or newer, OpenSearch). Who you are: ES_USERNAME and ES_PASSWORD; ES_TLS_CA: a file of certificates to trust",
    )
    parser.add_argument(
        "--index-prefix",
        metavar="PREFIX",
        help="Jaeger's es.index-prefix; without it ES_INDEX_PREFIX, else none",
    )
    add_options(parser, "add up the graphs of every node")


def main(args: argparse.Namespace) -> int:
    """Show or write it and return the exit code."""
    if wrong := misused(args) or graph_write.misused(args):
        return _fail(wrong, _USAGE)
    try:
        to = graph_write.destination(args, os.environ)
    except PlaceError as error:
        return _fail(str(error), _USAGE)
    return cluster_graph.main(args, to) if args.cluster else _own_node(args, to)


def _own_node(args: argparse.Namespace, to: Destination | None) -> int:
    try:
        document = ask(where(os.environ), "/graph")
    except SettingsError as error:
        print(error, file=sys.stderr)
        return _USAGE
    except NoDaemonError as error:
        return _fail(str(error))
    if args.json:
        print(json.dumps(document, indent=2))
        return 0
    graph = graph_of(document)
    if graph is None:
        return _fail("the daemon's graph is of another kind; is it another version?")
    nodes = Nodes([NodeAnswer("", "", graph)])
    if to is not None:
        return graph_write.write(nodes, to)
    if args.format:
        print(as_jaeger(nodes))
    else:
        print("\n".join(table(nodes, style_for(sys.stdout, os.environ))))
    return 0


def _fail(sentence: str, code: int = _FAILED) -> int:
    print(f"netra-node: {sentence}", file=sys.stderr)
    return code
