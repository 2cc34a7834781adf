"""The inside of a chunked request body (RFC 9112 §7.1).

Belongs here: chunks, extensions, trailers, sound and broken. Does not belong here: which head makes a body chunked (`framing`).
"""

from e2e.corpus.case import BINARY, FIN, GET, OK, UNREAD, Case, becomes, c, read, request, s
from e2e.corpus.marks import traced

_HEAD = request(b"Transfer-Encoding: chunked\r\n", b"Trailer: X-Sum\r\n")
_CHUNK = "RFC 9112 §7.1 chunk"
_SIZE = "RFC 9112 §7.1 chunk-size = 1*HEXDIG"
_EXT = "RFC 9112 §7.1.1 chunk-ext"
_TRAILER = "RFC 9112 §7.1.2 trailer section"


def _sound(name: str, rule: str, body: bytes) -> Case:
    """A body with one end; the next request is read again."""
    return read(name, rule, c(traced(_HEAD) + body), s(OK), c(GET), s(OK))


def _broken(name: str, rule: str, body: bytes) -> Case:
    """A body that cannot be followed: its exchange ends where that is seen, the bytes go on."""
    steps = (c(traced(_HEAD) + body), s(OK), c(UNREAD), s(OK))
    return becomes("ambiguous", name, rule, *steps, opaque=1)


def _size(name: str, size: bytes, rule: str = _SIZE) -> Case:
    return _broken(name, rule, size + b"\r\nhello\r\n0\r\n\r\n")


CASES = (
    _sound("no chunk", _CHUNK, b"0\r\n\r\n"),
    _sound("one chunk", _CHUNK, b"5\r\nhello\r\n0\r\n\r\n"),
    _sound(
        "sizes of one to three digits",
        _CHUNK,
        b"1\r\na\r\n1f\r\n%b\r\n100\r\n%b\r\n0\r\n\r\n" % (b"b" * 31, b"c" * 256),
    ),
    _sound("sizes in both cases", _SIZE, b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"),
    _sound("leading zeros of a size", _SIZE, b"005\r\nhello\r\n000\r\n\r\n"),
    _sound("fifteen digits", _SIZE, b"000000000000005\r\nhello\r\n0\r\n\r\n"),
    _sound("many chunks of one byte", _CHUNK, b"1\r\nx\r\n" * 200 + b"0\r\n\r\n"),
    _sound("data like framing", _CHUNK, b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    _sound("data like a request", _CHUNK, b"1b\r\n%b\r\n0\r\n\r\n" % UNREAD),
    _sound("binary data", _CHUNK, b"%x\r\n%b\r\n0\r\n\r\n" % (len(BINARY), BINARY)),
    _sound("extensions", _EXT, b'5;ext=1;other="q"\r\nhello\r\n0;last\r\n\r\n'),
    _sound("extension without a value", _EXT, b"5;a\r\nhello\r\n0\r\n\r\n"),
    _sound("semicolon alone", _EXT, b"5;\r\nhello\r\n0;\r\n\r\n"),
    _sound("blanks before an extension", _EXT + ": BWS", b"5 \t;a = b\r\nhello\r\n0\r\n\r\n"),
    _sound("semicolon in quotes", _EXT, b'5;a="b; c\\""\r\nhello\r\n0\r\n\r\n'),
    _sound("open quote", _EXT, b'5;a="b\r\nhello\r\n0\r\n\r\n'),
    _sound("obs-text in an extension", _EXT, b"5;a=\xe4\r\nhello\r\n0\r\n\r\n"),
    _sound("an extension that looks like a size", _EXT, b"5;6\r\nhello\r\n0;9\r\n\r\n"),
    _sound(
        "an extension of 4000 bytes",
        "RFC 9112 §7.1.1: limits",
        b"5;" + b"a" * 4000 + b"\r\nhello\r\n0\r\n\r\n",
    ),
    _sound("trailers", _TRAILER, b"0\r\nX-Sum: abc\r\nX-More:\t1 \r\nX-Empty:\r\n\r\n"),
    _sound(
        "trailers that frame",
        "RFC 9110 §6.5.1: not merged",
        b"0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: z\r\n\r\n",
    ),
    _sound(
        "trailers that trace",
        "http.md: declared headers are of heads",
        b"0\r\ntraceparent: 00-x\r\nuber-trace-id: 1:2:0:1\r\nX-Request-Id: t\r\n\r\n",
    ),
    _sound(
        "trailers that are not announced", "RFC 9110 §6.6.2 Trailer", b"0\r\nX-Other: 1\r\n\r\n"
    ),
    read(
        "chunks in pieces",
        _CHUNK,
        *(
            c(traced(_HEAD)),
            c(b"5"),
            c(b"\r"),
            c(b"\nhe"),
            c(b"llo\r"),
            c(b"\n0\r\n"),
            c(b"\r"),
            c(b"\n" + GET),
            s(OK + OK),
        ),
    ),
    read(
        "a chunked body cut short by FIN",
        "RFC 9112 §8 incomplete messages",
        c(traced(_HEAD) + b"5\r\nhel", FIN),
        s(OK),
    ),
    read(
        "trailers cut short by FIN",
        "RFC 9112 §8 incomplete messages",
        c(traced(_HEAD) + b"0\r\nX: 1", FIN),
        s(OK),
    ),
    read(
        "pipelined behind trailers",
        _TRAILER,
        c(traced(_HEAD) + b"0\r\nX-Sum: abc\r\n\r\n" + GET),
        s(OK + OK),
    ),
    # ---- sizes
    _size("size with a plus", b"+5"),
    _size("size with a minus", b"-5"),
    _size("0x before the size", b"0x5"),
    _size("x in the size", b"5x"),
    _size("underscore in the size", b"0_5"),
    _size("size after a blank", b" 5"),
    _size("size after a tab", b"\t5"),
    _size("blank after the size", b"5 ", "RFC 9112 §7.1: no padding"),
    _size("tab after the size", b"5\t", "RFC 9112 §7.1: no padding"),
    _size("form feed after the size", b"5\x0c"),
    _size("vertical tab before the size", b"\x0b5"),
    _size("NUL after the size", b"5\x00"),
    _size("comma in the size", b"5,6"),
    _size("point in the size", b"5.0"),
    _size("fullwidth digit as a size", "\N{FULLWIDTH DIGIT FIVE}".encode()),
    _size("quoted size", b'"5"'),
    _size("no size", b""),
    _size("an extension without a size", b";a"),
    _size("no hexadecimal size", b"g"),
    _size("2^64 + 5", b"10000000000000005", "RFC 9112 §7.1: large numerals"),
    _size("2^63", b"8000000000000000", "RFC 9112 §7.1: large numerals"),
    _size("2^32 + 5 in twenty digits", b"00000000000100000005", "RFC 9112 §7.1: large numerals"),
    _size("extension without a semicolon", b"5 a", _EXT),
    # ---- line ends
    _broken("LF after the size", "RFC 9112 §7.1: CRLF", b"5\nhello\r\n0\r\n\r\n"),
    _broken("CR after the size", "RFC 9112 §7.1: CRLF", b"5\rhello\r\n0\r\n\r\n"),
    _broken("two CR after the size", "RFC 9112 §7.1: CRLF", b"5\r\r\nhello\r\n0\r\n\r\n"),
    _broken("LF after the data", "RFC 9112 §7.1: CRLF", b"5\r\nhello\n0\r\n\r\n"),
    _broken("CR after the data", "RFC 9112 §7.1: CRLF", b"5\r\nhello\r0\r\n\r\n"),
    _broken("nothing after the data", "RFC 9112 §7.1: CRLF", b"5\r\nhello0\r\n\r\n"),
    _broken("two other bytes after the data", "RFC 9112 §7.1: CRLF", b"5\r\nhelloXX0\r\n\r\n"),
    _broken("more data than its size", _CHUNK, b"4\r\nhello\r\n0\r\n\r\n"),
    _broken("LF after the last size", "RFC 9112 §7.1: CRLF", b"0\n\r\n"),
    _broken("LF for the last line", "RFC 9112 §7.1: CRLF", b"0\r\n\n"),
    _broken("CR alone for the last line", "RFC 9112 §7.1: CRLF", b"0\r\n\rX\r\n"),
    _broken("LF ends an extension", _EXT, b"5;a\nhello\r\n0\r\n\r\n"),
    _broken("LF in an extension", _EXT, b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    _broken("CR in an extension", _EXT, b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    _broken("NUL in an extension", _EXT, b"5;\x00\r\nhello\r\n0\r\n\r\n"),
    _broken(
        "an extension without end",
        "RFC 9112 §7.1.1: limits",
        b"5;" + b"a" * 9000 + b"\r\nhello\r\n0\r\n\r\n",
    ),
    # ---- trailers
    _broken("trailer without a colon", _TRAILER, b"0\r\nX\r\n\r\n"),
    _broken("trailer without a name", _TRAILER, b"0\r\n: a\r\n\r\n"),
    _broken("blank before a trailer's colon", _TRAILER, b"0\r\nX : a\r\n\r\n"),
    _broken("folded trailer", _TRAILER, b"0\r\nX: a\r\n b\r\n\r\n"),
    _broken("LF after a trailer", _TRAILER, b"0\r\nX: a\n\r\n"),
    _broken("CR in a trailer", _TRAILER, b"0\r\nX: a\rb\r\n\r\n"),
    _broken("NUL in a trailer", _TRAILER, b"0\r\nX: \x00\r\n\r\n"),
    _broken("a request where trailers are", _TRAILER, b"0\r\nGET / HTTP/1.1\r\nHost: z\r\n\r\n"),
)
