"""Which inbound request an outbound one was made for, when all they share is a request id.

Belongs here: one pod's table, its lifetimes and its bounds (`http.md`, Linking inbound to outbound). Does not belong here: where
ids come from, what is written on the wire (`tracing`).

Three things bound it: the entries (`limit`), the size of an entry (an ended span is one packed integer, a long request
id its digest), and the work per call (at most two entries are removed, so nothing ever sweeps).
"""

from array import array
from collections import OrderedDict
from hashlib import blake2b
from typing import Final

from netra_node.core.trace_context import TraceContext

#: A request id longer than this is kept as its digest; a head can carry 64 KiB of it.
_LONGEST_KEY: Final = 64
_DIGEST_SIZE: Final = 32
#: Entries that the end of an exchange may remove: one more than it adds, so the table also shrinks under load.
_REMOVED_AT_ONCE: Final = 2
#: Ids that left the table and are still told from unknown ones. A power of two.
_REMEMBERED: Final = 1024
_NEVER: Final = 1 << 63

# An ended span in one integer, 64 bytes instead of some 300: end (nanoseconds), trace id, span id, flags, from high to low.
_AMBIGUOUS: Final = 0x80
_FLAGS: Final = 0x7F
_SPAN_ID_AT: Final = 8
_TRACE_ID_AT: Final = _SPAN_ID_AT + 64
_END_AT: Final = _TRACE_ID_AT + 128
_64_BITS: Final = (1 << 64) - 1
_128_BITS: Final = (1 << 128) - 1

#: Several open exchanges of one request id: trace id -> spans, newest last.
_Several = dict[int, dict[TraceContext, None]]


class LinkTable:
    """Request ids of one pod -> the server spans that are their newest parents.

    An entry lives while its exchange is open and `expiration` after its end; use does not extend it. At the limit the oldest
    ended entry goes first, then the exchange longest open: long polls, of all, have made their calls.
    """

    __slots__ = (
        "_ended",
        "_expiration",
        "_gone",
        "_limit",
        "_next_over",
        "_of_id",
        "_open",
        "ambiguous",
        "expired",
        "linked",
        "unknown",
    )

    def __init__(self, expiration: int, limit: int = 10_000) -> None:
        """`expiration` is nanoseconds, 0 or less means never (netramesh); `limit` counts entries, open ones included."""
        self._expiration = expiration if expiration > 0 else _NEVER
        self._limit = limit
        # Span -> request id, longest open first; the same spans by id; and request id -> packed span, first ended first.
        self._open: OrderedDict[TraceContext, bytes] = OrderedDict()
        # Nearly every id has one open exchange: then its span itself stands here.
        self._of_id: dict[bytes, TraceContext | _Several] = {}
        self._ended: OrderedDict[bytes, int] = OrderedDict()
        # Before this time nothing is over: ends come in order, so what is removed early only moves it on.
        self._next_over = 0
        self._gone = array("q", bytes(8 * _REMEMBERED))
        #: What `find` answered so far.
        self.linked = 0
        self.unknown = 0
        self.ambiguous = 0
        self.expired = 0

    def __len__(self) -> int:
        """Return the number of entries, of open and of ended exchanges."""
        return len(self._open) + len(self._ended)

    def results(self) -> tuple[tuple[str, int], ...]:
        """Return how often `find` gave which result, by label of `netra_trace_links_total`."""
        return (
            ("linked", self.linked),
            ("none", self.unknown),
            ("ambiguous", self.ambiguous),
            ("expired", self.expired),
        )

    def opened(self, request_id: bytes, span: TraceContext) -> None:
        """Remember the server span of an inbound request that just began."""
        key = request_id if len(request_id) <= _LONGEST_KEY else _digest(request_id)
        self._open[span] = key
        known = self._of_id.setdefault(key, span)
        if known is not span:
            self._open_beside(known, key, span)
        if len(self._open) + len(self._ended) > self._limit:
            self._make_room()

    def ended(self, span: TraceContext, now: int) -> None:
        """Let the lifetime of a span run out; of a span that is not, or no longer, here nothing happens."""
        key = self._open.pop(span, None)
        if key is None:
            return
        self._forget_open(key, span)
        packed = (
            now << _END_AT
            | span.trace_id << _TRACE_ID_AT
            | span.span_id << _SPAN_ID_AT
            | span.flags
        )
        previous = self._ended.pop(key, None)
        if previous is not None and self._contradicts(previous, span, now):
            packed |= _AMBIGUOUS
        self._ended[key] = packed
        if now >= self._next_over:
            self.expire(now)

    def find(self, request_id: bytes, now: int) -> TraceContext | None:
        """Return the parent of an outbound request with this id, or None; `results` counts which and why.

        Open exchanges come before ended ones. Where those of one kind belong to different traces, none is named.
        """
        key = request_id if len(request_id) <= _LONGEST_KEY else _digest(request_id)
        known = self._of_id.get(key)
        if known is not None:
            return self._newest(known)
        packed = self._ended.get(key)
        if packed is None:
            self._count_missing(key)
            return None
        if self._is_over(packed, now):
            self.expired += 1
            return None
        if packed & _AMBIGUOUS:
            self.ambiguous += 1
            return None
        self.linked += 1
        return _unpacked(packed)

    def expire(self, now: int) -> None:
        """Remove at most two entries whose time is over. Every end does so; call it also while nothing happens."""
        ended = self._ended
        for _ in range(_REMOVED_AT_ONCE):
            first = next(iter(ended), None)
            if first is None:
                return
            self._next_over = (ended[first] >> _END_AT) + self._expiration
            if now < self._next_over:
                return
            del ended[first]
            self._remember(first)

    def _open_beside(self, known: TraceContext | _Several, key: bytes, span: TraceContext) -> None:
        if isinstance(known, TraceContext):
            known = self._of_id[key] = {known.trace_id: {known: None}}
        known.setdefault(span.trace_id, {})[span] = None

    def _newest(self, known: TraceContext | _Several) -> TraceContext | None:
        if isinstance(known, TraceContext):
            self.linked += 1
            return known
        if len(known) > 1:
            self.ambiguous += 1
            return None
        self.linked += 1
        (spans,) = known.values()
        return next(reversed(spans))

    def _count_missing(self, key: bytes) -> None:
        id_hash = hash(key)
        if self._gone[id_hash % _REMEMBERED] == id_hash:
            self.expired += 1
        else:
            self.unknown += 1

    def _make_room(self) -> None:
        if self._ended:
            key, _ = self._ended.popitem(last=False)
        else:
            span, key = self._open.popitem(last=False)
            self._forget_open(key, span)
        self._remember(key)

    def _forget_open(self, key: bytes, span: TraceContext) -> None:
        known = self._of_id[key]
        if isinstance(known, TraceContext):
            del self._of_id[key]
            return
        spans = known[span.trace_id]
        del spans[span]
        if not spans:
            del known[span.trace_id]
            if not known:
                del self._of_id[key]

    def _remember(self, key: bytes) -> None:
        id_hash = hash(key)
        self._gone[id_hash % _REMEMBERED] = id_hash

    def _is_over(self, packed: int, now: int) -> bool:
        return now - (packed >> _END_AT) >= self._expiration

    def _contradicts(self, previous: int, span: TraceContext, now: int) -> bool:
        if self._is_over(previous, now):
            return False
        return bool(previous & _AMBIGUOUS) or _trace_id(previous) != span.trace_id


def key_of(request_id: bytes) -> bytes:
    """Return what stands for a request id in a table: itself, or the digest of a long one."""
    return request_id if len(request_id) <= _LONGEST_KEY else _digest(request_id)


def _digest(request_id: bytes) -> bytes:
    return blake2b(request_id, digest_size=_DIGEST_SIZE).digest()


def _trace_id(packed: int) -> int:
    return packed >> _TRACE_ID_AT & _128_BITS


def _unpacked(packed: int) -> TraceContext:
    """Return the span as a parent: its own parent and its `tracestate` are not kept."""
    span_id = packed >> _SPAN_ID_AT & _64_BITS
    return TraceContext(_trace_id(packed), span_id, 0, packed & _FLAGS)
