"""From the monotonic clock of the records to the wall clock of spans. Belongs here: the offset, nothing that waits."""

from collections.abc import Callable
from time import monotonic_ns, time_ns

#: Below this a new offset is only the jitter of reading two clocks; adopting it would tilt parents against children.
_TOLERANCE = 1_000_000


class WallClock:
    """Knows what to add to a monotonic time. Wrong by at most 1 ms after the last `refresh`, whatever NTP did."""

    __slots__ = ("_monotonic", "_wall", "offset")

    def __init__(
        self, monotonic: Callable[[], int] = monotonic_ns, wall: Callable[[], int] = time_ns
    ) -> None:
        """Both clocks count nanoseconds; `wall` since 1970."""
        self._monotonic = monotonic
        self._wall = wall
        self.offset = self._measure()

    def refresh(self) -> int:
        """Notice a wall clock that was set or has drifted; return the offset, nanoseconds to add."""
        offset = self._measure()
        if abs(offset - self.offset) > _TOLERANCE:
            self.offset = offset
        return self.offset

    def unix_nanoseconds(self, monotonic: int) -> int:
        """Return nanoseconds since 1970 of the `monotonic` time."""
        return monotonic + self.offset

    def _measure(self) -> int:
        """Read wall between two monotonic readings; of three tries the tightest, as we may be preempted between them."""
        best = (1 << 63, 0)
        for _ in range(3):
            before = self._monotonic()
            wall = self._wall()
            width = self._monotonic() - before
            best = min(best, (width, wall - before - width // 2))
        return best[1]
