"""`netra-node doctor --cluster`: whether pods can be captured on every node of a cluster, and how to mend what stands in the way.

Belongs here: finding the facts and their order. Does not belong here: judging (`cluster_checks`), layout (`doctor_report`).
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from netra_node.cli import cluster_checks as checks
from netra_node.cli import cluster_view as view
from netra_node.cli.cluster_ask import Answer
from netra_node.cli.cluster_checks import NodeFacts
from netra_node.cli.cluster_terms import ClusterError, Right
from netra_node.cli.doctor_checks import Check
from netra_node.cli.doctor_report import document, passed, render_checks
from netra_node.cli.status_report import printable
from netra_node.cli.style import style_for

if TYPE_CHECKING:
    from netra_node.cli.cluster_api import Cluster

_FAILED: Final = 1
#: A doctor gives its own trial of the kernel 30 s.
_PATIENCE: Final = 45.0


def main(args: argparse.Namespace) -> int:
    """Check everything and return the exit code."""
    return view.guarded(args, lambda cluster, namespace: _show(cluster, namespace, args))


def _show(cluster: "Cluster", namespace: str, args: argparse.Namespace) -> int:
    version = cluster.version()
    found = view.find(cluster, namespace)
    nodes, problem = _nodes(cluster)
    answers = view.ask_each(cluster, found.daemons, ["doctor"], _PATIENCE)
    judged = [
        checks.api_server(version, cluster.name),
        *_daemon_set(cluster, namespace, found),
        *_node_checks(nodes, problem, found),
        *_rights(cluster, namespace, found, nodes),
        *checks.own_words(answers),
    ]
    if args.json:
        print(json.dumps(_document(cluster, namespace, judged, nodes, answers), indent=2))
    else:
        shown = [_harmless(check) for check in judged]
        print("\n".join(render_checks(shown, style_for(sys.stdout, os.environ))))
    return 0 if passed(judged) else _FAILED


def _harmless(check: Check) -> Check:
    """Return it without what could steer a terminal: messages of a cluster may hold anything."""
    what, found, mend = map(printable, (check.what, check.found, check.mend))
    return Check(what, check.verdict, found, printable(check.why), mend)


def _nodes(cluster: "Cluster") -> tuple[list[NodeFacts], str]:
    """Return what is known of the nodes, or why nothing is: not every user may list them."""
    try:
        return [checks.node_facts(node) for node in cluster.nodes()], ""
    except ClusterError as refused:
        return [], str(refused)


def _daemon_set(cluster: "Cluster", namespace: str, found: view.Found) -> Iterator[Check]:
    if found.daemon_sets:
        yield checks.daemon_set(found.daemon_sets, found.daemons, found.missing)
    else:
        yield checks.no_daemon_set(view.no_daemon_set(cluster, namespace))


def _node_checks(nodes: Sequence[NodeFacts], problem: str, found: view.Found) -> Iterator[Check]:
    if problem:
        yield checks.unknown("nodes", problem)
        return
    if found.daemon_sets:
        yield checks.coverage(nodes, found.daemons)
    yield checks.kernels(nodes)
    yield checks.kubelets(nodes)
    yield checks.runtimes(nodes)


def _rights(
    cluster: "Cluster", namespace: str, found: view.Found, nodes: Sequence[NodeFacts]
) -> Iterator[Check]:
    pods, proxy = (Right("get", "nodes", of) for of in ("pods", "proxy"))
    for name in sorted({_account(one) for one in found.daemon_sets}):
        user = f"system:serviceaccount:{namespace}:{name}"
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        groups.append("system:authenticated")
        try:
            may = [cluster.may(user, groups, right) for right in (pods, proxy)]
            yield checks.account(user, pods=may[0], proxy=may[1], nodes=nodes)
        except ClusterError as refused:
            yield checks.account_unknown(user, str(refused))
    wanted = [Right(verb, "pods", "exec", namespace) for verb in ("get", "create")]
    lacking = [str(right) for right in wanted if not cluster.i_may(right)]
    yield checks.exec_rights(lacking, namespace)


def _account(daemon_set: dict[str, Any]) -> str:
    return str(daemon_set["spec"]["template"]["spec"].get("serviceAccountName") or "default")


def _document(
    cluster: "Cluster",
    namespace: str,
    judged: Sequence[Check],
    nodes: Sequence[NodeFacts],
    answers: Sequence[Answer],
) -> dict[str, Any]:
    return {
        **view.where(cluster, namespace),
        **document(judged),
        "nodes": [
            {
                "node": node.name,
                "kernel": node.kernel,
                "kubelet": node.kubelet,
                "runtime": node.runtime,
                "problem": node.problem or None,
            }
            for node in nodes
        ],
        "daemons": [
            {
                "node": answer.daemon.node,
                "pod": answer.daemon.pod,
                "problem": answer.problem or None,
                "doctor": answer.document,
            }
            for answer in answers
        ],
    }
