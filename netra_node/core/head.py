"""Request and response heads: validated, their interesting fields read, their declared headers written.

Belongs here: one complete head, or the beginning of one. Does not belong here: bodies (`framing`), the order of
messages (`conversation`), which headers are declared (`tracing`).

A head passes two judges: our own grammar (RFC 9112 without its leniencies) and llhttp through httptools. Where they
could disagree with a peer about where a message ends we do not guess: the caller goes opaque (`http.md`, Requests).
httptools enters here and nowhere else; it sees heads only, never bodies, and calls nothing back but `on_headers_complete`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final

import httptools

from netra_node.core.headers import Declared
from netra_node.core.records import OpaqueReason

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# field-content of RFC 9110 §5.5 with obs-text: no NUL, CR, LF or other control but HTAB
_VALUE = rb"[^\x00-\x08\x0a-\x1f\x7f]"
# llhttp's longest method has 11 letters
_METHOD = _TOKEN + rb"{1,32}+"
_TARGET = rb"[^\x00-\x20\x7f]"
_FIELDS = rb"(?:" + _TOKEN + rb"++:" + _VALUE + rb"*+\r\n)*"

_REQUEST = re.compile(
    rb"(" + _METHOD + rb") (" + _TARGET + rb"++) HTTP/(1\.[01])\r\n" + _FIELDS + rb"\r\n"
)
_RESPONSE = re.compile(
    rb"HTTP/(1\.[01]) ([1-9][0-9]{2})(?: " + _VALUE + rb"*+)?\r\n" + _FIELDS + rb"\r\n"
)
_FIRST_LINE = re.compile(_METHOD + rb" " + _TARGET + rb"++ HTTP/1\.[01][\r\n]")


def _plain_fields(names: Sequence[bytes], group: int, rare: Sequence[bytes] = ()) -> bytes:
    """Return a pattern for field lines that captures the values of `names`, each at most once, from group `group` on.

    One pass does what grammar check and look-up do otherwise. A line of another name passes by the first or the last
    alternative; a repeated name, one of `rare`, or a value with white space behind it, passes by none: such a head is
    left to the thorough reading.
    """
    initials = b"".join(sorted({name[:1] + name[:1].upper() for name in (*names, *rare)}))
    any_line = _TOKEN + rb"++:" + _VALUE + rb"*+\r\n"
    known = b"".join(
        rb"(?(%d)(?!)|(?i:%b):[ \t]*+(%b*+)(?<![ \t])\r\n)|" % (number, re.escape(name), _VALUE)
        for number, name in enumerate(names, group)
    )
    other = rb"(?!(?i:%b):)" % b"|".join(map(re.escape, (*names, *rare))) + any_line
    return rb"(?:(?![%b])%b|%b%b)*\r\n" % (re.escape(initials), any_line, known, other)


_LENGTH = re.compile(rb"[0-9]{1,18}")  # 18 digits stay below 2^63, where llhttp stops too

_FRAMING: Final = (b"content-length", b"transfer-encoding", b"connection")
_REQUEST_ONLY: Final = (b"host", b"upgrade", b"user-agent")
#: Where the parts of the first line stand beside the fields: no field is called so.
_FIRST_LINE_PARTS: Final = (b":method", b":target", b":version")
_PLAIN_RESPONSE = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9]{2}) " + _VALUE + rb"*+\r\n" + _plain_fields(_FRAMING, 2)
)

#: Response heads up to this many bytes are remembered; 256 of them.
_REMEMBERED_LENGTH: Final = 1024

#: How long a body is: a number of bytes, or one of these.
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2


def _optional(literal: bytes, rest: bytes) -> bytes:
    """Return a pattern for every beginning of `literal`, and for all of it followed by `rest`."""
    pattern = rest
    for byte in reversed(literal):
        pattern = b"(?:" + re.escape(bytes((byte,))) + pattern + b")?"
    return pattern


_PARTIAL_FIELD = rb"(?:\r|" + _TOKEN + rb"++(?::" + _VALUE + rb"*+\r?)?)?"
_PARTIAL_FIELDS = _FIELDS + _PARTIAL_FIELD
_PARTIAL_LINE_END = _optional(b"\r\n", _PARTIAL_FIELDS)
_PARTIAL_VERSION = _optional(b"HTTP/1.", rb"(?:[01]" + _PARTIAL_LINE_END + rb")?")
_PARTIAL_TARGET = _TARGET + rb"++(?: " + _PARTIAL_VERSION + rb")?"
_PARTIAL_REASON = rb"(?: " + _VALUE + rb"*+)?" + _PARTIAL_LINE_END
_PARTIAL_STATUS = rb"(?: (?:[1-9](?:[0-9](?:[0-9]" + _PARTIAL_REASON + rb")?)?)?)?"
_REQUEST_BEGINS = re.compile(_METHOD + rb"(?: (?:" + _PARTIAL_TARGET + rb")?)?")
_RESPONSE_BEGINS = re.compile(_optional(b"HTTP/1.", rb"(?:[01]" + _PARTIAL_STATUS + rb")?"))
# where a beginning that passed once goes on: in the target, in a field's name or at its start, in a value
_TARGET_GOES_ON = re.compile(_PARTIAL_TARGET)
_FIELD_GOES_ON = re.compile(_PARTIAL_FIELDS)
_VALUE_GOES_ON = re.compile(_VALUE + rb"*+" + _PARTIAL_LINE_END)

_HTTP2_PREFACE = b"PRI * HTTP/2"
_TLS_HANDSHAKE = 0x16


class _Silent:
    """What httptools calls back: nothing. Without `on_header` it builds no Python object per field."""


class RequestHead:
    """One complete request head. `get` and `get_all` see the fields the parser was made for, names in lower case."""

    __slots__ = (
        "_fields",
        "get",
        "length",
        "method",
        "raw",
        "repeats",
        "target",
        "upgrades",
        "version",
    )

    #: First value of a lower-case name, or None. A dict's own method: it is called for every field of every request.
    get: Callable[[bytes], bytes | None]

    def __init__(
        self,
        raw: bytes,
        first: dict[bytes, bytes | None],
        length: int,
        fields: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        """Keep the pieces; `length` is the body's (a number of bytes or CHUNKED).

        `first` has the first value of every field, and the parts of the first line; `fields` all of them, None where
        none is repeated.
        """
        self.raw = raw
        self.method = first[b":method"] or b""
        self.target = first[b":target"] or b""
        self.version = first[b":version"] or b""
        self.length = length
        self.get = first.get
        self._fields = fields
        #: See `HeaderView`.
        self.repeats = fields is not None
        #: Client bytes after this head may speak another protocol, depending on the answer.
        self.upgrades = self.method == b"CONNECT" or first[b"upgrade"] is not None

    def get_all(self, name: bytes) -> list[bytes]:
        """Return every value of the lower-case `name` in order of appearance."""
        if self._fields is None:
            only = self.get(name)
            return [] if only is None else [only]
        return [value for known, value in self._fields if known == name]

    def with_headers(self, declared: Iterable[Declared]) -> bytes:
        """Return the head with exactly the declared headers changed (`http.md` rule 2).

        A value is replaced where it stands, further copies are removed, a new header is added before the empty line.
        """
        raw = self.raw
        once = self._fields is None
        added = []
        for name, value in declared:
            if self.get(name.lower()) is not None:
                raw = _replaced(raw, name, value, once=once)
            elif value is not None:
                added.append(b"%b: %b\r\n" % (name, value))
        if not added:
            return raw
        added.append(b"\r\n")
        return raw[:-2] + b"".join(added)


class ResponseHead:
    """One complete response head: what its body's framing depends on."""

    __slots__ = ("closes", "length", "status")

    def __init__(self, status: int, length: int | None, *, closes: bool) -> None:
        """Keep status, length and whether the server announced the connection's end.

        `length` is a number of bytes, CHUNKED, UNTIL_CLOSE, or None where two readers could differ about it: that
        matters only if this answer has a body at all, which its head alone does not tell (RFC 9112 §6.3 item 1).
        """
        self.status = status
        self.length = length
        self.closes = closes


class HeadParser:
    """Parses heads, reading the fields it was made for. One per node: it keeps no state between heads."""

    __slots__ = ("_groups", "_plain", "_request_fields")

    def __init__(self, fields: Iterable[bytes], rare: Sequence[bytes] = ()) -> None:
        """Make a parser that reads `fields` (lower case) besides those that framing needs.

        Those of `rare` are read as well; a head without them pays nothing for it, one with them 10 µs.
        """
        names = tuple(dict.fromkeys((*_FRAMING, *_REQUEST_ONLY, *fields)))
        self._groups = (*_FIRST_LINE_PARTS, *names)
        self._request_fields = _field_pattern((*names, *rare))
        first_line = rb"(" + _METHOD + rb") (" + _TARGET + rb"++) HTTP/(1\.[01])\r\n"
        self._plain = re.compile(first_line + _plain_fields(names, 4, rare))

    def request(self, raw: bytes) -> RequestHead | OpaqueReason:
        """Parse a complete request head, its empty line included; or say why it is not for us."""
        plain = self._plain.fullmatch(raw)
        if plain is None:
            return self._thoroughly(raw)
        first = dict(zip(self._groups, plain.groups()))  # noqa: B905 - 0.1 µs, and the pattern was made from these
        length = first[b"content-length"]
        if length is not None and _LENGTH.fullmatch(length) is None:
            return OpaqueReason.AMBIGUOUS
        if first[b"transfer-encoding"] is not None:
            return self._thoroughly(raw)
        refusal = _llhttp_request(raw)
        if refusal is not None:
            return refusal
        return RequestHead(raw, first, 0 if length is None else int(length))

    def _thoroughly(self, raw: bytes) -> RequestHead | OpaqueReason:
        """Parse any head: one that repeats a name, is chunked, or has white space where it is hardly ever seen."""
        line = _REQUEST.fullmatch(raw)
        if line is None:
            return not_http(raw)
        refusal = _llhttp_request(raw)
        if refusal is not None:
            return refusal
        fields = _read_fields(self._request_fields, raw)
        first = dict(zip(self._groups, line.groups(), strict=False))
        first = dict.fromkeys(self._groups) | first | dict(reversed(fields))
        if _repeats(fields, b"host"):
            return OpaqueReason.AMBIGUOUS
        length = _body_length(fields, line[3], otherwise=0)
        if length is None:
            return OpaqueReason.AMBIGUOUS
        return RequestHead(raw, first, length, fields)


def parse_response(raw: bytes) -> ResponseHead | None:
    """Parse a complete response head, its empty line included; None where its grammar is doubtful."""
    if len(raw) <= _REMEMBERED_LENGTH:
        return _remembered_response(raw)
    return _response(raw)


@lru_cache(maxsize=256)
def _remembered_response(raw: bytes) -> ResponseHead | None:
    """Parse a short response head, or remember it: where both ends of a call are on this node it passes twice."""
    return _response(raw)


def _response(raw: bytes) -> ResponseHead | None:
    plain = _PLAIN_RESPONSE.fullmatch(raw)
    if plain is None:
        return _response_thoroughly(raw)
    status, length, coding, connection = plain.groups()
    if coding is not None or length is None or _LENGTH.fullmatch(length) is None:
        return _response_thoroughly(raw)
    if not _llhttp_accepts_response(raw):
        return None
    return ResponseHead(int(status), int(length), closes=_closes(b"1.1", connection))


def _response_thoroughly(raw: bytes) -> ResponseHead | None:
    """Parse any response head: all but those that repeat no name and have a plain length."""
    line = _RESPONSE.fullmatch(raw)
    if line is None:
        return None
    version, status = line.groups()
    fields = _read_fields(_RESPONSE_FIELDS, raw)
    length = _body_length(fields, version, otherwise=UNTIL_CLOSE)
    # HTTP ends with a 101, and without both its headers httptools takes llhttp's pause there for an error
    if length is not None and status != b"101" and not _llhttp_accepts_response(raw):
        return None
    connection = dict(reversed(fields)).get(b"connection")
    return ResponseHead(int(status), length, closes=_closes(version, connection))


def could_be_request(beginning: bytes, seen: int = 0) -> bool:
    """Tell whether more bytes could still make `beginning` a request head; its first `seen` bytes have passed before.

    What has been seen is not read again: a head that trickles in byte by byte would cost its length squared.
    """
    if beginning.find(b"\n", 0, seen) >= 0:
        return _fields_go_on(beginning, seen)
    method_end = beginning.find(b" ", 0, seen)
    if method_end < 0:
        return _REQUEST_BEGINS.fullmatch(beginning) is not None
    target_end = beginning.find(b" ", method_end + 1, seen)
    inside = (seen if target_end < 0 else target_end) - 1
    if inside == method_end:
        return _REQUEST_BEGINS.fullmatch(beginning) is not None
    return _TARGET_GOES_ON.fullmatch(beginning, inside) is not None


def could_be_response(beginning: bytes, seen: int = 0) -> bool:
    """Tell whether more bytes could still make `beginning` a response head; its first `seen` bytes have passed before."""
    if beginning.find(b"\n", 0, seen) >= 0:
        return _fields_go_on(beginning, seen)
    return _RESPONSE_BEGINS.fullmatch(beginning) is not None


def _fields_go_on(beginning: bytes, seen: int) -> bool:
    """Judge the bytes of a head from `seen` on; at least the first line was complete before them."""
    line = beginning.rfind(b"\n", 0, seen) + 1
    if beginning.find(b":", line, seen) >= 0:
        return _VALUE_GOES_ON.fullmatch(beginning, seen - 1) is not None
    return _FIELD_GOES_ON.fullmatch(beginning, max(line, seen - 1)) is not None


def not_http(data: bytes) -> OpaqueReason:
    """Name what bytes that are no HTTP/1 request are instead; the same however they are cut into pieces."""
    if data[0] == _TLS_HANDSHAKE:
        return OpaqueReason.TLS
    if data.startswith(_HTTP2_PREFACE):
        return OpaqueReason.H2
    if _FIRST_LINE.match(data):
        return OpaqueReason.AMBIGUOUS
    return OpaqueReason.NOT_HTTP


def _field_pattern(names: Iterable[bytes]) -> re.Pattern[bytes]:
    alternatives = b"|".join(re.escape(name) for name in names)
    return re.compile(rb"\r\n(" + alternatives + rb"):[ \t]*+([^\r]*+)", re.IGNORECASE)


_RESPONSE_FIELDS = _field_pattern(_FRAMING)


def _read_fields(pattern: re.Pattern[bytes], raw: bytes) -> list[tuple[bytes, bytes]]:
    """Return (lower-case name, value) of the fields `pattern` knows; the grammar of `raw` has been checked."""
    found = pattern.findall(raw)
    if b" \r\n" in raw or b"\t\r\n" in raw:
        return [(name.lower(), value.rstrip(b" \t")) for name, value in found]
    return [(name.lower(), value) for name, value in found]


def _repeats(fields: list[tuple[bytes, bytes]], name: bytes) -> bool:
    return sum(known == name for known, _ in fields) > 1


def _body_length(
    fields: list[tuple[bytes, bytes]], version: bytes, *, otherwise: int
) -> int | None:
    """Return the body's length by RFC 9112 §6.3, or None wherever two readers could differ about it."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if codings:
        alone = not lengths and codings == [b"chunked"]
        return CHUNKED if alone and version == b"1.1" else None
    if not lengths:
        return otherwise
    return int(lengths[0]) if len(lengths) == 1 and _LENGTH.fullmatch(lengths[0]) else None


def _closes(version: bytes, connection: bytes | None) -> bool:
    """Tell whether the sender of this head ends the connection after the message (RFC 9112 §9.3)."""
    options = connection.lower() if connection is not None else b""
    if version == b"1.0":
        return b"keep-alive" not in options
    return b"close" in options


def _replaced(raw: bytes, name: bytes, value: bytes | None, *, once: bool) -> bytes:
    """Set the value of the first `name` field where it stands and remove its other copies; None removes them all.

    `once` tells that there are no other copies.
    """
    field = _field(name)
    if value is None:
        return field.sub(b"", raw)
    start, end = _span_after_name(field, raw)
    rest = raw[end:] if once else field.sub(b"", raw[end:])
    return raw[:start] + value + rest


@lru_cache(maxsize=64)
def _field(name: bytes) -> re.Pattern[bytes]:
    """Return a pattern for one field line; the names are the configured ones, a closed set."""
    return re.compile(rb"(\r\n" + re.escape(name) + rb":[ \t]*+)[^\r]*+", re.IGNORECASE)


def _span_after_name(field: re.Pattern[bytes], raw: bytes) -> tuple[int, int]:
    found = field.search(raw)
    if found is None:
        message = "a header that the view knows must stand in the head"
        raise AssertionError(message)
    return found.end(1), found.end()


def _llhttp_request(raw: bytes) -> OpaqueReason | None:
    """Ask llhttp for its judgement of a request head; None means it accepts."""
    try:
        httptools.HttpRequestParser(_SILENT).feed_data(raw)
    except httptools.HttpParserUpgrade:
        return None  # CONNECT or Upgrade: llhttp stops at the end of the head, as we do
    except httptools.HttpParserInvalidMethodError:
        return OpaqueReason.METHOD
    except httptools.HttpParserError:
        return OpaqueReason.AMBIGUOUS
    return None


def _llhttp_accepts_response(raw: bytes) -> bool:
    try:
        httptools.HttpResponseParser(_SILENT).feed_data(raw)
    except httptools.HttpParserError:
        return False
    return True


_SILENT = _Silent()
