"""What a pod's service is called. Belongs here: the order of evidence of `design.md` §4, and templates.

Does not belong here: how a pod is read (`pod`), what else telemetry says of it (`enrolment`).
"""

import re
import string
from collections.abc import Collection
from dataclasses import dataclass
from typing import NoReturn

from netra_node.discovery.pod import Pod

#: What a template may name.
FIELDS = ("namespace", "pod", "service", "workload")
#: An annotation may be of any length; a metric label and every span carry this.
MAX_NAME = 255

_ANNOTATIONS = ("netra.io/service-name", "resource.opentelemetry.io/service.name")
#: The alphabet of Kubernetes' generated names (apimachinery, util/rand): no vowels, nothing that looks alike.
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
#: ReplicaSets and scheduled Jobs are named after their owner, which the kubelet does not tell.
_TEMPLATE_HASH = re.compile(rf"-{_SAFE}{{6,10}}")
#: The CronJob controller appends the scheduled minute since 1970, before Kubernetes 1.21 the second; 20261120 is a date.
_SCHEDULED = re.compile(r"-(?:(?:2[5-9]|3[0-9])[0-9]{6}|1[0-9]{9})")


@dataclass(frozen=True, slots=True)
class ServiceTemplate:
    """A name with `{fields}`, checked by `parse_template`."""

    text: str

    @property
    def is_constant(self) -> bool:
        """Tell whether every pod gets the same name."""
        return all(name is None for _, name, _, _ in string.Formatter().parse(self.text))

    def fill(self, fields: dict[str, str]) -> str:
        """Return the name; `fields` has every one of FIELDS."""
        return self.text.format_map(fields)


def parse_template(text: str) -> ServiceTemplate:
    """Read a template such as `{namespace}.{workload}`. Raises ValueError naming what is wrong."""
    check_fields(text, FIELDS)
    if len(text) > MAX_NAME or not text.isprintable():
        _refuse("holds control characters or is too long")
    return ServiceTemplate(text)


def check_fields(text: str, known: Collection[str]) -> None:
    """Raise ValueError naming a field that a template has and that is none of the `known`, or braces that make none."""
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        _refuse(f"has unbalanced braces ({error})")
    for _, name, spec, conversion in parsed:
        if name is not None and (name not in known or spec or conversion):
            _refuse(f"has the unknown field {{{name}}}")


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)


@dataclass(frozen=True, slots=True)
class Owner:
    """The workload a person deployed: its `kind` and `name`, generated suffixes removed."""

    kind: str
    name: str


def workload_of(pod: Pod) -> Owner | None:
    """Work out which workload `pod` belongs to; None for a pod of its own (a static one is owned by its Node)."""
    if pod.owner is None or pod.owner.kind == "Node":
        return None
    kind, name = pod.owner.kind, pod.owner.name
    if kind == "ReplicaSet":
        return _deployment_of(name, pod.labels.get("pod-template-hash"))
    if kind == "Job" and (scheduled := _without(_SCHEDULED, name)):
        return Owner("CronJob", scheduled)
    return Owner(kind, name)


def _deployment_of(replica_set: str, template_hash: str | None) -> Owner:
    """Remove the hash, which the label repeats; a ReplicaSet that has no such label was made by hand, unless it looks it."""
    if template_hash and replica_set.endswith(f"-{template_hash}"):
        return Owner("Deployment", replica_set[: -len(template_hash) - 1])
    deployment = None if template_hash else _without(_TEMPLATE_HASH, replica_set)
    return Owner("Deployment", deployment) if deployment else Owner("ReplicaSet", replica_set)


def _without(suffix: re.Pattern[str], name: str) -> str | None:
    """Return `name` without its last part when that is wholly a `suffix`."""
    base, dash, last = name.rpartition("-")
    return base if base and suffix.fullmatch(dash + last) else None


def service_name(pod: Pod, labels: tuple[str, ...], template: ServiceTemplate | None) -> str:
    """Name the service of `pod`; `labels` are the keys to look at, in that order. A template, when set, has the last word."""
    workload = workload_of(pod)
    service = _evident_name(pod, labels) or (workload.name if workload else pod.name)
    if template is None:
        return service
    fields = {
        "namespace": pod.namespace,
        "pod": pod.name,
        "service": service,
        "workload": workload.name if workload else pod.name,
    }
    return template.fill(fields)[:MAX_NAME]


def _evident_name(pod: Pod, labels: tuple[str, ...]) -> str | None:
    """Return the first name somebody wrote down for this purpose."""
    written = [pod.annotations.get(key, "") for key in _ANNOTATIONS]
    written += [pod.labels.get(key, "") for key in labels]
    return next((name for name in map(str.strip, written) if is_name(name)), None)


def is_name(text: str) -> bool:
    """Tell whether `text` may be a service name: something, printable, and not too long for a label."""
    return 0 < len(text) <= MAX_NAME and text.isprintable()
