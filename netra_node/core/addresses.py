"""Addresses and ids that are easily mixed up, each as a type of its own.

Belongs here: a name for a value, and how it is written. Does not belong here: parsing, resolving, or comparing with rules.
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


def authority(host: str, port: int) -> str:
    """Return host and port as they stand in a URL (RFC 3986 §3.2) and in a Host field; an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
