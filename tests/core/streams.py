"""Hypothesis strategies for what a client or a server may send: messages by the grammar, the known tricks, and wounds.

Belongs here: bytes. Does not belong here: what is to come of them.
"""

from hypothesis import strategies as st

from tests.core import ambiguous

_TOKENS = [b"a", b"X-1", b"!#$%&'*+-.^_`|~", b"Host-", b"Xx" * 40]
_VALUES = [b"", b"a", b"a b\tc", b"\xe4\xff", b"a: b", b"GET / HTTP/1.1", b"x" * 150, b"0", b"\t "]
_SIZES = [b"%x", b"%X", b"0%x", b"000000%x"]
_EXTENSIONS = [b"", b"", b"", b";a", b';a="b;c"', b" ;a=b", b";" + b"x" * 50]
_TRAILERS = [b"X-Sum: 1\r\n", b"a:\r\n", b"Expires: never\r\n"]

#: Header lines that framing, persistence or a change of protocol hang on, sound or not, and those we write ourselves.
TRICKS = [
    b"Content-Length: 0\r\n", b"Content-Length: 3\r\n", b"content-length:\t007 \r\n", b"Content-Length: 3, 3\r\n",
    b"Content-Length: +3\r\n", b"Content_Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: Chunked \r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: x\r\n", b"TE: trailers\r\n", b"Trailer: X-Sum\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: upgrade\r\n", b"Upgrade: websocket\r\n",
    b"Connection: keep-alive, Upgrade\r\n", b"Expect: 100-continue\r\n", b"Host: b\r\n", b"Proxy-Connection: close\r\n",
    b"traceparent: 00-1\r\n", b"Traceparent:\t \r\n", b"tracestate: a=b\r\n", b"x-request-id:7\r\n", b"X: a\r\n b\r\n",
    b"Keep-Alive: timeout=5\r\n", b"Content-Length : 3\r\n", b"\x0bContent-Length: 3\r\n", b"Content-Length: 3\n",
]  # fmt: skip

#: Pieces to put anywhere.
SNIPPETS = [
    b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"\n\n", b":", b" ", b"\t", b"\x00", b"\x0b", b"\x7f", b"\x80", b"\xff", b";", b",",
    b"0\r\n\r\n", b"1\r\n", b"5\r\nhello\r\n", b"HTTP/1.1", b"HTTP/1.0 ", b"GET / HTTP/1.1\r\n\r\n", b"+", b"-", b"0x", b"_",
    b"HTTP/1.1 200 OK\r\n\r\n", b"\r\n ", *TRICKS,
]  # fmt: skip


def _oddly(common: st.SearchStrategy[bytes], odd: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.one_of(common, common, common, st.sampled_from(odd))


@st.composite
def _fields(draw: st.DrawFn) -> bytes:
    plain = st.builds(
        lambda name, value: name + b": " + value + b"\r\n",
        st.sampled_from(_TOKENS),
        st.sampled_from(_VALUES),
    )
    return b"".join(draw(st.lists(plain | st.sampled_from(TRICKS), max_size=2)))


@st.composite
def chunked(draw: st.DrawFn) -> bytes:
    """A chunked body; the last size, the trailers and the empty line included."""
    body = b""
    for data in draw(
        st.lists(st.binary(min_size=1, max_size=40) | st.sampled_from(SNIPPETS), max_size=4)
    ):
        size = draw(st.sampled_from(_SIZES)) % len(data)
        body += size + draw(st.sampled_from(_EXTENSIONS)) + b"\r\n" + data + b"\r\n"
    return (
        body + b"0\r\n" + b"".join(draw(st.lists(st.sampled_from(_TRAILERS), max_size=2))) + b"\r\n"
    )


@st.composite
def _content(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A framing field and a body that agree."""
    kind = draw(st.sampled_from(["none", "none", "length", "chunked"]))
    if kind == "chunked":
        return b"Transfer-Encoding: chunked\r\n", draw(chunked())
    if kind == "length":
        body = draw(st.binary(max_size=30) | st.sampled_from(SNIPPETS))
        return b"Content-Length: %d\r\n" % len(body), body
    return b"", b""


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    method = draw(
        _oddly(
            st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT"]),
            [b"OPTIONS", b"CONNECT", b"BREW", b"get", b"PRI"],
        )
    )
    target = draw(
        _oddly(
            st.sampled_from([b"/", b"/a?b#c"]),
            [b"*", b"http://a/b", b"a:1", b"/\xff", b"/" + b"a" * 120],
        )
    )
    version = draw(
        _oddly(st.just(b"HTTP/1.1"), [b"HTTP/1.0", b"HTTP/1.2", b"http/1.1", b"HTTP/2.0"])
    )
    framing, body = draw(_content())
    line = method + b" " + target + b" " + version + b"\r\n"
    return line + b"Host: a\r\n" + draw(_fields()) + framing + b"\r\n" + body


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    status = draw(
        _oddly(
            st.sampled_from(
                [b"200 OK", b"404 Not Found", b"204 No Content", b"304 ", b"100 Continue"]
            ),
            [
                b"101 Switching",
                b"103 Hints",
                b"200",
                b"500 \xff",
                b"999 x",
                b"099 x",
                b"20 OK",
                b"1000 x",
            ],
        )
    )
    version = draw(
        _oddly(st.just(b"HTTP/1.1 "), [b"HTTP/1.0 ", b"HTTP/1.1  ", b"HTTP/2.0 ", b"ICY "])
    )
    framing, body = draw(_content())
    if status[:1] == b"1" or status[:3] in (b"204", b"304"):
        framing = body = b""
    elif not framing:
        framing = draw(_oddly(st.just(b"Content-Length: 0\r\n"), [b""]))
    return version + status + b"\r\n" + draw(_fields()) + framing + b"\r\n" + body


@st.composite
def wounded(draw: st.DrawFn, sound: bytes) -> bytes:
    """The stream with up to three wounds: bytes inserted, removed, replaced or doubled."""
    for _ in range(draw(st.sampled_from([0, 0, 1, 2, 3]))):
        place = draw(st.integers(0, len(sound)))
        length = draw(st.integers(0, 4))
        new = draw(
            st.one_of(
                st.sampled_from([b"", *SNIPPETS]),
                st.just(sound[place : place + 20]),
                st.binary(max_size=2),
            )
        )
        sound = sound[:place] + new + sound[place + length :]
    return sound


def _stream(messages: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(messages, min_size=1, max_size=5).map(b"".join).flatmap(wounded)


_POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
_OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNKS = [*ambiguous.BROKEN_CHUNKS.values(), *ambiguous.SOUND_CHUNKS.values()]
ODD_REQUESTS = [
    *ambiguous.REQUESTS.values(), *ambiguous.UNAMBIGUOUS.values(), *(_POST + body for body in _CHUNKS),
]  # fmt: skip
ODD_ANSWERS = [
    *ambiguous.UNCERTAIN_RESPONSES.values(), *ambiguous.MALFORMED_RESPONSES.values(), *(_OK + body for body in _CHUNKS),
]  # fmt: skip

client_streams = _stream(_oddly(requests(), ODD_REQUESTS))
server_streams = _stream(_oddly(answers(), ODD_ANSWERS))
