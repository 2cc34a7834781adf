"""resolv.conf, and which names a short one may stand for (resolv.conf(5)).

Belongs here: reading the file's text, the order of candidates. Does not belong here: reading the file, asking (`proxy.resolver`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

#: As Kubernetes gives every pod: a name with fewer dots is looked for in the search list first.
NDOTS: Final = 5
#: What a pod's own resolv.conf has, but for the cluster's domain, which is nearly always this.
KUBERNETES_SEARCH: Final = ("{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local")

#: glibc's bounds and defaults.
_SERVERS: Final = 3
_MAX_TIMEOUT: Final = 30
_MAX_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """Whom to ask, how long to wait for each (seconds), and how often to go through all of them."""

    servers: tuple[str, ...] = ()
    timeout: int = 5
    attempts: int = 2


def parse(text: str) -> ResolvConf:
    """Read what concerns us; what cannot be read is passed over, as everybody does."""
    servers: list[str] = []
    options: dict[str, str] = {}
    for line in text.splitlines():
        keyword, *values = line.split() or [""]
        if keyword == "nameserver" and values and _is_address(values[0]):
            servers.append(values[0])
        elif keyword == "options":
            options |= {name: value for name, _, value in (v.partition(":") for v in values)}
    return ResolvConf(
        tuple(servers[:_SERVERS]),
        _bounded(options.get("timeout"), 5, _MAX_TIMEOUT),
        _bounded(options.get("attempts"), 2, _MAX_ATTEMPTS),
    )


def _is_address(text: str) -> bool:
    try:
        # one of a link (%eth0) is of the node's, and we ask from inside the pod
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _bounded(value: str | None, default: int, highest: int) -> int:
    if value is None or not value.isascii() or not value.isdigit():
        return default
    return min(max(int(value[:9]), 1), highest)


def candidates(name: str, search: Sequence[str]) -> list[str]:
    """Return the absolute names that `name` may stand for, in the order of asking."""
    if name.endswith("."):
        return [name]
    whole = f"{name}."
    searched = [f"{name}.{domain.strip('.')}." for domain in search]
    return [whole, *searched] if name.count(".") >= NDOTS else [*searched, whole]
