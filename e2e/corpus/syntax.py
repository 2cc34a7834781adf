"""The grammar of a request's head: first line, field lines, line ends (RFC 9112 §2 to §5, RFC 9110 §5).

Belongs here: heads of one request. Does not belong here: what the target or Host means (`targets`), framing fields (`framing`).
"""

from e2e.corpus.case import (
    FIN,
    GET,
    OK,
    UNREAD,
    Case,
    ambiguous,
    becomes,
    c,
    read,
    request,
    s,
)
from e2e.corpus.marks import traced

_METHOD = "RFC 9110 §9.1 method = token"
_LINE = "RFC 9112 §3 request-line"
_VERSION = "RFC 9112 §2.3 HTTP-version"
_NAME = "RFC 9110 §5.1 field-name = token"
_VALUE = "RFC 9110 §5.5 field-value"
_COLON = "RFC 9112 §5.1: no white space before the colon"
_FOLD = "RFC 9112 §5.2 obs-fold"
_EOL = "RFC 9112 §2.2: lines end in CRLF"
_BEFORE = "RFC 9112 §2.2: empty lines before a request"


def _get(*lines: bytes) -> bytes:
    return request(*lines, first=b"GET / HTTP/1.1")


def _fine(name: str, rule: str, head: bytes) -> Case:
    """A head that is read; so is the one after it."""
    return read(name, rule, c(traced(head)), s(OK), c(GET), s(OK))


def _method(method: bytes) -> Case:
    head = b"%b / HTTP/1.1\r\nHost: y\r\n\r\n" % method
    return _fine(f"method {method.decode()}", "RFC 9110 §9 methods; RFC 5789; RFC 4918", head)


CASES = (
    # ---- the first line
    *(
        _method(m)
        for m in (b"PUT", b"POST", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"PROPFIND", b"QUERY")
    ),
    ambiguous(
        "unknown method",
        "http.md: method outside llhttp's list",
        request(first=b"BREW / HTTP/1.1"),
        "method",
    ),
    ambiguous(
        "method in lower case",
        _METHOD + ", case-sensitive",
        request(first=b"get / HTTP/1.1"),
        "method",
    ),
    ambiguous(
        "method that begins like another", _METHOD, request(first=b"GETS / HTTP/1.1"), "method"
    ),
    ambiguous(
        "a method of 32 letters", _METHOD, request(first=b"A" * 32 + b" / HTTP/1.1"), "method"
    ),
    ambiguous(
        "a method of 33 letters", _METHOD, request(first=b"A" * 33 + b" / HTTP/1.1"), "not_http"
    ),
    ambiguous("method with a slash", _METHOD, request(first=b"GE/T / HTTP/1.1"), "not_http"),
    ambiguous("blank before the method", _LINE, request(first=b" GET / HTTP/1.1"), "not_http"),
    ambiguous("two blanks after the method", _LINE, request(first=b"GET  / HTTP/1.1"), "not_http"),
    ambiguous("tab after the method", _LINE, request(first=b"GET\t/ HTTP/1.1"), "not_http"),
    ambiguous(
        "two blanks before the version", _LINE, request(first=b"GET /  HTTP/1.1"), "not_http"
    ),
    ambiguous("blank after the version", _LINE, request(first=b"GET / HTTP/1.1 "), "not_http"),
    ambiguous("tab before the version", _LINE, request(first=b"GET /\tHTTP/1.1"), "not_http"),
    ambiguous("no target", _LINE, request(first=b"GET HTTP/1.1"), "not_http"),
    ambiguous("HTTP/0.9", "RFC 1945 §4.1 Simple-Request", b"GET /\r\n", "not_http"),
    ambiguous("HTTP/0.9 named", _VERSION, request(first=b"GET / HTTP/0.9"), "not_http"),
    ambiguous("HTTP/1.2", _VERSION, request(first=b"GET / HTTP/1.2"), "not_http"),
    ambiguous("HTTP/1", _VERSION, request(first=b"GET / HTTP/1"), "not_http"),
    ambiguous("HTTP/1.10", _VERSION, request(first=b"GET / HTTP/1.10"), "not_http"),
    ambiguous("HTTP/01.1", _VERSION, request(first=b"GET / HTTP/01.1"), "not_http"),
    ambiguous("HTTP/2.0", _VERSION, request(first=b"GET / HTTP/2.0"), "not_http"),
    ambiguous(
        "http/1.1", _VERSION + ", case-sensitive", request(first=b"GET / http/1.1"), "not_http"
    ),
    ambiguous("HTTPS/1.1", _VERSION, request(first=b"GET / HTTPS/1.1"), "not_http"),
    _fine("a first line and no field", _LINE, b"GET / HTTP/1.1\r\n\r\n"),
    # ---- line ends
    ambiguous("LF everywhere", _EOL, b"GET / HTTP/1.1\nHost: y\n\n"),
    ambiguous("LF after the first line", _EOL, b"GET / HTTP/1.1\nHost: y\r\n\r\n"),
    ambiguous("LF after a field", _EOL, _get(b"X: 1\n", b"Y: 2\r\n")),
    ambiguous("LF for the empty line", _EOL, _get()[:-2] + b"\n" + UNREAD),
    ambiguous("CR after the first line", _EOL, b"GET / HTTP/1.1\rHost: y\r\n\r\n"),
    ambiguous("CR in a value", "RFC 9112 §2.2: bare CR", _get(b"X: a\rb\r\n")),
    ambiguous("CR in a name", "RFC 9112 §2.2: bare CR", _get(b"X\rY: a\r\n")),
    ambiguous("CR before the line's end", "RFC 9112 §2.2: bare CR", _get(b"X: a\r\r\n")),
    ambiguous(
        "CR in the target",
        "RFC 9112 §2.2: bare CR",
        request(first=b"GET /\ra HTTP/1.1"),
        "not_http",
    ),
    ambiguous("LF in the target", _EOL, request(first=b"GET /\na HTTP/1.1"), "not_http"),
    ambiguous("LF, CR for a line's end", _EOL, _get(b"X: a\n\r")),
    read(
        "an empty line before the request",
        _BEFORE,
        *(c(b"\r\n" + GET), s(OK), c(b"\r\n" + GET), s(OK)),
    ),
    read("many empty lines before the request", _BEFORE, *(c(b"\r\n" * 20 + GET), s(OK))),
    read("an empty line between pipelined requests", _BEFORE, c(GET + b"\r\n" + GET), s(OK + OK)),
    read(
        "an empty line behind a body",
        "RFC 9112 §2.2: CRLF after a POST",
        c(traced(request(b"Content-Length: 2\r\n")) + b"hi\r\n" + GET),
        s(OK + OK),
    ),
    ambiguous("LF before the request", _BEFORE, b"\n" + UNREAD, "not_http"),
    ambiguous("CR before the request", _BEFORE, b"\r" + UNREAD, "not_http"),
    ambiguous("blank line before the request", _BEFORE, b" \r\n" + UNREAD, "not_http"),
    # ---- field names
    _fine("every character of a token", _NAME, _get(b"!#$%&'*+-.^_`|~09azAZ: 1\r\n")),
    _fine(
        "names in odd case",
        _NAME + ", case-insensitive",
        b"GET / HTTP/1.1\r\nhOsT:y\r\nUSER-agent: a\r\n\r\n",
    ),
    _fine(
        "the same field twice",
        "RFC 9110 §5.3 field order",
        _get(b"X: 1\r\n", b"Y: 3\r\n", b"x: 2\r\n"),
    ),
    ambiguous("empty name", _NAME, _get(b": 1\r\n")),
    ambiguous("blank in a name", _NAME, _get(b"X Y: 1\r\n")),
    ambiguous("name in parentheses", _NAME, _get(b"(X): 1\r\n")),
    ambiguous("quoted name", _NAME, _get(b'"X": 1\r\n')),
    ambiguous("NUL in a name", _NAME, _get(b"X\x00: 1\r\n")),
    ambiguous("name beyond ASCII", _NAME, _get(b"X\xe4: 1\r\n")),
    ambiguous("no colon", "RFC 9112 §5 field-line", _get(b"X\r\n")),
    ambiguous("blank before the colon", _COLON, _get(b"X : 1\r\n")),
    ambiguous("tab before the colon", _COLON, _get(b"X\t: 1\r\n")),
    ambiguous("vertical tab before the colon", _COLON, _get(b"X\x0b: 1\r\n")),
    ambiguous("no-break space before the colon", _COLON, _get(b"X\xa0: 1\r\n")),
    # ---- field values
    _fine("empty value", _VALUE, _get(b"X:\r\n", b"Y: \t \r\n")),
    _fine("value beyond ASCII", _VALUE + " obs-text", _get(b"X: \xe4\xf6\xfc\xff\x80\r\n")),
    _fine("tabs and blanks around a value", "RFC 9112 §5.1 OWS", _get(b"X:\t a\tb \t\r\n")),
    _fine("colons in a value", _VALUE, _get(b"X::a:b: c\r\n")),
    _fine(
        "cookies and lists",
        "RFC 9110 §5.6.1 lists",
        _get(b"Cookie: a=b; c=d\r\n", b"Accept: , a,, b ,\r\n"),
    ),
    _fine(
        "quoted strings and comments",
        "RFC 9110 §5.6.4, §5.6.5",
        _get(b'X: "a\\"b, c" (d (e) \\))\r\n', b'Y: "open\r\n'),
    ),
    _fine(
        "dates of three forms",
        "RFC 9110 §5.6.7",
        _get(b"Date: Sunday, 06-Nov-94 08:49:37 GMT\r\n", b"Expires: -1\r\n"),
    ),
    ambiguous("NUL in a value", _VALUE, _get(b"X: a\x00b\r\n")),
    ambiguous("control in a value", _VALUE, _get(b"X: a\x01b\r\n")),
    ambiguous("vertical tab in a value", _VALUE, _get(b"X: a\x0bb\r\n")),
    ambiguous("form feed in a value", _VALUE, _get(b"X: a\x0cb\r\n")),
    ambiguous("escape in a value", _VALUE, _get(b"X: a\x1b[0m\r\n")),
    ambiguous("DEL in a value", _VALUE, _get(b"X: a\x7f\r\n")),
    # ---- folding
    ambiguous("folded by a blank", _FOLD, _get(b"X: a\r\n b\r\n")),
    ambiguous("folded by a tab", _FOLD, _get(b"X: a\r\n\tb\r\n")),
    ambiguous("folded at once", _FOLD, _get(b"X:\r\n a\r\n")),
    ambiguous("a fold of nothing", _FOLD, _get(b"X: a\r\n \r\n")),
    ambiguous(
        "the first field is folded",
        "RFC 9112 §2.2: white space before the first field",
        b"GET / HTTP/1.1\r\n Host: y\r\n\r\n",
    ),
    # ---- length, time
    ambiguous(
        "a head of 1001 fields",
        "RFC 9110 §5.4: limits",
        _get(*(b"X: 1\r\n",) * 1001),
        "too_large",
    ),
    becomes(
        "too_large",
        "a head beyond 64 KiB",
        "http.md: 64 KiB",
        *(c(_get(b"X: " + b"a" * 70_000 + b"\r\n")), s(OK), c(UNREAD), s(OK)),
    ),
    becomes(
        "too_large",
        "a head beyond 64 KiB without end",
        "http.md: 64 KiB",
        *(c(_get()[:-2] + b"X: " + b"a" * 70_000), c(b"\r\n\r\n"), s(OK), c(UNREAD), s(OK)),
    ),
    becomes(
        "too_large",
        "a target beyond 64 KiB",
        "RFC 9112 §3: 8000 octets at least",
        *(c(request(first=b"GET /" + b"a" * 66_000 + b" HTTP/1.1")), s(OK), c(UNREAD), s(OK)),
    ),
    _fine(
        "a target of 8000 bytes",
        "RFC 9112 §3: 8000 octets at least",
        request(first=b"GET /" + b"a" * 8000 + b" HTTP/1.1"),
    ),
    _fine("a head of 60 KiB", "http.md: 64 KiB", _get(b"X: " + b"a" * 60_000 + b"\r\n")),
    _fine(
        "ninety fields",
        "RFC 9110 §5.4 field limits",
        _get(*(b"X-%d: %d\r\n" % (n, n) for n in range(90))),
    ),
    read(
        "a head in pieces",
        "http.md: head in pieces",
        *(c(part) for part in (b"G", b"ET / HTT", b"P/1.1\r\nHo", b"st: y\r")),
        c(GET[len(b"GET / HTTP/1.1\r\nHost: y\r") :]),
        s(OK),
    ),
    Case(
        "a slow head",
        "http.md: 50 ms after the last byte",
        (c(b"GET / HTTP/1.1\r\nHo"), c(0.3, b"st: y\r\n\r\n"), s(OK), c(GET), s(OK)),
        {"ok": 2},
        slow=1,
    ),
    Case(
        "a slow first line",
        "http.md: 50 ms after the last byte",
        (c(b"GE"), c(0.3, b"T / HTTP/1.1\r\nHost: y\r\n\r\n"), s(OK), c(GET), s(OK)),
        {"ok": 2},
        slow=1,
    ),
    read(
        "half an empty line, the rest late",
        _BEFORE,
        *(c(b"\r"), c(0.3, b"\n" + GET), s(OK)),
    ),
    Case(
        "a head that never ends",
        "RFC 9112 §8 incomplete messages",
        (c(b"GET / HTTP/1.1\r\nHo", FIN),),
        {},
    ),
    Case(
        "a first line that never ends",
        "RFC 9112 §8 incomplete messages",
        (c(b"GE"), s(OK), c(b"T", FIN)),
        {},
        "server_first",
    ),
    ambiguous("NUL before the method", _METHOD, b"\x00" + UNREAD, "not_http"),
    ambiguous("NUL in the method", _METHOD, b"GE\x00T / HTTP/1.1\r\nHost: y\r\n\r\n", "not_http"),
    ambiguous(
        "a byte order mark",
        "RFC 9112 §2.2: octets, not characters",
        b"\xef\xbb\xbf" + UNREAD,
        "not_http",
    ),
    ambiguous(
        "UTF-16",
        "RFC 9112 §2.2: octets, not characters",
        UNREAD.decode().encode("utf-16-le"),
        "not_http",
    ),
    ambiguous(
        "HTTP/1.1 in fullwidth digits",
        _VERSION,
        request(first="GET / HTTP/\N{FULLWIDTH DIGIT ONE}.1".encode()),
        "not_http",
    ),
    ambiguous("NEL for a line's end", _EOL, b"GET / HTTP/1.1\x85Host: y\r\n\r\n", "not_http"),
    _fine(
        "bytes that hold LF in UTF-16",
        "RFC 9112 §2.2: octets, not characters",
        _get("X: \N{LATIN SMALL LETTER C WITH DOT ABOVE}\r\n".encode()),
    ),
    _fine(
        "line separators of Unicode",
        "RFC 9112 §2.2: octets, not characters",
        _get("X: a\N{LINE SEPARATOR}b\N{NEXT LINE}c\r\n".encode()),
    ),
    _fine("a name of 300 letters", "RFC 9110 §5.4 field limits", _get(b"X" * 300 + b": 1\r\n")),
)
