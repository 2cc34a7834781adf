"""Whether a pod is to be captured, how, and under which name. Belongs here: the rules of `design.md` §4 and the annotations.

Does not belong here: how a pod is read (`pod`), where it came from (`file_source`), doing it (`manager`). Pure.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from netra_node.core import networks, ports, ratio
from netra_node.core.addresses import PodUid
from netra_node.core.desired import DesiredPod, InboundMode, PodOptions, RefusedPod
from netra_node.core.identity import PodIdentity
from netra_node.discovery.pod import Container, Pod
from netra_node.discovery.service_name import (
    MAX_NAME,
    Owner,
    ServiceTemplate,
    is_name,
    service_name,
    workload_of,
)

PREFIX = "netra.io/"
#: Only the file source takes it over into `Pod.netns`: from the kubelet a pod could name somebody else's namespace.
NETNS = f"{PREFIX}netns"

#: The node's settings of the same kind, which an annotation overrides.
_HTTP_PORTS = f"{PREFIX}http-ports"
_INBOUND_PORTS = f"{PREFIX}inbound-ports"
_OUTBOUND_PORTS = f"{PREFIX}outbound-ports"
_INBOUND_PROBABILITY = f"{PREFIX}inbound-probability"
_OUTBOUND_PROBABILITY = f"{PREFIX}outbound-probability"
_INBOUND_MODE = f"{PREFIX}inbound-mode"
#: What is taken away from it, whoever decided it.
_EXCLUDE_INBOUND_PORTS = f"{PREFIX}exclude-inbound-ports"
_EXCLUDE_OUTBOUND_PORTS = f"{PREFIX}exclude-outbound-ports"
_EXCLUDE_OUTBOUND_CIDRS = f"{PREFIX}exclude-outbound-cidrs"
_SERVICE_NAME = f"{PREFIX}service-name"
_NETNS_DIRECTORY = "/run/netns"
_NETNS_TAKES = "an absolute path or a name under /run/netns"
_NO_PORTS = ports.PortSet(())
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,254}")
#: Containers that already capture the pod's connections; two captures would see each other as the application.
_MESHES = {
    "consul-dataplane": "Consul",
    "istio-proxy": "Istio",
    "linkerd-proxy": "Linkerd",
    # without its sidecar its rules lead nowhere
    "netra-init": "netramesh",
    "netra-sidecar": "netramesh",
}
_ATTRIBUTE_OF_KIND = {
    "CronJob": "k8s.cronjob.name",
    "DaemonSet": "k8s.daemonset.name",
    "Deployment": "k8s.deployment.name",
    "Job": "k8s.job.name",
    "ReplicaSet": "k8s.replicaset.name",
    "StatefulSet": "k8s.statefulset.name",
}


@dataclass(frozen=True, slots=True)
class EnrolmentPolicy:
    """What the operator decided for all pods of the node."""

    opt_in: tuple[str, str] = (f"{PREFIX}enabled", "true")
    service_labels: tuple[str, ...] = ("app.kubernetes.io/name", "app")
    service_template: ServiceTemplate | None = None
    #: This node's name, where the pod does not say it.
    node_name: str = ""
    #: The daemon's own pod.
    own_uid: str = ""
    #: Resource attributes of all pods; what is known of a pod wins.
    resource: tuple[tuple[str, str], ...] = ()
    #: How a pod is captured that says nothing about it.
    options: PodOptions = field(default_factory=PodOptions)


@dataclass(frozen=True, slots=True)
class _Annotation:
    """What one annotation takes; `read` raises ValueError."""

    read: Callable[[str], Any]
    takes: str


def _read_name(text: str) -> str:
    if not is_name(text.strip()):
        message = "not a name"
        raise ValueError(message)
    return text.strip()


def _read_netns(text: str) -> str:
    """Return the path of a namespace that is named or given as a path."""
    if _FILE_NAME.fullmatch(text):
        return f"{_NETNS_DIRECTORY}/{text}"
    if not text.startswith("/") or not text.isprintable():
        message = "neither"
        raise ValueError(message)
    return text


def _read_mode(text: str) -> InboundMode:
    try:
        return InboundMode(text.strip().lower())
    except ValueError:
        message = "no such mode"
        raise ValueError(message) from None


_PORTS = _Annotation(ports.parse, ports.FORMAT)
_PORTS_OR_ALL = _Annotation(ports.parse_or_all, ports.FORMAT_OR_ALL)
_PROBABILITY = _Annotation(ratio.parse, ratio.FORMAT)
#: Every annotation there is; what a source or `service_name` reads is here to be checked.
_ANNOTATIONS = {
    _HTTP_PORTS: _PORTS,
    _INBOUND_PORTS: _PORTS_OR_ALL,
    _OUTBOUND_PORTS: _PORTS_OR_ALL,
    _EXCLUDE_INBOUND_PORTS: _PORTS_OR_ALL,
    _EXCLUDE_OUTBOUND_PORTS: _PORTS_OR_ALL,
    _EXCLUDE_OUTBOUND_CIDRS: _Annotation(networks.parse, networks.FORMAT),
    _INBOUND_PROBABILITY: _PROBABILITY,
    _OUTBOUND_PROBABILITY: _PROBABILITY,
    _INBOUND_MODE: _Annotation(_read_mode, " or ".join(mode.value for mode in InboundMode)),
    _SERVICE_NAME: _Annotation(_read_name, f"a printable name of 1 to {MAX_NAME} characters"),
}
_KNOWN = (*_ANNOTATIONS, NETNS)


#: Where the annotations that stand for themselves go.
_OPTIONS = {
    _HTTP_PORTS: "http_ports",
    _INBOUND_PORTS: "inbound_ports",
    _OUTBOUND_PORTS: "outbound_ports",
    _EXCLUDE_OUTBOUND_CIDRS: "outbound_skip",
    _INBOUND_PROBABILITY: "inbound_probability",
    _OUTBOUND_PROBABILITY: "outbound_probability",
    _INBOUND_MODE: "inbound_mode",
}


class _RefusalError(Exception):
    """Why a pod that opted in is not captured; the message is for a person."""

    keeps = False
    waits = False


class _AwaitedError(_RefusalError):
    """Nothing is wrong with the pod: what it lacks will come."""

    waits = True


class _AnnotationError(_RefusalError):
    """Only an annotation is wrong: that a captured pod changes for the worse is no reason to let it go."""

    keeps = True


def decide(pod: Pod, policy: EnrolmentPolicy) -> DesiredPod | RefusedPod | None:
    """Return how `pod` shall be captured, or why not although it opted in; None: it did not, or it has ended."""
    if not _wants_to(pod, policy):
        return None
    try:
        _check_place(pod, policy)
        options = _options(pod, policy)
        netns = _netns(pod)
    except _RefusalError as refusal:
        return RefusedPod(
            pod.uid, pod.namespace, pod.name, str(refusal), refusal.keeps, refusal.waits
        )
    return DesiredPod(_identity(pod, policy), netns, pod.addresses, options)


def may_be_captured(pod: Pod, policy: EnrolmentPolicy) -> bool:
    """Tell whether it is worth a look where the pod's namespace is: it opted in, has not ended, and has one of its own."""
    return _wants_to(pod, policy) and not pod.host_network


def _wants_to(pod: Pod, policy: EnrolmentPolicy) -> bool:
    key, value = policy.opt_in
    return pod.labels.get(key) == value and pod.phase not in {"Succeeded", "Failed"}


class Decisions:
    """Decides about one list after another: what has not changed is not decided again, which takes 25 µs for each pod."""

    __slots__ = ("_decided", "_policy")

    def __init__(self, policy: EnrolmentPolicy) -> None:
        """Begin without a list."""
        self._policy = policy
        self._decided: dict[str, tuple[Pod | RefusedPod, DesiredPod | RefusedPod | None]] = {}

    def about(self, entries: Iterable[Pod | RefusedPod]) -> tuple[DesiredPod | RefusedPod, ...]:
        """Decide about the pods of a list; what its source could not read stays refused."""
        self._decided = {entry.uid: (entry, self.of(entry)) for entry in entries}
        return tuple(decision for _, decision in self._decided.values() if decision is not None)

    def of(self, entry: Pod | RefusedPod) -> DesiredPod | RefusedPod | None:
        """Decide about one of them, before the others are there."""
        known = self._decided.get(entry.uid)
        if known is None or known[0] is not entry:
            known = self._decided[entry.uid] = entry, self._decide(entry)
        return known[1]

    def _decide(self, entry: Pod | RefusedPod) -> DesiredPod | RefusedPod | None:
        return entry if isinstance(entry, RefusedPod) else decide(entry, self._policy)


def decide_all(
    entries: Iterable[Pod | RefusedPod], policy: EnrolmentPolicy
) -> tuple[DesiredPod | RefusedPod, ...]:
    """Decide about what a source delivered, once."""
    return Decisions(policy).about(entries)


def netns_path(pod: Pod) -> str | None:
    """Return where the pod's source says its network namespace is, whether it opted in or not; None where it does not say."""
    try:
        return _netns(pod)
    except _RefusalError:
        return None


def unknown_annotations(pod: Pod) -> tuple[str, ...]:
    """Return a sentence for each annotation with our prefix that nothing reads, with the nearest that is read."""
    sentences = []
    for key in sorted(pod.annotations):
        if key.startswith(PREFIX) and key not in _KNOWN:
            near = get_close_matches(key, _KNOWN, n=1, cutoff=0.8)
            hint = f"; did you mean {near[0]}?" if near else ""
            sentences.append(f"annotation {key} is not known{hint}")
    return tuple(sentences)


def _check_place(pod: Pod, policy: EnrolmentPolicy) -> None:
    """Refuse a pod whose connections are not ours to capture, whatever it asks for."""
    if policy.own_uid and pod.uid == policy.own_uid:
        _refuse("this is the daemon's own pod")
    if pod.host_network:
        _refuse("it uses the host's network (hostNetwork), where no pod can be told from another")
    if pod.phase not in {"Running", "Pending"}:
        _refuse(f"its phase is {pod.phase!r}")
    for container in (*pod.containers, *pod.init_containers):
        if mesh := _mesh_of(container):
            _refuse(f"container {container.name} already captures it for {mesh}")


def _refuse(why: str) -> None:
    raise _RefusalError(why)


def _mesh_of(container: Container) -> str | None:
    """Name the mesh a container belongs to, by its name or, as netramesh leaves the name to everybody, its image."""
    image = container.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return _MESHES.get(container.name) or _MESHES.get(image)


def _options(pod: Pod, policy: EnrolmentPolicy) -> PodOptions:
    read = {
        key: _read(key, pod.annotations[key], annotation)
        for key, annotation in _ANNOTATIONS.items()
        if key in pod.annotations
    }
    named = {_OPTIONS[key]: value for key, value in read.items() if key in _OPTIONS}
    options = replace(policy.options, **named)
    return replace(
        options,
        inbound_ports=options.inbound_ports.without(read.get(_EXCLUDE_INBOUND_PORTS, _NO_PORTS)),
        outbound_ports=options.outbound_ports.without(read.get(_EXCLUDE_OUTBOUND_PORTS, _NO_PORTS)),
    )


def _read(key: str, text: str, annotation: _Annotation) -> Any:
    """Read one annotation, or refuse the pod by a sentence that names it, its value and what it takes."""
    try:
        return annotation.read(text)
    except ValueError as error:
        message = f"annotation {key}={text[:120]!r}: {error}; it takes {annotation.takes}"
        raise _AnnotationError(message) from None


def _netns(pod: Pod) -> str:
    if pod.netns is None and pod.awaited:
        raise _AwaitedError(pod.awaited)
    if pod.netns is None:
        message = f"its network namespace is not known; annotation {NETNS} takes {_NETNS_TAKES}"
        raise _RefusalError(message)
    return str(_read(NETNS, pod.netns, _Annotation(_read_netns, _NETNS_TAKES)))


def _identity(pod: Pod, policy: EnrolmentPolicy) -> PodIdentity:
    known = {key: value for key, value in _attributes(pod, policy) if value}
    return PodIdentity(
        uid=PodUid(pod.uid),
        namespace=pod.namespace,
        name=pod.name,
        service=service_name(pod, policy.service_labels, policy.service_template),
        attributes=tuple({**dict(policy.resource), **known}.items()),
    )


def _attributes(pod: Pod, policy: EnrolmentPolicy) -> Iterable[tuple[str, str]]:
    """Yield resource attributes by OpenTelemetry's conventions for services and Kubernetes; empty: not known."""
    yield "service.namespace", pod.namespace
    yield "service.version", pod.labels.get("app.kubernetes.io/version", "")
    yield "service.instance.id", pod.uid
    yield "k8s.namespace.name", pod.namespace
    yield "k8s.pod.name", pod.name
    yield "k8s.pod.uid", pod.uid
    yield "k8s.node.name", pod.node or policy.node_name
    yield "k8s.container.name", pod.containers[0].name if len(pod.containers) == 1 else ""
    workload = workload_of(pod)
    if workload is not None and pod.owner is not None:
        # The owner first: a Deployment's ReplicaSet and a CronJob's Job are worth knowing too.
        for owner in (Owner(pod.owner.kind, pod.owner.name), workload):
            if owner.kind in _ATTRIBUTE_OF_KIND:
                yield _ATTRIBUTE_OF_KIND[owner.kind], owner.name
