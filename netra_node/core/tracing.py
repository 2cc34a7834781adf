"""What one pod does with the headers of a request: who is the parent, what is the span, which headers go on.

Belongs here: the rules of `http.md` (Linking; kube-probe and ignored paths) put together. Does not belong here: wire formats
(`trace_context`), which header wins (`propagation`), the table (`linking`), bytes of a head (`head`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from netra_node.core.headers import Declared, HeaderView
from netra_node.core.ignored import IgnoredPaths
from netra_node.core.linking import LinkTable
from netra_node.core.propagation import Propagation
from netra_node.core.records import Direction, Exchange
from netra_node.core.sampling import Sampler
from netra_node.core.tags import DEBUG_ID_TAG, VALUE_LIMIT, TagRules
from netra_node.core.trace_context import DEBUG, DEFERRED, RANDOM, SAMPLED, TraceContext

_INBOUND: Final = Direction.INBOUND
_KUBE_PROBE: Final = b"kube-probe/"
_INHERITED: Final = DEBUG | RANDOM
_NONE_IGNORED: Final = IgnoredPaths()


@dataclass(frozen=True, slots=True)
class IdSource:
    """Where new ids come from: chance belongs to the caller."""

    #: 128 random bits, not 0.
    new_trace_id: Callable[[], int]
    #: 64 random bits, not 0.
    new_span_id: Callable[[], int]
    #: A UUIDv4 in its text form.
    new_request_id: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class TracingOptions:
    """Names and values of one pod's declared headers, as they are written, and the paths that are not traced."""

    #: Value of X-Source on outbound requests.
    source: bytes
    #: Replace an X-Source that the application sent.
    force_source: bool = False
    request_id_header: bytes = b"X-Request-Id"
    source_header: bytes = b"X-Source"
    ignored: IgnoredPaths = _NONE_IGNORED
    #: Headers and cookies that spans tell.
    tags: TagRules | None = None


class Tracing:
    """The tracing decisions of one pod, shared by all its connections in both directions and by no other pod."""

    __slots__ = (
        "_always_source",
        "_decide",
        "_ignored",
        "_new_request_id",
        "_new_span_id",
        "_new_trace_id",
        "_own_source",
        "_propagation",
        "_request_id",
        "_request_id_header",
        "_source",
        "_source_header",
        "_tags",
        "fields",
        "links",
        "rare",
    )

    def __init__(
        self,
        propagation: Propagation,
        sampler: Sampler,
        links: LinkTable,
        ids: IdSource,
        options: TracingOptions,
    ) -> None:
        """`links` is the pod's own; the other parts keep no state of a pod and may be shared."""
        self._propagation = propagation
        self._decide = sampler.decide
        self.links = links
        self._new_trace_id = ids.new_trace_id
        self._new_span_id = ids.new_span_id
        self._new_request_id = ids.new_request_id
        self._ignored = options.ignored or None
        self._request_id_header = options.request_id_header
        self._request_id = options.request_id_header.lower()
        self._source_header = options.source_header
        self._source = options.source_header.lower()
        self._own_source = options.source
        self._always_source = options.force_source
        self._tags = options.tags
        tags = options.tags.fields if options.tags is not None else ()
        #: Lower-case names that a HeaderView given to `begin` must know; `rare` are known to be hardly ever there.
        self.fields = (
            b"host",
            b"user-agent",
            self._request_id,
            self._source,
            *propagation.fields,
            # a rare one that is also read as a usual one would not be known to be there (`HeaderView.repeats`)
            *(name for name in tags if name not in propagation.rare),
        )
        self.rare = propagation.rare

    def begin(
        self, direction: Direction, exchange: Exchange, view: HeaderView, now: int
    ) -> list[Declared]:
        """Fill in what a request head says and return the headers to write, in this order; empty = leave the head alone.

        Sets `host`, `user_agent`, `probe`, `request_id`, `source`, `trace` (unsampled spans, too), `sampler` and `tags` of the
        exchange.
        `now` is monotonic nanoseconds.
        """
        get = view.get
        exchange.host = get(b"host") or b""
        exchange.user_agent = agent = get(b"user-agent") or b""
        if agent.startswith(_KUBE_PROBE):
            exchange.probe = True
            return []
        received_id = get(self._request_id)
        if received_id == b"":
            received_id = self._later_request_id(view)
        exchange.request_id = received_id or self._new_request_id()
        if self._ignored is not None and self._ignored.has(exchange.target):
            declared = []
        else:
            declared = self._trace(direction, exchange, view, now)
        if not received_id:
            declared.append((self._request_id_header, exchange.request_id))
        source = get(self._source)
        if source == b"":
            source = _later(view, self._source)
        if direction is not _INBOUND and (self._always_source or not source):
            source = self._own_source
            declared.append((self._source_header, source))
        exchange.source = source or b""
        return declared

    def undeclared(self, exchange: Exchange, view: HeaderView) -> None:
        """Take back what `begin` recorded as written: the head had left before it was complete."""
        exchange.request_id = self._later_request_id(view)
        exchange.source = _later(view, self._source)

    def ended(self, exchange: Exchange, now: int) -> None:
        """Tell that an exchange given to `begin` is over; a second time changes nothing."""
        if exchange.trace is not None:
            self.links.ended(exchange.trace, now)

    def _trace(
        self, direction: Direction, exchange: Exchange, view: HeaderView, now: int
    ) -> list[Declared]:
        parent = self._propagation.extract(view)
        if direction is not _INBOUND and (parent is None or not parent.trace_id):
            parent = self.links.find(exchange.request_id, now) or parent
        if parent is None and view.repeats:
            parent = self._wish_of(exchange, view)
        span_id = self._new_span_id()
        if parent is None:
            trace_id = self._new_trace_id()
            exchange.sampler = self._decide(None, trace_id, direction, exchange, now)
            flags = 0 if exchange.sampler is None else SAMPLED
            span = TraceContext(trace_id, span_id, 0, flags)
        else:
            trace_id = parent.trace_id or self._new_trace_id()
            flags = parent.flags & _INHERITED
            decided = None if parent.flags & DEFERRED else parent
            if self._decide(decided, trace_id, direction, exchange, now) is not None:
                flags |= SAMPLED
            span = TraceContext(trace_id, span_id, parent.span_id, flags, parent.state)
        exchange.trace = span
        if direction is _INBOUND:
            self.links.opened(exchange.request_id, span)
            if self._tags is not None and not span.parent_id and span.flags & SAMPLED:
                exchange.tags += self._tags.read(view)
        return self._propagation.declare(span, view)

    def _wish_of(self, exchange: Exchange, view: HeaderView) -> TraceContext | None:
        """Return the decision of a sender that names no trace and wants one it can find (Jaeger's debug id)."""
        debug_id = self._propagation.debug_id(view)
        if not debug_id:
            return None
        exchange.tags = ((DEBUG_ID_TAG, debug_id[:VALUE_LIMIT]),)
        return TraceContext(0, 0, 0, SAMPLED | DEBUG)

    def _later_request_id(self, view: HeaderView) -> bytes:
        return _later(view, self._request_id)


def _later(view: HeaderView, name: bytes) -> bytes:
    """Return the first copy of a header that is not empty: it is an existing one."""
    return next(filter(None, view.get_all(name)), b"")
