"""Questions to a DNS server and its answers as bytes (RFC 1035 §4, RFC 3596). Own code: see ARCHITECTURE.md.

Belongs here: one question for addresses, and what an answer to it says. Does not belong here: whom to ask, retrying, caching
(`proxy.resolver`).

An answer may come from anybody. Reading one takes a bounded time however long it is: so many records are looked at.
"""

import struct
from dataclasses import dataclass
from enum import Enum, IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

_HEADER: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")
_QUESTION: Final = struct.Struct("!HH")
_IN: Final = 1
_CNAME: Final = 5

_RESPONSE: Final = 0x8000
_OPCODE: Final = 0x7800
_TRUNCATED: Final = 0x0200
_RECURSION_DESIRED: Final = 0x0100
_CODE: Final = 0x000F
_NO_ERROR, _NO_SUCH_NAME = 0, 3

#: Records of an answer that are looked at, 2 µs each, addresses that are kept, and names that one may be an alias of.
_RECORDS: Final = 64
_ADDRESSES: Final = 8
_CHAIN: Final = 8
_LONGEST_NAME: Final = 255
_LONGEST_LABEL: Final = 63
_POINTER: Final = 0xC0
#: A TTL with the highest bit set is 0 (RFC 2181 §8).
_NEGATIVE: Final = 1 << 31


class Kind(IntEnum):
    """What is asked for."""

    A = 1
    AAAA = 28


class Verdict(Enum):
    """What an answer says about the name."""

    #: The name is there, perhaps without an address of this kind.
    FOUND = "found"
    NO_SUCH_NAME = "no such name"
    #: The server cannot or will not tell.
    FAILED = "failed"
    #: It does not fit: to be asked again by TCP.
    TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer says. `ttl` is seconds, the least of what led to the addresses."""

    verdict: Verdict
    addresses: tuple[str, ...] = ()
    ttl: int = 0


def question(number: int, name: str, kind: Kind) -> bytes:
    """Return a query for an absolute `name`, its dot at the end or not. Raises ValueError where DNS cannot have such a name."""
    header = _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + _encoded(name) + _QUESTION.pack(kind, _IN)


def can_be_asked(name: str) -> bool:
    """Tell whether DNS can have such a name; one of a search list may be too long."""
    try:
        _encoded(name)
    except ValueError:
        return False
    return True


def _encoded(name: str) -> bytes:
    labels = name.removesuffix(".").encode("ascii").split(b".")
    if any(not 0 < len(label) <= _LONGEST_LABEL for label in labels):
        message = "a label is empty or too long"
        raise ValueError(message)
    encoded = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    if len(encoded) > _LONGEST_NAME:
        message = "the name is too long"
        raise ValueError(message)
    return encoded


def answer(data: bytes, query: bytes) -> Answer | None:
    """Read what came upon `query`; None: it is no answer to it, or cannot be read."""
    try:
        return _answer(data, query)
    except (struct.error, IndexError, ValueError):
        return None


def _answer(data: bytes, query: bytes) -> Answer | None:
    number, flags, questions, records, _, _ = _HEADER.unpack_from(data)
    asked = query[_HEADER.size :]
    end = _HEADER.size + len(asked)
    same = number == _HEADER.unpack_from(query)[0] and questions == 1
    # the case of letters is the server's to keep or not (RFC 4343)
    same = same and data[_HEADER.size : end - 4].lower() == asked[:-4].lower()
    same = same and data[end - 4 : end] == asked[-4:]
    if not same or not flags & _RESPONSE or flags & _OPCODE:
        return None
    if flags & _TRUNCATED:
        return Answer(Verdict.TRUNCATED)
    code = flags & _CODE
    if code == _NO_SUCH_NAME:
        return Answer(Verdict.NO_SUCH_NAME)
    if code != _NO_ERROR:
        return Answer(Verdict.FAILED)
    name, _ = _name(data, _HEADER.size)
    kind = int.from_bytes(asked[-4:-2], "big")
    return _addresses(data, end, min(records, _RECORDS), name, kind)


def _addresses(data: bytes, position: int, records: int, name: bytes, kind: int) -> Answer:
    """Return the addresses of `name`, by way of its aliases, from the answer section at `position`."""
    aliases: dict[bytes, tuple[bytes, int]] = {}
    found: dict[bytes, list[tuple[str, int]]] = {}
    for _ in range(records):
        owner, position = _name(data, position)
        of_kind, of_class, ttl, length = _RECORD.unpack_from(data, position)
        position += _RECORD.size
        ttl = 0 if ttl & _NEGATIVE else ttl
        if of_class == _IN and of_kind == _CNAME:
            aliases.setdefault(owner, (_name(data, position)[0], ttl))
        elif of_class == _IN and of_kind == kind:
            found.setdefault(owner, []).append((_text(data[position : position + length]), ttl))
        position += length
    return _along(aliases, found, name)


def _along(
    aliases: dict[bytes, tuple[bytes, int]], found: dict[bytes, list[tuple[str, int]]], name: bytes
) -> Answer:
    """Follow the aliases from `name` to its addresses."""
    ttls: list[int] = []
    for _ in range(_CHAIN):
        if name in found:
            addresses = dict.fromkeys(address for address, _ in found[name])
            ttls += (ttl for _, ttl in found[name])
            return Answer(Verdict.FOUND, tuple(addresses)[:_ADDRESSES], min(ttls))
        if name not in aliases:
            break
        name, ttl = aliases[name]
        ttls.append(ttl)
    return Answer(Verdict.FOUND)


def _text(address: bytes) -> str:
    """Return an address in text form. Raises ValueError where it has another length than one of its kind."""
    return str(IPv4Address(address) if len(address) == 4 else IPv6Address(address))  # noqa: PLR2004


def _name(data: bytes, position: int) -> tuple[bytes, int]:
    """Return the name at `position` in lower case, each label behind its length, and where what follows it begins.

    A pointer leads backwards only (RFC 1035 §4.1.4: to a prior occurrence), so there is no circle. Raises ValueError, IndexError.
    """
    labels, size, after, lowest = [], 0, 0, position
    while length := data[position]:
        if length >= _POINTER:
            after = after or position + 2
            position = int.from_bytes(data[position : position + 2], "big") & 0x3FFF
            if position >= lowest:
                message = "a pointer that leads forwards"
                raise ValueError(message)
            lowest = position
            continue
        size += 1 + length
        if length > _LONGEST_LABEL or size >= _LONGEST_NAME:
            message = "a label or a name that is too long"
            raise ValueError(message)
        labels.append(data[position : position + 1 + length])
        position += 1 + length
    return b"".join(labels).lower(), after or position + 1
