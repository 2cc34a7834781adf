"""Request targets and Host (RFC 9112 §3.2 and §3.3, RFC 9110 §4.2 and §7.2).

Belongs here: what a request asks for, and whom. Does not belong here: anything else of its head (`syntax`), CONNECT (`switching`).
"""

from e2e.corpus.case import GET, OK, Case, ambiguous, c, read, request, s
from e2e.corpus.marks import traced

_ORIGIN = "RFC 9112 §3.2.1 origin-form"
_ABSOLUTE = "RFC 9112 §3.2.2 absolute-form"
_HOST = "RFC 9112 §3.2 Host"


def _target(name: str, rule: str, target: bytes, method: bytes = b"GET") -> Case:
    """A target that is forwarded as it stands."""
    return _head(name, rule, request(first=b"%b %b HTTP/1.1" % (method, target)))


def _head(name: str, rule: str, head: bytes) -> Case:
    return read(name, rule, c(traced(head)), s(OK), c(GET), s(OK))


def _refused(name: str, rule: str, target: bytes) -> Case:
    return ambiguous(name, rule, request(first=b"GET %b HTTP/1.1" % target), "not_http")


CASES = (
    _target("origin-form with a query", _ORIGIN, b"/a/b;p=1?q=%00&t=&&"),
    _target(
        "dot segments and empty segments",
        "RFC 9110 §4.2.3: no normalising on the way",
        b"//a/../b/./c//",
    ),
    _target("percent-encodings", "RFC 9110 §4.2.3", b"/%7Ea%2f%2F%zz%"),
    _target("absolute-form", _ABSOLUTE, b"http://y/a?b"),
    _target("absolute-form of another host", "RFC 9112 §3.2.2: Host is ignored", b"http://z:81/a"),
    _target("absolute-form without a path", "RFC 9110 §4.2.3", b"http://y"),
    _target("absolute-form with userinfo", "RFC 9110 §4.2.4", b"http://user:secret@y/"),
    _target("absolute-form of another scheme", "RFC 9110 §4.3.2", b"https://y/"),
    _target("absolute-form in capitals", "RFC 9110 §4.2.3", b"HTTP://Y:80/"),
    _target("absolute-form of an IPv6 address", "RFC 9110 §4.2.1", b"http://[fd88::a]:80/"),
    _target("asterisk-form", "RFC 9112 §3.2.4", b"*", b"OPTIONS"),
    ambiguous(
        "authority-form with GET",
        "RFC 9112 §3.2.3: only with CONNECT",
        request(first=b"GET y:80 HTTP/1.1"),
    ),
    ambiguous(
        "a target that begins with a dot", "RFC 9112 §3.2", request(first=b"GET ../a HTTP/1.1")
    ),
    _refused("blank in the target", "RFC 9112 §3: no white space in it", b"/a b"),
    _refused("NUL in the target", "RFC 9112 §3.2", b"/a\x00b"),
    _refused("tab in the target", "RFC 9112 §3.2", b"/a\tb"),
    _refused("DEL in the target", "RFC 9112 §3.2", b"/a\x7f"),
    _target("fragment in the target", "RFC 9110 §7.1: no fragment is sent", b"/a#b"),
    _target("bytes that a URI has not", "RFC 9112 §3.2", b'/"<>\\^`{|}'),
    ambiguous("obs-text in the target", "RFC 9112 §3.2", request(first=b"GET /\xe4\xf6 HTTP/1.1")),
    # ---- Host
    _head("Host with a port", "RFC 9110 §7.2", b"GET / HTTP/1.1\r\nHost: y:8080\r\n\r\n"),
    _head("empty Host", "RFC 9110 §7.2", b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    _head(
        "Host last",
        "RFC 9110 §7.2: first is good practice",
        b"GET / HTTP/1.1\r\nX: 1\r\nHost: y\r\n\r\n",
    ),
    _head("no Host on 1.1", _HOST + ": the server's to refuse", b"GET / HTTP/1.1\r\nX: 1\r\n\r\n"),
    _head("no Host on 1.0", _HOST, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    _head(
        "Host that is none",
        _HOST + ": the server's to refuse",
        b"GET / HTTP/1.1\r\nHost: a b/c@d\r\n\r\n",
    ),
    _head(
        "list of hosts", _HOST + ": the server's to refuse", b"GET / HTTP/1.1\r\nHost: y, z\r\n\r\n"
    ),
    _head(
        "X-Forwarded-Host beside Host",
        "RFC 9110 §7.2",
        request(b"X-Forwarded-Host: z\r\n", b"Forwarded: host=z\r\n"),
    ),
    ambiguous("two hosts", _HOST + ": more than one", request(b"Host: z\r\n")),
    ambiguous("two equal hosts", _HOST + ": more than one", request(b"HOST: y\r\n")),
    ambiguous("a second, empty Host", _HOST + ": more than one", request(b"Host:\r\n")),
    ambiguous(
        "two hosts in absolute-form",
        _HOST + ": more than one",
        request(b"Host: z\r\n", first=b"GET http://z/ HTTP/1.1"),
    ),
    ambiguous(
        "Host behind a blank",
        "RFC 9112 §5.2 obs-fold",
        b"GET / HTTP/1.1\r\nX: 1\r\n Host: z\r\n\r\n",
    ),
    ambiguous("Host with a blank before its colon", "RFC 9112 §5.1", request(b"Host : z\r\n")),
    _target("a literal of an IPv6 zone", "RFC 6874", b"http://[fe80::1%25eth0]/"),
    _target("asterisk-form with a query", "RFC 9112 §3.2.4", b"*?a", b"OPTIONS"),
    _target("OPTIONS of a path", "RFC 9110 §9.3.7", b"/a", b"OPTIONS"),
    _target(
        "a target that is a whole URI in a query",
        "RFC 9112 §3.2.1",
        b"/?u=http://z/%0d%0aHost:%20z",
    ),
    _target("backslashes for slashes", "RFC 9112 §3.2.1", b"/a\\..\\b"),
    _target("semicolons and empty parameters", "RFC 9112 §3.2.1", b"/a;;=;b=%3b"),
)
