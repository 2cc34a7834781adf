"""How often one service called another, by UTC day: what outlives the series of a pod that is gone.

Belongs here: which day a call belongs to, how many pairs and days are kept. Does not belong here: who called (`peers`), what is
shown of it (`graph`). An edge of the metrics keeps its `Calls`, so that counting costs a comparison and an addition.
"""

from collections.abc import Iterator
from time import gmtime, strftime
from typing import Final

from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.peers import OTHER

#: Today and yesterday: who reads once an hour still gets all of the day before.
KEPT_DAYS: Final = 2
#: Pairs of one day, about 250 bytes each; what comes after them is counted as `other`, called by `other`.
MAX_PAIRS: Final = 4096

_DAY_SECONDS: Final = 86_400
_DAY: Final = _DAY_SECONDS * 1_000_000_000
#: How soon a wall clock that was set, or a machine that slept, is noticed.
_LOOK_AGAIN: Final = 60 * 1_000_000_000


class Calls:
    """Calls of one pair on one day."""

    __slots__ = ("errors", "requests", "until")

    def __init__(self) -> None:
        """None yet, and no day either."""
        self.requests = 0
        self.errors = 0
        #: Monotonic time in nanoseconds from which on `DailyCalls.of` must be asked again.
        self.until = 0


#: What an edge has before its first call: its time is always over.
NO_CALLS: Final = Calls()

Pair = tuple[str, str]
Row = tuple[str, Pair, Calls]


class DailyCalls:
    """The pairs of the last days in which there were any."""

    __slots__ = ("_clock", "_days")

    def __init__(self, clock: WallClock) -> None:
        """`clock` tells the day."""
        self._clock = clock
        #: Day since 1970 → pairs, in the order in which the days began here: a clock once set wrong leaves again.
        self._days: dict[int, dict[Pair, Calls]] = {}

    def of(self, source: str, destination: str, now: int) -> Calls:
        """Return where calls of `destination` by `source` are counted at the monotonic time `now`, in nanoseconds."""
        day, passed = divmod(now + self._clock.refresh(), _DAY)
        pairs = self._pairs(day)
        pair = (source, destination)
        if pair not in pairs and len(pairs) >= MAX_PAIRS:
            pair = (OTHER, OTHER)
        calls = pairs.setdefault(pair, Calls())
        calls.until = now + min(_DAY - passed, _LOOK_AGAIN)
        return calls

    @property
    def since(self) -> str:
        """When the oldest day that is kept began (RFC 3339, UTC); empty while there is none."""
        return min((f"{name_of(day)}T00:00:00Z" for day in self._days), default="")

    def rows(self) -> Iterator[Row]:
        """Yield day (YYYY-MM-DD), pair and calls; over a snapshot of the pairs, so it may be drawn across turns of the loop."""
        days = [(name_of(day), dict(pairs)) for day, pairs in self._days.items()]
        return ((day, pair, calls) for day, pairs in days for pair, calls in pairs.items())

    def sums(self) -> Iterator[tuple[Pair, int]]:
        """Yield each pair once, with its requests on all days that are kept; over a snapshot of the pairs."""
        days = [dict(pairs) for pairs in self._days.values()]
        for number, pairs in enumerate(days):
            for pair in pairs:
                if not any(pair in before for before in days[:number]):
                    yield pair, sum(one[pair].requests for one in days[number:] if pair in one)

    def _pairs(self, day: int) -> dict[Pair, Calls]:
        pairs = self._days.get(day)
        if pairs is None:
            pairs = self._days[day] = {}
            while len(self._days) > KEPT_DAYS:
                del self._days[next(iter(self._days))]
        return pairs


def name_of(day: int) -> str:
    """Return a day since 1970 as YYYY-MM-DD."""
    return strftime("%Y-%m-%d", gmtime(day * _DAY_SECONDS))
