"""Where a message body ends, by our own arithmetic (RFC 9112 §6 and §7). Counts bytes, never holds or changes one.

Belongs here: one body at a time, after its head was parsed. Does not belong here: heads, or which message comes next.

Every reader has the same two words: `take(data, start)` returns the index of the first byte that is not of this body,
and `done` tells whether the body is complete. `broken` means the framing cannot be followed: the caller goes opaque.
"""

import re
import sys
from enum import Enum
from typing import Protocol

from netra_node.core.head import CHUNKED, UNTIL_CLOSE

# chunk-ext is wider in RFC 9112 §7.1.1; whatever holds no control character cannot move the boundary
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*+)?\r\n")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\x00-\x08\x0a-\x1f\x7f]*+\r\n")

# A possessive run needs no memory of where it came from and costs a sixth. Before 3.11.5 Python loses its way in one whose
# parts can backtrack (gh-106052); Debian 12 has 3.11.2.
_RUN = b"*+" if sys.version_info >= (3, 11, 5) else b"*"

# Tiny chunks and trailers by the thousand in one read would hold the loop for 100 ms if each cost a step in Python; a run
# of them costs one match. Only lines far below any line limit are in a run, so that the limit stays exact.
_TRAILER_LINES = re.compile(
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,999}+:[^\x00-\x08\x0a-\x1f\x7f]{0,3999}+\r\n)" + _RUN
)


def _digit(value: int) -> bytes:
    return b"%d" % value if value < 10 else b"[%c%c]" % (value + 55, value + 87)  # noqa: PLR2004


def _chunks_by_first_digit(first: int) -> bytes:
    """Return a pattern for a chunk whose size is this hexadecimal digit, or this one and another."""
    line_end = rb"(?:\r\n|[ \t]*+;[^\x00-\x08\x0a-\x1f\x7f]{0,999}+\r\n)"
    short = b"%b.{%d}" % (line_end, first)
    longer = (b"%b\r\n.{%d}" % (_digit(second), 16 * first + second) for second in range(16))
    return b"%b(?:%b|%b)\r\n" % (_digit(first), short, b"|".join(longer))


_SMALL_CHUNKS = re.compile(
    b"(?:0{0,13}+(?:%b))" % b"|".join(map(_chunks_by_first_digit, range(1, 16))) + _RUN, re.DOTALL
)


class Body(Protocol):
    """The body of one message while its bytes pass."""

    done: bool
    broken: bool

    def take(self, data: bytes, start: int) -> int:
        """Account for the bytes of this body in `data` from `start` on; return the index where they end."""


class LengthBody:
    """A body of a known number of bytes."""

    __slots__ = ("_left", "broken", "done")

    def __init__(self, length: int) -> None:
        """Expect `length` bytes, more than none."""
        self._left = length
        self.done = False
        self.broken = False

    def take(self, data: bytes, start: int) -> int:
        """See `Body`."""
        there = len(data) - start
        if there < self._left:
            self._left -= there
            return len(data)
        end = start + self._left
        self._left = 0
        self.done = True
        return end


class UntilCloseBody:
    """A body that ends with the connection (RFC 9112 §6.3 item 8)."""

    __slots__ = ("broken", "done")

    def __init__(self) -> None:
        """Expect any number of bytes."""
        self.done = False
        self.broken = False

    def take(self, data: bytes, start: int) -> int:
        """See `Body`."""
        return len(data)


class _At(Enum):
    """What the next byte of a chunked body belongs to."""

    SIZE = 0
    DATA = 1
    DATA_END = 2
    TRAILER = 3


class ChunkedBody:
    """A chunked body, its extensions and trailers included (RFC 9112 §7.1)."""

    __slots__ = ("_at", "_left", "_line", "_line_limit", "broken", "done")

    def __init__(self, line_limit: int) -> None:
        """`line_limit`: longest size or trailer line in bytes; a longer one is broken framing."""
        self._at = _At.SIZE
        self._left = 0
        self._line = b""
        self._line_limit = line_limit
        self.done = False
        self.broken = False

    def take(self, data: bytes, start: int) -> int:
        """See `Body`."""
        position, end = start, len(data)
        while position < end and not (self.done or self.broken):
            if self._at is _At.DATA:
                position = self._data(position, end)
                continue
            if not self._line:
                position = self._runs(data, position)
            if position < end:
                position = self._line_part(data, position)
        return position

    def _runs(self, data: bytes, position: int) -> int:
        """Skip what is there as a whole: chunks, or trailers. What follows is taken line by line."""
        if self._at is _At.SIZE:
            return self._whole_chunks(data, position)
        if self._at is _At.TRAILER:
            return _end_of(_TRAILER_LINES, data, position)
        return position

    def _whole_chunks(self, data: bytes, position: int) -> int:
        while True:
            position = _end_of(_SMALL_CHUNKS, data, position)
            line = _SIZE_LINE.match(data, position)
            if line is None or line.end() - position > self._line_limit:
                return position
            size = int(line[1], 16)
            end = line.end() + size
            if not size or data[end : end + 2] != b"\r\n":
                return position
            position = end + 2

    def _data(self, position: int, end: int) -> int:
        there = end - position
        if there < self._left:
            self._left -= there
            return end
        position += self._left
        self._left = 0
        self._at = _At.DATA_END
        return position

    def _line_part(self, data: bytes, position: int) -> int:
        feed = data.find(b"\n", position)
        stop = len(data) if feed < 0 else feed + 1
        line = data[position:stop]
        if self._line:
            line = self._line + line
        if feed < 0 or len(line) > self._line_limit:
            self._keep(line)
            return stop
        self._line = b""
        self._complete_line(line)
        return stop

    def _keep(self, line: bytes) -> None:
        self.broken = len(line) > self._line_limit or self._cannot_become_line(line)
        self._line = b"" if self.broken else line

    def _cannot_become_line(self, line: bytes) -> bool:
        """Refuse early what would otherwise be kept until the limit: a missing CRLF after chunk data."""
        return self._at is _At.DATA_END and line != b"\r"

    def _complete_line(self, line: bytes) -> None:
        match self._at:
            case _At.SIZE:
                self._size(line)
            case _At.DATA_END:
                self.broken = line != b"\r\n"
                self._at = _At.SIZE
            case _:
                self.done = line == b"\r\n"
                self.broken = not self.done and _TRAILER_LINE.fullmatch(line) is None

    def _size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            self.broken = True
            return
        self._left = int(match[1], 16)
        self._at = _At.DATA if self._left else _At.TRAILER


def _end_of(run: re.Pattern[bytes], data: bytes, position: int) -> int:
    found = run.match(data, position)
    return position if found is None else found.end()


def body_of(length: int, line_limit: int) -> Body | None:
    """Return the reader for a body of `length` (a number of bytes, CHUNKED or UNTIL_CLOSE), None for an empty one."""
    if length == 0:
        return None
    if length == CHUNKED:
        return ChunkedBody(line_limit)
    if length == UNTIL_CLOSE:
        return UntilCloseBody()
    return LengthBody(length)
