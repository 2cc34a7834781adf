"""What the cluster's commands have in common: find the DaemonSet, run one command in each of its pods, end with the right code.

Belongs here: the order of questions, what is told on stderr meanwhile. Does not belong here: the API (`cluster_api`), threads
(`cluster_ask`), what is made of the answers (`cluster_status`, `cluster_doctor`).
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from netra_node.cli.cluster_ask import Answer, ask_all, read
from netra_node.cli.cluster_daemons import Daemon, daemons, missing, selector
from netra_node.cli.cluster_options import LABELS, NAMESPACE
from netra_node.cli.cluster_terms import ClusterError, ConfigurationError
from netra_node.cli.status_report import printable

if TYPE_CHECKING:
    from netra_node.cli.cluster_api import Cluster

_FAILED, _USAGE = 1, 2
_INTERRUPTED: Final = 130  # what a shell expects after SIGINT


@dataclass(frozen=True, slots=True)
class Found:
    """The DaemonSets with our label, as a rule one, and their pods."""

    daemon_sets: Sequence[dict[str, Any]]
    daemons: Sequence[Daemon]
    #: Nodes that should have a pod and have none.
    missing: int


def guarded(args: argparse.Namespace, look: Callable[["Cluster", str], int]) -> int:
    """Do `look` with the cluster and the namespace that the flags mean, and return the exit code."""
    tell("asking the cluster")
    api = importlib.import_module("netra_node.cli.cluster_api")
    try:
        cluster = cast("Cluster", api.connect(args.kubeconfig, args.context, os.environ))
        return look(cluster, args.namespace or NAMESPACE)
    except ConfigurationError as error:
        return _fail(error, _USAGE)
    except ClusterError as error:
        return _fail(error, _FAILED)
    except KeyboardInterrupt:
        return _INTERRUPTED


def find(cluster: "Cluster", namespace: str) -> Found:
    """Return what the cluster has of us; nothing is no error here."""
    sets = cluster.daemon_sets(namespace, LABELS)
    pods = [(one, daemons(one, cluster.pods(namespace, selector(one)))) for one in sets]
    absent = sum(missing(one, of_it) for one, of_it in pods)
    return Found(sets, [daemon for _, of_it in pods for daemon in of_it], absent)


def where(cluster: "Cluster", namespace: str) -> dict[str, Any]:
    """Return how each command's JSON begins: where it looked."""
    return {"server": cluster.server, "context": cluster.context, "namespace": namespace}


def no_daemon_set(cluster: "Cluster", namespace: str) -> str:
    """Return the sentence for a cluster that has nothing of us where we look."""
    return (
        f"no DaemonSet with the label {LABELS} in namespace {namespace} of {cluster.name}; "
        "`kubectl apply -f deploy/daemonset.yaml` makes one, --namespace and --context look elsewhere"
    )


def ask_each(
    cluster: "Cluster", found: Sequence[Daemon], command: Sequence[str], patience: float
) -> list[Answer]:
    """Run `netra-node COMMAND --json` in each daemon's container."""
    argv = ["netra-node", *command, "--json"]

    def ask(daemon: Daemon) -> Answer:
        try:
            said = cluster.run(daemon.namespace, daemon.pod, daemon.container, argv)
        except ClusterError as error:
            return Answer(daemon, None, str(error))
        return read(daemon, said)

    return ask_all(found, ask, patience, tell)


def tell(words: str) -> None:
    """Say what takes so long, where it disturbs no output."""
    print(f"{words} …", file=sys.stderr, flush=True)


def _fail(error: Exception, code: int) -> int:
    print(f"netra-node: {printable(str(error))}", file=sys.stderr)
    return code
