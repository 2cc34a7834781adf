"""How much there is room for: a pod's connections against their cap, this process's descriptors against its limit.

Belongs here: when something is used up, when it is so no more, how often that is news. Does not belong here: what is done about it (`workload`
lets new connections go direct, `manager` tells every pod).

Nothing is tight at the moment it is used up: what ends may come back at once. So it is used up until a tenth is free again.
"""

import fcntl
import os
import resource
import time
from collections.abc import Callable
from typing import Final

#: Kept for everything but connections: health, scrapes, export, netlink, and what is accepted before accepting stops.
_LEAST_RESERVE: Final = 32
_MOST_RESERVE: Final = 512
#: Since Linux 6.2 its size is how many there are; before, it is 0.
_HELD: Final = "/proc/self/fd"
#: Numbers asked for where it is; none is left out where there are so few.
_SAMPLES: Final = 256
#: The share of the reserve that connections may come or end between two looks: each takes two descriptors, and sockets are made
#: in stock. A look takes 4 µs, on those old kernels 200.
_STRIDE: Final = 8
#: What a daemon with a few pods holds besides.
_OTHERS: Final = 60
#: Seconds after which the same is news again.
_NEWS: Final = 10.0
#: Pods that can be captured at once; a node has at most a few hundred.
_PODS: Final = 512


def raise_descriptor_limit() -> int:
    """Allow this process as many descriptors as it may have, two for each captured connection; return how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def pods_within(limit: int) -> int:
    """Return for how many pods a process with so many descriptors keeps low ones (`interception.slots`)."""
    return min(_PODS, limit // 8)


def connections_within(limit: int) -> int:
    """Return for about how many connections a process with so many descriptors has room, pods by the dozen aside."""
    return max(0, Descriptors(limit, lambda: None).for_captured - pods_within(limit) - _OTHERS) // 2


class Cap:
    """A count that is too high at a limit, and until it is a tenth below."""

    __slots__ = ("_enough", "limit", "reached")

    def __init__(self, limit: int) -> None:
        """`limit`: the first count that is too high."""
        self.limit = limit
        self._enough = limit - max(1, limit // 10)
        self.reached = False

    def count(self, number: int) -> bool:
        """Take note of the count; tell whether `reached` has changed."""
        before = self.reached
        self.reached = number >= self.limit or (before and number > self._enough)
        return self.reached is not before


class Told:
    """What the log was told lately: what fills and empties many times a second is news once."""

    __slots__ = ("_at", "_clock")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._clock = clock
        self._at: dict[str, float] = {}

    def is_news(self, what: str) -> bool:
        """Tell whether `what` was not told in the last ten seconds; if so, it is told now."""
        now = self._clock()
        news = now - self._at.get(what, -_NEWS) >= _NEWS
        if news:
            self._at[what] = now
        return news


class Descriptors:
    """The descriptors of this process, whoever has them: connections or anybody else, a leak of ours included.

    First new connections shall go direct, and an eighth later accepting stops: in between fit those that were captured
    already. At the limit itself libuv would accept connections to close them at once.
    """

    __slots__ = ("_accept", "_capture", "_changed", "_left", "_limit", "_stride")

    def __init__(self, limit: int, changed: Callable[[], None]) -> None:
        """`limit`: RLIMIT_NOFILE. `changed` is called when one of the properties is another than before."""
        reserve = min(max(limit // 8, _LEAST_RESERVE), _MOST_RESERVE)
        self._limit = limit
        self._accept = Cap(limit - reserve)
        self._capture = Cap(self._accept.limit - self._accept.limit // 8)
        self._changed = changed
        self._stride = self._left = reserve // _STRIDE

    @property
    def for_captured(self) -> int:
        """How many may be held, by whomever, before new connections go direct."""
        return self._capture.limit

    @property
    def scarce(self) -> bool:
        """Whether new connections shall go direct."""
        return self._capture.reached

    @property
    def exhausted(self) -> bool:
        """Whether nobody may accept."""
        return self._accept.reached

    def connections_changed(self) -> None:
        """Take note that a connection has come or ended."""
        self._left -= 1
        if not self._left:
            self._left = self._stride
            self.look()

    def look(self) -> None:
        """Find out; also to be called at times when nothing comes or ends, as others take and free descriptors, too."""
        held = os.stat(_HELD).st_size or estimate(self._limit)  # noqa: PTH116 - one system call, no object
        changed = [cap.count(held) for cap in (self._capture, self._accept)]
        if any(changed):
            self._changed()


def estimate(limit: int) -> int:
    """Return about how many descriptors are held, by asking for some of the numbers: for kernels that do not know."""
    # an even step would see one side of every connection only, as its two numbers are neighbours
    numbers = range(0, limit, max(1, limit // _SAMPLES) | 1)
    return limit * sum(map(_is_held, numbers)) // len(numbers)


def _is_held(number: int) -> bool:
    try:
        fcntl.fcntl(number, fcntl.F_GETFD)
    except OSError:
        return False
    return True
