"""What is no HTTP/1, from the first byte on or from some later one on.

Belongs here: other protocols, and ports where nobody looks for HTTP. Does not belong here: HTTP/1 with faults (`syntax`).
"""

from e2e.corpus.case import BINARY, GET, OK, UNREAD, Case, becomes, c, read, s

_CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + BINARY
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def _foreign(
    name: str, reason: str, first: bytes, answer: bytes = b"\x00\x01fine\r\n\r\n", rule: str = ""
) -> Case:
    """Bytes that are no HTTP from the first on, answered by others."""
    steps = (c(first), s(answer), c(BINARY), s(BINARY))
    return becomes(reason, name, rule or "http.md: cannot be HTTP/1", *steps)


CASES = (
    _foreign("TLS ClientHello", "tls", _CLIENT_HELLO, rule="http.md: first byte 0x16"),
    _foreign("TLS handshake byte alone", "tls", b"\x16", rule="http.md: first byte 0x16"),
    _foreign("HTTP/2 preface and SETTINGS", "h2", _PREFACE + _SETTINGS, rule="RFC 9113 §3.4"),
    _foreign("PRI of a later HTTP/2", "h2", b"PRI * HTTP/2.7\r\n\r\n", rule="RFC 9113 §3.4"),
    becomes(
        "h2",
        "HTTP/2 after HTTP/1.1",
        "RFC 9113 §3.4",
        *(c(GET), s(OK), c(_PREFACE + _SETTINGS), s(_SETTINGS)),
        ok=1,
    ),
    _foreign("binary from the start", "not_http", b"\x00\xff" + BINARY),
    _foreign("obs-text at the start", "not_http", b"\xe4\xf6\xfc\r\n"),
    _foreign("Redis", "not_http", b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    _foreign("PostgreSQL startup", "not_http", b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"N"),
    _foreign("memcached", "not_http", b"get key\r\n", b"END\r\n"),
    _foreign(
        "PROXY protocol, text", "not_http", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + UNREAD, OK
    ),
    _foreign("PROXY protocol, binary", "not_http", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", OK),
    _foreign("SSH banner", "not_http", b"SSH-2.0-OpenSSH_9.2\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"),
    _foreign(
        "RTSP",
        "not_http",
        b"OPTIONS rtsp://y/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n\r\n",
    ),
    _foreign("SIP", "not_http", b"INVITE sip:y SIP/2.0\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n"),
    _foreign("an answer where a request is due", "not_http", OK, UNREAD),
    becomes(
        "server_first",
        "server speaks first",
        "http.md: bytes before any request",
        *(s(b"220 mail ready\r\n"), c(b"EHLO y\r\n"), s(b"250 y\r\n")),
    ),
    becomes(
        "server_first",
        "server speaks first, in HTTP",
        "http.md: bytes before any request",
        *(s(OK), c(UNREAD), s(OK)),
    ),
    becomes(
        "not_http",
        "binary after a request",
        "http.md: cannot be HTTP/1",
        *(c(GET), s(OK), c(b"\x01\x02\r\n\r\n"), s(BINARY)),
        ok=1,
    ),
    becomes(
        "tls",
        "TLS after a request",
        "RFC 2817",
        *(c(GET), s(OK), c(_CLIENT_HELLO), s(BINARY)),
        ok=1,
    ),
    Case(
        "HTTP on a port that is not named",
        "http.md: port not among the HTTP ports",
        (c(UNREAD), s(OK), c(UNREAD), s(OK)),
        {},
        "port",
        other_port=True,
    ),
    Case(
        "binary on a port that is not named",
        "http.md: port not among the HTTP ports",
        (s(BINARY), c(BINARY), s(BINARY)),
        {},
        "port",
        other_port=True,
    ),
    read("nothing is said at all", "http.md: four rules"),
)
