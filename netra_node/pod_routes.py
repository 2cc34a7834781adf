"""The routes of each pod, made only where routing is switched on.

Belongs here: what a pod's routing is made of from the settings, how long it is kept, what is counted over all pods, telling of
malformed routes. Does not belong here: what a route says (`core.routing`), following one (`proxy.routed`).
"""

import functools
import logging
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final

from netra_node.core.addresses import PodUid
from netra_node.core.desired import DesiredPod
from netra_node.core.route_memory import RouteMemory
from netra_node.core.routed_tracing import RoutedTracing, Routes
from netra_node.core.routing import RouteNames, RouteSource
from netra_node.proxy.resolver import ResolvConfFile
from netra_node.settings.routing import RoutingSettings
from netra_node.workload import RoutingPlan

_MILLISECOND: Final = 1_000_000

_log = logging.getLogger(__name__)


class PodRoutes:
    """Makes and keeps the `Routes` of each pod."""

    def __init__(self, settings: RoutingSettings) -> None:
        """Build what all pods share."""
        self._settings = settings
        cookie = settings.cookie
        self._source = RouteSource(
            RouteNames(settings.header.encode(), None if cookie is None else cookie.encode())
        )
        self._conf = ResolvConfFile(settings.resolv_conf)
        self._look_at_servers()
        self._made: dict[PodUid, Routes] = {}
        self._told: set[PodUid] = set()
        #: Of pods that are gone.
        self._past: tuple[dict[str, int], dict[str, int]] = ({}, {})

    def _look_at_servers(self) -> None:
        """Tell of servers that no pod can ask."""
        servers, path = self._conf().servers, self._settings.resolv_conf
        if not servers:
            _log.warning("%s names no DNS server: routes to names lead nowhere", path)
        for server in servers:
            if ip_address(server).is_loopback:
                _log.warning("%s names %s, which inside a pod is the pod itself", path, server)

    def of(self, pod: DesiredPod) -> Routes:
        """Return the pod's own."""
        routes = self._made.get(pod.identity.uid)
        if routes is None:
            milliseconds = self._settings.expiration_ms
            memory = RouteMemory(0 if milliseconds is None else milliseconds * _MILLISECOND)
            routes = Routes(self._source, memory, functools.partial(self._tell_malformed, pod))
            self._made[pod.identity.uid] = routes
        return routes

    def plan(self, pod: DesiredPod, tracing: RoutedTracing) -> RoutingPlan:
        """Return how the pod's requests are routed."""
        namespace = pod.identity.namespace
        search = (domain.replace("{namespace}", namespace) for domain in self._settings.dns_search)
        return RoutingPlan(tracing, self._settings.targets, tuple(search), self._conf)

    def forget(self, uid: PodUid) -> None:
        """Let go of a pod that is gone; what was counted stays."""
        self._told.discard(uid)
        routes = self._made.pop(uid, None)
        if routes is not None:
            for past, counts in zip(self._past, (routes.counts, routes.failures), strict=True):
                _add(past, counts)

    def expire(self, now: int) -> None:
        """Let go of what is over while nothing happens in its pod."""
        for routes in self._made.values():
            routes.memory.expire(now)

    def results(self) -> dict[str, int]:
        """Return how many requests had a route, by what it came to."""
        return self._total(0, lambda routes: routes.counts)

    def failures(self) -> dict[str, int]:
        """Return how many routes led nowhere, by why."""
        return self._total(1, lambda routes: routes.failures)

    def _total(self, which: int, read: Callable[[Routes], Mapping[str, int]]) -> dict[str, int]:
        total = dict(self._past[which])
        for routes in self._made.values():
            _add(total, read(routes))
        return total

    def _tell_malformed(self, pod: DesiredPod) -> None:
        """Tell once for each pod; the value may be anything that a client sent, so it is not told."""
        if pod.identity.uid not in self._told:
            self._told.add(pod.identity.uid)
            who = f"{pod.identity.namespace}/{pod.identity.name}"
            _log.warning("%s: a request has a malformed route (told once)", who)


def _add(total: dict[str, int], counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        total[name] = total.get(name, 0) + count
