"""A Kubernetes Pod as far as we care, read from its v1 form. Belongs here: shapes, defaults, complaints about a field.

Does not belong here: whether it is to be captured (`enrolment`), where the form came from (`file_source`).
Read is what a kubelet or a person writes, so whatever may be absent is; what is there and of the wrong type is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar
from uuid import UUID, uuid5

T = TypeVar("T")

#: Names of pods that have no uid hang from this one (RFC 9562 §5.5); any fixed one does.
_UID_ROOT = UUID("2f7a1f5e-50b0-5c0f-9d0a-6b1f3c0d7e11")


class PodError(ValueError):
    """A Pod that cannot be read; the message names the field."""


@dataclass(frozen=True, slots=True)
class OwnerReference:
    """The controller that made a pod, as the pod tells it."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Container:
    """One container; `image` as it was asked for."""

    name: str
    image: str


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod. `uid` is derived where the form has none; `phase` is Running where it has none."""

    uid: str
    namespace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    phase: str
    host_network: bool
    node: str
    containers: tuple[Container, ...]
    #: Meshes have their proxies among these, too: `restartPolicy: Always`, since Kubernetes 1.29.
    init_containers: tuple[Container, ...]
    addresses: tuple[str, ...]
    owner: OwnerReference | None
    #: A path, or a name under /run/netns, where the source of the form may say so; never taken from the form itself.
    netns: str | None = None
    #: Why its source has no namespace for it and expects one, in words; empty: it does not expect any.
    awaited: str = ""


def read_pod(form: object) -> Pod:
    """Read one v1 Pod out of decoded JSON or YAML. Raises PodError."""
    pod = _typed(form, dict, "Pod")
    metadata = _part(pod, "metadata", "")
    spec = _part(pod, "spec", "")
    status = _part(pod, "status", "")
    name = _field(metadata, "name", str, "metadata", "")
    if not name:
        _refuse("metadata.name is missing")
    namespace = _field(metadata, "namespace", str, "metadata", "") or "default"
    uid = _field(metadata, "uid", str, "metadata", "")
    return Pod(
        uid=uid or str(uuid5(_UID_ROOT, f"{namespace}/{name}")),
        namespace=namespace,
        name=name,
        labels=_texts(metadata, "labels"),
        annotations=_texts(metadata, "annotations"),
        phase=_field(status, "phase", str, "status", "") or "Running",
        host_network=_field(spec, "hostNetwork", bool, "spec", default=False),
        node=_field(spec, "nodeName", str, "spec", ""),
        containers=_containers(spec, "containers"),
        init_containers=_containers(spec, "initContainers"),
        addresses=_addresses(status),
        owner=_controller(metadata),
    )


def metadata_of(form: object) -> dict[str, Any]:
    """Return the metadata of what may be no Pod, to name in a complaint what `read_pod` refused; empty where there is none."""
    metadata = form.get("metadata") if isinstance(form, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _refuse(why: str) -> NoReturn:
    raise PodError(why)


def _typed(value: object, kind: type[T], where: str) -> T:
    # A bool is an int to Python; nothing here takes either for the other.
    if not isinstance(value, kind):
        _refuse(f"{where} is {_kind(value)}, not {_KINDS[kind]}")
    return value


_KINDS: dict[type[Any], str] = {dict: "a mapping", list: "a list", str: "text", bool: "a boolean"}


def _kind(value: object) -> str:
    return "null" if value is None else _KINDS.get(type(value), f"a {type(value).__name__}")


def _field(form: dict[str, Any], key: str, kind: type[T], parent: str, default: T) -> T:
    """Return `form[key]`; absent and null mean `default`, as for Kubernetes."""
    value = form.get(key)
    return default if value is None else _typed(value, kind, f"{parent}.{key}" if parent else key)


def _part(form: dict[str, Any], key: str, parent: str) -> dict[str, Any]:
    return _field(form, key, dict, parent, {})


def _texts(metadata: dict[str, Any], key: str) -> dict[str, str]:
    """Return a map of texts. YAML's `enabled: true` is no text, and Kubernetes refuses it too: say so."""
    found = _part(metadata, key, "metadata")
    for name, value in found.items():
        _typed(name, str, f"a key of metadata.{key}")
        _typed(value, str, f"metadata.{key}[{name}] (quote it)")
    return found


def _containers(spec: dict[str, Any], key: str) -> tuple[Container, ...]:
    found = []
    for i, form in enumerate(_field(spec, key, list, "spec", [])):
        where = f"spec.{key}[{i}]"
        container = _typed(form, dict, where)
        name = _field(container, "name", str, where, "")
        found.append(Container(name, _field(container, "image", str, where, "")))
    return tuple(found)


def _addresses(status: dict[str, Any]) -> tuple[str, ...]:
    """Return `podIPs`, which repeats `podIP`; either may be absent for seconds (kubelet/README.md)."""
    found = [_field(status, "podIP", str, "status", "")]
    for i, form in enumerate(_field(status, "podIPs", list, "status", [])):
        where = f"status.podIPs[{i}]"
        found.append(_field(_typed(form, dict, where), "ip", str, where, ""))
    return tuple(dict.fromkeys(address for address in found if address))


def _controller(metadata: dict[str, Any]) -> OwnerReference | None:
    """Return the owner that is the controller, else the first."""
    where = "metadata.ownerReferences"
    forms = [
        _typed(form, dict, f"{where}[{i}]")
        for i, form in enumerate(_field(metadata, "ownerReferences", list, "metadata", []))
    ]
    form = next((f for f in forms if f.get("controller")), forms[0] if forms else None)
    if form is None:
        return None
    return OwnerReference(
        _field(form, "kind", str, where, ""), _field(form, "name", str, where, "")
    )
