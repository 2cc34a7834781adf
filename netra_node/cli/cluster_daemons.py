"""The daemons of a cluster, as its API tells of them. Pure: documents of DaemonSets and their pods in, one `Daemon` for each pod out.

Belongs here: on which node it is, and why it cannot be asked. Does not belong here: asking it (`cluster_ask`), what it says.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_CONTAINER: Final = "netra-node"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Daemon:
    """One pod of a DaemonSet."""

    node: str
    namespace: str
    pod: str
    container: str
    #: Why it cannot be asked; empty: it can.
    problem: str


def selector(daemon_set: Document) -> str:
    """Return the label selector of its pods."""
    labels = daemon_set["spec"]["selector"].get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def daemons(daemon_set: Document, pods: Iterable[Document]) -> list[Daemon]:
    """Return those of the pods that are the DaemonSet's, in the order of their nodes; one that ends only where none follows it."""
    uid = daemon_set["metadata"]["uid"]
    own = [pod for pod in pods if uid in _owners(pod)]
    living = {_node(pod) for pod in own if not _ends(pod)}
    found = [_daemon(pod) for pod in own if not (_ends(pod) and _node(pod) in living)]
    return sorted(found, key=lambda daemon: (daemon.node, daemon.pod))


def missing(daemon_set: Document, found: Sequence[Daemon]) -> int:
    """Return how many nodes should have a pod of it and have none."""
    wanted = (daemon_set.get("status") or {}).get("desiredNumberScheduled") or 0
    return max(0, int(wanted) - len({daemon.node for daemon in found}))


def _owners(pod: Document) -> set[str]:
    return {owner["uid"] for owner in pod["metadata"].get("ownerReferences") or ()}


def _ends(pod: Document) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _daemon(pod: Document) -> Daemon:
    metadata = pod["metadata"]
    names = [container["name"] for container in pod["spec"]["containers"]]
    container = _CONTAINER if _CONTAINER in names else names[0]
    return Daemon(
        _node(pod), metadata["namespace"], metadata["name"], container, _problem(pod, container)
    )


def _node(pod: Document) -> str:
    """Return the node's name; of a pod that is not bound yet it is in the affinity the DaemonSet's controller gives it."""
    spec = pod["spec"]
    return str(spec.get("nodeName") or next(iter(_wanted_nodes(spec)), "?"))


def _wanted_nodes(spec: Document) -> Iterable[str]:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field.get("key") == "metadata.name":
                yield from field.get("values") or ()


def _problem(pod: Document, container: str) -> str:
    status = pod.get("status") or {}
    if _ends(pod):
        return f"its pod {pod['metadata']['name']} ends"
    for one in status.get("containerStatuses") or ():
        if one["name"] == container:
            return _container_problem(one.get("state") or {})
    return _pod_problem(status)


def _container_problem(state: Document) -> str:
    if "running" in state:
        return ""
    if ended := state.get("terminated"):
        return (
            f"its container ended with {ended.get('exitCode')} ({ended.get('reason', 'no reason')})"
        )
    waiting = state.get("waiting") or {}
    told = ": ".join(filter(None, (waiting.get("reason"), waiting.get("message"))))
    return f"its container waits: {told or 'no reason is told'}"


def _pod_problem(status: Document) -> str:
    """Say why a pod has no containers yet."""
    if told := status.get("message") or status.get("reason"):
        return f"its pod is {status.get('phase')}: {told}"
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"its pod is not scheduled: {condition.get('message', 'no reason is told')}"
    return f"its pod is {status.get('phase', 'new')}: no container of it has been made"
