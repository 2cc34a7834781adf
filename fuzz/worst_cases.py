"""Which reads hold the loop longest: `python -m fuzz.worst_cases`. A read is 256 KiB, as uvloop takes them at most.

Belongs here: hostile input made to cost time, and the clock. The smallest of several runs counts: it is what the code costs,
whatever else the machine does. Timed is the one call that takes the read; what comes before it is not.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

from netra_node.core.addresses import ClientAddr, OriginalDst
from netra_node.core.conversation import Conversation, HttpRules
from netra_node.core.head import HeadParser
from netra_node.core.ignored import IgnoredPaths
from netra_node.core.limits import Limits
from netra_node.core.linking import LinkTable
from netra_node.core.propagation import Propagation
from netra_node.core.records import ConnectionRecord, Direction
from netra_node.core.sampling import sampler_from
from netra_node.core.tags import TagRules
from netra_node.core.tracing import IdSource, Tracing, TracingOptions

READ = 256 * 1024
_RUNS = 7
_BUDGET = 1.0

GET = b"GET / HTTP/1.1\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CHUNKED_OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Case(NamedTuple):
    """What came before, and the read that is timed."""

    name: str
    side: str
    read: bytes
    client: bytes = b""
    server: bytes = b""
    server_fin: bool = False


def full(piece: bytes, before: bytes = b"", size: int = READ) -> bytes:
    """Return a read that is full of `piece`."""
    return before + piece * ((size - len(before)) // len(piece))


def head(fields: bytes, number: int, first: bytes = b"GET / HTTP/1.1\r\n") -> bytes:
    """Return a head with as many fields as that, one line of them for each."""
    return first + fields * number + b"\r\n"


_FIELDS = Limits().fields
_STATUS = b"HTTP/1.1 200 OK\r\n"
_INTERIM = b"HTTP/1.1 100 C\r\n\r\n"

_CHUNKS = {
    "of one byte": b"1\r\na\r\n",
    "with a short extension": b"1;a\r\na\r\n",
    "with an extension of 70 bytes": b"1;" + b"x" * 70 + b"\r\na\r\n",
    "of 16 bytes": b"10\r\n" + b"a" * 16 + b"\r\n",
    "of 256 bytes": b"100\r\n" + b"a" * 256 + b"\r\n",
    "with ten leading zeros": b"00000000001\r\na\r\n",
    "with an eleventh": b"000000000001\r\na\r\n",
}
_TRAILERS = {
    "of four bytes": b"a:\r\n",
    "with names of 100 bytes": b"n" * 100 + b":\r\n",
    "with values of 1000 bytes": b"n:" + b"v" * 1000 + b"\r\n",
}

CASES = (
    Case("64 KiB of the tiniest fields, no end", "client", full(b"a:\r\n", GET[:-2])),
    Case("heads with as many tiny fields as there may be", "client", full(head(b"a:\r\n", _FIELDS))),
    Case("heads with as many hosts", "client", full(head(b"host:\r\n", _FIELDS))),
    Case("heads with as many request ids", "client", full(head(b"x-request-id: a\r\n", _FIELDS))),
    Case("heads with as many empty request ids", "client", full(head(b"x-request-id:\r\n", _FIELDS))),
    Case("heads with as many traceparents", "client", full(head(b"traceparent: 0\r\n", _FIELDS))),
    Case("heads with as many tracestates", "client", full(head(b"tracestate: a=b\r\n", _FIELDS))),
    Case("heads with as many connections", "client", full(head(b"connection: a\r\n", _FIELDS))),
    Case("heads with as many cookies", "client", full(head(b"cookie: sid\r\n", _FIELDS))),
    Case("heads of 64 KiB with separators of cookies", "client", full(head(b"cookie: " + b";" * 65000 + b"\r\n", 1))),
    Case("heads with as many tags", "client", full(head(b"x-session:\r\n", _FIELDS))),
    Case("heads with as many blanks behind values", "client", full(head(b"a:b \r\n", _FIELDS))),
    Case("heads of 64 KiB with one field", "client", full(head(b"a:" + b"x" * 65000 + b"\r\n", 1))),
    Case("heads of 64 KiB with one name", "client", full(head(b"a" * 65000 + b":\r\n", 1))),
    Case("a head of 64 KiB that ends with no colon", "client", head(b"a:" + b"x" * 65000 + b"\r\nb\r\n", 1)),
    Case("heads with a target of 64 KiB", "client", full(b"GET /" + b"a" * 65000 + b" HTTP/1.1\r\n\r\n")),
    Case("heads with a target of escapes", "client", full(b"GET /" + b"%41" * 21000 + b" HTTP/1.1\r\n\r\n")),
    Case("a byte behind 64 KiB of a head", "client", b"a", client=GET[:-2] + b"a:" + b"x" * 65000),
    Case("a byte behind 64 KiB of tiny fields", "client", b"a", client=full(b"a:\r\n", GET[:-2], 65000)),
    Case("pipelined tiny requests", "client", full(GET)),
    Case("pipelined tiny requests behind the server's FIN", "client", full(GET), server_fin=True),
    Case("pipelined probes", "client", full(b"GET / HTTP/1.1\r\nUser-Agent: kube-probe/\r\n\r\n"), server_fin=True),
    Case("pipelined requests, chunked and empty", "client", full(CHUNKED + b"0\r\n\r\n"), server_fin=True),
    Case("empty lines", "client", full(b"\r\n")),
    Case("zeros", "client", bytes(READ)),
    Case("letters", "client", full(b"a")),
    Case("methods", "client", full(b"GET ")),
    *(Case(f"chunks {name}", "client", full(piece), client=CHUNKED) for name, piece in _CHUNKS.items()),
    *(Case(f"trailers {name}", "client", full(piece), client=CHUNKED + b"0\r\n") for name, piece in _TRAILERS.items()),
    Case("answers to 64 requests", "server", full(OK), client=GET * 64),
    Case("chunked answers to 64 requests", "server", full(CHUNKED_OK + b"0\r\n\r\n"), client=GET * 64),
    Case("answers to 64 requests, a read full of them waits", "server", OK * 64, client=full(GET)),
    Case("an answer, a read full of requests waits", "server", OK, client=full(GET)),
    Case("an error, a read full of requests waits", "server", b"garbage", client=full(GET)),
    Case("the interim answers that there may be", "server", full(_INTERIM), client=GET),
    Case("interim answers with as many fields", "server", full(head(b"a:\r\n", _FIELDS, b"HTTP/1.1 100 C\r\n")), client=GET),
    Case("answers with as many tiny fields", "server", full(head(b"a:\r\n", _FIELDS, b"HTTP/1.1 204 N\r\n")), client=GET * 64),
    Case("answers with as many lengths", "server", full(head(b"content-length: 0\r\n", _FIELDS, b"HTTP/1.1 204 N\r\n")), client=GET * 64),
    Case("answers of 64 KiB", "server", full(head(b"a:" + b"x" * 65000 + b"\r\n", 1, b"HTTP/1.1 204 N\r\n")), client=GET * 64),
    Case("64 KiB of an answer's tiny fields, no end", "server", full(b"a:\r\n", _STATUS), client=GET),
    Case("a byte behind 64 KiB of an answer's head", "server", b"a", client=GET, server=full(b"a:\r\n", _STATUS, 65000)),
    Case("an answer until the close", "server", full(b"a", _STATUS + b"\r\n"), client=GET),
    *(Case(f"an answer's chunks {name}", "server", full(piece), client=GET, server=CHUNKED_OK) for name, piece in _CHUNKS.items()),
    *(Case(f"an answer's trailers {name}", "server", full(piece), client=GET, server=CHUNKED_OK + b"0\r\n") for name, piece in _TRAILERS.items()),
)  # fmt: skip


def _rules() -> HttpRules:
    numbers = count(1)
    tracing = Tracing(
        Propagation(["tracecontext", "jaeger", "b3", "b3multi", "baggage"]),
        sampler_from("parentbased_always_on"),
        LinkTable(1_000_000_000),
        IdSource(numbers.__next__, numbers.__next__, lambda: b"%036d" % next(numbers)),
        TracingOptions(
            source=b"web",
            ignored=IgnoredPaths([b"/healthz"], [b"/static/"], [re.compile(r"/v\d+/ready")]),
            tags=TagRules({b"X-Session": "session"}, {b"sid": "sid"}),
        ),
    )
    return HttpRules(HeadParser(tracing.fields, tracing.rare), tracing, Limits())


def _prepared(case: Case) -> Callable[[], object]:
    """Return the call that is timed."""
    record = ConnectionRecord(
        Direction.INBOUND, ClientAddr("10.0.0.1", 5), OriginalDst("10.0.0.2", 80), 0
    )
    conversation = Conversation(record, _rules())
    conversation.client_data(case.client, 1)
    conversation.server_data(case.server, 1)
    if case.server_fin:
        conversation.server_eof(1)
    take = conversation.client_data if case.side == "client" else conversation.server_data
    return lambda: take(case.read, 2)


def milliseconds(case: Case) -> float:
    """Return the least time that the read of a case took."""
    best = float("inf")
    for _ in range(_RUNS):
        call = _prepared(case)
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best * 1000


def worst() -> Iterator[tuple[float, Case]]:
    """Yield all cases, the worst first."""
    yield from sorted(((milliseconds(case), case) for case in CASES), reverse=True)


def main() -> int:
    """Print them; exit code 1 where one is over the millisecond that nothing of ours may hold the loop."""
    over = 0
    for cost, case in worst():
        over += cost > _BUDGET
        print(f"{cost:8.3f} ms  {case.side}: {case.name}")
    print(f"{over} of {len(CASES)} over {_BUDGET} ms")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
