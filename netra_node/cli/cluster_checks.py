"""What the doctor found of a cluster, judged. Pure: facts in, one `Check` for each topic out, whatever the number of nodes.

Belongs here: the judgement and its words. Does not belong here: finding facts (`cluster_doctor`), what one node says of itself
(`doctor_checks`, in the daemon's container), layout (`doctor_report`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from netra_node.cli.cluster_ask import Answer
from netra_node.cli.cluster_daemons import Daemon
from netra_node.cli.doctor_checks import Check, Verdict
from netra_node.cli.doctor_checks import kernel as one_kernel

#: KEP-2862: from here on a kubelet asks for nodes/pods, and for nodes/proxy only where that is refused.
_FINE_GRAINED: Final = (1, 33)
_VERSION: Final = re.compile(r"v?([0-9]+)\.([0-9]+)")
#: They name namespaces under /run/netns and run CNI plugins by libcni, which notes results.
_KNOWN_RUNTIMES: Final = ("containerd", "cri-o")
_NAMES: Final = 5
_CAPTURED: Final = "pods of a node are captured by the daemon there, and only by that one"
_OWN_WHY: Final = "each daemon's container was asked what its node allows"
_SEVERITY: Final = (Verdict.FAILED, Verdict.WARNING)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the API server knows of a node."""

    name: str
    linux: bool
    kernel: str
    kubelet: str
    runtime: str
    #: Why it is not ready; empty: it is.
    problem: str


def node_facts(node: Mapping[str, Any]) -> NodeFacts:
    """Take them from a Node object."""
    status = node.get("status") or {}
    info = status.get("nodeInfo") or {}
    return NodeFacts(
        node["metadata"]["name"],
        info.get("operatingSystem", "linux") == "linux",
        info.get("kernelVersion", "unknown"),
        info.get("kubeletVersion", "unknown"),
        info.get("containerRuntimeVersion", "unknown"),
        _not_ready(status),
    )


def _not_ready(status: Mapping[str, Any]) -> str:
    ready = [one for one in status.get("conditions") or () if one["type"] == "Ready"]
    if ready and ready[0]["status"] == "True":
        return ""
    return str(ready[0].get("message") or "it says no reason") if ready else "it never reported"


def api_server(version: str, name: str) -> Check:
    """Name the cluster that was asked."""
    return Check("API server", Verdict.OK, f"{version}, {name}", "it knows the nodes and our pods")


def no_daemon_set(found: str) -> Check:
    """Judge a cluster that has nothing of us."""
    mend = "kubectl apply -f deploy/daemonset.yaml"
    return Check("DaemonSet", Verdict.FAILED, found, _CAPTURED, mend)


def daemon_set(sets: Sequence[Mapping[str, Any]], daemons: Sequence[Daemon], missing: int) -> Check:
    """Judge whether its pods run wherever it wants one."""
    broken = [(daemon.problem, daemon.node) for daemon in daemons if daemon.problem]
    absent = [f"{missing} node{'s' * (missing != 1)} without a pod"] if missing else []
    if broken or absent:
        found = "; ".join([*_grouped(broken), *absent])
        return Check("DaemonSet", Verdict.FAILED, found, _CAPTURED, _tried(sets))
    if not daemons and any(map(_is_unread, sets)):
        # Kubernetes counts what it wants only after it could make it.
        found = "no pod of it could be made so far"
        return Check("DaemonSet", Verdict.FAILED, found, _CAPTURED, _tried(sets))
    if not daemons:
        mend = "its nodeSelector fits no node: mend it"
        return Check("DaemonSet", Verdict.FAILED, "it wants no pod", _CAPTURED, mend)
    count = f"{len(daemons)} node{'s' * (len(daemons) != 1)}"
    if underway := [words for one in sets for words in _underway(one)]:
        mend = f"wait: `kubectl {_namespace(sets)} rollout status daemonset` tells how far it is"
        return Check("DaemonSet", Verdict.WARNING, "; ".join(underway), _CAPTURED, mend)
    return Check("DaemonSet", Verdict.OK, f"its pods are ready on {count}", _CAPTURED)


def _namespace(sets: Sequence[Mapping[str, Any]]) -> str:
    return f"--namespace {sets[0]['metadata']['namespace']}"


def _tried(sets: Sequence[Mapping[str, Any]]) -> str:
    return f"`kubectl {_namespace(sets)} describe daemonset,pods` tells what Kubernetes tried"


def _is_unread(one: Mapping[str, Any]) -> bool:
    observed = (one.get("status") or {}).get("observedGeneration") or 0
    return bool(observed < (one["metadata"].get("generation") or 0))


def _underway(one: Mapping[str, Any]) -> Iterator[str]:
    """Say in which way a rollout is not at its end."""
    status = one.get("status") or {}
    wanted = status.get("desiredNumberScheduled") or 0
    if _is_unread(one):
        yield "its last change has not been taken up yet"
    if (updated := status.get("updatedNumberScheduled") or 0) < wanted:
        yield f"{updated} of {wanted} pods are of its last change"
    if (ready := status.get("numberReady") or 0) < wanted:
        yield f"{ready} of {wanted} pods are ready"


def coverage(nodes: Sequence[NodeFacts], daemons: Sequence[Daemon]) -> Check:
    """Judge whether every Linux node has a daemon."""
    linux = {node.name for node in nodes if node.linux}
    without = sorted(linux - {daemon.node for daemon in daemons})
    if without:
        mend = "widen the DaemonSet's nodeSelector and tolerations, if pods there shall be captured"
        found = f"no daemon on {_some(without)}"
        return Check("nodes", Verdict.WARNING, found, _CAPTURED, mend)
    count = f"{len(linux)} Linux node{'s' * (len(linux) != 1)}"
    return Check("nodes", Verdict.OK, f"{count}, a daemon on each", _CAPTURED)


def kernels(nodes: Sequence[NodeFacts]) -> Check:
    """Judge the kernels of the Linux nodes."""
    linux = [node for node in nodes if node.linux]
    old = [one_kernel(node.kernel) for node in linux]
    bad = [check for check in old if check.verdict is not Verdict.OK]
    found = "; ".join(_grouped((f"Linux {node.kernel}", node.name) for node in linux))
    if bad:
        return Check("kernel", Verdict.WARNING, found, bad[0].why, bad[0].mend)
    return Check("kernel", Verdict.OK, found, one_kernel("").why)


def kubelets(nodes: Sequence[NodeFacts]) -> Check:
    """Judge the kubelets: they list the pods, and have to be there."""
    why = "the daemon learns from its node's kubelet which pods are there"
    away = [(node.problem, node.name) for node in nodes if node.problem]
    if away:
        mend = "`kubectl describe node NODE` tells more; what is captured there stays so"
        found = f"not ready: {'; '.join(_grouped(away))}"
        return Check("kubelet", Verdict.WARNING, found, why, mend)
    found = "; ".join(_grouped((node.kubelet, node.name) for node in nodes))
    return Check("kubelet", Verdict.OK, found, why)


def runtimes(nodes: Sequence[NodeFacts]) -> Check:
    """Judge the container runtimes of the Linux nodes."""
    why = "which network namespace is a pod's is learnt from what the runtime leaves on the node"
    linux = [node for node in nodes if node.linux]
    found = "; ".join(_grouped((node.runtime, node.name) for node in linux))
    if all(node.runtime.startswith(_KNOWN_RUNTIMES) for node in linux):
        return Check("runtime", Verdict.OK, found, why)
    mend = "only containerd and CRI-O are known to work: see with `netra-node status --cluster` whether pods stay pending"
    return Check("runtime", Verdict.WARNING, found, why, mend)


def account(user: str, *, pods: bool, proxy: bool, nodes: Sequence[NodeFacts]) -> Check:
    """Judge what the daemons' account may; `pods`: get nodes/pods, `proxy`: get nodes/proxy."""
    why = "with it the daemon reads its node's pod list from the kubelet, which asks the API server whether it may"
    old = sorted(node.name for node in nodes if _before(node.kubelet, _FINE_GRAINED))
    if old and not proxy:
        found = f"{user} may not get nodes/proxy, as kubelets before 1.33 demand: {_some(old)}"
        return Check(
            "account", Verdict.FAILED, found, why, _rule("netra-node-older-kubelets", "nodes/proxy")
        )
    if not pods and not proxy:
        found = f"{user} may not get nodes/pods"
        return Check("account", Verdict.FAILED, found, why, _rule("netra-node", "nodes/pods"))
    if not pods and not old:
        found = f"{user} may get nodes/proxy, all of the kubelet's API, but not nodes/pods"
        return Check("account", Verdict.WARNING, found, why, _rule("netra-node", "nodes/pods"))
    spare = "" if old or not proxy else "; and nodes/proxy, which no kubelet here needs"
    used = " and ".join(["nodes/pods"] * pods + ["nodes/proxy"] * bool(old))
    return Check("account", Verdict.OK, f"{user} may get {used}{spare}", why)


def _rule(role: str, resource: str) -> str:
    rule = f'{{apiGroups: [""], resources: [{resource}], verbs: [get]}}'
    return f"ClusterRole {role} and its binding in deploy/daemonset.yaml grant it: {rule}"


def account_unknown(user: str, problem: str) -> Check:
    """Tell that nobody could be asked what the account may."""
    why = "with it the daemon reads its node's pod list from the kubelet"
    mend = f"let somebody who may: `kubectl auth can-i get nodes --subresource=pods --as={user}`"
    return Check("account", Verdict.SKIPPED, problem, why, mend)


def exec_rights(lacking: Sequence[str], namespace: str) -> Check:
    """Judge the user's own rights, by which daemons are asked."""
    why = "daemons are asked by a command in their containers; API servers before 1.35 ask for get, later ones for create"
    if lacking:
        mend = f'a Role in {namespace} with {{apiGroups: [""], resources: [pods/exec], verbs: [get, create]}}'
        return Check("your rights", Verdict.WARNING, f"you lack {' and '.join(lacking)}", why, mend)
    return Check("your rights", Verdict.OK, "get and create pods/exec", why)


def unknown(what: str, problem: str) -> Check:
    """Tell that the API server does not say."""
    why = "the kernel, the kubelet and the runtime of each node are among what it says"
    return Check(what, Verdict.SKIPPED, problem, why)


def own_words(answers: Sequence[Answer]) -> list[Check]:
    """Judge what the daemons' own doctors found: one check for each topic with fault, and one for all that is well."""
    known = [answer for answer in answers if _passed(answer) is not None]
    # a pod that does not run is the DaemonSet's fault already
    silent = [
        (answer.problem or "what it says cannot be read", answer.daemon.node)
        for answer in answers
        if answer not in known and not answer.daemon.problem
    ]
    faults = [check for what in _topics(known) for check in _faults(what, known)]
    return [*_silent(silent), *(faults or _all_well(known))]


def _passed(answer: Answer) -> bool | None:
    """Return whether a doctor passed; None: this is not a doctor's word."""
    document = answer.document or {}
    checks = document.get("checks")
    members = {"what", "verdict", "found", "why", "mend"}
    if not isinstance(checks, list) or not all(
        isinstance(one, dict) and members <= one.keys() for one in checks
    ):
        return None
    return bool(document.get("passed"))


def _silent(silent: Sequence[tuple[str, str]]) -> Iterator[Check]:
    if silent:
        mend = "run `netra-node doctor` on the node, in the daemon's container"
        found = "; ".join(_grouped(silent))
        yield Check("daemons", Verdict.WARNING, found, _OWN_WHY, mend)


def _all_well(known: Sequence[Answer]) -> Iterator[Check]:
    if known:
        count = f"{len(known)} node{'s' * (len(known) != 1)}"
        yield Check("daemons", Verdict.OK, f"nothing to mend, says each of {count}", _OWN_WHY)


def _topics(known: Iterable[Answer]) -> list[str]:
    """Return what was looked at, each once, in the order of a doctor."""
    return list(dict.fromkeys(one["what"] for answer in known for one in _checks(answer)))


def _faults(what: str, known: Sequence[Answer]) -> Iterator[Check]:
    """Join what several nodes say of one topic."""
    said = [(one, answer.daemon.node) for answer in known for one in _checks(answer)]
    for verdict in _SEVERITY:
        at_fault = [
            (one, node)
            for one, node in said
            if (one["what"], one["verdict"]) == (what, verdict.value)
        ]
        if at_fault:
            found = "; ".join(_grouped((one["found"], node) for one, node in at_fault))
            first = at_fault[0][0]
            yield Check(f"daemons: {what}", verdict, found, first["why"], first["mend"])


def _checks(answer: Answer) -> Sequence[Mapping[str, str]]:
    return (answer.document or {}).get("checks") or ()


def _before(version: str, first: tuple[int, int]) -> bool:
    match = _VERSION.match(version)
    return match is not None and (int(match[1]), int(match[2])) < first


def _grouped(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Join the nodes of which the same is said."""
    groups: dict[str, list[str]] = {}
    for words, node in pairs:
        groups.setdefault(words, []).append(node)
    return [f"{words} ({_some(sorted(nodes))})" for words, nodes in groups.items()]


def _some(names: Sequence[str]) -> str:
    """Return some of the names, and how many more there are."""
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more} more" if more > 0 else "")
