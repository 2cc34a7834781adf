"""What a route says: `host1=host2,host3=host4:8080`, and which upstream it names for a request.

Belongs here: the value's syntax (netramesh's, `netramesh.md` §5), the choice, where a request keeps its value. Does not belong
here: the memory from inbound to outbound (`route_memory`), whether a target may be dialled (`targets`), dialling it.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Final, NamedTuple

from netra_node.core.cookies import cookies
from netra_node.core.headers import HeaderView

#: A longer value is malformed; browsers keep no longer cookie.
MAX_VALUE: Final = 4096
#: And so is one of more items: each costs 0.3 µs, and one read may bring 64 requests that have them.
MAX_ITEMS: Final = 64

_DEFAULT_PORT: Final = 80
_HIGHEST_PORT: Final = 65535
#: RFC 1123 §2.1, and the underscore that DNS has no quarrel with; IPv4 literals are of this form, too.
_NAME = re.compile(
    r"(?=.{1,254}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?"
)
_PORT = re.compile(r"[0-9]{1,5}")


class Target(NamedTuple):
    """Where a route leads: a name or an IP address, in lower case. Port 0: what was written there cannot be dialled."""

    host: str
    port: int


class MalformedError(ValueError):
    """A route that cannot be read. Its value is not told: it may be anything that a client sent."""


def choose(value: bytes, host: bytes) -> Target | None:
    """Return the target of the first item whose left side is `host`, byte for byte; None: no item names it.

    Items are read from left to right; what is behind the one that matches is not seen. Raises MalformedError at an item
    without `=`, and for a value that is too long or has too many.
    """
    for item in _items(value):
        left, right = _sides(item)
        if left == host and left != right:
            return _target(right)
    return None


def check(value: bytes) -> None:
    """Raise MalformedError where any item of a route is, as `choose` would at the latest for a host that none names."""
    for item in _items(value):
        _sides(item)


def _items(value: bytes) -> list[bytes]:
    if len(value) > MAX_VALUE or value.count(b",") >= MAX_ITEMS:
        message = "too long"
        raise MalformedError(message)
    return value.split(b",")


def _sides(item: bytes) -> tuple[bytes, bytes]:
    left, equals, rest = item.partition(b"=")
    if not equals:
        message = "an item without ="
        raise MalformedError(message)
    # a second = and what is behind it have no meaning
    return left, rest.partition(b"=")[0]


def _target(written: bytes) -> Target:
    text = written.decode("latin-1").lower()
    if text.startswith("["):
        host, closed, port = text[1:].partition("]")
        valid = bool(closed) and _is_v6(host) and (not port or port.startswith(":"))
        port = port[1:] if port else str(_DEFAULT_PORT)
    else:
        host, colon, port = text.partition(":")
        valid = _NAME.fullmatch(host) is not None
        port = port if colon else str(_DEFAULT_PORT)
    if valid and _PORT.fullmatch(port) and 0 < int(port) <= _HIGHEST_PORT:
        return Target(host, int(port))
    return Target("", 0)


def _is_v6(text: str) -> bool:
    try:
        return IPv6Address(text).scope_id is None
    except AddressValueError:
        return False


@dataclass(frozen=True, slots=True)
class RouteNames:
    """Where a request keeps its route. Names as they are written."""

    header: bytes = b"X-Route"
    #: None: cookies are not looked at.
    cookie: bytes | None = None


class RouteSource:
    """Finds the route in a request head: the cookie before the header."""

    __slots__ = ("_cookie", "_header", "fields", "header")

    def __init__(self, names: RouteNames) -> None:
        """Know the names."""
        self.header = names.header
        self._header = names.header.lower()
        self._cookie = names.cookie
        #: Lower-case names that a HeaderView given here must know.
        self.fields = (self._header,) if names.cookie is None else (self._header, b"cookie")

    def of(self, view: HeaderView) -> bytes:
        """Return the route that a request brings itself; empty: none."""
        if self._cookie is not None:
            sent = cookies(view.get_all(b"cookie"), (self._cookie,))
            _, value = next(sent, (b"", b""))
            if value:
                return value
        return view.get(self._header) or b""
