"""What a CNI plugin made for a pod, as the runtime's CNI library keeps it in a file. Pure; `cni_cache` watches the files.

It is written when the pod's network is complete and before anything of the pod runs, and says whose it is, which addresses
it has and, mostly, where its namespace is: 20 to 60 ms after the namespace appeared, seconds before the kubelet knows the address.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_interface
from typing import Any, Final

_KIND: Final = "cniCacheV1"


@dataclass(frozen=True, slots=True)
class CniResult:
    """One network of one sandbox. Empty is not known: old runtimes tell no uid, some plugins no path."""

    pod_uid: str
    namespace: str
    name: str
    container_id: str
    netns: str
    addresses: tuple[str, ...]


def read_result(content: bytes) -> CniResult:
    """Read the cache's file of one network. Raises ValueError where it is none, or is not written whole yet."""
    try:
        return _result(json.loads(content))
    except (AttributeError, TypeError, KeyError, IndexError, RecursionError) as error:
        message = "not shaped as a CNI result"
        raise ValueError(message) from error


def _result(form: Any) -> CniResult:
    if form["kind"] != _KIND:
        message = f"kind is {form['kind']!r}"
        raise ValueError(message)
    arguments = dict(form.get("cniArgs") or ())
    result = form.get("result") or {}
    return CniResult(
        pod_uid=_text(arguments.get("K8S_POD_UID")),
        namespace=_text(arguments.get("K8S_POD_NAMESPACE")),
        name=_text(arguments.get("K8S_POD_NAME")),
        container_id=_text(form.get("containerId")),
        netns=_netns(form, result),
        addresses=tuple(dict.fromkeys(_addresses(result))),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _netns(form: dict[str, Any], result: dict[str, Any]) -> str:
    """Return the namespace's path: newer libraries write it, plugins by and large name it with each interface inside."""
    sandboxes = (_text(i.get("sandbox")) for i in result.get("interfaces") or ())
    paths = (_text(form.get("netns")), *sandboxes)
    return next((path for path in paths if path.startswith("/")), "")


def _addresses(result: dict[str, Any]) -> Iterator[str]:
    """Yield the pod's addresses in canonical form; those of loopback, which every runtime sets up as a network, say nothing."""
    texts = [ip["address"] for ip in result.get("ips") or ()]
    # CNI 0.2
    texts += [result[key]["ip"] for key in ("ip4", "ip6") if result.get(key)]
    for text in texts:
        address = ip_interface(text).ip
        if not address.is_loopback:
            yield str(address)
