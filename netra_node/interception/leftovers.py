"""What a dead daemon left in a namespace, and taking it away.

Belongs here: finding and removing what is ours by its tags, whichever version made it. Does not belong here: whose daemon is
still alive (`holders`), what a living one adds and removes (`routes`, `lease`).

Ours are rules and routes with our `proto`, and tables named `netra-` and eight hex digits. A table with an owner dies with it;
one without (kernels below 5.12) stays. Formats: linux/rtnetlink.h, fib_rules.h, netfilter/nf_tables.h.

Every function here is to be called inside the namespace it is about.
"""

import errno
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from netra_node.interception import encode, netlink
from netra_node.interception.encode import ROUTE_PROTOCOL, Message

_TABLE: Final = re.compile(r"netra-[0-9a-f]{8}")
# rtnetlink.h
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWRULE, _DELRULE, _GETRULE = 32, 33, 34
# struct rtmsg: family, dst_len, src_len, tos, table, protocol, ...; struct fib_rule_hdr has the same length.
_RTMSG: Final = struct.Struct("=BBBBBBBBI")
_ROUTE_PROTOCOL_AT: Final = 5
_FRA_PRIORITY, _FRA_TABLE, _FRA_PROTOCOL = 6, 15, 21
_RTA_DST, _RTA_TABLE = 1, 15
# nf_tables.h, nfnetlink.h
_NEWTABLE, _GETTABLE = 10 << 8, 10 << 8 | 1
_NFGENMSG: Final = struct.Struct(">BBH")
_NFTA_NAME, _NFTA_OWNER = 1, 7
_GETSETELEM, _NFPROTO_INET = 10 << 8 | 13, 1
_ELEMENTS_TABLE, _ELEMENTS_SET, _ELEMENTS = 1, 2, 3
_ATTRIBUTE: Final = struct.Struct("=HH")
#: Somebody else was quicker.
_GONE: Final = (errno.ENOENT, errno.ESRCH)
#: Without the bits that say "nested" and "network byte order".
_TYPE_MASK: Final = 0x3FFF


@dataclass(frozen=True, slots=True)
class Table:
    """An nftables table of ours. `owner` is the netlink port that owns it; 0: nobody."""

    name: str
    owner: int


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What of ours a namespace has."""

    tables: tuple[Table, ...] = ()
    #: Requests that remove rules and routes, with what each is about.
    routing: tuple[Message, ...] = ()

    @property
    def about(self) -> tuple[str, ...]:
        """Say what there is, each thing in words."""
        return (
            *(f"table {table.name}" for table in self.tables),
            *(one.about for one in self.routing),
        )


def find() -> Leftovers:
    """Return what of ours is here. Raises OSError."""
    with netlink.netfilter_socket() as link:
        found = tuple(tables(link))
    with netlink.route_socket() as link:
        routing = (*_rules(link), *_routes(link))
    return Leftovers(found, routing)


def remove(found: Leftovers) -> None:
    """Remove what `find` found; for nobody's tables. Raises RefusedError (EPERM: a table has an owner after all)."""
    with netlink.netfilter_socket() as link:
        for table in found.tables:
            netlink.commit(link, encode.delete(table.name))
    with netlink.route_socket() as link:
        for message in found.routing:
            netlink.request(link, message, tolerate=_GONE)


# ---- reading ---------------------------------------------------------------------------------------------------------


def tables(link: socket.socket) -> Iterator[Table]:
    """Yield our tables in the namespace of `link`, a netfilter socket; those of a living daemon too. Raises OSError."""
    for kind, body in netlink.dump(link, _GETTABLE, _NFGENMSG.pack(0, 0, 0)):
        attributes = _attributes(body[_NFGENMSG.size :])
        name = attributes.get(_NFTA_NAME, b"").rstrip(b"\0").decode(errors="replace")
        if kind == _NEWTABLE and _TABLE.fullmatch(name):
            yield Table(name, int.from_bytes(attributes.get(_NFTA_OWNER, b"\0"), "big"))


def is_beating(link: socket.socket, table: str) -> bool:
    """Tell whether the heartbeat of `table` is younger than it may get. Raises OSError."""
    which = _text(_ELEMENTS_TABLE, table) + _text(_ELEMENTS_SET, "alive")
    request = _NFGENMSG.pack(_NFPROTO_INET, 0, 0) + which
    return any(
        _attributes(body[_NFGENMSG.size :]).get(_ELEMENTS)
        for _, body in netlink.dump(link, _GETSETELEM, request)
    )


def _rules(link: socket.socket) -> Iterator[Message]:
    """A rule is removed by the very form it was listed in, as `ip rule flush` does it."""
    for kind, body in netlink.dump(link, _GETRULE, bytes(_RTMSG.size)):
        attributes = _attributes(body[_RTMSG.size :])
        if kind == _NEWRULE and attributes.get(_FRA_PROTOCOL) == bytes((ROUTE_PROTOCOL,)):
            priority = _native(attributes.get(_FRA_PRIORITY, b""))
            table = _native(attributes.get(_FRA_TABLE, b""))
            about = f"{_family(body)} rule with priority {priority} to table {table}"
            yield Message(about, _DELRULE, 0, body)


def _routes(link: socket.socket) -> Iterator[Message]:
    for kind, body in netlink.dump(link, _GETROUTE, bytes(_RTMSG.size)):
        if kind == _NEWROUTE and body[_ROUTE_PROTOCOL_AT] == ROUTE_PROTOCOL:
            attributes = _attributes(body[_RTMSG.size :])
            table = _native(attributes.get(_RTA_TABLE, b""))
            target = _target(body[0], attributes.get(_RTA_DST))
            yield Message(f"{_family(body)} route to {target} in table {table}", _DELROUTE, 0, body)


def _text(kind: int, text: str) -> bytes:
    data = text.encode() + b"\0"
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data + bytes(-len(data) % 4)


def _attributes(data: bytes) -> dict[int, bytes]:
    """Read type, length, value; of a type that comes twice the last."""
    found: dict[int, bytes] = {}
    while len(data) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data)
        if size < _ATTRIBUTE.size:
            break
        found[kind & _TYPE_MASK] = data[_ATTRIBUTE.size : size]
        data = data[(size + 3) & ~3 :]
    return found


def _native(number: bytes) -> int:
    return int.from_bytes(number, "little" if struct.pack("=H", 1)[0] else "big")


def _family(body: bytes) -> str:
    return "IPv6" if body[0] == socket.AF_INET6 else "IPv4"


def _target(family: int, packed: bytes | None) -> str:
    if packed is None:
        return "everything"
    return socket.inet_ntop(family, packed)
