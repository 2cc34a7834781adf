"""Which pod calls which, and so how many of the daemon's captures a connection passes.

Belongs here: the routes between the pods of `node`. Does not belong here: what is said on them.
"""

from dataclasses import dataclass
from typing import Final

import pytest


@dataclass(frozen=True)
class Route:
    """From a client's pod to a server's, and how many of the daemon's captures lie between."""

    client: str
    server: str
    captures: int


DIRECT: Final = Route("x", "y", 0)
OUTBOUND, INBOUND, BOTH = Route("a", "y", 1), Route("x", "b", 1), Route("a", "b", 2)
ROUTES = pytest.mark.parametrize("route", [OUTBOUND, INBOUND, BOTH], ids=["out", "in", "both"])
