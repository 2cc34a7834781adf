"""Sets of TCP ports as people write them: `80,8000-8010`. Belongs here: parsing, printing and membership, nothing of rules."""

import re
from dataclasses import dataclass

#: What `parse` takes, in words for an error message.
FORMAT = "ports and ranges 0..65535, such as 80,8000-8010"
#: What `parse_or_all` takes.
FORMAT_OR_ALL = f"* for all, or {FORMAT}"
#: Membership is looked up once per connection, in order; nobody writes more than this by hand.
MAX_ITEMS = 1024

_HIGHEST = 65535
#: `:` is how iptables writes a range; netramesh's port lists were handed to it.
_ITEM = re.compile(r"([0-9]{1,10})(?:\s*[-:]\s*([0-9]{1,10}))?")


@dataclass(frozen=True, slots=True)
class PortSet:
    """Inclusive, sorted, non-overlapping ranges of ports 0..65535."""

    ranges: tuple[tuple[int, int], ...]

    def __contains__(self, port: int) -> bool:
        """Tell whether `port` lies in one of the ranges."""
        return any(low <= port <= high for low, high in self.ranges)

    def without(self, other: "PortSet") -> "PortSet":
        """Return the ports that are not in `other`."""
        left: list[tuple[int, int]] = []
        for low, high in self.ranges:
            for gone_low, gone_high in other.ranges:
                if gone_high < low or gone_low > high:
                    continue
                if gone_low > low:
                    left.append((low, gone_low - 1))
                low = gone_high + 1  # noqa: PLW2901 - what is left of the range
            if low <= high:
                left.append((low, high))
        return PortSet(tuple(left))

    def __str__(self) -> str:
        """Return what `parse` reads back."""
        return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in self.ranges)


ALL_PORTS = PortSet(((0, _HIGHEST),))


def parse(text: str) -> PortSet:
    """Read ports and ranges separated by commas, blanks allowed. Raises ValueError naming the item that is wrong."""
    items = text.split(",", MAX_ITEMS)
    if len(items) > MAX_ITEMS:
        message = f"more than {MAX_ITEMS} items"
        raise ValueError(message)
    return PortSet(_merged(sorted(_parse_item(item.strip()) for item in items)))


def parse_or_all(text: str) -> PortSet:
    """Read `*`, which is every port, or what `parse` reads. Raises ValueError."""
    return ALL_PORTS if text.strip() == "*" else parse(text)


def _parse_item(item: str) -> tuple[int, int]:
    match = _ITEM.fullmatch(item)
    if match is None:
        message = f"{item[:40]!r} is no port and no range"
        raise ValueError(message)
    low = int(match[1])
    high = low if match[2] is None else int(match[2])
    if high > _HIGHEST or low > _HIGHEST:
        message = f"{item!r} is above {_HIGHEST}"
        raise ValueError(message)
    if low > high:
        message = f"{item!r} runs backwards"
        raise ValueError(message)
    return low, high


def _merged(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join ranges that overlap or touch; `ranges` is sorted."""
    merged: list[tuple[int, int]] = []
    for low, high in ranges:
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)
