"""Requests that carry a declared header already, and those that get none (`http.md` rule 2, Linking).

Belongs here: which bytes of a head change, and into what. Does not belong here: who becomes whose parent (tests/core/test_tracing.py).
"""

from e2e.corpus.case import GET, OK, Case, c, read, s
from e2e.corpus.marks import SPAN, TRACE, added, changed

_START = b"GET / HTTP/1.1\r\n"
_HOST = b"Host: y\r\n"
_RULE = "http.md rule 2"
_W3C = b"00-%b-%b-01" % (TRACE, SPAN)
_SAME_TRACE = b"00-" + TRACE + b"-{span}-01"
_SAME_JAEGER = TRACE + b":{span}:0:1"
_NEW = b"00-{trace}-{span}-01"
_NEW_JAEGER = b"{trace}:{span}:0:1"
#: Added where the trace id came in and is no new one.
_REST = changed(b"", b"X-Request-Id: {uuid}\r\n{source}")


_TRACES = b"traceparent: " + _NEW + b"\r\nuber-trace-id: " + _NEW_JAEGER + b"\r\n"


def _jaeger(value: bytes) -> bytes:
    return changed(b"", b"uber-trace-id: " + value + b"\r\n")


def _head(name: str, rule: str, *parts: bytes) -> Case:
    """A head of these parts, marked where they change; the request after it gets a new trace."""
    return read(name, rule, c(b"".join((_START, *parts, b"\r\n"))), s(OK), c(GET), s(OK))


def _invalid(name: str, value: bytes) -> Case:
    """A traceparent that is none: a new trace begins, the value is replaced where it stands."""
    line = b"traceparent: " + changed(value, _NEW) + b"\r\n"
    return _head(name, "W3C Trace Context §3.2, §4.3", line, _HOST, added("traceparent"))


def _silent(name: str, rule: str, head: bytes) -> Case:
    """A request that gets no header at all."""
    return Case(name, rule, (c(head), s(OK), c(head), s(OK)), {"ok": 2})


CASES = (
    _head("no declared header", _RULE, _HOST, added()),
    _head("no field at all to stand before", _RULE, added()),
    _head(
        "traceparent",
        _RULE + ": replaced",
        b"traceparent: ",
        changed(_W3C, _SAME_TRACE),
        b"\r\n",
        _HOST,
        _jaeger(_SAME_JAEGER),
        _REST,
    ),
    _head(
        "traceparent in capitals, with blanks",
        _RULE + ": replaced",
        b"TRACEPARENT:  ",
        changed(_W3C + b" ", _SAME_TRACE),
        b"\r\n",
        _HOST,
        _jaeger(_SAME_JAEGER),
        _REST,
    ),
    _head(
        "traceparent without a blank",
        _RULE + ": replaced",
        b"TraceParent:",
        changed(_W3C, _SAME_TRACE),
        b"\r\n",
        _HOST,
        _jaeger(_SAME_JAEGER),
        _REST,
    ),
    _head(
        "traceparent last",
        _RULE + ": replaced",
        _HOST,
        b"traceparent: ",
        changed(_W3C, _SAME_TRACE),
        b"\r\n",
        _jaeger(_SAME_JAEGER),
        _REST,
    ),
    _head(
        "traceparent that is not sampled",
        "W3C Trace Context §3.2.2.5",
        b"traceparent: ",
        changed(b"00-%b-%b-00" % (TRACE, SPAN), b"00-" + TRACE + b"-{span}-00"),
        b"\r\n",
        _HOST,
        _jaeger(TRACE + b":{span}:0:0"),
        _REST,
    ),
    _head(
        "traceparent of a later version",
        "W3C Trace Context §4.3",
        b"traceparent: ",
        changed(b"01-%b-%b-01-more" % (TRACE, SPAN), _SAME_TRACE),
        b"\r\n",
        _HOST,
        _jaeger(_SAME_JAEGER),
        _REST,
    ),
    _head(
        "tracestate beside a valid traceparent",
        _RULE + ": passes",
        b"tracestate: a=1,b=2\r\n",
        b"traceparent: ",
        changed(_W3C, _SAME_TRACE),
        b"\r\nTraceState: c=3\r\n",
        _HOST,
        _jaeger(_SAME_JAEGER),
        _REST,
    ),
    _head(
        "tracestate beside an invalid traceparent",
        _RULE + ": dropped",
        changed(b"tracestate: a=1\r\n", b""),
        b"traceparent: ",
        changed(b"00-0", _NEW),
        b"\r\n",
        _HOST,
        added("traceparent"),
    ),
    _head("tracestate alone", _RULE + ": passes", b"tracestate: a=1\r\n", _HOST, added()),
    _head(
        "two traceparents",
        _RULE + ": a second copy is removed",
        b"traceparent: ",
        changed(_W3C, _NEW),
        b"\r\n",
        _HOST,
        changed(b"traceparent: " + _W3C + b"\r\n", b""),
        added("traceparent"),
    ),
    _invalid("empty traceparent", b""),
    _invalid("traceparent of zeros", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"),
    _invalid("traceparent in upper case", _W3C.upper()),
    _invalid("traceparent of version ff", b"ff" + _W3C[2:]),
    _invalid("traceparent with obs-text", b"00-\xe4\xf6"),
    _invalid("traceparent that is far too long", b"0" * 5000),
    _head(
        "uber-trace-id",
        _RULE + ": replaced",
        b"Uber-Trace-Id: ",
        changed(TRACE + b":1:0:1", _SAME_JAEGER),
        b"\r\n",
        _HOST,
        changed(b"", b"traceparent: " + _SAME_TRACE + b"\r\n"),
        _REST,
    ),
    _head(
        "uber-trace-id, percent-encoded",
        _RULE + ": replaced",
        b"uber-trace-id: ",
        changed(TRACE + b"%3A1%3A0%3A1", _SAME_JAEGER),
        b"\r\n",
        _HOST,
        changed(b"", b"traceparent: " + _SAME_TRACE + b"\r\n"),
        _REST,
    ),
    _head(
        "uber-trace-id that is none",
        _RULE + ": replaced",
        b"uber-trace-id: ",
        changed(b"x:y", _NEW_JAEGER),
        b"\r\n",
        _HOST,
        added("uber-trace-id"),
    ),
    _head(
        "two of uber-trace-id",
        _RULE + ": a second copy is removed (netramesh B3)",
        b"uber-trace-id: ",
        changed(TRACE + b":2:0:1", _SAME_JAEGER),
        b"\r\n",
        _HOST,
        changed(b"UBER-trace-id: 3:4:0:1\r\n", b""),
        changed(b"", b"traceparent: " + _SAME_TRACE + b"\r\n"),
        _REST,
    ),
    _head(
        "both, of two traces",
        "design.md §5: OTEL_PROPAGATORS order",
        b"uber-trace-id: ",
        changed(b"1:2:0:1", _SAME_JAEGER),
        b"\r\n",
        b"traceparent: ",
        changed(_W3C, _SAME_TRACE),
        b"\r\n",
        _HOST,
        _REST,
    ),
    _head(
        "a request id",
        "http.md: Linking",
        _HOST,
        b"X-REQUEST-ID:  mine \r\n",
        added("x-request-id"),
    ),
    _head(
        "an empty request id",
        "http.md: Linking",
        _HOST,
        b"X-Request-Id: ",
        changed(b"", b"{uuid}"),
        b"\r\n",
        added("x-request-id"),
    ),
    _head(
        "two request ids",
        "http.md: Linking: never changed",
        _HOST,
        b"X-Request-Id: 1\r\nx-request-id: 2\r\n",
        added("x-request-id"),
    ),
    _head("X-Source", _RULE, b"x-source: me\r\n", _HOST, added("x-source")),
    _head(
        "all of them",
        _RULE,
        b"TRACEPARENT:  ",
        changed(_W3C + b" ", _SAME_TRACE),
        b"\r\nx-source: me\r\n",
        _HOST,
        b"X-REQUEST-ID: mine\r\nUber-Trace-Id: ",
        changed(b"1:2:0:1", _SAME_JAEGER),
        b"\r\nTraceState: v=1\r\nLast: 1\r\n",
    ),
    _head(
        "a debug id alone",
        "docs/tracing.md: forces a trace, passes",
        b"Jaeger-Debug-Id: t\r\n",
        _HOST,
        changed(b"", b"traceparent: " + _NEW + b"\r\nuber-trace-id: {trace}:{span}:0:3\r\n"),
        _REST,
    ),
    _head(
        "a debug id beside a trace",
        "docs/tracing.md: passes",
        b"jaeger-debug-id: t\r\n",
        b"uber-trace-id: " + changed(TRACE + b":1:0:1", _SAME_JAEGER) + b"\r\n",
        _HOST,
        changed(b"", b"traceparent: " + _SAME_TRACE + b"\r\n"),
        _REST,
    ),
    _head("baggage", "design.md §5: passes", b"baggage: k=v\r\n", _HOST, added()),
    _head(
        "b3, though not configured",
        "design.md §5: updated where it came in",
        *(b"b3: ", changed(b"1", b"{trace}-{span}-1{parent}"), b"\r\n", _HOST),
        *(changed(b"B3: 1-2-0\r\n", b""), added()),
    ),
    _head(
        "b3 in many headers, though not configured",
        "design.md §5: updated where it came in",
        *(b"X-B3-TraceId: ", changed(TRACE, b"{trace}"), b"\r\n"),
        *(b"X-B3-SpanId: ", changed(b"1", b"{span}"), b"\r\n"),
        *(changed(b"X-B3-ParentSpanId: 1\r\n", b""), b"x-b3-sampled:", changed(b"0", b"1")),
        *(b"\r\n", changed(b"X-B3-Flags: 1\r\n", b""), _HOST, added()),
        changed(b"", b"{parent_line}"),
    ),
    _head(
        "b3 in one of many headers",
        "design.md §5: updated where it came in",
        *(b"X-B3-TraceId: ", changed(b"1", b"{trace}"), b"\r\n", _HOST),
        changed(b"", _TRACES + b"X-B3-SpanId: {span}\r\nX-B3-Sampled: 1\r\n"),
        *(_REST, changed(b"", b"{parent_line}")),
    ),
    _head(
        "names that begin or end like ours",
        _RULE,
        b"X-traceparent: 1\r\n",
        b"traceparent-x: 2\r\n",
        b"X-Request-Id-2: 3\r\n",
        _HOST,
        added(),
    ),
    _head("a value that looks like ours", _RULE, b"X: traceparent: 00-1-2-3\r\n", _HOST, added()),
    _silent(
        "kube-probe",
        "http.md: user agent kube-probe/",
        b"GET /livez HTTP/1.1\r\nHost: y\r\nUser-Agent: kube-probe/1.31\r\n\r\n",
    ),
    _silent(
        "kube-probe with trace headers",
        "http.md: user agent kube-probe/",
        b"GET /livez HTTP/1.1\r\nUser-Agent: kube-probe/1.31\r\ntraceparent: x\r\nuber-trace-id: y\r\nX-Request-Id:\r\n\r\n",
    ),
)
