"""Addresses and ids that are easily mixed up, each as a type of its own.

Belongs here: a name for a value. Does not belong here: parsing, resolving, or comparing with rules.
"""

from typing import NamedTuple, NewType

PodUid = NewType("PodUid", str)


class ClientAddr(NamedTuple):
    """Who opened the connection: the peer of the socket we accepted."""

    host: str
    port: int


class OriginalDst(NamedTuple):
    """Where the connection was going before it was intercepted."""

    host: str
    port: int
