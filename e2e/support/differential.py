"""A case directly and through the daemon: what was seen, and what the daemon has counted of it.

Belongs here: between whom a case is played, and the two ways. Does not belong here: steps (`transcript`), what has to be equal.
"""

import time
from dataclasses import dataclass
from typing import Final

from e2e.corpus.case import Case, Step
from e2e.corpus.marks import Declared
from e2e.support.counted import Counted
from e2e.support.daemon import Daemon
from e2e.support.node import Node
from e2e.support.transcript import Delivery, Transcript, play

#: Seconds until the daemon has closed what both its peers have: far more than it takes.
_PATIENCE: Final = 3.0
#: A pause of the machine may make a head's second piece a slow one: then the case is played again.
_ATTEMPTS: Final = 3


@dataclass(frozen=True)
class Route:
    """Who calls whom, what is declared on the way, and how many of the daemon's captures lie between."""

    caller: str
    called: str
    declared: Declared
    captures: int
    #: The two between whom a port is used that is not named.
    other_port: tuple[str, str]


ROUTES: Final = {
    "outbound": Route("a", "y", Declared.OUTBOUND, 1, ("p", "y")),
    "inbound": Route("x", "b", Declared.INBOUND, 1, ("x", "q")),
    "both": Route("a", "b", Declared.OUTBOUND, 2, ("p", "q")),
}
DIRECT: Final = ("x", "y")


class Differential:
    """Both ways to play a case beside one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._direct: dict[tuple[Step, ...], Transcript] = {}

    def direct(self, node: Node, case: Case) -> Transcript:
        """What is seen without the daemon; each conversation is played once."""
        if case.steps not in self._direct:
            self._direct[case.steps] = play(case, node.pair(*DIRECT))
        return self._direct[case.steps]

    def proxied(
        self, node: Node, case: Case, route: Route, delivery: Delivery
    ) -> tuple[Transcript, Counted]:
        """What is seen through the daemon, and what it has counted. Played again where the machine paused in a head."""
        seen: Transcript | str = ""
        for _ in range(_ATTEMPTS):
            before = self._closed()
            seen = _attempt(node, case, route, delivery)
            counted = self._closed().since(before)
            if counted.slow == case.slow * route.captures:
                break
        else:
            seen = f"a head was taken for a slow one {_ATTEMPTS} times: {seen}"
        assert isinstance(seen, Transcript), seen
        return seen, counted

    def _closed(self) -> Counted:
        """What is counted when every connection has ended."""
        end = time.monotonic() + _PATIENCE
        while (counted := Counted.by(self._daemon)).open and time.monotonic() < end:
            time.sleep(0.005)
        assert not counted.open, f"{counted.open} connections are still open"
        return counted


def _attempt(node: Node, case: Case, route: Route, delivery: Delivery) -> Transcript | str:
    """What was seen, or what was wrong."""
    ends = route.other_port if case.other_port else (route.caller, route.called)
    client, server = node.pair(*ends)
    with client, server:
        try:
            return play(case, (client, server), delivery, route.declared)
        except AssertionError as error:
            return str(error)
