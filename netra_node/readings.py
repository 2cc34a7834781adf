"""How each pod's connections are read: its own link table and observer, everything else shared.

Belongs here: what a pod's `Reading` is made of from the settings, how long it is kept, what is counted over all of them.
Does not belong here: what reading means (`core`), when a pod is captured (`manager`).
"""

import random
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from netra_node.core.addresses import PodUid
from netra_node.core.conversation import HttpRules
from netra_node.core.desired import DesiredPod
from netra_node.core.head import HeadParser
from netra_node.core.ignored import IgnoredPaths
from netra_node.core.limits import Limits
from netra_node.core.linking import LinkTable
from netra_node.core.propagation import Propagation
from netra_node.core.routed_tracing import RoutedTracing
from netra_node.core.sampling import ParentBased, Sampler, sampler_from
from netra_node.core.tags import TagRules
from netra_node.core.tracing import IdSource, Tracing, TracingOptions
from netra_node.pod_routes import PodRoutes
from netra_node.settings.model import Settings, TracingSettings
from netra_node.telemetry.hub import Telemetry
from netra_node.workload import Reading

_MILLISECOND: Final = 1_000_000


class RemoteSamplers(Protocol):
    """Makes samplers that follow a service's strategy: `telemetry.strategies.Strategies`, loaded where it is used."""

    def sampler(self, service: str) -> Sampler:
        """Make a sampler for one pod of `service`."""


class PodReadings:
    """Makes and keeps a `Reading` for each pod."""

    def __init__(
        self,
        settings: TracingSettings,
        limits: Limits,
        telemetry: Telemetry,
        strategies: RemoteSamplers | None = None,
        routes: PodRoutes | None = None,
    ) -> None:
        """Build what all pods share; `strategies` makes the samplers if they are remote, `routes` routes if any are followed."""
        self._settings = settings
        self._limits = limits
        self._telemetry = telemetry
        self._propagation = Propagation(settings.propagators)
        self._strategies = strategies
        self._routes = routes
        self._ids = IdSource(_nonzero(settings.trace_id_bits), _nonzero(64), _new_request_id)
        self._ignored = IgnoredPaths(
            (path.encode() for path in settings.ignored_paths.exact),
            (beginning.encode() for beginning in settings.ignored_paths.prefixes),
            settings.ignored_patterns,
        )
        self._tags = _tag_rules(settings)
        self._made: dict[PodUid, tuple[DesiredPod, Reading]] = {}
        self._addresses: dict[PodUid, tuple[str, ...]] = {}
        self._past_links: dict[str, int] = {}

    def of(self, pod: DesiredPod) -> Reading:
        """See `manager.Readings`."""
        uid = pod.identity.uid
        made = self._made.get(uid)
        if made is not None and made[0].identity == pod.identity:
            return made[1]
        links = made[1].rules.tracing.links if made is not None else self._new_links()
        reading = self._new(pod, links)
        self._made[uid] = (pod, reading)
        return reading

    def _new_links(self) -> LinkTable:
        milliseconds = self._settings.context_expiration_ms
        return LinkTable(0 if milliseconds is None else milliseconds * _MILLISECOND)

    def _new(self, pod: DesiredPod, links: LinkTable) -> Reading:
        observer = self._telemetry.observer(pod.identity)
        shared = (self._propagation, self._sampler(pod.identity.service), links, self._ids)
        if self._routes is None:
            return Reading(self._rules(Tracing(*shared, self._options(pod))), observer)
        routed = RoutedTracing(*shared, self._options(pod), self._routes.of(pod))
        return Reading(self._rules(routed), observer, self._routes.plan(pod, routed))

    def _rules(self, tracing: Tracing) -> HttpRules:
        return HttpRules(HeadParser(tracing.fields, tracing.rare), tracing, self._limits)

    def _options(self, pod: DesiredPod) -> TracingOptions:
        settings = self._settings
        value = pod.identity.service if settings.x_source_value is None else settings.x_source_value
        return TracingOptions(
            source=value.encode(),
            force_source=settings.x_source_force,
            request_id_header=settings.request_id_header.encode(),
            source_header=settings.x_source_header.encode(),
            ignored=self._ignored,
            tags=self._tags,
        )

    def _sampler(self, service: str) -> Sampler:
        """Return one for each pod: a rate is a pod's own, as each sidecar of netramesh had its own."""
        sampling = self._settings.sampling
        if self._strategies is None:
            return sampler_from(sampling.name, sampling.param)
        return ParentBased(self._strategies.sampler(service))

    def entered(self, pod: DesiredPod, addresses: tuple[str, ...]) -> None:
        """See `manager.Readings`: from now on the pod is known by these addresses and no others."""
        for address in self._addresses.get(pod.identity.uid, ()):
            self._telemetry.directory.remove(address)
        self._addresses[pod.identity.uid] = addresses
        for address in addresses:
            self._telemetry.directory.set_address(address, pod.identity.service)

    def forget(self, uid: PodUid) -> None:
        """See `manager.Readings`."""
        for address in self._addresses.pop(uid, ()):
            self._telemetry.directory.remove(address)
        made = self._made.pop(uid, None)
        if made is not None:
            self._telemetry.forget(uid)
            self._add(self._past_links, made[1].rules.tracing.links)
        if self._routes is not None:
            self._routes.forget(uid)

    def _tables(self) -> Iterator[LinkTable]:
        return (reading.rules.tracing.links for _, reading in self._made.values())

    def expire(self, now: int) -> None:
        """Let go of link entries whose time is over while nothing happens in their pod."""
        for table in self._tables():
            table.expire(now)
        if self._routes is not None:
            self._routes.expire(now)

    def contexts(self) -> int:
        """Return how many server spans could be linked to now."""
        return sum(map(len, self._tables()))

    def link_results(self) -> dict[str, int]:
        """Return how often a link was looked for, by result, pods that are gone included."""
        total = dict(self._past_links)
        for table in self._tables():
            self._add(total, table)
        return total

    @staticmethod
    def _add(total: dict[str, int], table: LinkTable) -> None:
        for result, count in table.results():
            total[result] = total.get(result, 0) + count


def http_limits(settings: Settings) -> Limits:
    """Return what the core refuses to exceed."""
    limits = settings.limits
    return Limits(head=limits.head, fields=limits.headers, unanswered=limits.pipelined)


def _tag_rules(settings: TracingSettings) -> TagRules | None:
    headers, cookies = settings.header_tags, settings.cookie_tags
    if not headers and not cookies:
        return None
    return TagRules(
        {name.encode(): tag for name, tag in headers}, {name.encode(): tag for name, tag in cookies}
    )


def _nonzero(bits: int) -> Callable[[], int]:
    """Return a source of random ids; 0 means "none" in every trace format."""
    getrandbits = random.getrandbits

    def new() -> int:
        return getrandbits(bits) or 1

    return new


def _new_request_id() -> bytes:
    """Return a UUIDv4 (RFC 9562 §5.4). By hand: the library's own class takes three times as long, for every request."""
    bits = random.getrandbits
    parts = (bits(32), bits(16), bits(12), bits(14) | 0x8000, bits(48))
    return b"%08x-%04x-4%03x-%04x-%012x" % parts
