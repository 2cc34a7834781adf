"""Raw conversations, and the finished exchanges that the daemon's own parts make of them. Ids and times count upwards."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final

from netra_node.core.addresses import ClientAddr, OriginalDst, PodUid
from netra_node.core.conversation import Conversation, HttpRules
from netra_node.core.head import HeadParser
from netra_node.core.identity import PodIdentity
from netra_node.core.ignored import IgnoredPaths
from netra_node.core.limits import Limits
from netra_node.core.linking import LinkTable
from netra_node.core.propagation import Propagation
from netra_node.core.records import ConnectionRecord, Direction, Outcome
from netra_node.core.sampling import ParentBased, Sampler, TraceIdRatio, sampler_from
from netra_node.core.tags import TagRules
from netra_node.core.tracing import IdSource, Tracing, TracingOptions
from netra_node.telemetry.flow import Finished
from netra_node.telemetry.metrics import Metrics
from netra_node.telemetry.observer import PodObserver
from netra_node.telemetry.peers import Directory

IN: Final = Direction.INBOUND
OUT: Final = Direction.OUTBOUND

IDENTITY: Final = PodIdentity(
    PodUid("uid-1"), "shop", "orders-1", "orders", (("service.namespace", "shop"),)
)
_MILLISECOND: Final = 1_000_000
_HALF: Final = ParentBased(TraceIdRatio(0.5))
_TRACEPARENT: Final = b"traceparent: 00-0000000000000000000000000000000a-000000000000000b-01\r\n"

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def request(line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    """Return a request of `orders:8080` whose id is r-1."""
    head = b"\r\n".join((line + b" HTTP/1.1", b"Host: orders:8080", b"X-Request-Id: r-1", *fields))
    return head + b"\r\n\r\n" + body


@dataclass(frozen=True, slots=True)
class Case:
    """One connection: a request, the bytes that answer it, how it ends where the answer is no end."""

    name: str
    direction: Direction
    request: bytes
    answer: bytes = OK
    end: Outcome | None = None
    server_fin: bool = False
    sampler: Sampler | None = None
    v6: bool = False


CASES: Final = (
    Case("an inbound root", IN, request(b"GET /orders/42?card=4111", b"User-Agent: curl/8")),
    Case("an outbound root", OUT, request(b"GET /orders/42?card=4111", b"User-Agent: curl/8")),
    Case(
        "an inbound child",
        IN,
        request(b"POST /orders", _TRACEPARENT[:-2], b"Content-Length: 4", body=b"cart"),
        b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
    ),
    Case("an outbound child", OUT, request(b"DELETE /orders/42", b"uber-trace-id: c:d:0:1")),
    Case("a parent that was not sampled", IN, request(b"GET /a", b"uber-trace-id: c:d:0:0")),
    Case(
        "an error of the server",
        IN,
        request(b"GET /orders"),
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy",
    ),
    Case(
        "an error of the client",
        OUT,
        request(b"GET /orders"),
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ),
    Case("no answer", OUT, request(b"GET /slow"), b"", Outcome.UPSTREAM_TIMEOUT),
    Case("the client is gone", IN, request(b"GET /slow"), b"", Outcome.CLIENT_RESET),
    Case(
        "an answer that breaks off",
        IN,
        request(b"GET /big"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        Outcome.UPSTREAM_RESET,
    ),
    Case(
        "chunks both ways",
        IN,
        request(
            b"POST /up", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        ),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    Case(
        "an answer until the connection's end",
        OUT,
        request(b"GET /stream"),
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        server_fin=True,
    ),
    Case(
        "HEAD",
        IN,
        request(b"HEAD /file"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
    ),
    Case(
        "304 with a length",
        IN,
        request(b"GET /file"),
        b"HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n",
    ),
    Case(
        "an answer before the request is complete",
        IN,
        request(b"POST /up", b"Content-Length: 9", body=b"half"),
        b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n",
    ),
    Case(
        "100, then the answer",
        IN,
        request(b"POST /up", b"Expect: 100-continue", b"Content-Length: 4", body=b"cart"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ),
    Case(
        "a WebSocket",
        IN,
        request(b"GET /chat", b"Connection: Upgrade", b"Upgrade: websocket"),
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
    Case(
        "an answer that cannot be read",
        OUT,
        request(b"GET /odd"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    ),
    Case(
        "mapped tags",
        IN,
        request(
            b"GET /tags",
            b"X-SESSION: s-1",
            b"X-Session: s-2",
            b'Cookie: app="shop"; app=other; Odd=\xff',
            b"X-Name: Zo\xc3\xab",
        ),
    ),
    Case("mapped tags of a child", IN, request(b"GET /tags", b"X-Session: s-1", _TRACEPARENT[:-2])),
    Case("mapped tags of an outbound request", OUT, request(b"GET /tags", b"X-Session: s-1")),
    Case("a debug id of Jaeger's", IN, request(b"GET /bug", b"jaeger-debug-id: case-7")),
    Case("an ignored path", IN, request(b"GET /health?deep=1")),
    Case("a probe of the kubelet", IN, request(b"GET /ready", b"User-Agent: kube-probe/1.31")),
    Case("a sampler with a number", IN, request(b"GET /half"), sampler=_HALF),
    Case("percent-encoded UTF-8", OUT, request(b"GET /caf%C3%A9/a%20b?q=%C3%A9")),
    Case("bytes that are no UTF-8", IN, request(b"GET /%FE?q=%FF", b"User-Agent: \xfe")),
    Case(
        "long values",
        OUT,
        request(b"GET /" + b"p" * 600 + b"?q", b"User-Agent: " + b"u" * 600),
    ),
    Case("a method of its own", IN, request(b"PROPFIND /dav")),
    Case("all of the server", IN, request(b"OPTIONS *")),
    Case("a target with a password", OUT, request(b"GET http://me:secret@orders/a?b=@")),
    Case("IPv6 in", IN, request(b"GET /orders"), v6=True),
    Case("IPv6 out", OUT, request(b"GET /orders"), v6=True),
    Case("HTTP/1.0 without Host", OUT, b"GET /old HTTP/1.0\r\nX-Request-Id: r-1\r\n\r\n"),
)


def play(case: Case) -> list[Finished]:
    """Return what is left of `case` for exporters."""
    spans: list[Finished] = []
    observer = PodObserver(IDENTITY, Metrics(), Directory(), lambda *span: spans.append(span))
    record = _record(case)
    conversation = Conversation(record, _rules(case))
    observer.connection_opened(record)
    now = count(_MILLISECOND, _MILLISECOND).__next__
    conversation.client_data(case.request, now())
    if case.answer:
        conversation.server_data(case.answer, now())
    if case.server_fin:
        conversation.server_eof(now())
    if case.end is not None:
        conversation.end(case.end, now())
    for exchange in conversation.ended:
        observer.exchange_ended(record, exchange)
    return spans


def _record(case: Case) -> ConnectionRecord:
    client, server = ("fd00::5", "fd00::9") if case.v6 else ("10.0.0.5", "10.0.0.9")
    return ConnectionRecord(case.direction, ClientAddr(client, 40000), OriginalDst(server, 8080), 1)


def _rules(case: Case) -> HttpRules:
    tracing = Tracing(
        Propagation(("tracecontext", "jaeger")),
        case.sampler or sampler_from("parentbased_always_on"),
        LinkTable(5_000 * _MILLISECOND),
        IdSource(_ids(0x100), _ids(0x200), lambda: b"11111111-1111-4111-8111-111111111111"),
        TracingOptions(
            source=b"orders",
            ignored=IgnoredPaths([b"/health"]),
            tags=TagRules(
                {b"X-Session": "session", b"X-Name": "name"}, {b"app": "app", b"Odd": "odd"}
            ),
        ),
    )
    return HttpRules(HeadParser(tracing.fields, tracing.rare), tracing, Limits())


def _ids(first: int) -> Callable[[], int]:
    return count(first).__next__
