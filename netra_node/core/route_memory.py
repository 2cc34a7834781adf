"""Which route an inbound request brought, for the outbound ones made because of it, when all they share is a request id.

Belongs here: one pod's table, its lifetimes and its bounds; they are those of `linking`. Does not belong here: what a route says
(`routing`).
"""

from collections import OrderedDict
from typing import Final

from netra_node.core.linking import key_of

#: Bytes that all values and ids of a pod may take, besides 300 of ours for each.
_SIZE: Final = 1024 * 1024
#: Entries that one call may remove because their time is over: one more than it adds.
_REMOVED_AT_ONCE: Final = 2
_NEVER: Final = 1 << 63


class _Entry:
    __slots__ = ("end", "open", "value")

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.open = 0
        self.end = 0


class RouteMemory:
    """Request ids of one pod -> the route that came last with it.

    An entry lives while an exchange that brought it is open and `expiration` after its end; use does not extend it. At the
    limit the oldest ended entry goes first, then the one longest open.
    """

    __slots__ = ("_by_exchange", "_ended", "_expiration", "_limit", "_open", "_size", "_used")

    def __init__(self, expiration: int, limit: int = 10_000, size: int = _SIZE) -> None:
        """`expiration` is nanoseconds, 0 or less means never (netramesh); `limit` counts entries, `size` bytes."""
        self._expiration = expiration if expiration > 0 else _NEVER
        self._limit = limit
        self._size = size
        self._used = 0
        self._open: OrderedDict[bytes, _Entry] = OrderedDict()
        self._ended: OrderedDict[bytes, _Entry] = OrderedDict()
        self._by_exchange: dict[object, tuple[bytes, _Entry]] = {}

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._open) + len(self._ended)

    @property
    def used(self) -> int:
        """Bytes of all values and ids."""
        return self._used

    def opened(self, exchange: object, request_id: bytes, value: bytes) -> None:
        """Remember the route of an inbound request that just began; `exchange` is told to `ended` again."""
        key = key_of(request_id)
        entry = self._open.get(key) or self._ended.pop(key, None)
        if entry is None:
            entry = _Entry(b"")
            self._used += len(key)
        self._used += len(value) - len(entry.value)
        entry.value = value
        entry.open += 1
        self._open[key] = entry
        self._by_exchange[exchange] = (key, entry)
        while len(self) > self._limit or self._used > self._size:
            self._make_room()

    def ended(self, exchange: object, now: int) -> None:
        """Let the lifetime of an exchange's route run out; of one that brought none nothing happens."""
        key, entry = self._by_exchange.pop(exchange, (b"", None))
        if entry is None:
            return
        entry.open -= 1
        if not entry.open and self._open.get(key) is entry:
            del self._open[key]
            entry.end = now
            self._ended[key] = entry
        self.expire(now)

    def find(self, request_id: bytes, now: int) -> bytes:
        """Return the route for an outbound request with this id; empty: none."""
        if not self._open and not self._ended:
            return b""
        key = key_of(request_id)
        entry = self._open.get(key)
        if entry is None:
            entry = self._ended.get(key)
            if entry is None or now - entry.end >= self._expiration:
                return b""
        return entry.value

    def expire(self, now: int) -> None:
        """Remove at most two entries whose time is over. Every end does so; call it also while nothing happens."""
        for _ in range(_REMOVED_AT_ONCE):
            first = next(iter(self._ended.items()), None)
            if first is None or now - first[1].end < self._expiration:
                return
            self._forget(*self._ended.popitem(last=False))

    def _make_room(self) -> None:
        table = self._ended or self._open
        self._forget(*table.popitem(last=False))

    def _forget(self, key: bytes, entry: _Entry) -> None:
        self._used -= len(key) + len(entry.value)
