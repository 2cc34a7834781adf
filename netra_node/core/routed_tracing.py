"""Tracing for a pod with routing: the route of an inbound request is remembered and declared on those it causes.

Belongs here: which route holds for a request, its header. Does not belong here: what a route says (`routing`), the rest
of what is done with headers (`tracing`). Where routing is off there is none of this.
"""

from collections.abc import Callable
from typing import Final

from netra_node.core.headers import Declared, HeaderView
from netra_node.core.linking import LinkTable
from netra_node.core.propagation import Propagation
from netra_node.core.records import Direction, Exchange
from netra_node.core.route_memory import RouteMemory
from netra_node.core.routing import MalformedError, RouteSource, Target, check, choose
from netra_node.core.sampling import Sampler
from netra_node.core.tracing import IdSource, Tracing, TracingOptions

_INBOUND: Final = Direction.INBOUND


class Routes:
    """The routes of one pod: where requests keep theirs, and those of inbound ones."""

    __slots__ = ("counts", "failures", "malformed", "memory", "source")

    def __init__(
        self, source: RouteSource, memory: RouteMemory, malformed: Callable[[], None]
    ) -> None:
        """`memory` is the pod's own; `malformed` is called at each route that cannot be read."""
        self.source = source
        self.memory = memory
        self.malformed = malformed
        #: Requests by what their route came to (`netra_routed_requests_total`); those without any are not counted.
        self.counts: dict[str, int] = {}
        #: Requests whose route led nowhere, by why (`netra_route_failures_total`).
        self.failures: dict[str, int] = {}

    def failed(self, why: str) -> None:
        """Count a route that led nowhere. `why` is one of a closed set."""
        self.failures[why] = self.failures.get(why, 0) + 1

    def of(self, view: HeaderView, request_id: bytes, now: int) -> bytes:
        """Return the route of an outbound request: its cookie, its header, that of the inbound one; empty: none."""
        return self.source.of(view) or self.memory.find(request_id, now)

    def remember(self, exchange: Exchange, view: HeaderView) -> None:
        """Remember the route of an inbound request, if it has one that can be read."""
        value = self.source.of(view)
        if not value:
            return
        try:
            check(value)
        except MalformedError:
            self._is_malformed()
        else:
            self.memory.opened(exchange, exchange.request_id, value)

    def target(self, value: bytes, host: bytes) -> Target | None:
        """Return where a route leads for a request to `host`; None: to the original destination."""
        try:
            target = choose(value, host)
        except MalformedError:
            self._is_malformed()
            return None
        self._count("original" if target is None else "routed")
        return target

    def _is_malformed(self) -> None:
        self._count("malformed")
        self.malformed()

    def _count(self, result: str) -> None:
        self.counts[result] = self.counts.get(result, 0) + 1


class RoutedTracing(Tracing):
    """See `Tracing`; with the pod's `routes`."""

    __slots__ = ("routes",)

    def __init__(
        self,
        propagation: Propagation,
        sampler: Sampler,
        links: LinkTable,
        ids: IdSource,
        options: TracingOptions,
        routes: Routes,
    ) -> None:
        """`routes` and `links` are the pod's own."""
        super().__init__(propagation, sampler, links, ids, options)
        self.routes = routes
        # as tags of headers: see there
        fields = (name for name in routes.source.fields if name not in self.rare)
        self.fields = (*self.fields, *fields)

    def begin(
        self, direction: Direction, exchange: Exchange, view: HeaderView, now: int
    ) -> list[Declared]:
        """See `Tracing`. An outbound request without a route gets the one of its inbound request."""
        declared = super().begin(direction, exchange, view, now)
        if exchange.probe:
            return declared
        if direction is _INBOUND:
            self.routes.remember(exchange, view)
        elif not self.routes.source.of(view):
            value = self.routes.memory.find(exchange.request_id, now)
            if value:
                declared.append((self.routes.source.header, value))
        return declared

    def ended(self, exchange: Exchange, now: int) -> None:
        """See `Tracing`."""
        super().ended(exchange, now)
        self.routes.memory.ended(exchange, now)

    def target(self, view: HeaderView, now: int) -> Target | None:
        """Return where an outbound request shall go; None: to its original destination."""
        request_id = view.get(self._request_id) or self._later_request_id(view)
        value = self.routes.of(view, request_id, now)
        return self.routes.target(value, view.get(b"host") or b"") if value else None
