"""Where a request's body ends: Content-Length and Transfer-Encoding (RFC 9112 §6, RFC 9110 §8.6).

Belongs here: the fields that frame a request. Does not belong here: the inside of a chunked body (`chunked`), answers.
"""

from e2e.corpus.case import FIN, GET, OK, Case, ambiguous, c, read, request, s
from e2e.corpus.marks import traced

_FIVE = b"Content-Length: 5\r\n"
_TE = b"Transfer-Encoding: chunked\r\n"
_EMPTY = b"0\r\n\r\n"

_LENGTH_RULE = "RFC 9110 §8.6 Content-Length = 1*DIGIT"
_TE_RULE = "RFC 9112 §6.1 Transfer-Encoding"
_BOTH_RULE = "RFC 9112 §6.3 item 3: both"


def _length(name: str, value: bytes) -> Case:
    """A Content-Length that not every reader takes for the same number, or for one at all."""
    return ambiguous(name, _LENGTH_RULE, request(b"Content-Length:", value, b"\r\n") + b"hello")


def _coding(name: str, *lines: bytes, rule: str = _TE_RULE) -> Case:
    """Transfer codings that not every reader takes for exactly `chunked`."""
    return ambiguous(name, rule, request(*lines) + _EMPTY)


def _body(name: str, rule: str, head: bytes, body: bytes) -> Case:
    """A body that has one length; the next request is read again."""
    return read(name, rule, c(traced(head) + body), s(OK), c(GET), s(OK))


CASES = (
    _body(
        "GET without a body", "RFC 9112 §6.3 item 7: neither", request(first=b"GET / HTTP/1.1"), b""
    ),
    _body("POST without a length", "RFC 9112 §6.3 item 7: neither", request(), b""),
    _body("Content-Length", "RFC 9112 §6.3 item 6", request(_FIVE), b"hello"),
    _body("Content-Length: 0", "RFC 9110 §8.6", request(b"Content-Length: 0\r\n"), b""),
    _body(
        "leading zeros of a length", _LENGTH_RULE, request(b"Content-Length: 0005\r\n"), b"hello"
    ),
    _body(
        "blanks around the length",
        "RFC 9112 §5.1 OWS",
        request(b"Content-Length: \t5 \t\r\n"),
        b"hello",
    ),
    _body(
        "no blank before the length",
        "RFC 9112 §5.1 OWS",
        request(b"content-length:5\r\n"),
        b"hello",
    ),
    _body("GET with a body", "RFC 9110 §9.3.1", request(_FIVE, first=b"GET / HTTP/1.1"), b"hello"),
    read(
        "HEAD with a body",
        "RFC 9110 §9.3.2",
        c(traced(request(_FIVE, first=b"HEAD / HTTP/1.1")) + b"hello"),
        *(s(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), c(GET), s(OK)),
    ),
    _body(
        "DELETE with a body",
        "RFC 9110 §9.3.5",
        request(_FIVE, first=b"DELETE / HTTP/1.1"),
        b"hello",
    ),
    _body(
        "OPTIONS with a body",
        "RFC 9110 §9.3.7",
        request(_FIVE, first=b"OPTIONS * HTTP/1.1"),
        b"hello",
    ),
    _body(
        "TRACE with a body", "RFC 9110 §9.3.8", request(_FIVE, first=b"TRACE / HTTP/1.1"), b"hello"
    ),
    _body(
        "a body that looks like a request",
        "RFC 9112 §6.2",
        request(b"Content-Length: 27\r\n"),
        b"GET / HTTP/1.1\r\nHost: z\r\n\r\n",
    ),
    _body(
        "a body full of line ends", "RFC 9112 §6.2", request(b"Content-Length: 8\r\n"), b"\r\n" * 4
    ),
    _body(
        "a length in a field with another name",
        "RFC 9110 §5.1",
        request(b"X-Content-Length: 9\r\n"),
        b"",
    ),
    _body("a length inside a value", "RFC 9110 §5.5", request(b"X: Content-Length: 9\r\n"), b""),
    _body(
        "Content-Length on 1.0",
        "RFC 9112 §6.3 item 6",
        b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n",
        b"hello",
    ),
    read(
        "a body in pieces",
        "RFC 9112 §6.2",
        *(c(traced(request(b"Content-Length: 9\r\n")) + b"abc"), c(b"def"), c(b"ghi"), s(OK)),
    ),
    read(
        "a body cut short by FIN",
        "RFC 9112 §8 incomplete messages",
        *(c(traced(request(b"Content-Length: 9\r\n")) + b"abc", FIN), s(OK)),
    ),
    # ---- lengths that are none
    ambiguous("two equal lengths", "RFC 9112 §6.3 item 5", request(_FIVE, _FIVE) + b"hello"),
    ambiguous(
        "two different lengths",
        "RFC 9112 §6.3 item 5",
        request(_FIVE, b"content-length: 6\r\n") + b"hello!",
    ),
    ambiguous(
        "a length and an empty one",
        "RFC 9112 §6.3 item 5",
        request(_FIVE, b"Content-Length:\r\n") + b"hello",
    ),
    _length("a list of equal lengths", b" 5, 5"),
    _length("a list of different lengths", b" 5, 6"),
    _length("a comma behind the length", b" 5,"),
    _length("empty length", b""),
    _length("blank length", b" \t "),
    _length("+ before the length", b" +5"),
    _length("- before the length", b" -5"),
    _length("-0", b" -0"),
    _length("hexadecimal length", b" 0x5"),
    _length("octal length", b" 0o5"),
    _length("underscore in the length", b" 0_5"),
    _length("exponent", b" 5e0"),
    _length("point in the length", b" 5.0"),
    _length("two words", b" 5 5"),
    _length("quoted length", b' "5"'),
    _length("length with a parameter", b" 5;a"),
    _length("vertical tab before the length", b" \x0b5"),
    _length("form feed behind the length", b" 5\x0c"),
    _length("no-break space before the length", b" \xa05"),
    _length("NUL behind the length", b" 5\x00"),
    _length("fullwidth digit as a length", " \N{FULLWIDTH DIGIT FIVE}".encode()),
    _length("arabic digit", " \N{ARABIC-INDIC DIGIT FIVE}".encode()),
    _length("superscript digit", " \N{SUPERSCRIPT TWO}".encode()),
    _length("length of 2^64 + 5", b" 18446744073709551621"),
    _length("length of 2^63", b" 9223372036854775808"),
    _length("letters", b" five"),
    # ---- transfer codings
    _body("chunked", _TE_RULE, request(_TE), _EMPTY),
    _body(
        "CHUNKED",
        "RFC 9112 §7: names are case-insensitive",
        request(b"TRANSFER-ENCODING: ChUnKeD\r\n"),
        _EMPTY,
    ),
    _body(
        "blanks around chunked",
        "RFC 9112 §5.1 OWS",
        request(b"Transfer-Encoding:  chunked \r\n"),
        _EMPTY,
    ),
    _coding("a tab behind chunked", b"Transfer-Encoding: chunked\t\r\n", rule="RFC 9112 §5.1 OWS"),
    _coding("length, then chunked", _FIVE, _TE, rule=_BOTH_RULE),
    _coding("chunked, then length", _TE, _FIVE, rule=_BOTH_RULE),
    _coding("chunked and length 0", _TE, b"Content-Length: 0\r\n", rule=_BOTH_RULE),
    _coding("chunked and a bad length", _TE, b"Content-Length: x\r\n", rule=_BOTH_RULE),
    _coding(
        "a coding that is none and a length", b"Transfer-Encoding: x\r\n", _FIVE, rule=_BOTH_RULE
    ),
    _coding(
        "gzip, chunked", b"Transfer-Encoding: gzip, chunked\r\n", rule="RFC 9112 §6.3 item 4.1"
    ),
    _coding("gzip alone", b"Transfer-Encoding: gzip\r\n", rule="RFC 9112 §6.3 item 4.3"),
    _coding(
        "chunked, gzip", b"Transfer-Encoding: chunked, gzip\r\n", rule="RFC 9112 §6.3 item 4.3"
    ),
    _coding(
        "chunked, chunked", b"Transfer-Encoding: chunked, chunked\r\n", rule="RFC 9112 §7: once"
    ),
    _coding("chunked in two fields", _TE, _TE, rule="RFC 9112 §7: once"),
    _coding("gzip and chunked in two fields", b"Transfer-Encoding: gzip\r\n", _TE),
    _coding(
        "identity",
        b"Transfer-Encoding: identity\r\n",
        rule="RFC 9112 §7: identity is no coding any more",
    ),
    _coding(
        "identity, then chunked",
        b"Transfer-Encoding: identity\r\n",
        _TE,
        rule="RFC 9112 §7: identity is no coding any more",
    ),
    _coding(
        "chunked, identity",
        b"Transfer-Encoding: chunked, identity\r\n",
        rule="RFC 9112 §7: identity is no coding any more",
    ),
    _coding(
        "chunked with a parameter",
        b"Transfer-Encoding: chunked;q=1\r\n",
        rule="RFC 9112 §7.1: no parameters",
    ),
    ambiguous(
        "chunked on 1.0",
        "RFC 9112 §6.1: TE on 1.0 is faulty",
        b"POST / HTTP/1.0\r\n" + _TE + b"\r\n" + _EMPTY,
    ),
    _body(
        "a body under Content-Encoding",
        "RFC 9110 §8.4",
        request(b"Content-Encoding: gzip\r\n", _FIVE),
        b"\x1f\x8b\x08\x00\x00",
    ),
    _body(
        "a form of many parts",
        "RFC 9110 §8.3.3",
        request(b"Content-Type: multipart/form-data; boundary=x\r\n", b"Content-Length: 14\r\n"),
        b"--x\r\n\r\na--x--"[:14].ljust(14, b"-"),
    ),
    _body(
        "Content-Type: message/http",
        "RFC 9112 §10.1",
        request(b"Content-Type: message/http\r\n", b"Content-Length: 16\r\n"),
        b"GET / HTTP/1.1\r\n",
    ),
    _body(
        "a body of the bytes of our marks' names",
        "http.md: bodies untouched",
        request(b"Content-Length: 18\r\n"),
        b"traceparent: 00-\r\n",
    ),
    _coding("x-gzip, chunked", b"Transfer-Encoding: x-gzip, chunked\r\n", rule="RFC 9112 §7.2"),
    _coding("an unknown coding", b"Transfer-Encoding: cow\r\n", rule="RFC 9112 §6.1: 501"),
    read(
        "a chunked body, then one with a length, then none",
        "RFC 9112 §6.3",
        c(traced(request(_TE)) + b"2\r\nhi\r\n" + _EMPTY + traced(request(_FIVE)) + b"hello" + GET),
        s(OK * 3),
    ),
)
