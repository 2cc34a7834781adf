"""How other readers of HTTP/1 cut a stream into messages: h11, and llhttp without any leniency.

Belongs here: their boundaries in one stream, and the places known where a reader stops that no boundary of ours depends on.
Does not belong here: what we make of the stream, or the comparison (`watched`).

A reader takes every upgrade for refused, so that it goes on behind it as we do. It stops where it finds an error, where the
connection ends for it, or at an answer nobody asked for; what it had read by then counts.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import h11
import httptools

#: Longer than any stream a test shows them: what is too long is not their business.
_NO_LIMIT = 1 << 26


@dataclass(slots=True)
class Message:
    """Offsets in the stream. `body` counts the bytes of content, without chunk framing, that were seen so far."""

    head_end: int
    status: int = 0
    body: int = 0
    end: int | None = None


@dataclass(slots=True)
class Reading:
    """The messages of one stream, interim answers left out, and why the reader stopped; empty if it read all."""

    messages: list[Message] = field(default_factory=list)
    stop: str = ""
    #: The line of the stream it stopped in, and the status of that answer.
    line: bytes = b""
    status: int = 0

    def complete(self) -> list[Message]:
        return [message for message in self.messages if message.end is not None]


class Asked(NamedTuple):
    """What an answer depends on in its request."""

    method: bytes
    upgrades: bool = False


class Harmless(NamedTuple):
    """A stop of a reader that moves no boundary, known by words of its error; `reader` is how the reader's name begins."""

    reader: str
    words: str
    reason: str
    #: Only in such a line.
    line: bytes = b"(?s:.)*"
    #: Only at an answer that has no body, whatever its fields say.
    bodiless: bool = False
    #: Only in the body of a message, trailers included.
    within: bool = False


UNASKED = "unasked"
LEAVES_HTTP = "leaves HTTP"
CLOSED = "closed"
UPGRADE_BODY = "body of an upgrade"


def harmless(reader: str, reading: Reading, *, bodiless: bool = False) -> bool:
    return any(
        reader.startswith(known.reader)
        and known.words in reading.stop
        and re.fullmatch(known.line, reading.line) is not None
        and (bodiless or _interim(reading.status) or not known.bodiless)
        and (len(reading.complete()) < len(reading.messages) or not known.within)
        for known in HARMLESS
    )


_STATUS = re.compile(rb"(?:.*\n)?HTTP/1\.[01] ([0-9]{3})", re.DOTALL)


def stop_at(reading: Reading, stop: str, stream: bytes, place: int) -> None:
    """Note that the reader stops at the byte at `place`."""
    reading.stop = stop
    reading.line = stream[stream.rfind(b"\n", 0, place) + 1 : stream.find(b"\n", place) + 1]
    status = _STATUS.match(stream, 0, place)
    reading.status = int(status[1]) if status else 0


# ---- llhttp


class _Callbacks:
    """Notes what llhttp calls back while one byte is fed."""

    def __init__(self) -> None:
        self.heads = 0
        self.ends = 0
        self.body = 0
        self.framed = False

    def on_message_begin(self) -> None:
        self.framed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.framed |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self.heads += 1

    def on_message_complete(self) -> None:
        self.ends += 1

    def on_body(self, data: bytes) -> None:
        self.body += len(data)


def llhttp_requests(stream: bytes) -> Reading:
    reading = Reading()
    seen = _Callbacks()
    parser = httptools.HttpRequestParser(seen)
    for place in range(len(stream)):
        before = seen.heads, seen.ends
        try:
            parser.feed_data(stream[place : place + 1])
        except httptools.HttpParserUpgrade:
            parser = httptools.HttpRequestParser(seen)
            reading.stop = UPGRADE_BODY if seen.framed else ""
        except httptools.HttpParserError as error:
            stop_at(reading, _llhttp_stop(error), stream, place)
            return reading
        if seen.heads > before[0]:
            reading.messages.append(Message(place + 1))
            seen.body = 0
        if reading.messages:
            reading.messages[-1].body = seen.body
        if seen.ends > before[1]:
            reading.messages[-1].end = None if reading.stop else place + 1
        if reading.stop:
            return reading
    return reading


def _llhttp_stop(error: httptools.HttpParserError) -> str:
    text = str(error.__context__ or error)
    return CLOSED if "after `Connection: close`" in text else text


def llhttp_answers(stream: bytes, asked: Sequence[Asked], *, eof: bool) -> Reading:
    """`eof` is not used: httptools cannot be told, so an answer that lasts until the close has no end here."""
    reading = Reading()
    questions = iter(asked)
    question = next(questions, None)
    position = 0
    while position < len(stream) and not reading.stop:
        if question is None:
            reading.stop = UNASKED
            break
        message = _llhttp_answer(stream, position, question, reading)
        if message is None or message.end is None:
            break
        position = message.end
        if not _interim(message.status):
            question = next(questions, None)
    return reading


def _llhttp_answer(stream: bytes, position: int, asked: Asked, reading: Reading) -> Message | None:
    """Read one answer with a parser of its own: llhttp cannot be told through httptools that it answers HEAD."""
    seen = _Callbacks()
    parser = httptools.HttpResponseParser(seen)
    message: Message | None = None
    for place in range(position, len(stream)):
        stop = _feed(parser, stream[place : place + 1])
        if message is None and seen.heads:
            message = Message(place + 1, parser.get_status_code())
            if not _interim(message.status):
                reading.messages.append(message)
            if _leaves_http(asked, message.status):
                stop = LEAVES_HTTP
            if asked.method == b"HEAD" or stop == LEAVES_HTTP:
                message.end = place + 1
        if message is not None:
            message.body = seen.body
            message.end = place + 1 if seen.ends else message.end
        if stop:
            stop_at(reading, stop, stream, place)
        if stop or (message is not None and message.end is not None):
            break
    return message


def _feed(parser: httptools.HttpResponseParser, byte: bytes) -> str:
    try:
        parser.feed_data(byte)
    except httptools.HttpParserUpgrade:
        return ""
    except httptools.HttpParserError as error:
        return _llhttp_stop(error)
    return ""


def _interim(status: int) -> bool:
    return 100 <= status < 200 and status != 101


def _leaves_http(asked: Asked, status: int) -> bool:
    return status == 101 or (asked.method == b"CONNECT" and 200 <= status < 300)


# ---- h11


def h11_requests(stream: bytes) -> Reading:
    reading = Reading()
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=_NO_LIMIT)
    reader.receive_data(stream)
    for event, place in _h11_events(reader, stream, reading):
        if isinstance(event, h11.Request):
            reading.messages.append(Message(place))
        elif isinstance(event, h11.Data):
            reading.messages[-1].body += len(event.data)
        elif isinstance(event, h11.EndOfMessage):
            reading.messages[-1].end = place
            if not _next_cycle(reader, reading, lambda: _refuse(reader)):
                break
    return reading


def _refuse(reader: h11.Connection) -> None:
    reader.send(h11.Response(status_code=400, headers=[("Content-Length", "0")]))
    reader.send(h11.EndOfMessage())


def h11_answers(stream: bytes, asked: Sequence[Asked], *, eof: bool) -> Reading:
    reading = Reading()
    questions = iter(asked)
    question = next(questions, None)
    if question is None:
        reading.stop = UNASKED if stream else ""
        return reading
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=_NO_LIMIT)
    reader.receive_data(stream)
    if eof:
        reader.receive_data(b"")
    _ask(reader, question)
    for event, place in _h11_events(reader, stream, reading):
        _note_answer(event, place, question, reading)
        if not isinstance(event, h11.EndOfMessage) or place == len(stream):
            continue
        following = next(questions, None)
        if following is None:
            reading.stop = UNASKED
        elif _next_cycle(reader, reading, lambda: None):
            question = following
            _ask(reader, question)
    return reading


def _note_answer(event: h11.Event, place: int, asked: Asked, reading: Reading) -> None:
    if isinstance(event, h11.Data):
        reading.messages[-1].body += len(event.data)
    elif isinstance(event, h11.EndOfMessage):
        reading.messages[-1].end = place
    elif isinstance(event, h11.Response | h11.InformationalResponse):
        if _interim(event.status_code):
            return
        reading.messages.append(Message(place, event.status_code))
        if _leaves_http(asked, event.status_code):
            reading.messages[-1].end = place
            reading.stop = LEAVES_HTTP


def _ask(reader: h11.Connection, asked: Asked) -> None:
    headers = [("Host", "a")]
    if asked.upgrades and asked.method != b"CONNECT":
        headers += [("Connection", "upgrade"), ("Upgrade", "a")]
    reader.send(h11.Request(method=asked.method, target="/", headers=headers))
    reader.send(h11.EndOfMessage())


def _next_cycle(reader: h11.Connection, reading: Reading, answer: Callable[[], None]) -> bool:
    try:
        answer()
        reader.start_next_cycle()
    except h11.LocalProtocolError:
        reading.stop = CLOSED
        return False
    return True


def _h11_events(
    reader: h11.Connection, stream: bytes, reading: Reading
) -> Iterator[tuple[h11.Event, int]]:
    """Yield every event with the offset of the first byte behind it."""
    length = len(stream)
    while not reading.stop:
        try:
            event = reader.next_event()
        except h11.RemoteProtocolError as error:
            stop_at(reading, str(error), stream, length - len(reader.trailing_data[0]) - 1)
            return
        if event is h11.PAUSED:
            reading.stop = LEAVES_HTTP
            return
        if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
            return
        assert isinstance(event, h11.Event)
        yield event, length - len(reader.trailing_data[0])


# ---- what they refuse and we read, and why that is harmless

_BWS = (
    "the grammar allows blanks before an extension (RFC 9112 §7.1.1), and they belong to the line"
)
_TRAILER = "a framing field as trailer, when the body has been read already: that reader ends the connection"
_BLANK_EXTENSION = rb"[0-9A-Fa-f]+[ \t]+;[^\r\n]*\r\n"

HARMLESS: tuple[Harmless, ...] = (
    Harmless(
        "", CLOSED, "the connection ends there for its peer: what follows is nobody's message"
    ),
    Harmless("", UNASKED, "an answer to nothing: we are opaque there"),
    Harmless("", LEAVES_HTTP, "no message follows: we are opaque there"),
    Harmless(
        "llhttp",
        UPGRADE_BODY,
        "httptools leaves out an upgrade's body, llhttp does not; h11 reads it",
    ),
    Harmless(
        "h11",
        "no request line received",
        "empty lines before a request belong to no message (RFC 9112 §2.2)",
    ),
    Harmless(
        "h11", "Missing mandatory Host", "Host frames nothing; without one there cannot be two"
    ),
    Harmless(
        "h11", "without a pending proposal", "a 101 that nobody asked for: we are opaque there"
    ),
    Harmless(
        "h11",
        "Only Transfer-Encoding: chunked",
        "no body (RFC 9112 §6.3 items 1 and 2)",
        bodiless=True,
    ),
    Harmless("h11", "conflicting Content-Length", "no body", bodiless=True),
    Harmless("h11", "bad Content-Length", "no body", bodiless=True),
    Harmless("llhttp", "Content-Length", "no body", bodiless=True),
    Harmless("llhttp", "Transfer-Encoding", "no body", bodiless=True),
    Harmless("llhttp", "can't be present with", _TRAILER, within=True),
    Harmless("llhttp", "Invalid `Transfer-Encoding` header value", _TRAILER, within=True),
    Harmless("h11", "Only Transfer-Encoding: chunked", _TRAILER, within=True),
    Harmless("h11", "Content-Length", _TRAILER, within=True),
    Harmless(
        "llhttp",
        "in chunk extensions",
        "an extension ends with its line, whatever is in it",
        line=rb"[0-9A-Fa-f]+[ \t]*;[^\r\n]*\r\n",
    ),
    Harmless("llhttp", "in chunk size", _BWS, line=_BLANK_EXTENSION),
    Harmless("h11", "illegal chunk header", _BWS, line=_BLANK_EXTENSION),
    Harmless(
        "llhttp of node",
        "Invalid character in Content-Length",
        "blanks behind a value are no part of it (RFC 9110 §5.5); httptools' llhttp reads on",
        line=rb"(?i:content-length):[ \t]*[0-9]+[ \t]+\r\n",
    ),
)
