"""A conversation whose requests may be for different upstreams, one at a time.

Belongs here: stopping before a request that is for another upstream than the one before it, going on there. Does not belong
here: reading (`conversation`), which upstream (`routed_tracing`), dialling it.

What waits is flow control, as behind too many unanswered requests: answers stay in order, and one machine reads them all,
whoever sends them.

Where reading stops, requests can no longer be told apart, and those to come are not for a routed upstream: it may be anybody's, and
could make reading stop on purpose. So what a client sends that cannot be read goes to the original destination, and an upstream
whose answer cannot be read gets nothing more. Only what the client itself asked for by Upgrade or CONNECT stays where it is.
"""

from dataclasses import replace
from typing import Final

from netra_node.core.conversation import Conversation, HttpRules
from netra_node.core.head import RequestHead
from netra_node.core.records import ConnectionRecord, Exchange, OpaqueReason, Outcome
from netra_node.core.routed_tracing import RoutedTracing
from netra_node.core.routing import Target
from netra_node.core.states import Side

#: The original destination.
ORIGINAL: Final = None
_UPGRADES: Final = (Side.UPGRADING, Side.UPGRADE_BODY)


class RoutedConversation(Conversation):
    """See `Conversation`. What it returns is for `upstream`; while `switching`, the next request is for `wanted`."""

    __slots__ = (
        "_next",
        "_next_start",
        "_shut",
        "_targets",
        "_usual",
        "dropped",
        "severed",
        "switching",
        "upstream",
        "wanted",
    )

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
        #: Whether something waits for `wanted`.
        self.switching = False
        #: Whether nothing more may go to the upstream, and whether something is lost: what would have gone there, or what the
        #: upstream said to no request.
        self.severed = False
        self.dropped = False

    @property
    def idle(self) -> bool:
        """See `Conversation`."""
        return not self.switching and super().idle

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
        head = self._next
        self._go_on()
        self.upstream = self.wanted
        out: list[bytes] = []
        if head is not None:
            try:
                super()._begin(head, self._next_start, out)
            except Exception as error:  # noqa: BLE001 - an error of ours costs this connection and no other
                return self._fail(error, head.raw + self._waiting, now)
        return b"".join(out) + self._let_go(now)

    def _go_on(self) -> None:
        self._next = None
        self.switching = False
        self._limits = self._usual

    def refused(self, status: int, outcome: Outcome, now: int) -> bool:
        """End what was begun: we answer the oldest request with `status`, and nobody the others. Tell whether it was HEAD."""
        head = bool(self._open) and self._open[0].method == b"HEAD"
        if self._open:
            self._open[0].first_response = now
            self._open[0].status = status
        self.end(outcome, now)
        return head

    def turn_opaque(self, reason: OpaqueReason, now: int) -> bytes:
        """See `Conversation`."""
        head = b"" if self._next is None else self._next.raw
        self._go_on()
        return head + super().turn_opaque(reason, now)

    def _fail(self, error: Exception, unsent: bytes, now: int) -> bytes:
        waited = self.switching
        unsent = super()._fail(error, unsent, now)
        if self.upstream is ORIGINAL and not waited:
            return unsent
        self.severed = self.dropped = True
        return b""

    def _opaque_answer(self, reason: OpaqueReason, data: bytes, now: int) -> int:
        """See `Conversation`. What waits is for others."""
        waited = self.switching
        end = super()._opaque_answer(reason, data, now)
        if waited or self.upstream is not ORIGINAL:
            self._sever()
        return end

    def _leave_http(self, exchange: Exchange, now: int) -> None:
        """See `Conversation`. A 101 that nobody asked for changes nothing about whose the next request is."""
        asked = self._client in _UPGRADES and exchange is self._sending
        super()._leave_http(exchange, now)
        if not asked and self.upstream is not ORIGINAL:
            self._sever()

    def _sever(self) -> None:
        self.severed = True
        self.dropped = bool(self._waiting or self.excess)
        self._waiting = b""

    def _give_up(
        self, reason: OpaqueReason, data: bytes, position: int, now: int, out: list[bytes]
    ) -> int:
        """See `Conversation`. What is no request waits for the original destination; the rest of a body is the upstream's."""
        if self.upstream is ORIGINAL or self._client is not Side.HEAD or self._sent:
            return super()._give_up(reason, data, position, now, out)
        self._stop(ORIGINAL, now)
        self._waiting += data[position:]
        return len(data)

    def _stop(self, wanted: Target | None, now: int) -> None:
        """Begin nothing more until `switched`."""
        self.switching = True
        self.wanted = wanted
        self._next_start = self._held_first if self._held else now
        self._held = b""
        self._limits = self._shut

    def _begin(self, head: RequestHead, now: int, out: list[bytes]) -> None:
        """Open an exchange, or wait. Of a slow head the beginning has gone already, and the rest follows it."""
        wanted = self.upstream if self._sent else self._targets.target(head, now)
        if wanted == self.upstream:
            super()._begin(head, now, out)
            return
        self._next = head
        self._stop(wanted, now)
