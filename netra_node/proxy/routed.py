"""A connection whose requests may go to several upstreams, one at a time (`http.md`, Routing).

Belongs here: which upstream is dialled when, which are kept, what a client is told whose route leads nowhere. Does not belong
here: what a route says (`core.routing`), what waits for what (`core.routed_conversation`), names and addresses
(`routed_opening`), and all that a connection does with the one upstream it has (`connection`).

The upstream that requests go to now is the connection's own, in every respect as that of a connection that is not routed. The
others owe nothing: they are kept for a while, and what they say then ends them.
"""

import asyncio
from typing import Final

from netra_node.core.addresses import OriginalDst
from netra_node.core.records import ConnectionRecord, Outcome
from netra_node.core.routed_conversation import ORIGINAL, RoutedConversation
from netra_node.core.routing import Target
from netra_node.proxy.connection import (
    CLIENT,
    DIALLING,
    PEER_FULL,
    SERVER,
    Connection,
    Route,
    now,
)
from netra_node.proxy.faults import tell
from netra_node.proxy.opening import Opening
from netra_node.proxy.routed_opening import Failure, RoutedOpening, RouteError, Routing
from netra_node.proxy.sockets import fin_has_come
from netra_node.proxy.transports import cork, reset, send_fin, was_reset

#: Upstreams kept for one connection besides the one in use; the one idle longest goes.
_KEPT: Final = 7
#: Seconds that what a client still sends is taken and dropped after our own answer: with a reset it might not read that.
_LINGER: Final = 30.0
_NANOSECONDS: Final = 1e9
_TIMEOUTS: Final = frozenset({Failure.TIMED_OUT, Failure.RESOLVING_TIMED_OUT})
_BAD_GATEWAY: Final = 502
_ANSWER: Final = (
    b"HTTP/1.1 502 Bad Gateway\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\n"
    b"Connection: close\r\n\r\n"
)


class RoutedConnection(Connection):
    """See `Connection`. An upstream is dialled when the first bytes for it come, or after 50 ms of silence."""

    __slots__ = (
        "_branch",
        "_kept",
        "_linger_timer",
        "_routed_record",
        "_routing",
        "_silence",
        "_talk",
    )

    def __init__(
        self,
        route: Route,
        routing: Routing,
        opened: set[Connection],
        down: asyncio.Transport,
        record: ConnectionRecord,
    ) -> None:
        """Take over an accepted connection; `open` is called next."""
        super().__init__(route, opened, down, record)
        self._routing = routing
        self._conversation = self._talk = RoutedConversation(record, route.rules, routing.tracing)
        #: Where bytes go; None: not decided yet.
        self._branch: _Branch | None = None
        #: Idle ones, longest idle first.
        self._kept: dict[Target | None, _Branch] = {}
        self._silence: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        #: The connection as its exchanges on the branch are told of.
        self._routed_record: ConnectionRecord | None = None

    # ---- opening

    def open(self) -> None:
        """Wait for the first head."""
        self._open.add(self)
        tell(self._route.observer.connection_opened, self.record)
        delay = self._route.rules.limits.hold_after_last / _NANOSECONDS
        self._silence = asyncio.get_running_loop().call_later(delay, self._is_silent)

    def _is_silent(self) -> None:
        """Dial where it wanted to go: a server that speaks first is waited for."""
        self._silence = None
        if self._branch is None and not self._talk.hold_deadline and not self._lingers:
            self._take(ORIGINAL)

    @property
    def _lingers(self) -> bool:
        """Whether the client has had our own answer or its FIN, and what it sends is dropped."""
        return self._to_upstream is _drop

    def _take(self, target: Target | None) -> None:
        """Make the upstream of `target` the one that bytes go to from here on: a kept one, or a new one."""
        branch = self._kept.pop(target, None)
        if branch is not None and branch.is_over:
            branch.end()
            branch = None
        fresh = branch is None
        if branch is None:
            branch = self._new_branch(target)
        self._branch = branch
        self._opening = branch.opening
        self._routed_record = None
        if fresh:
            branch.opening.begin(self.record.client, self.record.destination, branch)
        else:
            branch.use()

    def _new_branch(self, target: Target | None) -> "_Branch":
        dialer = self._route.dialer
        if target is None:
            return _Branch(self, target, Opening(dialer))
        return _Branch(self, target, RoutedOpening(dialer, self._routing, target))

    def _leave(self) -> None:
        """Keep the upstream that bytes went to for a while; it owes nothing."""
        branch, self._branch = self._branch, None
        self._up = None
        self._gone |= SERVER
        self._to_upstream = self._early.extend
        self._opening = Opening(self._route.dialer)
        if branch is not None:
            self._kept[branch.target] = branch
            branch.keep(self._routing.idle)
            if len(self._kept) > _KEPT:
                self.forget(next(iter(self._kept.values())))

    def forget(self, branch: "_Branch") -> None:
        """End an upstream that is not in use."""
        if self._kept.get(branch.target) is branch:
            del self._kept[branch.target]
        branch.end()

    def uses(self, branch: "_Branch") -> bool:
        """Tell whether it is the one that bytes go to."""
        return self._branch is branch

    # ---- bytes

    def client_data(self, data: bytes) -> None:
        """See `Connection`."""
        if self._lingers:
            self.record.received += len(data)
            return
        super().client_data(data)
        self._follow()

    def _catch_up(self) -> None:
        """See `Connection`."""
        if not self._lingers:
            super()._catch_up()
            self._follow()

    def _follow(self) -> None:
        """Go where the client's bytes want to go."""
        if self._talk.switching or self._talk.severed:
            self._switch()
        else:
            self._dial_if_needed()

    def _dial_if_needed(self) -> None:
        if self._branch is None and self._early:
            self._take(ORIGINAL)

    def server_data(self, data: bytes) -> None:
        """See `Connection`."""
        if self._talk.upstream is ORIGINAL or self._opaque:
            super().server_data(data)
        elif not self._gone & CLIENT:
            self._pass_answers(data)
        if self._talk.switching or self._talk.severed:
            self._switch()

    def _pass_answers(self, data: bytes) -> None:
        """Read what a routed upstream says, then pass it on: what answers nothing would be taken for somebody else's answer."""
        talk = self._talk
        out = talk.server_data(data, now())
        if out:
            self._to_upstream(out)
        data = data[: len(data) - talk.excess]
        self.record.sent += len(data)
        last = self._is_last(data)
        if last:
            cork(self._down)
        self._down.write(data)
        if not talk.full:
            self._answered_enough()
        self._settle()
        if last:
            self.server_eof()

    def _switch(self) -> None:
        """Send what waits for another upstream, once nothing is under way any more on the one in use."""
        talk = self._talk
        if talk.severed:
            self._sever()
        elif self._server_fin:
            self._linger()  # the client has been told that no more answers come
        elif self._may_leave():
            self._leave()
            self._to_upstream(talk.switched(now()))
            self._take(talk.upstream)
            self._settle()
            if self._up is None and len(self._early) > self._route.buffer:
                self._pause_down(DIALLING)
            if not talk.full:
                self._answered_enough()

    def _sever(self) -> None:
        """Let the upstream's last answer arrive, and end with the first bytes that would go there."""
        if self._talk.dropped:
            self._linger()
        elif not self._lingers:
            self._to_upstream = self._refuse_bytes

    def _refuse_bytes(self, _data: bytes) -> None:
        self._linger()

    def _may_leave(self) -> bool:
        """Tell whether nothing is under way with the upstream in use, either way."""
        return self._talk.answered and not self._up_paused and not self._down_pause & PEER_FULL

    def _fin_has_come(self) -> bool:
        # where a request waits for another upstream, this one's FIN is not the client's business
        return not self._talk.switching and super()._fin_has_come()

    def _let_held_go(self) -> None:
        """See `Connection`: a head that goes on unread goes where the connection wanted to."""
        if self._talk.upstream is not ORIGINAL:
            if self._server_fin:
                self._linger()
                return
            if not self._may_leave():
                self._arm(now() + self._route.rules.limits.hold_after_last)
                return
            self._leave_for_original()
        super()._let_held_go()
        self._dial_if_needed()

    def _leave_for_original(self) -> None:
        if self._talk.upstream is not ORIGINAL:
            self._leave()
            self._talk.upstream = ORIGINAL

    def _report(self) -> None:
        """See `Connection`. The peer of an exchange is where it was routed to."""
        ended, self._talk.ended = self._talk.ended, []
        for exchange in ended:
            tell(self._route.observer.exchange_ended, self._record_of_branch(), exchange)

    def _record_of_branch(self) -> ConnectionRecord:
        if self._routed_record is None:
            record = self.record
            destination = None if self._branch is None else self._branch.destination
            if destination is not None:
                record = ConnectionRecord(
                    record.direction, record.client, destination, record.start
                )
            self._routed_record = record
        return self._routed_record

    # ---- the upstream in use

    def branch_failed(self, error: Exception) -> None:
        """Tell the client: by our own answer where its route leads nowhere, else as a refused connection ends."""
        if not isinstance(error, RouteError):
            self.dial_failed(error)
        elif self._outcome is not None or self._gone & CLIENT:
            self.dial_failed(OSError(str(error)))
        else:
            self._refuse(error.failure)

    def _refuse(self, failure: Failure) -> None:
        late = failure in _TIMEOUTS
        outcome = Outcome.UPSTREAM_TIMEOUT if late else Outcome.UPSTREAM_REFUSED
        self._routing.tracing.routes.failed(failure.name.lower())
        head = self._talk.refused(_BAD_GATEWAY, outcome, now())
        body = _reason(self._talk.upstream, failure)
        answer = _ANSWER % len(body) + (b"" if head else body)
        self.record.sent += len(answer)
        self._down.write(answer)
        self._fail(Outcome.UPSTREAM_CLOSED)  # the connection ends by FIN
        self._linger()

    def _linger(self) -> None:
        """End with FIN, and take what the client still sends until its own FIN, or for so long."""
        if self._lingers:
            return
        branch, self._branch = self._branch, None
        self._up = None
        self._gone |= SERVER
        self._early.clear()
        self._to_upstream = _drop
        if branch is not None:
            branch.end()
        self._server_fin = True
        if self._client_fin:
            self._down.close()
            return
        loop = asyncio.get_running_loop()
        self._linger_timer = loop.call_later(_LINGER, self._down.close)
        send_fin(self._down)
        if self._down_pause and not self._down.is_closing():
            self._down_pause = 0
            self._down.resume_reading()

    # ---- the end

    def client_eof(self) -> None:
        """See `Connection`. Also before any byte: the server sees that somebody came and went."""
        if self._talk.holds and not self._server_fin and self._may_leave():
            self._leave_for_original()  # the beginning of a head says nothing of a route
        super().client_eof()
        if self._branch is None and not self._talk.switching and not self._lingers:
            self._take(ORIGINAL)

    def client_lost(self, error: Exception | None) -> None:
        """See `Connection`."""
        super().client_lost(error)
        if self._branch is None:
            self._end_if_over()  # there is nobody to send its last words to

    def server_eof(self) -> None:
        """See `Connection`. What waits for another upstream has nobody left who could be told the answer."""
        super().server_eof()
        if self._talk.switching and not self._gone & CLIENT:
            self._linger()

    def drain(self) -> None:
        """See `Connection`."""
        if self._lingers:
            self._down.close()
        else:
            super().drain()

    def _end(self) -> None:
        super()._end()
        for timer in (self._silence, self._linger_timer):
            if timer is not None:
                timer.cancel()
        branches, self._kept = [*self._kept.values(), self._branch], {}
        self._branch = None
        for branch in branches:
            if branch is not None:
                branch.end()

    # ---- flow control

    def upstream_drained(self) -> None:
        """See `Connection`."""
        super().upstream_drained()
        if self._talk.switching:
            self._switch()

    def client_drained(self) -> None:
        """See `Connection`."""
        super().client_drained()
        if self._talk.switching:
            self._switch()


class _Branch(asyncio.Protocol):
    """One upstream of a routed connection, as the loop and its opening see it."""

    __slots__ = ("_ended", "_idle", "_trunk", "_up", "opening", "target")

    def __init__(self, trunk: RoutedConnection, target: Target | None, opening: Opening) -> None:
        self._trunk = trunk
        self.target = target
        self.opening = opening
        self._up: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._ended = False

    @property
    def destination(self) -> OriginalDst | None:
        """Where it leads; None: where the connection wanted to go, or not known."""
        return self.opening.destination if isinstance(self.opening, RoutedOpening) else None

    @property
    def is_over(self) -> bool:
        """Whether its server has ended it, as far as the kernel knows."""
        if self._up is None:
            return False
        try:
            return was_reset(self._up) or self._up.is_closing() or fin_has_come(self.opening.sock)
        except OSError:
            return True

    def keep(self, seconds: float) -> None:
        """Wait for being used again, for so long."""
        self._idle = asyncio.get_running_loop().call_later(seconds, self._trunk.forget, self)

    def use(self) -> None:
        """Be the one that bytes go to, again."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._up is not None:
            self._trunk.upstream_made(self._up)

    def end(self) -> None:
        """Close, and tell nobody."""
        self._ended = True
        if self._idle is not None:
            self._idle.cancel()
        if self._up is None:
            self.opening.close()
        elif not self._up.is_closing():
            self._up.close()

    # ---- as `opening.Owner`

    def upstream_protocol(self) -> asyncio.Protocol:
        """See `opening.Owner`."""
        return self

    def upstream_made(self, up: asyncio.Transport) -> None:
        """See `opening.Owner`."""
        self._up = up
        if self._ended:
            reset(up)
        elif self._trunk.uses(self):
            self._trunk.upstream_made(up)

    def dial_failed(self, error: Exception) -> None:
        """See `opening.Owner`."""
        if self._trunk.uses(self):
            self._trunk.branch_failed(error)
        elif not self._ended:
            self._trunk.forget(self)

    # ---- as asyncio.Protocol: what one says that is not in use ends it

    def data_received(self, data: bytes) -> None:
        if self._trunk.uses(self):
            self._trunk.server_data(data)
        else:
            self._trunk.forget(self)

    def eof_received(self) -> bool:
        if self._trunk.uses(self):
            self._trunk.server_eof()
            return True
        self._trunk.forget(self)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._trunk.uses(self):
            self._trunk.upstream_lost(exc)
        else:
            self._trunk.forget(self)
        self.opening.close()

    def pause_writing(self) -> None:
        if self._trunk.uses(self):
            self._trunk.upstream_full()

    def resume_writing(self) -> None:
        if self._trunk.uses(self):
            self._trunk.upstream_drained()


def _drop(_data: bytes) -> None:
    """Take bytes that nobody waits for any more."""


def _reason(target: Target | None, failure: Failure) -> bytes:
    """Return the text of our answer. A target was read by its grammar, so there is nothing in it that a page could run."""
    where = "" if target is None else f"{target.host}:{target.port}"
    return f"netra-node: the route of this request {failure.value.format(where)}\n".encode()
