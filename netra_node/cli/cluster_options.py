"""Flags of the commands that look at a whole cluster. Belongs here: names and meanings as kubectl's users know them, no kubectl."""

import argparse
from typing import Any, Final

#: As in deploy/daemonset.yaml.
NAMESPACE: Final = "netra-system"
LABELS: Final = "app.kubernetes.io/name=netra-node"


def add_options(parser: Any, cluster: str) -> None:
    """Describe them; `cluster` says what the command does there."""
    group = parser.add_argument_group("the whole cluster")
    group.add_argument("--cluster", action="store_true", help=cluster)
    group.add_argument(
        "--kubeconfig",
        metavar="FILE",
        help="where the cluster is and who you are; without it KUBECONFIG, then ~/.kube/config, then the pod this runs in",
    )
    group.add_argument(
        "--context",
        metavar="NAME",
        help="the kubeconfig's context to use instead of its current one",
    )
    group.add_argument(
        "-n",
        "--namespace",
        metavar="NAME",
        help=f"where the DaemonSet with the label {LABELS} is; {NAMESPACE} if not given, as in deploy/daemonset.yaml",
    )


def misused(args: argparse.Namespace) -> str:
    """Return what is wrong with the flags as they stand together; empty: nothing."""
    given = [name for name in ("kubeconfig", "context", "namespace") if getattr(args, name)]
    if given and not args.cluster:
        return f"--{given[0]} says which cluster is meant: use it together with --cluster"
    return ""
