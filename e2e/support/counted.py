"""What the daemon has counted so far: one look at its metrics, and the difference between two.

Belongs here: what a verdict is told by. Does not belong here: any other metric.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Self

from e2e.support.daemon import Daemon

_SLOW_HEAD = "slow_head"


@dataclass(frozen=True)
class Counted:
    """Of all pods together."""

    #: Connections that are open now.
    open: int
    #: Exchanges by their outcome.
    outcomes: Counter[str]
    #: Connections by the reason they are not read for.
    opaque: Counter[str]
    #: Requests that came too slowly to get headers.
    slow: int

    @classmethod
    def by(cls, daemon: Daemon) -> Self:
        """Look once."""
        opened = 0
        outcomes: Counter[str] = Counter()
        opaque: Counter[str] = Counter()
        for name, labels, value in daemon.metrics():
            if name == "netra_tcp_open_connections":
                opened += int(value)
            elif name == "netra_http_requests_total":
                outcomes[labels["outcome"]] += int(value)
            elif name == "netra_opaque_connections_total":
                opaque[labels["reason"]] += int(value)
        return cls(opened, outcomes, opaque, opaque.pop(_SLOW_HEAD, 0))

    def since(self, before: Self) -> "Counted":
        """What came on top of `before`."""
        return Counted(
            self.open,
            self.outcomes - before.outcomes,
            self.opaque - before.opaque,
            self.slow - before.slow,
        )
