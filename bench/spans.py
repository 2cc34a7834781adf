"""What a span costs from finished exchange to bytes on the wire: `python -m bench.spans [rounds]` prints a table.

Belongs here: exchanges as a busy node has them, CPU time of the thread, the best of several rounds, as others' work only adds.
Does not belong here: sending. The budget is 6 µs (design, §8); on a machine that does something else it is missed by what that takes.
"""

import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from netra_node.core.addresses import ClientAddr, OriginalDst, PodUid
from netra_node.core.identity import PodIdentity
from netra_node.core.records import ConnectionRecord, Direction, Exchange, Outcome
from netra_node.core.trace_context import TraceContext
from netra_node.telemetry.export import Encoder
from netra_node.telemetry.flow import Finished, Flow, Owner
from netra_node.telemetry.jaeger import ProcessTags, agent_encoder, collector_encoder
from netra_node.telemetry.metrics import Edge
from netra_node.telemetry.otlp import SpanEncoder
from netra_node.telemetry.schemas import NAMES, SpanOptions, schema_for
from netra_node.telemetry.spans import Schema

_SPANS: Final = 512
_EPOCH: Final = 10**18
_PROCESS: Final = ProcessTags("netra-node", (), lambda: 1)
ENCODERS: Final[dict[str, Callable[[Schema], Encoder]]] = {
    "otlp": lambda schema: SpanEncoder(schema, "1"),
    "jaeger agent": lambda schema: agent_encoder(schema, _PROCESS),
    "jaeger collector": lambda schema: collector_encoder(schema, _PROCESS),
}


class Cost(NamedTuple):
    """One row: `paths` says whether requests come again."""

    encoder: str
    schema: str
    paths: str
    microseconds: float
    size: float


def exchanges(count: int, *, new_paths: bool) -> Iterator[Finished]:
    """Yield server and client spans in turn, two to a trace, on two connections of one pod."""
    attributes = (("k8s.pod.name", "orders-1"), ("service.namespace", "shop"))
    owner = Owner(PodIdentity(PodUid("u"), "shop", "orders-1", "orders", attributes))
    client, server = ClientAddr("10.0.0.5", 40000), OriginalDst("10.0.0.9", 8080)
    flows = [
        Flow(owner, ConnectionRecord(direction, client, server, 1), Edge("web"), None)
        for direction in Direction
    ]
    bits = random.getrandbits
    trace_id = parent = 0
    for number in range(count):
        outbound = number % 2
        if not outbound:
            trace_id, parent = bits(128), bits(64)
        span_id = bits(64)
        path = bits(30) if new_paths else number % 50
        exchange = Exchange(b"GET", b"/orders/%d?page=1" % path, b"1.1", 10**9 + number)
        exchange.trace = TraceContext(trace_id, span_id, parent, 1)
        exchange.host, exchange.user_agent = b"orders.shop:8080", b"python-requests/2.32"
        exchange.request_id = b"%032x" % bits(128)
        exchange.response_size = exchange.response_length = 1234
        exchange.status, exchange.outcome = 200, Outcome.OK
        exchange.request_complete = True
        exchange.end = exchange.start + 3_000_000
        parent = span_id
        yield flows[outbound], exchange


def measure(encoder: str, schema: str, rounds: int, *, new_paths: bool) -> Cost:
    """Return the cost of a batch, per span."""
    made = ENCODERS[encoder](schema_for("none", SpanOptions(schema=schema)))
    best, size = float("inf"), 0
    for _ in range(rounds):
        batch = list(exchanges(_SPANS, new_paths=new_paths))
        begin = time.thread_time_ns()
        spans = [made.encode(finished, _EPOCH) for finished in batch]
        messages = list(made.messages({batch[0][0].owner: spans}))
        best = min(best, time.thread_time_ns() - begin)
        size = sum(len(message.body) for message in messages)
    paths = "new" if new_paths else "come again"
    return Cost(encoder, schema, paths, best / _SPANS / 1000, size / _SPANS)


def main(arguments: list[str]) -> None:
    """Print the table."""
    rounds = int(arguments[0]) if arguments else 200
    print(f"{'encoder':18}{'schema':12}{'paths':12}{'µs/span':>8}{'bytes':>8}")
    for encoder in ENCODERS:
        for schema in NAMES:
            for new_paths in (False, True):
                cost = measure(encoder, schema, rounds, new_paths=new_paths)
                print(f"{cost[0]:18}{cost[1]:12}{cost[2]:12}{cost[3]:8.2f}{cost[4]:8.0f}")


if __name__ == "__main__":
    main(sys.argv[1:])
