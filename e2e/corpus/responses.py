"""Answers: their grammar, and where they end (RFC 9112 §4 and §6.3, RFC 9110 §15).

Belongs here: what a server may send for one request. Does not belong here: how the connection goes on (`connection`), 101 and
answers to CONNECT (`switching`).
"""

from e2e.corpus.case import (
    BINARY,
    FIN,
    GET,
    HEAD,
    OK,
    RST,
    UNREAD,
    Case,
    answer,
    becomes,
    c,
    doubtful,
    read,
    request,
    s,
)
from e2e.corpus.marks import traced

_FIVE = b"Content-Length: 5\r\n"
_TE = b"Transfer-Encoding: chunked\r\n"
_BODILESS = "RFC 9112 §6.3 item 1: HEAD, 1xx, 204, 304"
_STATUS_LINE = "RFC 9112 §4 status-line"
_INTERIM = "RFC 9110 §15.2 1xx"
_BOTH = "RFC 9112 §6.3 item 3: both"
_LENGTHS = "RFC 9112 §6.3 item 5"
_TE_RULE = "RFC 9112 §6.1 Transfer-Encoding"
_UNTIL_CLOSE = "RFC 9112 §6.3 item 8: until close"


def _fine(name: str, rule: str, response: bytes, asked: bytes = GET) -> Case:
    """An answer with one end; the next one is read too."""
    return read(name, rule, c(asked), s(response), c(GET), s(OK))


def _status(status: bytes) -> Case:
    response = answer(_FIVE, first=b"HTTP/1.1 " + status) + b"hello"
    return _fine(f"status {status[:3].decode()}", "RFC 9110 §15", response)


def _bodiless(name: str, first: bytes, *lines: bytes, asked: bytes = GET) -> Case:
    """Whatever the lengths say, the next byte is of the next answer."""
    return _fine(name, _BODILESS, answer(*lines, first=first), asked)


def _chunks(name: str, rule: str, body: bytes) -> Case:
    return _fine(name, rule, answer(_TE) + body)


def _broken_chunks(name: str, body: bytes) -> Case:
    return doubtful(name, "RFC 9112 §7.1 chunk", answer(_TE) + body)


_CHUNKS = (
    ("size with a plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("size with an underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
    ("blank before the size", b" 5\r\nhello\r\n0\r\n\r\n"),
    ("blank after the size", b"5 \r\nhello\r\n0\r\n\r\n"),
    ("size of 2^64 + 5", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("no size", b"\r\nhello\r\n0\r\n\r\n"),
    ("LF after the size", b"5\nhello\r\n0\r\n\r\n"),
    ("LF after the data", b"5\r\nhello\n0\r\n\r\n"),
    ("more data than its size", b"4\r\nhello\r\n0\r\n\r\n"),
    ("LF ends an extension", b"5;a\nhello\r\n0\r\n\r\n"),
    ("NUL in an extension", b"5;\x00\r\nhello\r\n0\r\n\r\n"),
    ("folded trailer", b"0\r\nX: a\r\n b\r\n\r\n"),
    ("trailer without a colon", b"0\r\nX\r\n\r\n"),
    ("LF for the last line", b"0\r\n\n"),
)

CASES = (
    # ---- status line and fields
    *(
        _status(status)
        for status in (b"200 OK", b"299 \xe4h", b"404 Not Found", b"503 ", b"599 (a) [b]\t")
    ),
    _fine("no reason and no blank", _STATUS_LINE, answer(_FIVE, first=b"HTTP/1.1 200") + b"hello"),
    _fine(
        "odd fields",
        "RFC 9110 §5",
        answer(
            b"x-obs: \xff\r\n",
            b"Set-Cookie: a\r\n",
            b"Set-Cookie: b\r\n",
            b"content-LENGTH:\t0 \r\n",
        ),
    ),
    _fine(
        "an answer with declared names",
        "http.md: in requests only",
        answer(
            b"traceparent: 00-x\r\n",
            b"X-Request-Id: a\r\n",
            b"uber-trace-id: 1:2:0:1\r\n",
            b"Content-Length: 0\r\n",
        ),
    ),
    _fine(
        "Connection options",
        "RFC 9110 §7.6.1",
        answer(
            b"Connection: keep-alive, x-hop\r\n",
            b"Keep-Alive: timeout=5\r\n",
            b"X-Hop: 1\r\n",
            _FIVE,
        )
        + b"hello",
    ),
    _fine(
        "Server, Via, Date stay",
        "RFC 9110 §7.6.3",
        answer(b"Via: 1.0 fred\r\n", b"Server: x\r\n", b"Date: x\r\n", _FIVE) + b"hello",
    ),
    doubtful(
        "status of two digits", _STATUS_LINE, answer(_FIVE, first=b"HTTP/1.1 20 OK") + b"hello"
    ),
    doubtful(
        "status of four digits", _STATUS_LINE, answer(_FIVE, first=b"HTTP/1.1 2000 OK") + b"hello"
    ),
    doubtful("status 000", _STATUS_LINE, answer(_FIVE, first=b"HTTP/1.1 000 OK") + b"hello"),
    doubtful(
        "status with a plus", _STATUS_LINE, answer(_FIVE, first=b"HTTP/1.1 +20 OK") + b"hello"
    ),
    doubtful("no status", _STATUS_LINE, answer(_FIVE, first=b"HTTP/1.1 OK") + b"hello"),
    doubtful(
        "two blanks before the status",
        _STATUS_LINE,
        answer(_FIVE, first=b"HTTP/1.1  200 OK") + b"hello",
    ),
    doubtful(
        "control in the reason",
        _STATUS_LINE,
        answer(_FIVE, first=b"HTTP/1.1 200 O\x01K") + b"hello",
    ),
    doubtful(
        "HTTP/1.2 answers", "RFC 9112 §2.3", answer(_FIVE, first=b"HTTP/1.2 200 OK") + b"hello"
    ),
    doubtful("HTTP/2 answers", "RFC 9112 §2.3", answer(_FIVE, first=b"HTTP/2 200 OK") + b"hello"),
    doubtful("HTTP/0.9 answers", "RFC 1945 §4.1 Simple-Response", b"<html>hello</html>"),
    doubtful("ICY 200 OK", "RFC 9112 §4", answer(first=b"ICY 200 OK") + BINARY),
    doubtful("a binary answer", "RFC 9112 §4", BINARY),
    doubtful("a request as an answer", "RFC 9112 §4", UNREAD),
    doubtful("an empty line before the answer", "RFC 9112 §2.2: servers send none", b"\r\n" + OK),
    doubtful(
        "LF everywhere in the answer",
        "RFC 9112 §2.2: lines end in CRLF",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    ),
    doubtful(
        "LF after a field of the answer",
        "RFC 9112 §2.2: lines end in CRLF",
        answer(b"X: 1\n", _FIVE) + b"hello",
    ),
    doubtful(
        "CR in a value of the answer",
        "RFC 9112 §2.2: bare CR",
        answer(b"X: a\rb\r\n", _FIVE) + b"hello",
    ),
    doubtful(
        "NUL in a value of the answer", "RFC 9110 §5.5", answer(b"X: a\x00b\r\n", _FIVE) + b"hello"
    ),
    doubtful(
        "folded field of the answer",
        "RFC 9112 §5.2 obs-fold",
        answer(b"X: a\r\n b\r\n", _FIVE) + b"hello",
    ),
    doubtful(
        "blank before the colon in the answer",
        "RFC 9112 §5.1",
        answer(b"Content-Length : 5\r\n") + b"hello",
    ),
    doubtful("empty name in the answer", "RFC 9110 §5.1", answer(b": 5\r\n", _FIVE) + b"hello"),
    doubtful(
        "no colon in the answer", "RFC 9112 §5", answer(b"Content-Length\r\n", _FIVE) + b"hello"
    ),
    doubtful(
        "an answer's head beyond 64 KiB",
        "http.md: 64 KiB",
        answer(b"X: " + b"a" * 70_000 + b"\r\n", _FIVE) + b"hello",
        "too_large",
    ),
    # ---- no body
    _bodiless("HEAD and a length", b"HTTP/1.1 200 OK", b"Content-Length: 500\r\n", asked=HEAD),
    _bodiless("HEAD and chunked", b"HTTP/1.1 200 OK", _TE, asked=HEAD),
    _bodiless("HEAD and neither", b"HTTP/1.1 200 OK", asked=HEAD),
    _bodiless("HEAD and both", b"HTTP/1.1 200 OK", _FIVE, _TE, asked=HEAD),
    _bodiless(
        "HEAD and two lengths", b"HTTP/1.1 200 OK", _FIVE, b"Content-Length: 6\r\n", asked=HEAD
    ),
    _bodiless("HEAD and 404", b"HTTP/1.1 404 Not Found", _FIVE, asked=HEAD),
    _bodiless("204 and nothing", b"HTTP/1.1 204 No Content"),
    _bodiless("204 and a length", b"HTTP/1.1 204 No Content", _FIVE),
    _bodiless("204 and chunked", b"HTTP/1.1 204 No Content", _TE),
    _bodiless("304 and a length", b"HTTP/1.1 304 Not Modified", _FIVE),
    _bodiless("304 and chunked", b"HTTP/1.1 304 Not Modified", _TE),
    _bodiless("304 and nothing", b"HTTP/1.1 304 Not Modified", b'ETag: "a"\r\n'),
    _fine(
        "205 and length 0",
        "RFC 9110 §15.3.6",
        answer(b"Content-Length: 0\r\n", first=b"HTTP/1.1 205 Reset Content"),
    ),
    _fine(
        "206 of many parts",
        "RFC 9110 §15.3.7",
        answer(
            b"Content-Type: multipart/byteranges; boundary=x\r\n",
            b"Content-Length: 16\r\n",
            first=b"HTTP/1.1 206 Partial Content",
        )
        + b"--x\r\n\r\nab\r\n--x--",
    ),
    becomes(
        "unsolicited",
        "a body behind the answer to HEAD",
        _BODILESS,
        c(HEAD),
        s(answer(_FIVE) + b"hello"),
        c(UNREAD),
        s(OK),
        ok=1,
    ),
    becomes(
        "unsolicited",
        "a body behind 204",
        _BODILESS,
        c(GET),
        s(answer(_FIVE, first=b"HTTP/1.1 204 No Content") + b"hello"),
        c(UNREAD),
        s(OK),
        ok=1,
    ),
    becomes(
        "unsolicited",
        "a body behind 304",
        _BODILESS,
        c(GET),
        s(answer(_FIVE, first=b"HTTP/1.1 304 Not Modified") + b"hello"),
        c(UNREAD),
        s(OK),
        ok=1,
    ),
    # ---- 1xx
    _fine("100 that nobody waits for", _INTERIM, answer(first=b"HTTP/1.1 100 Continue") + OK),
    _fine("102", _INTERIM, answer(first=b"HTTP/1.1 102 Processing") + OK),
    _fine(
        "103 three times",
        "RFC 8297",
        answer(b"Link: </a.css>; rel=preload\r\n", first=b"HTTP/1.1 103 Early Hints") * 3 + OK,
    ),
    _fine("199", _INTERIM + ": unknown ones", answer(first=b"HTTP/1.1 199 What") + OK),
    doubtful("1xx with a length", _BODILESS, answer(_FIVE, first=b"HTTP/1.1 103 Early Hints") + OK),
    _fine(
        "1xx before the answer to HEAD",
        _INTERIM,
        answer(first=b"HTTP/1.1 103 Early Hints") + answer(_FIVE),
        HEAD,
    ),
    read(
        "1xx, and later the answer",
        _INTERIM,
        c(GET),
        s(answer(first=b"HTTP/1.1 103 Early Hints")),
        s(0.1, OK),
        c(GET),
        s(OK),
    ),
    read(
        "1xx and no answer",
        _INTERIM,
        c(GET),
        s(answer(first=b"HTTP/1.1 103 Early Hints"), FIN),
        upstream_closed=1,
    ),
    _fine(
        "1xx to a 1.0 client",
        _INTERIM + ": not to 1.0",
        answer(first=b"HTTP/1.1 100 Continue") + OK,
        traced(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    ),
    # ---- Content-Length
    _fine("an answer with a length", "RFC 9112 §6.3 item 6", answer(_FIVE) + b"hello"),
    _fine("an answer of length 0", "RFC 9112 §6.3 item 6", answer(b"Content-Length: 0\r\n")),
    _fine(
        "a body like an answer", "RFC 9112 §6.2", answer(b"Content-Length: %d\r\n" % len(OK)) + OK
    ),
    _fine(
        "a binary body", "RFC 9112 §6.2", answer(b"Content-Length: %d\r\n" % len(BINARY)) + BINARY
    ),
    doubtful("two equal lengths in an answer", _LENGTHS, answer(_FIVE, _FIVE) + b"hello"),
    doubtful(
        "two different lengths in an answer",
        _LENGTHS,
        answer(_FIVE, b"Content-Length: 6\r\n") + b"hello!",
    ),
    doubtful(
        "a list of lengths in an answer", _LENGTHS, answer(b"Content-Length: 5, 5\r\n") + b"hello"
    ),
    doubtful("+ before an answer's length", _LENGTHS, answer(b"Content-Length: +5\r\n") + b"hello"),
    doubtful("an answer's negative length", _LENGTHS, answer(b"Content-Length: -1\r\n") + b"hello"),
    doubtful("an answer's empty length", _LENGTHS, answer(b"Content-Length:\r\n") + b"hello"),
    doubtful(
        "an answer's length beyond 64 bits",
        _LENGTHS,
        answer(b"Content-Length: 18446744073709551621\r\n") + b"hello",
    ),
    # ---- Transfer-Encoding
    _chunks(
        "a chunked answer",
        "RFC 9112 §7.1",
        b"3;a=b\r\nabc\r\n1\r\n\n\r\n0\r\nX-Trailer: \xe9\r\n\r\n",
    ),
    _chunks("an answer of one empty chunk", "RFC 9112 §7.1", b"0\r\n\r\n"),
    _chunks(
        "an answer with framing trailers", "RFC 9110 §6.5.1", b"0\r\nContent-Length: 3\r\n\r\n"
    ),
    doubtful("length and chunked in an answer", _BOTH, answer(_FIVE, _TE) + b"0\r\n\r\n"),
    doubtful("chunked and length in an answer", _BOTH, answer(_TE, _FIVE) + b"0\r\n\r\n"),
    doubtful(
        "gzip, chunked in an answer",
        _TE_RULE,
        answer(b"Transfer-Encoding: gzip, chunked\r\n") + b"0\r\n\r\n",
    ),
    doubtful(
        "gzip in an answer",
        _TE_RULE + ": until close",
        answer(b"Transfer-Encoding: gzip\r\n") + b"abc",
    ),
    doubtful(
        "identity in an answer", _TE_RULE, answer(b"Transfer-Encoding: identity\r\n") + b"abc"
    ),
    doubtful(
        "xchunked in an answer", _TE_RULE, answer(b"Transfer-Encoding: xchunked\r\n") + b"abc"
    ),
    doubtful("chunked twice in an answer", _TE_RULE, answer(_TE, _TE) + b"0\r\n\r\n"),
    doubtful(
        "chunked in a 1.0 answer",
        _TE_RULE + " on 1.0",
        answer(_TE, first=b"HTTP/1.0 200 OK") + b"0\r\n\r\n",
    ),
    _fine(
        "a chunked answer to a 1.0 request",
        _TE_RULE + ": not to 1.0",
        answer(_TE) + b"0\r\n\r\n",
        traced(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    ),
    *(_broken_chunks(f"chunked answer: {name}", body) for name, body in _CHUNKS),
    # ---- until close
    read("a body until FIN", _UNTIL_CLOSE, c(GET), s(answer()), s(BINARY), s(b"more", FIN)),
    read("a body of nothing until FIN", _UNTIL_CLOSE, c(GET), s(answer(), FIN)),
    read("a body until FIN, in one go", _UNTIL_CLOSE, c(GET), s(answer() + OK, FIN)),
    read("a body until RST", _UNTIL_CLOSE, c(GET), s(answer() + b"abc"), s(RST), upstream_reset=1),
    read(
        "a 1.0 answer until FIN",
        _UNTIL_CLOSE,
        c(traced(b"GET /old HTTP/1.0\r\n\r\n")),
        s(answer(first=b"HTTP/1.0 200 OK") + b"body", FIN),
    ),
    read(
        "a request during a body until FIN",
        _UNTIL_CLOSE,
        c(GET),
        s(answer()),
        c(GET),
        s(b"more", FIN),
        ok=1,
        upstream_closed=1,
    ),
    # ---- incomplete
    read("no answer", "RFC 9112 §8", c(GET), s(FIN), upstream_closed=1),
    read(
        "half a head", "RFC 9112 §8", c(GET), s(b"HTTP/1.1 200 OK\r\nCont", FIN), upstream_closed=1
    ),
    read(
        "half a body",
        "RFC 9112 §8",
        c(GET),
        s(answer(b"Content-Length: 9\r\n") + b"hal", FIN),
        upstream_closed=1,
    ),
    read(
        "half a chunk", "RFC 9112 §8", c(GET), s(answer(_TE) + b"9\r\nhal", FIN), upstream_closed=1
    ),
    read(
        "no last chunk",
        "RFC 9112 §8",
        c(GET),
        s(answer(_TE) + b"3\r\nhal\r\n", FIN),
        upstream_closed=1,
    ),
    read("no answer but RST", "RFC 9112 §8", c(GET), s(RST), upstream_reset=1),
    read(
        "half a body and RST",
        "RFC 9112 §8",
        c(GET),
        s(answer(b"Content-Length: 9\r\n") + b"hal"),
        s(RST),
        upstream_reset=1,
    ),
    # ---- early
    read(
        "an answer before the body",
        "RFC 9112 §9.5: early answers",
        c(traced(request(b"Content-Length: 10\r\n")) + b"abc"),
        s(OK),
        c(b"defg"),
        c(b"hij" + GET),
        s(OK),
    ),
    read(
        "an answer before a chunked body",
        "RFC 9112 §9.5: early answers",
        c(traced(request(_TE)) + b"3\r\nabc\r\n"),
        s(OK),
        c(b"0\r\n\r\n" + GET),
        s(OK),
    ),
    read(
        "413 and FIN before the body",
        "RFC 9110 §15.5.14",
        c(traced(request(b"Content-Length: 10\r\n")) + b"abc"),
        s(
            answer(
                b"Connection: close\r\n",
                b"Content-Length: 0\r\n",
                first=b"HTTP/1.1 413 Content Too Large",
            ),
            FIN,
        ),
        c(b"defghij"),
    ),
    becomes(
        "server_first",
        "an answer to half a head",
        "RFC 9110 §15.5.9; http.md: bytes before any request",
        c(b"GET / HTTP/1.1\r\n"),
        s(answer(b"Content-Length: 0\r\n", first=b"HTTP/1.1 408 Request Timeout"), FIN),
        c(b"\r\n"),
    ),
    becomes(
        "too_large",
        "1xx without end",
        "RFC 9110 §15.2 1xx; http.md: limits",
        c(GET),
        s(answer(first=b"HTTP/1.1 103 Early Hints") * 300 + OK),
        c(UNREAD),
        s(OK),
        opaque=1,
    ),
    doubtful(
        "an answer of 1001 fields",
        "RFC 9110 §5.4: limits",
        answer(*(b"X: 1\r\n",) * 1001) + b"hello",
        "too_large",
    ),
    # ---- statuses with rules of their own
    *(
        _status(status)
        for status in (
            b"201 Created",
            b"301 Moved Permanently",
            b"401 Unauthorized",
            b"412 Precondition Failed",
            b"416 Range Not Satisfiable",
            b"421 Misdirected Request",
            b"505 HTTP Version Not Supported",
            b"600 What",
        )
    ),
    _fine(
        "205 and an empty chunk",
        "RFC 9110 §15.3.6",
        answer(_TE, first=b"HTTP/1.1 205 Reset Content") + b"0\r\n\r\n",
    ),
    doubtful("1xx and chunked", _BODILESS, answer(_TE, first=b"HTTP/1.1 103 Early Hints") + OK),
    _fine(
        "message/http as the answer to TRACE",
        "RFC 9110 §9.3.8",
        answer(b"Content-Type: message/http\r\n", b"Content-Length: %d\r\n" % len(UNREAD)) + UNREAD,
        traced(request(first=b"TRACE / HTTP/1.1")),
    ),
    _fine(
        "a compressed answer",
        "RFC 9110 §8.4; netramesh's transforms",
        answer(b"Content-Encoding: gzip\r\n", _FIVE) + b"\x1f\x8b\x08\x00\x00",
    ),
    _fine(
        "an answer of 200 fields",
        "RFC 9110 §5.4: limits",
        answer(*(b"X: 1\r\n",) * 198, b"Content-Length: 0\r\n"),
    ),
    read(
        "server-sent events",
        "http.md: never held",
        c(GET),
        s(answer(b"Content-Type: text/event-stream\r\n", _TE)),
        s(b"9\r\ndata: 1\n\n\r\n"),
        s(b"9\r\ndata: 2\n\n\r\n"),
        s(b"0\r\n\r\n"),
        c(GET),
        s(OK),
    ),
    doubtful(
        "vertical tab before an answer's chunked",
        _TE_RULE,
        answer(b"Transfer-Encoding: \x0bchunked\r\n") + b"0\r\n\r\n",
    ),
    doubtful(
        "blank before the colon of an answer's coding",
        "RFC 9112 §5.1",
        answer(b"Transfer-Encoding : chunked\r\n") + b"0\r\n\r\n",
    ),
    doubtful(
        "an answer's coding in a fold",
        "RFC 9112 §5.2 obs-fold",
        answer(b"Transfer-Encoding:\r\n chunked\r\n") + b"0\r\n\r\n",
    ),
    doubtful(
        "1xx and a length in a fold",
        _INTERIM,
        answer(b"X: 1\r\n 2\r\n", first=b"HTTP/1.1 103 Early Hints") + OK,
    ),
    doubtful("obs-text before the answer", "RFC 9112 §4", b"\xef\xbb\xbf" + OK),
)
