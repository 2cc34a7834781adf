"""How a connection goes on and ends: persistence, pipelining, half-close, reset; what proxies must not touch (RFC 9112 §9).

Belongs here: more than one message, endings, fields of single hops. Does not belong here: changes of protocol (`switching`).
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
    read,
    request,
    s,
)
from e2e.corpus.marks import traced

_PERSIST = "RFC 9112 §9.3 persistence"
_PIPELINE = "RFC 9112 §9.3.2 pipelining"
_CLOSE = "RFC 9112 §9.6 tear-down"
_HOP = "RFC 9110 §7.6.1 Connection"
_ENDINGS = "http.md: endings"
_POST = traced(request(b"Content-Length: 3\r\n")) + b"abc"
_UPLOAD = traced(request(b"Content-Length: 9\r\n")) + b"abc"
_OLD = traced(b"GET / HTTP/1.0\r\n\r\n")
_OLD_KEPT = traced(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
_LAST = answer(b"Connection: close\r\n", b"Content-Length: 2\r\n") + b"ok"


def _hop(name: str, rule: str, *lines: bytes) -> Case:
    """Fields meant for one hop: not ours to act on, as we are none."""
    return read(name, rule, c(traced(request(*lines))), s(OK), c(GET), s(OK))


CASES = (
    read(
        "five requests of many kinds",
        _PERSIST,
        *(c(GET), s(OK), c(HEAD), s(answer(b"Content-Length: 500\r\n"))),
        *(c(_POST), s(answer(b"Content-Length: 7\r\n", first=b"HTTP/1.1 204 No Content"))),
        *(
            c(GET),
            s(answer(b"Content-Length: 9\r\n", first=b"HTTP/1.1 304 Not Modified")),
            c(GET),
            s(OK),
        ),
    ),
    read("idle between two requests", _PERSIST, c(GET), s(OK), c(0.2, GET), s(OK)),
    read(
        "1.0 with keep-alive, then without",
        _PERSIST,
        c(_OLD_KEPT),
        s(
            answer(
                b"Connection: keep-alive\r\n", b"Content-Length: 1\r\n", first=b"HTTP/1.0 200 OK"
            )
            + b"1"
        ),
        c(_OLD),
        s(answer(first=b"HTTP/1.0 200 OK") + b"2", FIN),
    ),
    read("1.0 without keep-alive goes on", _PERSIST, c(_OLD), s(OK), c(_OLD), s(OK)),
    read("1.1 after 1.0", _PERSIST, c(_OLD_KEPT), s(OK), c(GET), s(OK)),
    # ---- pipelining
    read("four pipelined requests", _PIPELINE, c(GET + _POST + GET + GET), s(OK + OK + OK), s(OK)),
    read("answers one by one", _PIPELINE, c(GET * 3), s(OK), s(OK), s(OK), c(GET), s(OK)),
    read(
        "HEAD among pipelined requests",
        _PIPELINE,
        c(GET + HEAD + GET),
        s(OK + answer(b"Content-Length: 9\r\n") + OK),
    ),
    read(
        "the next request while the answer comes",
        _PIPELINE,
        c(GET),
        s(OK[:-1]),
        c(GET),
        s(OK[-1:] + OK),
    ),
    read("sixty-four pipelined requests", _PIPELINE, c(GET * 64), s(OK * 64)),
    read("pipelined and half-closed", _PIPELINE, c(GET * 3, FIN), s(OK), s(OK * 2)),
    read(
        "pipelined behind a chunked body",
        _PIPELINE,
        c(traced(request(b"Transfer-Encoding: chunked\r\n")) + b"2\r\nhi\r\n0\r\n\r\n" + GET),
        s(OK + OK),
    ),
    becomes(
        "unsolicited",
        "more answers than requests",
        _PIPELINE,
        c(GET),
        s(OK + OK),
        c(UNREAD),
        s(OK),
        ok=1,
    ),
    becomes(
        "unsolicited",
        "an answer while idle",
        "RFC 9112 §9.2: unsolicited answers",
        c(GET),
        s(OK),
        s(answer(b"Content-Length: 0\r\n", first=b"HTTP/1.1 408 Request Timeout"), FIN),
        c(UNREAD),
        ok=1,
    ),
    becomes(
        "unsolicited",
        "an empty line behind an answer",
        "RFC 9112 §9.2: unsolicited answers",
        c(GET),
        s(OK + b"\r\n"),
        c(UNREAD),
        s(OK),
        ok=1,
    ),
    becomes(
        "ambiguous",
        "an ambiguous request behind a good one",
        _PIPELINE,
        c(GET + request(b"X : 1\r\n")),
        s(OK + OK),
        opaque=1,
    ),
    becomes(
        "not_http",
        "binary behind a good request",
        _PIPELINE,
        c(GET + BINARY),
        s(OK),
        s(BINARY),
        opaque=1,
    ),
    # ---- announced ends
    read("the server announces and closes", _CLOSE, c(GET), s(_LAST, FIN)),
    read(
        "the client announces, the server closes",
        _CLOSE,
        c(traced(request(b"Connection: close\r\n"))),
        s(_LAST, FIN),
    ),
    read(
        "announced, and the connection stays",
        _CLOSE + ": the peers' to close",
        c(GET),
        s(_LAST),
        s(0.1),
    ),
    read(
        "announced, and requests go on",
        _CLOSE + ": the peers' to close",
        c(GET),
        s(_LAST),
        c(GET),
        s(OK),
    ),
    read(
        "announced by the client, who goes on",
        _CLOSE + ": the peers' to close",
        c(traced(request(b"Connection: close\r\n"))),
        s(OK),
        c(GET),
        s(OK),
    ),
    read(
        "announced in capitals, FIN later",
        _CLOSE,
        c(GET),
        s(answer(b"CONNECTION: Close\r\n", b"Content-Length: 0\r\n")),
        s(0.05, FIN),
    ),
    # ---- half-close
    read("the client half-closes", _ENDINGS, c(GET, FIN), s(OK)),
    read("the client half-closes later", _ENDINGS, c(GET), c(FIN), s(OK)),
    read("the client half-closes at once", _ENDINGS, c(FIN), s(0.05)),
    read("the server half-closes while idle", _ENDINGS, c(GET), s(OK, FIN), c(0.05, FIN)),
    read(
        "the server half-closes, an upload goes on",
        _ENDINGS,
        c(_UPLOAD),
        s(OK, FIN),
        c(b"def"),
        c(b"ghi", FIN),
    ),
    read(
        "a request after the server's FIN",
        _ENDINGS,
        c(GET),
        s(OK, FIN),
        c(GET),
        ok=1,
        upstream_closed=1,
    ),
    read(
        "FIN in half a head, the server says more",
        _ENDINGS,
        c(GET),
        s(OK),
        c(b"GET / HT", FIN),
        s(FIN),
    ),
    read(
        "the client half-closes, nobody answers",
        _ENDINGS,
        c(GET, FIN),
        s(0.05, FIN),
        client_closed=1,
    ),
    # ---- reset
    read("the client resets while idle", _ENDINGS, c(GET), s(OK), c(RST)),
    read("the client resets before the answer", _ENDINGS, c(GET), s(), c(RST), client_reset=1),
    read("the client resets in its body", _ENDINGS, c(_UPLOAD), s(), c(RST), client_reset=1),
    read("the client resets in an answer", _ENDINGS, c(GET), s(OK[:-1]), c(RST), client_reset=1),
    read("the client resets at once", _ENDINGS, c(RST)),
    read("the server resets while idle", _ENDINGS, c(GET), s(OK), c(), s(RST)),
    read("the server resets at once", _ENDINGS, s(RST)),
    read("the server resets in an upload", _ENDINGS, c(_UPLOAD), s(RST), upstream_reset=1),
    read("the server resets right behind its answer", _ENDINGS, c(GET), s(OK, RST)),
    read(
        "the server resets after the client's FIN", _ENDINGS, c(GET, FIN), s(RST), upstream_reset=1
    ),
    read("the client resets after the server's FIN", _ENDINGS, c(GET), s(OK, FIN), c(RST)),
    # ---- fields of single hops and for proxies
    _hop(
        "Connection names Content-Length",
        _HOP + ": never removed",
        b"Connection: close, content-length\r\n",
        b"Content-Length: 0\r\n",
    ),
    _hop(
        "Connection names Host and Cookie",
        _HOP + ": never removed",
        b"Connection: keep-alive, Host, Cookie, X-Request-Id\r\n",
        b"Cookie: a=b\r\n",
    ),
    _hop(
        "Connection names a declared header",
        _HOP + ": never removed",
        b"Connection: traceparent, uber-trace-id\r\n",
    ),
    _hop(
        "Connection twice, with nothing", _HOP, b"Connection:\r\n", b"connection: , ,keep-alive\r\n"
    ),
    _hop(
        "Keep-Alive and Proxy-Connection",
        "RFC 9112 appendix C.2.2",
        b"Keep-Alive: timeout=1, max=1\r\n",
        b"Proxy-Connection: close\r\n",
    ),
    _hop("TE", "RFC 9110 §10.1.4", b"Connection: TE\r\n", b"TE: trailers, deflate;q=0.5\r\n"),
    _hop(
        "Trailer on a request without a body",
        "RFC 9110 §6.6.2",
        b"Trailer: Content-Length, Host\r\n",
    ),
    _hop("Via", "RFC 9110 §7.6.3: none is added", b"Via: 1.0 fred, 1.1 y\r\n"),
    _hop("Max-Forwards: 0", "RFC 9110 §7.6.2: we are no hop", b"Max-Forwards: 0\r\n"),
    _hop("Proxy-Authorization", "RFC 9110 §11.7.2", b"Proxy-Authorization: Basic YTpi\r\n"),
    _hop(
        "Cache-Control: no-transform",
        "RFC 9110 §7.7",
        b"Cache-Control: no-transform, only-if-cached\r\n",
    ),
    _hop(
        "Range and conditions",
        "RFC 9110 §13, §14",
        b"Range: bytes=0-0,-1\r\n",
        b'If-Match: "a"\r\n',
    ),
    _hop(
        "X-Forwarded-For",
        "http.md: every other byte",
        b"X-Forwarded-For: 1.2.3.4\r\n",
        b"X-Real-IP: 1.2.3.4\r\n",
    ),
    _hop(
        "HTTP2-Settings without Upgrade", "RFC 7540 §3.2.1", b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    ),
    read(
        "Max-Forwards: 0 with TRACE and OPTIONS",
        "RFC 9110 §7.6.2: we are no hop",
        c(traced(request(b"Max-Forwards: 0\r\n", first=b"TRACE / HTTP/1.1"))),
        s(OK),
        c(traced(request(b"Max-Forwards: 0\r\n", first=b"OPTIONS * HTTP/1.1"))),
        s(OK),
    ),
    # ---- everything at once
    read(
        "every kind of request in one go, every kind of answer in one go",
        _PIPELINE,
        c(
            b"\r\n"
            + GET
            + HEAD
            + _POST
            + _OLD_KEPT
            + traced(request(b"Transfer-Encoding: chunked\r\n"))
            + b"2;x\r\nhi\r\n0\r\nT: 1\r\n\r\n"
            + GET
            + GET
            + HEAD
            + GET
        ),
        s(
            OK
            + answer(b"Content-Length: 9\r\n")
            + answer(first=b"HTTP/1.1 204 No Content")
            + OK
            + answer(first=b"HTTP/1.1 100 Continue")
            + answer(b"Transfer-Encoding: chunked\r\n")
            + b"2\r\nhi\r\n0\r\nT: 1\r\n\r\n"
            + answer(b"Content-Length: 7\r\n", first=b"HTTP/1.1 304 Not Modified")
            + answer(b"Content-Length: 0\r\n")
            + answer(b"Transfer-Encoding: chunked\r\n")
            + answer()
            + b"until close",
            FIN,
        ),
    ),
    read(
        "sixty-four requests, sixty-four answers, twice",
        _PIPELINE,
        c(GET * 64),
        s(OK * 64),
        c(GET * 64),
        s(OK * 64),
    ),
    read(
        "pipelined bodies that are cut by the answers",
        _PIPELINE,
        c(_POST + _UPLOAD),
        s(OK),
        c(b"def"),
        s(OK),
        c(b"ghi" + GET),
        s(OK),
    ),
    read(
        "a lingering close",
        _CLOSE + ": half-close, then close",
        *(c(_UPLOAD), s(_LAST, FIN), c(b"def"), c(b"ghi", FIN)),
    ),
    read(
        "the server closes in the middle of a pipeline",
        _CLOSE,
        c(GET * 3),
        s(OK + _LAST, FIN),
        ok=2,
        upstream_closed=1,
    ),
    read(
        "the client half-closes between pipelined answers",
        _ENDINGS,
        c(GET * 2),
        s(OK),
        c(FIN),
        s(OK),
    ),
    becomes(
        "unsolicited",
        "the server says more behind its announced close",
        _CLOSE,
        c(GET),
        s(_LAST + b"more", FIN),
        ok=1,
    ),
    becomes(
        "not_http", "an opaque connection is half-closed", _ENDINGS, c(BINARY, FIN), s(BINARY, FIN)
    ),
    becomes(
        "not_http",
        "an opaque connection is half-closed by the server",
        _ENDINGS,
        c(BINARY),
        s(BINARY, FIN),
        c(BINARY, FIN),
    ),
    becomes(
        "not_http",
        "an opaque connection is reset by the client",
        _ENDINGS,
        c(BINARY),
        s(BINARY),
        c(RST),
    ),
    becomes(
        "not_http",
        "an opaque connection is reset by the server",
        _ENDINGS,
        c(BINARY),
        s(BINARY),
        c(BINARY),
        s(RST),
    ),
    becomes(
        "not_http",
        "an opaque connection is reset right behind bytes",
        _ENDINGS,
        c(BINARY),
        s(BINARY, RST),
    ),
    read("the client resets right behind a request", _ENDINGS, c(GET, RST), client_reset=1),
    read("the client resets in half a head", _ENDINGS, c(GET), s(OK), c(b"GET / HT"), c(RST)),
    read(
        "the client resets a tunnelled request's answer",
        _ENDINGS,
        c(GET),
        s(answer() + b"abc"),
        c(RST),
        client_reset=1,
    ),
)
