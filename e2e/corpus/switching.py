"""Where a request waits for the server before it goes on, or leaves HTTP: 100-continue, CONNECT, Upgrade.

Belongs here: RFC 9110 §7.8, §9.3.6, §10.1.1 and what attacks make of them. Does not belong here: other 1xx (`responses`).
"""

from e2e.corpus.case import (
    BINARY,
    FIN,
    GET,
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

_EXPECT = "RFC 9110 §10.1.1 Expect"
_CONNECT_RULE = "RFC 9110 §9.3.6 CONNECT"
_UPGRADE_RULE = "RFC 9110 §7.8 Upgrade"
_FOUR = b"Content-Length: 4\r\n"
_CONTINUE = answer(first=b"HTTP/1.1 100 Continue")
_CONNECT = traced(b"CONNECT y:443 HTTP/1.1\r\nHost: y:443\r\n\r\n")
_WEBSOCKET = b"Upgrade: websocket\r\n", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
_H2C = b"Upgrade: h2c\r\n", b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"
_SWITCHING = answer(
    b"Connection: Upgrade\r\n", b"Upgrade: websocket\r\n", first=b"HTTP/1.1 101 Switching Protocols"
)
_WITH_BODY = traced(request(b"Connection: Upgrade\r\n", *_WEBSOCKET, _FOUR))
_REFUSED = answer(b"Content-Length: 0\r\n", first=b"HTTP/1.1 400 Bad Request")


def _expecting(value: bytes, *lines: bytes) -> bytes:
    return traced(request(b"Expect: %b\r\n" % value, *(lines or (_FOUR,))))


def _upgrade(*lines: bytes, connection: bytes = b"Upgrade") -> bytes:
    return traced(request(b"Connection: %b\r\n" % connection, *lines, first=b"GET /ws HTTP/1.1"))


def _tunnel(name: str, rule: str, head: bytes, final: bytes, reason: str = "upgrade") -> Case:
    """HTTP ends with the final answer; afterwards both sides say anything."""
    return becomes(
        reason, name, rule, c(head), s(final), c(BINARY), s(BINARY), c(UNREAD), s(OK), ok=1
    )


def _refusal(name: str, rule: str, head: bytes, final: bytes = _REFUSED) -> Case:
    """The server stays with HTTP, and so does the reading."""
    return read(name, rule, c(head), s(final), c(GET), s(OK))


CASES = (
    # ---- Expect
    read(
        "100-continue",
        _EXPECT,
        c(_expecting(b"100-continue")),
        s(_CONTINUE),
        c(b"body"),
        s(OK),
        c(GET),
        s(OK),
    ),
    read(
        "100-continue, chunked",
        _EXPECT,
        c(_expecting(b"100-continue", b"Transfer-Encoding: chunked\r\n")),
        s(_CONTINUE),
        c(b"4\r\nbody\r\n0\r\n\r\n"),
        s(OK),
        c(GET),
        s(OK),
    ),
    read(
        "100-continue in odd case",
        _EXPECT,
        c(_expecting(b"100-CONTINUE")),
        s(_CONTINUE),
        c(b"body"),
        s(OK),
        c(GET),
        s(OK),
    ),
    read(
        "the client does not wait for 100",
        _EXPECT,
        c(_expecting(b"100-continue") + b"body"),
        s(_CONTINUE + OK),
        c(GET),
        s(OK),
    ),
    read(
        "100 never comes",
        _EXPECT,
        c(_expecting(b"100-continue")),
        c(0.1, b"body"),
        s(OK),
        c(GET),
        s(OK),
    ),
    read(
        "100 comes after the body",
        _EXPECT,
        c(_expecting(b"100-continue") + b"bo"),
        s(_CONTINUE),
        c(b"dy" + GET),
        s(OK + OK),
    ),
    read(
        "417 instead, the body comes",
        _EXPECT,
        c(_expecting(b"100-continue")),
        s(answer(b"Content-Length: 0\r\n", first=b"HTTP/1.1 417 Expectation Failed")),
        c(b"body" + GET),
        s(OK),
    ),
    read(
        "417 and close, no body",
        _EXPECT,
        c(_expecting(b"100-continue")),
        s(
            answer(
                b"Connection: close\r\n",
                b"Content-Length: 0\r\n",
                first=b"HTTP/1.1 417 Expectation Failed",
            ),
            FIN,
        ),
        c(FIN),
    ),
    read(
        "200 instead, the body comes",
        _EXPECT,
        c(_expecting(b"100-continue")),
        s(OK),
        c(b"body" + GET),
        s(OK),
    ),
    read(
        "100-continue without a body",
        _EXPECT,
        c(_expecting(b"100-continue", b"Content-Length: 0\r\n")),
        s(_CONTINUE + OK),
        c(GET),
        s(OK),
    ),
    read("another expectation", _EXPECT, c(_expecting(b'x="y"') + b"body"), s(OK), c(GET), s(OK)),
    read(
        "a blank before 100-continue's end",
        _EXPECT + " (0.CL family)",
        c(_expecting(b" 100-continue ") + b"body"),
        s(OK),
        c(GET),
        s(OK),
    ),
    read(
        "y 100-continue",
        _EXPECT + " (0.CL family)",
        c(_expecting(b"y 100-continue") + b"body"),
        s(OK),
        c(GET),
        s(OK),
    ),
    read(
        "Expect twice",
        _EXPECT,
        c(traced(request(b"Expect: 100-continue\r\n" * 2, _FOUR)) + b"body"),
        s(_CONTINUE * 2 + OK),
        c(GET),
        s(OK),
    ),
    read(
        "Expect on 1.0",
        _EXPECT + ": ignored on 1.0",
        c(traced(b"PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n") + b"body"),
        s(OK),
        c(GET),
        s(OK),
    ),
    read(
        "Expect with HEAD",
        _EXPECT,
        c(traced(request(b"Expect: 100-continue\r\n", _FOUR, first=b"HEAD / HTTP/1.1"))),
        s(_CONTINUE),
        c(b"body"),
        s(answer(b"Content-Length: 9\r\n")),
        c(GET),
        s(OK),
    ),
    # ---- CONNECT
    _tunnel("CONNECT and 200", _CONNECT_RULE, _CONNECT, answer(), "connect"),
    _tunnel(
        "CONNECT and 200 with a length",
        _CONNECT_RULE + ": lengths are ignored",
        _CONNECT,
        answer(_FOUR),
        "connect",
    ),
    _tunnel(
        "CONNECT and 200 chunked",
        _CONNECT_RULE + ": lengths are ignored",
        _CONNECT,
        answer(b"Transfer-Encoding: chunked\r\n"),
        "connect",
    ),
    _tunnel(
        "CONNECT and 204",
        _CONNECT_RULE,
        _CONNECT,
        answer(first=b"HTTP/1.1 204 No Content"),
        "connect",
    ),
    _tunnel(
        "CONNECT and 103 before 200",
        _CONNECT_RULE,
        _CONNECT,
        answer(first=b"HTTP/1.1 103 Early Hints") + answer(),
        "connect",
    ),
    _tunnel(
        "CONNECT with a length",
        _CONNECT_RULE,
        traced(b"CONNECT y:443 HTTP/1.1\r\nHost: y\r\nContent-Length: 0\r\n\r\n"),
        answer(),
        "connect",
    ),
    _tunnel(
        "the server speaks behind its 200", _CONNECT_RULE, _CONNECT, answer() + BINARY, "connect"
    ),
    _refusal(
        "CONNECT and 403",
        _CONNECT_RULE,
        _CONNECT,
        answer(_FOUR, first=b"HTTP/1.1 403 Forbidden") + b"nono",
    ),
    _refusal(
        "CONNECT and 407",
        "RFC 9110 §15.5.8",
        _CONNECT,
        answer(
            b"Proxy-Authenticate: Basic\r\n",
            b"Content-Length: 0\r\n",
            first=b"HTTP/1.1 407 Proxy Authentication Required",
        ),
    ),
    becomes(
        "connect",
        "the client speaks before the tunnel stands",
        _CONNECT_RULE,
        c(_CONNECT + BINARY),
        s(answer()),
        s(BINARY),
        ok=1,
    ),
    becomes(
        "connect",
        "a request behind CONNECT, which is refused",
        "family: CONNECT smuggling",
        c(_CONNECT + UNREAD),
        s(_REFUSED + OK),
        opaque=1,
    ),
    becomes(
        "connect",
        "CONNECT among pipelined requests",
        "family: CONNECT smuggling",
        c(GET + _CONNECT),
        s(OK + answer()),
        c(BINARY),
        s(BINARY),
        ok=2,
    ),
    # ---- Upgrade
    _tunnel("WebSocket", "RFC 6455 §4", _upgrade(*_WEBSOCKET), _SWITCHING + b"\x81\x02hi"),
    _tunnel(
        "WebSocket with Firefox's Connection",
        "RFC 9110 §7.6.1",
        _upgrade(*_WEBSOCKET, connection=b"keep-alive, Upgrade"),
        _SWITCHING,
    ),
    _tunnel(
        "h2c", "RFC 7540 §3.2", _upgrade(*_H2C, connection=b"Upgrade, HTTP2-Settings"), _SWITCHING
    ),
    _tunnel("Upgrade without Connection", _UPGRADE_RULE, traced(request(*_WEBSOCKET)), _SWITCHING),
    _tunnel(
        "Upgrade with a list", _UPGRADE_RULE, _upgrade(b"Upgrade: foo/1, websocket\r\n"), _SWITCHING
    ),
    _tunnel("101 that nobody asked for", _UPGRADE_RULE, GET, _SWITCHING),
    _tunnel(
        "101 without its fields",
        _UPGRADE_RULE,
        _upgrade(*_WEBSOCKET),
        answer(first=b"HTTP/1.1 101 Switching Protocols"),
    ),
    _tunnel(
        "102, then 101",
        _UPGRADE_RULE,
        _upgrade(*_WEBSOCKET),
        answer(first=b"HTTP/1.1 102 Processing") + _SWITCHING,
    ),
    _tunnel("Upgrade to TLS", "RFC 2817", _upgrade(b"Upgrade: TLS/1.0\r\n"), _SWITCHING),
    _refusal("WebSocket refused", _UPGRADE_RULE, _upgrade(*_WEBSOCKET)),
    _refusal("WebSocket answered by 200", "family: WebSocket smuggling", _upgrade(*_WEBSOCKET), OK),
    _refusal(
        "WebSocket answered by 426",
        "RFC 9110 §15.5.22",
        _upgrade(*_WEBSOCKET),
        answer(
            b"Sec-WebSocket-Version: 13\r\n",
            b"Content-Length: 0\r\n",
            first=b"HTTP/1.1 426 Upgrade Required",
        ),
    ),
    _refusal(
        "h2c ignored",
        "family: h2c smuggling",
        _upgrade(*_H2C, connection=b"Upgrade, HTTP2-Settings"),
        OK,
    ),
    _refusal(
        "h2c without HTTP2-Settings in Connection", "family: h2c smuggling", _upgrade(*_H2C), OK
    ),
    _refusal("empty Upgrade", _UPGRADE_RULE, _upgrade(b"Upgrade:\r\n"), OK),
    becomes(
        "upgrade",
        "a request behind an Upgrade, which is refused",
        "family: WebSocket smuggling",
        c(_upgrade(*_WEBSOCKET) + UNREAD),
        s(_REFUSED + OK),
        opaque=1,
    ),
    _refusal("an Upgrade with a body, refused", _UPGRADE_RULE, _WITH_BODY + b"body", OK),
    _tunnel("an Upgrade with a body", _UPGRADE_RULE, _WITH_BODY + b"body", _SWITCHING),
    read(
        "an Upgrade whose body comes after the refusal",
        _UPGRADE_RULE,
        *(c(_WITH_BODY), s(_REFUSED), c(b"body" + GET), s(OK)),
    ),
    becomes(
        "upgrade",
        "an Upgrade whose body comes after 101",
        _UPGRADE_RULE,
        *(c(_WITH_BODY + b"bo"), s(_SWITCHING), c(b"dy" + BINARY), s(BINARY)),
        ok=1,
    ),
    _refusal(
        "an Upgrade with a chunked body, refused",
        "family: h2c smuggling",
        _upgrade(*_H2C, b"Transfer-Encoding: chunked\r\n") + b"4\r\nbody\r\n0\r\n\r\n",
    ),
    becomes(
        "upgrade",
        "a request behind an Upgrade and its body",
        "family: WebSocket smuggling",
        *(c(_WITH_BODY + b"body" + UNREAD), s(_REFUSED + OK), c(UNREAD), s(OK)),
        opaque=1,
    ),
    becomes(
        "upgrade",
        "an Upgrade among pipelined requests",
        "netramesh B7",
        c(GET + _upgrade(*_WEBSOCKET)),
        s(OK + _SWITCHING),
        c(BINARY),
        s(BINARY),
        ok=2,
    ),
    becomes(
        "upgrade",
        "frames before 101",
        "RFC 6455 §4.1: the client waits",
        c(_upgrade(*_WEBSOCKET) + b"\x81\x02hi"),
        s(_SWITCHING),
        s(BINARY),
        ok=1,
    ),
    read(
        "an Upgrade that is half-closed", _UPGRADE_RULE, c(_upgrade(*_WEBSOCKET), FIN), s(_REFUSED)
    ),
    becomes(
        "upgrade",
        "a tunnel that is half-closed",
        _UPGRADE_RULE,
        c(_upgrade(*_WEBSOCKET)),
        s(_SWITCHING),
        c(BINARY, FIN),
        s(BINARY),
        ok=1,
    ),
    _tunnel(
        "Upgrade and 100-continue",
        "RFC 9110 §7.8: 100, then 101",
        _upgrade(*_WEBSOCKET, b"Expect: 100-continue\r\n"),
        _CONTINUE + _SWITCHING,
    ),
    _refusal(
        "Upgrade on 1.0",
        "RFC 9110 §7.8: ignored on 1.0",
        traced(b"GET / HTTP/1.0\r\nConnection: Upgrade, keep-alive\r\nUpgrade: websocket\r\n\r\n"),
        OK,
    ),
    _refusal(
        "Upgrade to HTTP/2 without h2c's fields",
        "family: h2c smuggling",
        _upgrade(b"Upgrade: h2\r\n", connection=b"close"),
        OK,
    ),
    _tunnel(
        "CONNECT without a port",
        "RFC 9112 §3.2.3 authority-form",
        traced(b"CONNECT y HTTP/1.1\r\nHost: y\r\n\r\n"),
        answer(),
        "connect",
    ),
    _tunnel(
        "CONNECT on 1.0",
        _CONNECT_RULE,
        traced(b"CONNECT y:443 HTTP/1.0\r\n\r\n"),
        answer(first=b"HTTP/1.0 200 Connection established"),
        "connect",
    ),
    _tunnel(
        "CONNECT with a path",
        "RFC 9112 §3.2.3 authority-form",
        *(traced(b"CONNECT /a HTTP/1.1\r\nHost: y\r\n\r\n"), answer(), "connect"),
    ),
    read("CONNECT that is never answered", _CONNECT_RULE, c(_CONNECT), s(FIN), upstream_closed=1),
    read(
        "CONNECT, refused and closed",
        _CONNECT_RULE,
        c(_CONNECT),
        s(answer(b"Connection: close\r\n", first=b"HTTP/1.1 502 Bad Gateway") + b"sorry", FIN),
    ),
    becomes(
        "connect",
        "a tunnel that the server resets",
        _CONNECT_RULE,
        c(_CONNECT),
        s(answer()),
        c(BINARY),
        s(RST),
        ok=1,
    ),
    becomes(
        "connect",
        "CONNECT refused, and a request sent too early",
        "family: CONNECT smuggling",
        c(_CONNECT),
        c(UNREAD),
        s(_REFUSED + OK),
        opaque=1,
    ),
    becomes(
        "upgrade",
        "101 to a pipelined request that asked for nothing",
        "family: response queue poisoning",
        c(GET * 2),
        s(_SWITCHING),
        c(BINARY),
        s(BINARY),
        ok=1,
        opaque=1,
    ),
    becomes(
        "upgrade",
        "101 in the middle of an upload",
        _UPGRADE_RULE,
        c(traced(request(_FOUR)) + b"bo"),
        s(_SWITCHING),
        c(b"dy" + BINARY),
        s(BINARY),
        ok=1,
    ),
)
