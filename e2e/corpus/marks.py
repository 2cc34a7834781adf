"""Where the daemon may change a request, marked in the bytes of a case: `<<what is sent|what arrives instead>>`.

Belongs here: the marks, what they stand for on the wire, the comparison. Does not belong here: cases.

Everything outside a mark arrives as it was sent, and what a mark stands for has one form. So a header is found wherever it
is not declared, and missed wherever it is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

_MARK = re.compile(rb"<<([^|]*)\|([^>]*)>>")
_PLACE = re.compile(rb"\{(\w+)\}")
_HEX = rb"[0-9a-f]"
#: What may stand for a place; `trace` and `span` are the same throughout one head.
_FORMS = {
    b"trace": rb"(?!0{32})" + _HEX + rb"{32}",
    b"span": rb"(?!0{16})" + _HEX + rb"{16}",
    # only where two captures lie between: the inner one has the outer one for its parent
    b"parent": rb"(?:-%b{16})?" % _HEX,
    b"parent_line": rb"(?:X-B3-ParentSpanId: %b{16}\r\n)?" % _HEX,
    b"uuid": rb"%b{8}-%b{4}-4%b{3}-[89ab]%b{3}-%b{12}" % ((_HEX,) * 5),
}
#: How much of a difference is shown.
_SHOWN = 60

TRACE = b"0af7651916cd43dd8448eb211c80319c"
SPAN = b"b7ad6b7169203331"

_TRACEPARENT = b"traceparent: 00-{trace}-{span}-01\r\n"
_UBER_TRACE_ID = b"uber-trace-id: {trace}:{span}:0:1\r\n"
_REQUEST_ID = b"X-Request-Id: {uuid}\r\n"
_SOURCE = b"{source}"


class Declared(Enum):
    """What is declared between the two ends; the value is the line that only outbound requests get."""

    NOTHING = None
    INBOUND = b""
    OUTBOUND = b"X-Source: a\r\n"


def changed(sent: bytes, arrives: bytes) -> bytes:
    """Mark bytes that do not arrive as they were sent; `arrives` may name places: {trace}, {span}, {uuid}, {source}."""
    return b"<<%b|%b>>" % (sent, arrives)


def added(*without: str) -> bytes:
    """Mark where declared headers are added; but those whose names are given, which are there already."""
    lines = {
        "traceparent": _TRACEPARENT,
        "uber-trace-id": _UBER_TRACE_ID,
        "x-request-id": _REQUEST_ID,
        "x-source": _SOURCE,
    }
    return changed(b"", b"".join(line for name, line in lines.items() if name not in without))


def traced(head: bytes, *without: str) -> bytes:
    """Mark a complete head as one that gets headers, directly before its empty line."""
    assert head.endswith(b"\r\n\r\n"), head
    return head[:-2] + added(*without) + b"\r\n"


def sent(marked: bytes) -> bytes:
    """Return what the client sends."""
    return _MARK.sub(lambda mark: mark[1], marked)


def count(marked: bytes) -> int:
    """Return how many requests get headers of a trace."""
    return len({mark.scope for mark in _marks(marked) if b"{span}" in mark.arrives})


def difference(marked: bytes, got: bytes, declared: Declared) -> str:
    """Say where `got` is not what has to arrive; empty when it is."""
    way = _follow(marked, got, declared)
    if way.expected is None:
        return ""
    there = got[way.position : way.position + _SHOWN]
    return f"at byte {way.position} of {len(got)}: {there!r} where {way.expected[:_SHOWN]!r} is due"


def undeclared(marked: bytes, got: bytes, declared: Declared) -> bytes:
    """Return `got` with what was declared taken out again: the sender's bytes."""
    return b"".join(_follow(marked, got, declared).kept)


def spans(marked: bytes, got: bytes, declared: Declared) -> list[bytes]:
    """Return the span ids that were declared in `got`, one for each head."""
    known = _follow(marked, got, declared).known
    return [value for (_, place), value in known.items() if place == "span"]


@dataclass(frozen=True)
class _Mark:
    """One mark, and the literal bytes between the one before and it."""

    before: bytes
    sent: bytes
    arrives: bytes
    #: The head it is in, as a number.
    scope: int


@dataclass
class _Way:
    """How far `got` is what was expected; `expected` is what is due at `position`, None at the very end."""

    position: int = 0
    kept: list[bytes] = field(default_factory=list)
    known: dict[tuple[int, str], bytes] = field(default_factory=dict)
    expected: bytes | None = None


@lru_cache(maxsize=1024)
def _parsed(marked: bytes) -> tuple[tuple[_Mark, ...], bytes]:
    """Return the marks and what is behind the last."""
    return tuple(_marks(marked)), _MARK.split(marked)[-1]


def _marks(marked: bytes) -> Iterator[_Mark]:
    position = 0
    for mark in _MARK.finditer(marked):
        before = marked[position : mark.start()]
        scope = sent(marked[: mark.start()]).count(b"\r\n\r\n")
        yield _Mark(before, mark[1], mark[2], scope)
        position = mark.end()


def _follow(marked: bytes, got: bytes, declared: Declared) -> _Way:
    way = _Way()
    all_marks, rest = _parsed(marked)
    for mark in all_marks:
        if not _literally(way, mark.before, got) or not _in_form(way, mark, got, declared):
            return way
    if _literally(way, rest, got) and way.position < len(got):
        way.expected = b""
    return way


def _literally(way: _Way, expected: bytes, got: bytes) -> bool:
    if got.startswith(expected, way.position):
        way.kept.append(expected)
        way.position += len(expected)
        return True
    same = _common(expected, got[way.position :])
    way.position += same
    way.expected = expected[same:]
    return False


def _common(one: bytes, other: bytes) -> int:
    """Return how many first bytes are the same."""
    if one.startswith(other):
        return len(other)
    return next(n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)


def _in_form(way: _Way, mark: _Mark, got: bytes, declared: Declared) -> bool:
    if declared is Declared.NOTHING:
        return _literally(way, mark.sent, got)
    found = _form(mark.arrives, declared).match(got, way.position)
    if found is None or not _agrees(way, mark.scope, found.groupdict()):
        way.expected = mark.arrives
        return False
    way.kept.append(mark.sent)
    way.position = found.end()
    return True


def _agrees(way: _Way, scope: int, found: dict[str, bytes]) -> bool:
    """Tell whether the ids are those that other marks of the head have."""
    ids = {(scope, name): value for name, value in found.items()}
    same = all(way.known.get(key, value) == value for key, value in ids.items())
    way.known |= ids
    return same


@lru_cache
def _form(arrives: bytes, declared: Declared) -> re.Pattern[bytes]:
    """Return what `arrives` stands for; a place that comes twice is the same twice."""
    pattern = b""
    for number, part in enumerate(_PLACE.split(arrives)):
        if number % 2 == 0:
            pattern += re.escape(part)
        elif part == b"source":
            pattern += re.escape(declared.value or b"")
        elif b"(?P<%b>" % part in pattern:
            pattern += b"(?P=%b)" % part
        else:
            pattern += b"(?P<%b>%b)" % (part, _FORMS[part])
    return re.compile(pattern)
