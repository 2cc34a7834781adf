"""Plays a connection against a Conversation and writes down what came of it, so that a test reads as a transcript.

talk = Talk()
talk.client(b"GET / HTTP/1.1\\r\\n\\r\\n")
talk.server(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
assert talk.events == ["begun GET /", "ended GET / 204 ok"]
"""

from collections.abc import Iterable

from netra_node.core.addresses import ClientAddr, OriginalDst
from netra_node.core.conversation import Conversation, HttpRules
from netra_node.core.head import HeadParser
from netra_node.core.headers import Declared, HeaderView
from netra_node.core.limits import Limits
from netra_node.core.records import ConnectionRecord, Direction, Exchange, OpaqueReason, Outcome
from netra_node.core.tracing import Tracing

MILLISECOND = 1_000_000
LIMITS = Limits()

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class FakeTracing(Tracing):
    """Declares the same headers in every request and remembers who began and ended; raises `failure` once it is set."""

    def __init__(self, declared: Iterable[Declared] = (), failure: Exception | None = None) -> None:
        self.fields = (b"host", b"user-agent", b"traceparent", b"x-request-id")
        self.rare = ()
        self.declared = list(declared)
        self.failure = failure
        self.begun: list[Exchange] = []
        self.finished: list[Exchange] = []

    def begin(
        self,
        direction: Direction,
        exchange: Exchange,
        view: HeaderView,
        now: int,
    ) -> list[Declared]:
        if self.failure is not None:
            raise self.failure
        self.begun.append(exchange)
        return self.declared

    def undeclared(self, exchange: Exchange, view: HeaderView) -> None:
        exchange.request_id = view.get(b"x-request-id") or b""

    def ended(self, exchange: Exchange, now: int) -> None:
        if self.failure is not None:
            raise self.failure
        self.finished.append(exchange)


class Talk:
    """One connection. `upstream` is all that went there, `events` what was decided, in order."""

    def __init__(
        self,
        declared: Iterable[Declared] = (),
        limits: Limits = LIMITS,
        failure: Exception | None = None,
        tracing: FakeTracing | None = None,
        *,
        turns_at_once: bool = True,
    ) -> None:
        """Without `turns_at_once` what is left for another turn of the loop waits for `turn`."""
        self.turns_at_once = turns_at_once
        self.tracing = tracing or FakeTracing(declared, failure)
        self.record = ConnectionRecord(
            Direction.INBOUND, ClientAddr("10.0.0.1", 5), OriginalDst("10.0.0.2", 80), 0
        )
        rules = HttpRules(HeadParser(self.tracing.fields), self.tracing, limits)
        self.conversation = Conversation(self.record, rules)
        self.now = 1
        self.upstream = b""
        self.events: list[str] = []
        self.exchanges: list[Exchange] = []
        self._begun = 0
        self._opaque: OpaqueReason | None = None

    # ---- what happens

    def client(self, data: bytes) -> bytes:
        """Bytes of the client come; return what goes on at once."""
        return self._forward(self.conversation.client_data(data, self.now))

    def server(self, data: bytes) -> bytes:
        """Bytes of the server come; return what goes to the upstream because of them."""
        return self._forward(self.conversation.server_data(data, self.now))

    def client_fin(self) -> bytes:
        return self._forward(self.conversation.client_eof())

    def server_fin(self) -> bytes:
        return self._forward(self.conversation.server_eof(self.now))

    def turn(self) -> bytes:
        """The next turn of the loop comes; return what goes to the upstream in it."""
        return self._forward(self.conversation.catch_up(self.now))

    def end(self, outcome: Outcome) -> None:
        self.conversation.end(outcome, self.now)
        self._write_down()

    def wait(self, milliseconds: float) -> bytes:
        """Let time pass; a hold that is over ends, as the shell's timer would end it."""
        self.now += int(milliseconds * MILLISECOND)
        deadline = self.conversation.hold_deadline
        if deadline and deadline <= self.now:
            return self._forward(self.conversation.release())
        return b""

    # ---- what is seen

    @property
    def opaque(self) -> OpaqueReason | None:
        return self.record.opaque

    @property
    def last(self) -> Exchange:
        """The exchange that began last."""
        return self.tracing.begun[-1]

    def _forward(self, out: bytes) -> bytes:
        self.upstream += out
        self._write_down()
        if self.turns_at_once and self.conversation.behind:
            out += self.turn()
        return out

    def _write_down(self) -> None:
        for exchange in self.tracing.begun[self._begun :]:
            self.events.append(f"begun {_name(exchange)}")
        self._begun = len(self.tracing.begun)
        for exchange in self.conversation.ended:
            outcome = exchange.outcome
            assert outcome is not None
            self.events.append(f"ended {_name(exchange)} {exchange.status} {outcome.value}")
        self.exchanges += self.conversation.ended
        self.conversation.ended = []
        if self.record.opaque is not self._opaque:
            assert self.record.opaque is not None
            self._opaque = self.record.opaque
            self.events.append(f"opaque {self._opaque.value}")


def _name(exchange: Exchange) -> str:
    return f"{exchange.method.decode()} {exchange.target.decode('latin-1')}"
