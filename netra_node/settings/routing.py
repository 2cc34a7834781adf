"""What routing is by the settings. Belongs here: what its variables mean together, what is odd about them.

Does not belong here: formats (`formats`), names and defaults (`variables`), what a route says (`core.routing`).
"""

from dataclasses import dataclass
from pathlib import Path

from netra_node.core.targets import Targets
from netra_node.settings import variables as v
from netra_node.settings.environment import Environment


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """How requests are routed."""

    header: str
    #: None: cookies are not looked at.
    cookie: str | None
    targets: Targets
    #: None: never.
    expiration_ms: int | None
    #: Domains, `{namespace}` standing for the pod's.
    dns_search: tuple[str, ...]
    resolv_conf: Path


def routing(env: Environment) -> RoutingSettings | None:
    """Read all of it, so that a problem is told also where nothing is routed; None: it is switched off."""
    for unused in (v.TRACING_CLEANUP, v.ROUTING_CLEANUP):
        env.value(unused)
    expiration = env.value(v.ROUTING_EXPIRATION)
    targets = env.optional(v.ROUTING_ALLOWED_HOSTS)
    cookie = env.value(v.ROUTING_COOKIE)
    found = RoutingSettings(
        header=env.value(v.ROUTING_HEADER),
        cookie=cookie if env.value(v.ROUTING_COOKIE_ENABLED) else None,
        targets=targets or Targets(),
        expiration_ms=expiration if expiration > 0 else None,
        dns_search=env.value(v.DNS_SEARCH),
        resolv_conf=env.value(v.RESOLV_CONF),
    )
    if not env.value(v.ROUTING_ENABLED):
        return None
    _check_names(env, found.header)
    _warn(env)
    return found


def _check_names(env: Environment, header: str) -> None:
    for other in (v.REQUEST_ID_HEADER, v.X_SOURCE_HEADER):
        if env.value(other).lower() == header.lower():
            names = f"{other.name} and {v.ROUTING_HEADER.name}"
            env.complain(names, f" are both {header!r}; they take two different names")


def _warn(env: Environment) -> None:
    if not env.is_set(v.HTTP_PORTS):
        env.warnings.append(
            f"{v.HTTP_PORTS.name} is not set: only pods that name ports in the annotation netra.io/http-ports have requests routed"
        )
    if not env.is_set(v.ROUTING_ALLOWED_HOSTS):
        env.warnings.append(
            f"{v.ROUTING_ALLOWED_HOSTS.name} is not set: whoever can send a request can lead those it causes to nearly any host"
        )
