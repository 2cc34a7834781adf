"""Families of request smuggling and response splitting: what two readers of one connection could cut at different bytes.

Belongs here: whole attacks, with the smuggled request in them, and obfuscations known from published ones. Does not belong
here: single rules of framing (`framing`, `chunked`), Upgrade and CONNECT (`switching`).

The server here answers as the reader that is to be deceived would: what counts is that every byte passes as it was sent.
"""

from e2e.corpus.case import (
    FIN,
    GET,
    HEAD,
    OK,
    UNREAD,
    Case,
    ambiguous,
    answer,
    becomes,
    c,
    doubtful,
    read,
    request,
    s,
)
from e2e.corpus.marks import traced

_TE = b"Transfer-Encoding: chunked\r\n"
_HIDDEN = b"GET /admin HTTP/1.1\r\nHost: z\r\n\r\n"
_END = b"0\r\n\r\n"


def _attack(name: str, family: str, head: bytes, body: bytes) -> Case:
    """A request with another one hidden in it, and the two answers."""
    steps = (c(head + body), s(OK + OK), c(UNREAD), s(OK))
    return becomes("ambiguous", name, f"family: {family}", *steps)


def _hides_te(name: str, *lines: bytes) -> Case:
    """TE.TE: a coding that one reader takes for chunked and another does not, beside a length."""
    head = request(b"Content-Length: 4\r\n", *lines)
    return _attack(f"TE.TE {name}", "TE.TE", head, b"1f\r\n" + _HIDDEN + b"\r\n" + _END)


_OBFUSCATIONS = {
    "with a blank before the colon": b"Transfer-Encoding : chunked\r\n",
    "with a tab before the colon": b"Transfer-Encoding\t: chunked\r\n",
    "without a blank": b"Transfer-Encoding:chunked\r\n",
    "with a tab": b"Transfer-Encoding:\tchunked\r\n",
    "with a vertical tab": b"Transfer-Encoding:\x0bchunked\r\n",
    "with a form feed": b"Transfer-Encoding: \x0cchunked\r\n",
    "with a no-break space": b"Transfer-Encoding: \xa0chunked\r\n",
    "with NUL": b"Transfer-Encoding: chunked\x00\r\n",
    "with CR": b"Transfer-Encoding: \rchunked\r\n",
    "with LF": b"Transfer-Encoding: \nchunked\r\n",
    "behind a fold": b"Transfer-Encoding:\r\n chunked\r\n",
    "in a fold": b"X: a\r\n Transfer-Encoding: chunked\r\n",
    "behind a bare LF": b"X: a\nTransfer-Encoding: chunked\r\n",
    "behind a bare CR": b"X: a\rTransfer-Encoding: chunked\r\n",
    "in capitals": b"TRANSFER-ENCODING: CHUNKED\r\n",
    "in mixed case": b"tRANSFER-eNCODING: cHUNKED\r\n",
    "in quotes": b'Transfer-Encoding: "chunked"\r\n',
    "in single quotes": b"Transfer-Encoding: 'chunked'\r\n",
    "with a letter before": b"Transfer-Encoding: xchunked\r\n",
    "with a letter behind": b"Transfer-Encoding: chunkedx\r\n",
    "with a comma before": b"Transfer-Encoding: ,chunked\r\n",
    "with a comma behind": b"Transfer-Encoding: chunked,\r\n",
    "with a semicolon": b"Transfer-Encoding: chunked;\r\n",
    "cut short": b"Transfer-Encoding: chunk\r\n",
    "with a soft hyphen": "Transfer-Encoding: chun\N{SOFT HYPHEN}ked\r\n".encode(),
    "with a kelvin sign": "Transfer-Encoding: chun\N{KELVIN SIGN}ed\r\n".encode(),
    "as a quoted pair": b'Transfer-Encoding: "chu\\nked"\r\n',
    "beside cow": b"Transfer-Encoding: chunked, cow\r\n",
    "behind cow": b"Transfer-Encoding: cow, chunked\r\n",
    "in two fields, cow first": b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
    "in two fields, cow last": b"Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n",
    "with an underscore": b"Transfer_Encoding: chunked\r\n",
    "without a hyphen": b"TransferEncoding: chunked\r\n",
    "with a blank in the name": b"Transfer Encoding: chunked\r\n",
    "with a blank before the name": b" Transfer-Encoding: chunked\r\n",
    "with obs-text in the name": b"Transfer-Encoding\xff: chunked\r\n",
    "with a backslash in the name": b"Transfer\\Encoding: chunked\r\n",
    "with an empty field": b"Transfer-Encoding:\r\n",
    "with two colons": b"Transfer-Encoding:: chunked\r\n",
    "with nothing but its name": b"Transfer-Encoding\r\n",
}
#: Those that are fields of other names: only the length counts.
_NO_CODING = ("with an underscore", "without a hyphen")


def _hides_length(name: str, line: bytes) -> Case:
    """CL.0 and 0.CL: a length that one reader counts and another does not."""
    return _attack(f"CL.0 {name}", "CL.0", request(line), _HIDDEN)


_LENGTH = b"Content-Length: %d\r\n" % len(_HIDDEN)
_LENGTHS = {
    "with a blank before the colon": _LENGTH.replace(b":", b" :"),
    "with a tab before the colon": _LENGTH.replace(b":", b"\t:"),
    "in a fold": b"X: a\r\n " + _LENGTH,
    "behind a fold": _LENGTH.replace(b" ", b"\r\n "),
    "behind a bare LF": b"X: a\n" + _LENGTH,
    "behind a bare CR": b"X: a\r" + _LENGTH,
    "with a plus": _LENGTH.replace(b" ", b" +"),
    "with a comma": _LENGTH.replace(b"\r", b",\r"),
    "with zero first": b"Content-Length: 0\r\n" + _LENGTH,
    "with zero last": _LENGTH + b"Content-Length: 0\r\n",
    "with a list that begins with zero": _LENGTH.replace(b" ", b" 0, "),
    "with NUL": _LENGTH.replace(b"\r", b"\x00\r"),
    "with a vertical tab": _LENGTH.replace(b" ", b" \x0b"),
    "with a point": _LENGTH.replace(b"\r", b".0\r"),
    "with obs-text in the name": _LENGTH.replace(b":", b"\xa0:"),
    "with a blank in the name": _LENGTH.replace(b"-", b" "),
    "with a blank before the name": b" " + _LENGTH,
}


def _one_reading(name: str, family: str, head: bytes, body: bytes) -> Case:
    """A request that has one meaning though some readers see another: it is read by the RFC."""
    return read(name, f"family: {family}", c(traced(head) + body), s(OK), c(GET), s(OK))


def _chunk_trick(name: str, body: bytes) -> Case:
    """A chunked body that ends for one reader where the hidden request begins."""
    steps = (c(traced(request(_TE)) + body), s(OK + OK), c(UNREAD), s(OK))
    return becomes(
        "ambiguous", f"chunks: {name}", "family: chunk extensions and line ends", *steps, opaque=1
    )


CASES = (
    # ---- CL.TE, TE.CL
    _attack(
        "CL.TE",
        "CL.TE",
        request(b"Content-Length: %d\r\n" % len(_END + _HIDDEN), _TE),
        _END + _HIDDEN,
    ),
    _attack(
        "TE.CL",
        "TE.CL",
        request(_TE, b"Content-Length: 4\r\n"),
        b"1f\r\n" + _HIDDEN + b"\r\n" + _END,
    ),
    _attack(
        "CL.TE on 1.0", "CL.TE", request(_LENGTH, _TE, first=b"POST / HTTP/1.0"), _END + _HIDDEN
    ),
    _attack("CL.CL", "CL.CL", request(b"Content-Length: 0\r\n", _LENGTH), _HIDDEN),
    _attack(
        "TE.0 with OPTIONS",
        "TE.0",
        request(_TE, b"Content-Length: 0\r\n", first=b"OPTIONS / HTTP/1.1"),
        b"1f\r\n" + _HIDDEN + b"\r\n" + _END,
    ),
    *(_hides_te(name, line) for name, line in _OBFUSCATIONS.items() if name not in _NO_CODING),
    *(
        _one_reading(
            f"TE.TE {name}",
            "TE.TE",
            request(b"Content-Length: 4\r\n", _OBFUSCATIONS[name]),
            b"1f\r\n",
        )
        for name in _NO_CODING
    ),
    *(_hides_length(name, line) for name, line in _LENGTHS.items()),
    # ---- one meaning by the RFC, another for readers that ignore it
    _one_reading("CL.0 as RFC 9112 reads it", "CL.0", request(_LENGTH), _HIDDEN),
    _one_reading("CL.0 with GET", "CL.0", request(_LENGTH, first=b"GET / HTTP/1.1"), _HIDDEN),
    _one_reading(
        "TE.0 as RFC 9112 reads it",
        "TE.0",
        request(_TE, first=b"GET / HTTP/1.1"),
        b"1f\r\n" + _HIDDEN[:31] + b"\r\n" + _END,
    ),
    _one_reading(
        "0.CL with a reserved name in the path",
        "0.CL",
        request(_LENGTH, first=b"GET /con HTTP/1.1"),
        _HIDDEN,
    ),
    _one_reading(
        "a length that Connection names",
        "hop-by-hop removal",
        request(b"Connection: Content-Length\r\n", _LENGTH),
        _HIDDEN,
    ),
    _one_reading(
        "a coding that Connection names",
        "hop-by-hop removal",
        request(b"Connection: Transfer-Encoding\r\n", _TE),
        _END,
    ),
    _one_reading(
        "a method to override",
        "method override",
        request(b"X-HTTP-Method-Override: HEAD\r\n", _LENGTH),
        _HIDDEN,
    ),
    _one_reading(
        "line ends encoded in the path",
        "header injection",
        request(first=b"GET /%0d%0aX:%201 HTTP/1.1"),
        b"",
    ),
    _one_reading(
        "a length with an underscore in its name",
        "header normalising",
        request(b"Content_Length: 9\r\n"),
        b"",
    ),
    # ---- chunks
    _chunk_trick("an extension ends with LF (TERM.EXT)", b"2;\nxx\r\n1f\r\n" + _END + _HIDDEN),
    _chunk_trick("an extension ends with CR (EXT.TERM)", b"2;\rxx\r\n0\r\n\r\n" + _HIDDEN),
    _chunk_trick("a size ends with LF", b"0\n\r\n" + _HIDDEN),
    _chunk_trick("the last line ends with LF", b"0\r\n\n" + _HIDDEN),
    _chunk_trick("the end is CR and any byte", b"0\r\n\rX" + _HIDDEN),
    _chunk_trick(
        "two bytes of any kind behind the data (TERM.SPILL)", b"5\r\nAAAAAXX0\r\n\r\n" + _HIDDEN
    ),
    _chunk_trick(
        "one byte less behind the data (ONE.TWO)", b"5\r\nAAAAA\n2e\r\n0\r\n\r\n" + _HIDDEN
    ),
    _chunk_trick("one byte more behind the data (TWO.ONE)", b"5\r\nAAAAA\r\n\n0\r\n\r\n" + _HIDDEN),
    _chunk_trick("a size that overflows", b"100000000%08x\r\n" % len(_HIDDEN) + _HIDDEN),
    _chunk_trick("a size with a letter that is none", b"0x1f\r\n" + _HIDDEN),
    _chunk_trick("a size with a sign", b"-1\r\n" + _HIDDEN),
    _chunk_trick("a size with a blank", b"0 \r\n\r\n" + _HIDDEN),
    _chunk_trick("a request among the trailers", b"0\r\nGET /admin HTTP/1.1\r\nX: 1\r\n\r\n"),
    _chunk_trick("a trailer without a line end", b"0\r\nX: 1\n\n" + _HIDDEN),
    read(
        "trailers to be merged into the next head",
        "family: trailer merging",
        c(traced(request(_TE)) + b"0\r\nContent-Length: 31\r\nHost: z\r\n\r\n" + GET),
        s(OK + OK),
    ),
    # ---- pauses, and answers that come early
    read(
        "a body that comes late",
        "family: pause-based desync",
        c(traced(request(_LENGTH))),
        s(OK),
        c(0.2, _HIDDEN),
        c(GET),
        s(OK),
    ),
    read(
        "a body that never comes",
        "family: pause-based desync",
        c(traced(request(_LENGTH))),
        s(OK),
        c(0.1, FIN),
    ),
    read(
        "a redirect before the body",
        "family: pause-based desync",
        c(traced(request(_LENGTH))),
        s(
            answer(
                b"Location: /a/\r\n",
                b"Content-Length: 0\r\n",
                first=b"HTTP/1.1 301 Moved Permanently",
            )
        ),
        c(_HIDDEN + GET),
        s(OK),
    ),
    becomes(
        "unsolicited",
        "a server that reads the body as a request",
        "family: client-side desync",
        c(traced(request(_LENGTH)) + _HIDDEN),
        s(OK + OK),
        c(UNREAD),
        s(OK),
        ok=1,
    ),
    becomes(
        "unsolicited",
        "a server that does so behind a pipelined request",
        "family: client-side desync",
        c(traced(request(_LENGTH)) + _HIDDEN + GET),
        s(OK + OK + OK),
        c(UNREAD),
        s(OK),
        ok=2,
    ),
    # ---- answers
    doubtful(
        "an answer split by LF",
        "family: response splitting",
        answer(b"X: a\nContent-Length: 0\n\nHTTP/1.1 200 OK\r\n", b"Content-Length: 2\r\n") + b"ok",
    ),
    becomes(
        "unsolicited",
        "an answer split by CRLF",
        "family: response splitting",
        c(GET),
        s(answer(b"X: a\r\n", b"Content-Length: 0\r\n") + OK),
        c(UNREAD),
        s(OK),
        ok=1,
    ),
    becomes(
        "unsolicited",
        "an answer queued before its request",
        "family: response queue poisoning",
        c(GET),
        s(OK + OK),
        c(UNREAD),
        s(OK),
        ok=1,
    ),
    becomes(
        "ambiguous_response",
        "a body to HEAD before the next answer",
        "family: HEAD desync",
        c(HEAD + GET),
        s(answer(b"Content-Length: 5\r\n") + b"hello" + OK),
        c(UNREAD),
        s(OK),
        ok=1,
        opaque=1,
    ),
    becomes(
        "ambiguous_response",
        "a body behind 204 before the next answer",
        "family: 204 and 304 desync",
        c(GET * 2),
        s(answer(b"Content-Length: 5\r\n", first=b"HTTP/1.1 204 No Content") + b"hello" + OK),
        c(UNREAD),
        s(OK),
        ok=1,
        opaque=1,
    ),
    read(
        "an answer as the body to HEAD",
        "family: HEAD desync",
        c(HEAD + GET),
        s(answer(b"Content-Length: %d\r\n" % len(OK)) + OK),
    ),
    # ---- hosts
    ambiguous(
        "absolute-form against Host, and a second Host",
        "family: host confusion",
        request(b"Host: z\r\n", first=b"GET http://y/ HTTP/1.1"),
    ),
    ambiguous(
        "Host in a fold", "family: host confusion", b"GET / HTTP/1.1\r\nHost: y\r\n z\r\n\r\n"
    ),
    ambiguous(
        "Host behind a bare LF",
        "family: host confusion",
        b"GET / HTTP/1.1\r\nX: 1\nHost: z\r\nHost: y\r\n\r\n",
    ),
    _one_reading(
        "Host with obs-text and quotes",
        "host confusion",
        b'GET / HTTP/1.1\r\nHost: "z"\xa0y@z:80#\r\n\r\n',
        b"",
    ),
    # ---- versions
    ambiguous(
        "a 1.1 head that a 0.9 reader answers",
        "family: HTTP/0.9 oddities",
        b"GET /\r\nHost: y\r\n\r\n",
        "not_http",
    ),
    ambiguous(
        "version with a fold",
        "family: HTTP/0.9 oddities",
        b"GET / HTTP/1.1\r\n\tX: 1\r\nHost: y\r\n\r\n",
    ),
    ambiguous(
        "version in the target",
        "family: HTTP/0.9 oddities",
        b"GET /HTTP/1.1\r\nHost: y\r\n\r\n",
        "not_http",
    ),
    ambiguous(
        "two requests in one line",
        "family: header injection",
        b"GET / HTTP/1.1 GET /admin HTTP/1.1\r\nHost: y\r\n\r\n",
        "not_http",
    ),
    ambiguous(
        "NUL ends the line", "family: NUL", b"GET / HTTP/1.1\x00\r\nHost: y\r\n\r\n", "not_http"
    ),
    becomes(
        "unsolicited",
        "a second answer that comes a little later",
        "family: response queue poisoning",
        c(GET),
        s(OK),
        s(OK),
        c(UNREAD),
        s(OK),
        ok=1,
    ),
    read(
        "an answer to HEAD that holds another head",
        "family: HEAD tunnelling",
        c(HEAD),
        s(answer(b"X: HTTP/1.1 200 OK\r\n", b"Content-Length: 99\r\n")),
        c(GET),
        s(OK),
    ),
    _one_reading(
        "a hop's name that is a framing field",
        "hop-by-hop removal",
        request(b"Connection: Transfer-Encoding, Content-Length, Host, close\r\n", _LENGTH),
        _HIDDEN,
    ),
    _one_reading(
        "a length behind a value full of line ends, encoded",
        "header injection",
        request(b"X: %0d%0aContent-Length: 0\r\n", _LENGTH),
        _HIDDEN,
    ),
    _one_reading(
        "a path that holds a version",
        "header injection",
        request(first=b"GET /HTTP/1.1 HTTP/1.1"),
        b"",
    ),
    _attack(
        "CL.TE with a body in the GET",
        "CL.TE",
        request(_LENGTH, _TE, first=b"GET / HTTP/1.1"),
        _END + _HIDDEN,
    ),
    _attack(
        "CL.TE behind a fold",
        "CL.TE",
        request(_LENGTH, b"X: 1\r\n\tTransfer-Encoding: chunked\r\n"),
        _END + _HIDDEN,
    ),
    _attack(
        "0.CL behind Expect",
        "0.CL",
        request(b"Expect: 100-continue\r\n", b"Content-Length : 31\r\n"),
        _HIDDEN,
    ),
    _chunk_trick("LF in a quoted extension", b'2;a="\n"\r\nxx\r\n0\r\n\r\n' + _HIDDEN),
    _chunk_trick(
        "a size of zeros and an overflow",
        b"0000000000000000%x\r\n" % len(_HIDDEN) + _HIDDEN + b"\r\n" + _END,
    ),
    _chunk_trick(
        "a size in fullwidth digits", "\N{FULLWIDTH DIGIT ZERO}\r\n\r\n".encode() + _HIDDEN
    ),
    _chunk_trick("LF before a size", b"2\r\nxx\r\n\n0\r\n\r\n" + _HIDDEN),
    _chunk_trick("an empty line before a size", b"\r\n0\r\n\r\n" + _HIDDEN),
    _chunk_trick("a trailer's name with a blank", b"0\r\nContent-Length : 31\r\n\r\n" + _HIDDEN),
)
