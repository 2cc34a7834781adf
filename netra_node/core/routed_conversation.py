"""A conversation whose requests may be for different upstreams, one at a time.

Belongs here: stopping before a request that is for another upstream than the one before it, going on there. Does not belong
here: reading (`conversation`), which upstream (`routed_tracing`), dialling it.

What waits is flow control, as behind too many unanswered requests: answers stay in order, and one machine reads them all,
whoever sends them.
"""

from dataclasses import replace

from netra_node.core.conversation import Conversation, HttpRules
from netra_node.core.head import RequestHead
from netra_node.core.records import ConnectionRecord, OpaqueReason, Outcome
from netra_node.core.routed_tracing import RoutedTracing
from netra_node.core.routing import Target

#: The original destination.
ORIGINAL = None


class RoutedConversation(Conversation):
    """See `Conversation`. What it returns is for `upstream`; while `switching`, the next request is for `wanted`."""

    __slots__ = ("_next", "_next_start", "_shut", "_targets", "_usual", "upstream", "wanted")

    def __init__(self, record: ConnectionRecord, rules: HttpRules, targets: RoutedTracing) -> None:
        """Begin reading; the first upstream is the original destination."""
        super().__init__(record, rules)
        self._targets = targets
        self._usual = rules.limits
        # while a request waits no other one is begun
        self._shut = replace(rules.limits, unanswered=0)
        self._next: RequestHead | None = None
        self._next_start = 0
        self.upstream: Target | None = ORIGINAL
        self.wanted: Target | None = ORIGINAL

    @property
    def switching(self) -> bool:
        """Whether a request waits for `wanted`."""
        return self._next is not None

    @property
    def idle(self) -> bool:
        """See `Conversation`."""
        return self._next is None and super().idle

    @property
    def answered(self) -> bool:
        """Whether nothing is under way but what waits."""
        return not self._open

    @property
    def holds(self) -> bool:
        """Whether the beginning of a head is held, none of it sent."""
        return bool(self._held) and not self._sent

    def switched(self, now: int) -> bytes:
        """Go on: `wanted` is the upstream from here on. Return what goes there now."""
        head, self._next = self._next, None
        assert head is not None  # noqa: S101 - asked only while `switching`
        self.upstream = self.wanted
        self._limits = self._usual
        out: list[bytes] = []
        try:
            super()._begin(head, self._next_start, out)
        except Exception as error:  # noqa: BLE001 - an error of ours costs the reading, never a byte
            return self._fail(error, head.raw + self._waiting, now)
        return b"".join(out) + self._let_go(now)

    def refused(self, status: int, outcome: Outcome, now: int) -> bool:
        """End what was begun: we answer the oldest request with `status`, and nobody the others. Tell whether it was HEAD."""
        head = bool(self._open) and self._open[0].method == b"HEAD"
        if self._open:
            self._open[0].first_response = now
            self._open[0].status = status
        self.end(outcome, now)
        return head

    def turn_opaque(self, reason: OpaqueReason, now: int) -> bytes:
        """See `Conversation`. What waited for another upstream goes where the rest goes."""
        return self._unsent_head() + super().turn_opaque(reason, now)

    def _fail(self, error: Exception, unsent: bytes, now: int) -> bytes:
        return super()._fail(error, self._unsent_head() + unsent, now)

    def _unsent_head(self) -> bytes:
        head, self._next = self._next, None
        self._limits = self._usual
        return b"" if head is None else head.raw

    def _begin(self, head: RequestHead, now: int, out: list[bytes]) -> None:
        """Open an exchange, or wait. Of a slow head the beginning has gone already, and the rest follows it."""
        wanted = self.upstream if self._sent else self._targets.target(head, now)
        if wanted == self.upstream:
            super()._begin(head, now, out)
            return
        self._next, self.wanted = head, wanted
        self._next_start = self._held_first if self._held else now
        self._held = b""
        self._limits = self._shut
