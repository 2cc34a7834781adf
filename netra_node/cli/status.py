"""`netra-node status`: what the running daemon says of itself. Belongs here: asking and the exit code, no layout."""

import argparse
import json
import os
import sys
from typing import Any

from netra_node.cli import cluster_status
from netra_node.cli.cluster_options import add_options, misused
from netra_node.cli.daemon_client import NoDaemonError, ask, where
from netra_node.cli.status_report import render_status
from netra_node.cli.style import style_for
from netra_node.settings.model import SettingsError

_FAILED, _USAGE = 1, 2


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "status",
        help="show which pods are captured, which are not, and why",
        description="Asks the daemon that runs on this node, on NETRA_PPROF_ADDRESS and NETRA_PPROF_PORT (127.0.0.1 and 14957), "
        "which pods it has captured, which are pending or refused and why, and what it dropped. "
        "Exit code 1: no daemon answers there. With --cluster it asks every node's, by running this command in each pod of "
        "the DaemonSet: that takes the rights to list DaemonSets and pods and to exec into pods in its namespace, and opens nothing. "
        "Exit code 1: a node's daemon does not answer, or there is none.",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print what the daemon answers, as it is; with --cluster one object with the answers of all nodes",
    )
    add_options(
        parser,
        "show every node: version, pods captured, pending and refused and why, lease, connections",
    )


def main(args: argparse.Namespace) -> int:
    """Show it and return the exit code."""
    if wrong := misused(args):
        print(f"netra-node: {wrong}", file=sys.stderr)
        return _USAGE
    return cluster_status.main(args) if args.cluster else _own_node(args)


def _own_node(args: argparse.Namespace) -> int:
    try:
        status = ask(where(os.environ), "/status")
    except SettingsError as error:
        print(error, file=sys.stderr)
        return _USAGE
    except NoDaemonError as error:
        print(f"netra-node: {error}", file=sys.stderr)
        return _FAILED
    if args.json:
        print(json.dumps(status, indent=2))
    else:
        print("\n".join(render_status(status, style_for(sys.stdout, os.environ))))
    return 0
