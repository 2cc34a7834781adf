"""The last spans, kept in memory and shown to whoever asks. Belongs here: how many, and their form.

Does not belong here: printing them (`admin`).
"""

from collections import deque
from collections.abc import Iterator
from typing import TypedDict

from netra_node.core.records import Exchange
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.flow import Finished, Flow
from netra_node.telemetry.spans import Schema, Value, outcome_label, path_of


class ShownSpan(TypedDict):
    """A span as `demo --json` and `/traces` print it. Ids are lower-case hex, a root's parent is empty, 0 is unanswered."""

    trace_id: str
    span_id: str
    parent_span_id: str
    service: str
    kind: str
    name: str
    start_unix_nano: int
    end_unix_nano: int
    status_code: int
    outcome: str
    attributes: dict[str, Value]


class RecentSpans:
    """Keeps the last `limit` spans, oldest first, in the form they came in: they cost nothing until somebody looks."""

    __slots__ = ("_clock", "_kept", "_schema")

    def __init__(self, schema: Schema, clock: WallClock, limit: int) -> None:
        """`schema` describes them, `clock` dates them; a `limit` of 0 keeps none."""
        self._schema = schema
        self._clock = clock
        self._kept: deque[Finished] = deque(maxlen=limit)

    def keep(self, flow: Flow, exchange: Exchange) -> None:
        """Keep one span, let go of the oldest."""
        self._kept.append((flow, exchange))

    def recent(self) -> list[ShownSpan]:
        """Return all that are kept."""
        return list(self.shown())

    def shown(self) -> Iterator[ShownSpan]:
        """Yield all that are kept, oldest first. About 10 µs each: who has a loop to mind draws them bit by bit."""
        offset = self._clock.refresh()
        # A copy of references: new spans come while the reader of a piece is waited for.
        for flow, exchange in tuple(self._kept):
            yield self._show(flow, exchange, offset)

    def _show(self, flow: Flow, exchange: Exchange, offset: int) -> ShownSpan:
        trace = exchange.trace
        assert trace is not None  # noqa: S101 - what is kept has a span
        return ShownSpan(
            trace_id=f"{trace.trace_id:032x}",
            span_id=f"{trace.span_id:016x}",
            parent_span_id=f"{trace.parent_id:016x}" if trace.parent_id else "",
            service=flow.owner.identity.service,
            kind="server" if flow.inbound else "client",
            name=self._schema.name(flow, exchange, path_of(exchange.target)),
            start_unix_nano=exchange.start + offset,
            end_unix_nano=exchange.end + offset,
            status_code=exchange.status,
            outcome=outcome_label(exchange.outcome),
            attributes=dict(self._schema.all(flow, exchange)),
        )
