"""One intercepted connection: the accepted side, the dialled side, and everything that passes between them.

Belongs here: moving bytes, FIN, RST and flow control in both directions at once, the timer of a held head, closing.
Does not belong here: what the bytes mean (`core.conversation`), how the upstream is opened (`opening`), which pod it is.

Bytes of the server are written to the client before anybody reads them. Bytes of the client pass through the
conversation, which may hold the beginning of a head. Nothing else is ever kept here but what waits for the dial.
"""

import asyncio
import contextlib
import errno
import functools
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from netra_node.core.addresses import OriginalDst
from netra_node.core.conversation import Conversation, HttpRules
from netra_node.core.ports import PortSet
from netra_node.core.records import (
    ConnectionRecord,
    Direction,
    Observer,
    OpaqueReason,
    Outcome,
    ResetCause,
)
from netra_node.proxy.dial import Dialer
from netra_node.proxy.faults import report, tell
from netra_node.proxy.opening import Opening
from netra_node.proxy.routed_opening import Routing
from netra_node.proxy.sockets import fin_has_come
from netra_node.proxy.transports import cork, has_unsent, reset, send_fin, was_reset

now = time.monotonic_ns
_NANOSECONDS: Final = 1e9

# why reading from the client is paused: any bit set stops it
PEER_FULL: Final = 1
UNANSWERED: Final = 2
DIALLING: Final = 4

#: Seconds between two looks at a side that is not read from.
_LOOK: Final = 1.0
#: Seconds in which the loop reads once more whatever has come.
_TURN: Final = 0.001

# which sides are gone: the connection ends with the second
CLIENT: Final = 1
SERVER: Final = 2
_BOTH: Final = CLIENT | SERVER

#: Where these are among the first bytes, the end of the connection may be announced in them. Looking costs 0.1 µs; what is
#: missed, or seen wrongly, costs a packet or a system call.
_CLOSE: Final = b"lose\r\n"
_HEAD_LIKELY: Final = 1024
#: Seconds until it is looked again whether the last bytes before a reset have arrived, at first and at last; each time twice as long.
_FIRST_LOOK: Final = 0.001
_LAST_LOOK: Final = 0.3
#: Read at a time of what a server that reset left behind; the kernel's buffer for it bounds the whole.
_LAST_WORDS: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Route:
    """What all connections of one direction of a pod have in common."""

    direction: Direction
    dialer: Dialer
    rules: HttpRules
    observer: Observer
    #: None: every port is sniffed for HTTP.
    http_ports: PortSet | None
    #: Where we listen: a connection to it was not redirected, and dialling it would never end (netramesh B4).
    listener: OriginalDst
    #: Bytes kept for a side that does not take them, or is still being dialled, before reading from the other stops. What is
    #: read at a time comes on top: up to 256 KiB.
    buffer: int = 64 * 1024
    #: None: connections go where they wanted to; else those to `http_ports` may be routed.
    routing: Routing | None = None


class Connection:
    """Both sides of one intercepted connection."""

    __slots__ = (
        "_client_fin",
        "_conversation",
        "_down",
        "_down_pause",
        "_draining",
        "_early",
        "_gone",
        "_hold_timer",
        "_look_timer",
        "_next_turn",
        "_opaque",
        "_open",
        "_opening",
        "_outcome",
        "_route",
        "_server_fin",
        "_to_upstream",
        "_up",
        "_up_paused",
        "record",
    )

    def __init__(
        self,
        route: Route,
        opened: "set[Connection]",
        down: asyncio.Transport,
        record: ConnectionRecord,
    ) -> None:
        """Take over an accepted connection; `open` is called next. It is in `opened` until both sides are gone."""
        self.record = record
        self._open = opened
        self._route = route
        self._down = down
        self._up: asyncio.Transport | None = None
        self._opening = Opening(route.dialer)
        self._conversation = Conversation(record, route.rules)
        self._opaque = False
        self._early = bytearray()
        self._to_upstream: Callable[[bytes], None] = self._early.extend
        self._hold_timer: asyncio.TimerHandle | None = None
        self._look_timer: asyncio.TimerHandle | None = None
        #: What is done in it with client bytes that were left behind.
        self._next_turn: asyncio.Handle | None = None
        self._client_fin = False
        self._server_fin = False
        self._draining = False
        #: What ended it, as soon as that is known; it is over when both sides are gone.
        self._outcome: Outcome | None = None
        self._gone = SERVER
        self._down_pause = 0
        self._up_paused = False
        down.set_write_buffer_limits(route.buffer)

    # ---- opening

    def open(self) -> None:
        """Dial the original destination at once."""
        route, record = self._route, self.record
        self._open.add(self)
        tell(route.observer.connection_opened, record)
        if route.http_ports is not None and record.destination.port not in route.http_ports:
            self._conversation.turn_opaque(OpaqueReason.PORT, record.start)
            self._settle()
        self._opening.begin(record.client, record.destination, self)

    def upstream_protocol(self) -> asyncio.Protocol:
        """See `opening.Owner`."""
        return _Upstream(self)

    def upstream_made(self, up: asyncio.Transport) -> None:
        """Send what the client said meanwhile, and let both sides flow."""
        if self._outcome is not None or self._gone & CLIENT:
            self._send_last_words(up)
            return
        self._up = up
        up.set_write_buffer_limits(self._route.buffer)
        self._gone &= ~SERVER
        self._to_upstream = up.write
        if self._early:
            up.write(bytes(self._early))
            self._early.clear()
        self._resume_down(DIALLING)
        self._pass_client_fin()
        self._close_if_done()

    def _send_last_words(self, up: asyncio.Transport) -> None:
        """Send what a client said that has reset by now, and the reset behind it: without us the server has both."""
        if self.record.outcome is not None or not (self._early and self._gone & CLIENT):
            reset(up)
            return
        self._up = up
        self._gone &= ~SERVER
        up.write(bytes(self._early))
        self._early.clear()
        self._end_with(up, ConnectionResetError())

    def dial_failed(self, error: Exception) -> None:
        """Pass the refusal on: the client's connect has succeeded already, so all that is left is a reset."""
        if not isinstance(error, OSError):
            report("dialling", error)
        timed_out = isinstance(error, OSError) and error.errno == errno.ETIMEDOUT
        self._fail(Outcome.UPSTREAM_TIMEOUT if timed_out else Outcome.UPSTREAM_REFUSED)
        reset(self._down)
        self._end_if_over()

    # ---- bytes

    def client_data(self, data: bytes) -> None:
        """Move bytes of the client."""
        self.record.received += len(data)
        if self._opaque:
            self._to_upstream(data)
        else:
            conversation = self._conversation
            out = conversation.client_data(data, now())
            if out:
                self._to_upstream(out)
            if conversation.full:
                self._pause_down(UNANSWERED)
            self._settle()
        if self._up is None and len(self._early) > self._route.buffer:
            self._pause_down(DIALLING)

    def server_data(self, data: bytes) -> None:
        """Move bytes of the server; reading them comes after."""
        if self._gone & CLIENT:
            return  # the loop may read before `upstream_made`, which ends what nobody waits for any more
        self.record.sent += len(data)
        last = self._is_last(data)
        if last:
            cork(self._down)
        self._down.write(data)
        if not self._opaque:
            self._read_answer(data)
        if last:
            self.server_eof()

    def _read_answer(self, data: bytes) -> None:
        conversation = self._conversation
        out = conversation.server_data(data, now())
        if out:
            self._to_upstream(out)
        if self._down_pause & UNANSWERED and not conversation.full:
            self._answered_enough()
        if conversation.ended or self.record.opaque is not None:
            self._settle()

    def _is_last(self, data: bytes) -> bool:
        """Tell whether nothing but the server's FIN follows `data`, where there is a hint of that: to ask costs a system call."""
        hint = self._opaque or self._conversation.closing or data.find(_CLOSE, 0, _HEAD_LIKELY) >= 0
        return hint and self._fin_has_come()

    def _fin_has_come(self) -> bool:
        """Tell whether the server's FIN is right behind the bytes just read: then both go on in one packet.

        Else the client sees the bytes first, closes first, and TIME_WAIT is its burden instead of the server's
        (`integration.md` §2).
        """
        try:
            return fin_has_come(self._opening.sock)
        except OSError:
            return False

    def _answered_enough(self) -> None:
        self._resume_down(UNANSWERED)
        self._pass_client_fin()

    def _catch_up(self) -> None:
        """Read on where one turn of the loop was not enough."""
        self._next_turn = None
        conversation = self._conversation
        out = conversation.catch_up(now())
        if out:
            self._to_upstream(out)
        if not conversation.full:
            self._answered_enough()
        self._settle()

    def _settle(self) -> None:
        """Carry out what the conversation decided meanwhile: reports, the hold timer, the end of reading, what was left."""
        conversation = self._conversation
        if conversation.ended:
            self._report()
        if self.record.opaque is not None and not self._opaque:
            self._became_opaque()
        if conversation.hold_deadline and self._hold_timer is None:
            self._arm(conversation.hold_deadline)
        if conversation.behind and self._next_turn is None:
            self._next_turn = asyncio.get_running_loop().call_soon(self._catch_up)
        if self._draining and conversation.idle and not self._opaque:
            self._fail(Outcome.DRAINED)
            self._close()

    def _report(self) -> None:
        ended, self._conversation.ended = self._conversation.ended, []
        for exchange in ended:
            tell(self._route.observer.exchange_ended, self.record, exchange)

    def _became_opaque(self) -> None:
        self._opaque = True
        if self._conversation.failure is not None:
            report("reading a connection", self._conversation.failure)
        self._answered_enough()
        tell(self._route.observer.turned_opaque, self.record)

    # ---- a held head

    def _arm(self, deadline: int) -> None:
        delay = max(0, deadline - now()) / _NANOSECONDS
        self._hold_timer = asyncio.get_running_loop().call_later(delay, self._hold_is_over)

    def _hold_is_over(self, *, read_again: bool = False) -> None:
        self._hold_timer = None
        deadline = self._conversation.hold_deadline
        if not deadline:
            return
        if deadline > now():
            self._arm(deadline)
        elif read_again:
            self._let_held_go()
        else:
            # where the loop stood still, timers may come before the bytes that came meanwhile
            again = functools.partial(self._hold_is_over, read_again=True)
            self._hold_timer = asyncio.get_running_loop().call_later(_TURN, again)

    def _let_held_go(self) -> None:
        self._to_upstream(self._conversation.release())

    # ---- FIN and RST

    def client_eof(self) -> None:
        """Pass the client's FIN on; the other direction flows on until its own end."""
        if self._client_fin:
            return
        self._client_fin = True
        out = self._conversation.client_eof()
        if out:
            self._to_upstream(out)
        if not self._close_if_done():
            self._pass_client_fin()

    def _pass_client_fin(self) -> None:
        """Send the client's FIN to the server as soon as everything before it is sent."""
        if self._client_fin and self._up is not None and not self._conversation.full:
            send_fin(self._up)

    def server_eof(self) -> None:
        """Pass the server's FIN on."""
        if self._server_fin:
            return  # it was taken along with the last bytes
        self._server_fin = True
        out = self._conversation.server_eof(now())
        if out:
            self._to_upstream(out)
        if self._down_pause & UNANSWERED and not self._conversation.full:
            self._answered_enough()
        self._settle()
        if not self._close_if_done():
            send_fin(self._down)

    def _close_if_done(self) -> bool:
        """Close both sides after both FINs, which passes on the second one for less than a shutdown of its own."""
        done = self._client_fin and self._server_fin
        if done:
            self._close()
        return done

    def _close(self) -> None:
        """Close both sides; what was written before still leaves, then FIN."""
        self._down.close()
        if self._up is not None:
            self._up.close()

    def _reset_both(self) -> None:
        """Reset both sides, whatever was written before."""
        reset(self._down)
        if self._up is not None:
            reset(self._up)

    def client_lost(self, error: Exception | None) -> None:
        """Take note that the accepted side is gone; a reset is passed on."""
        dialling = self._up is None and self._outcome is None
        self._gone |= CLIENT
        if error is not None:
            self._pass_held()
            self._client_failed()
            if dialling and self._early:
                return  # `upstream_made` goes on
        self._end_with(self._up, error)

    def _pass_held(self) -> None:
        """Pass on what was left behind and the beginning of a head before the client's reset: the server would have it without us."""
        held = b""
        while self._conversation.behind:
            held += self._conversation.catch_up(now())
        held += self._conversation.release()
        if held and (self._up is None or not self._gone & SERVER):
            self._to_upstream(held)

    def upstream_lost(self, error: Exception | None) -> None:
        """Take note that the dialled side is gone; a reset is passed on."""
        if error is not None:
            self._take_last_words(error)
        self._gone |= SERVER
        if error is not None:
            self._fail(Outcome.UPSTREAM_RESET)
        self._end_with(self._down, error)

    def _take_last_words(self, error: Exception) -> None:
        """Pass on what the server said before its reset, where writing to it met the reset before reading did.

        So it goes with an answer that does not wait for the request's end, as 413: the server closes, the client still
        sends. The loop reads no more, but closes the socket only after this.
        """
        with contextlib.suppress(OSError):
            while data := self._opening.sock.recv(_LAST_WORDS, socket.MSG_DONTWAIT):
                self.server_data(data)
        if isinstance(error, BrokenPipeError):  # so Linux calls a reset that comes after a FIN
            self.server_eof()

    def _end_with(self, other: asyncio.Transport | None, error: Exception | None) -> None:
        """End as one side did: the same way on the other, at once unless that is sending its last bytes already."""
        if not self._end_if_over() and other is not None and not other.is_closing():
            if error is not None:
                other.pause_reading()
                self._reset_when_sent(other, _FIRST_LOOK)
            else:
                other.close()

    def _end_if_over(self) -> bool:
        over = self._gone == _BOTH
        if over:
            self._end()
        return over

    def _reset_when_sent(self, other: asyncio.Transport, delay: float) -> None:
        """Reset, but let what was written arrive before: without us the peer would have it by now, and with RST the kernel forgets it.

        A peer that takes nothing more waits for the reset until the last look.
        """
        if delay > _LAST_LOOK or not has_unsent(other):
            reset(other)
        else:
            asyncio.get_running_loop().call_later(delay, self._reset_when_sent, other, 2 * delay)

    def _fail(self, outcome: Outcome) -> None:
        """Settle why the connection ends, once; its open exchanges end now and for the same reason."""
        if self._outcome is None:
            self._outcome = outcome
            self._end_exchanges(outcome)

    def _client_failed(self) -> None:
        self._fail(Outcome.CLIENT_CLOSED if self._client_fin else Outcome.CLIENT_RESET)

    def _end_exchanges(self, outcome: Outcome) -> None:
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None
        try:
            self._conversation.end(outcome, now())
        except Exception as error:  # noqa: BLE001 - the connection ends all the same
            report("ending exchanges", error)
        self._report()

    def _end(self) -> None:
        """Close the books: both sides are gone."""
        if self.record.outcome is not None:
            return
        # a request that came after the server's FIN was never answered, though both sides ended in peace
        self._end_exchanges(self._outcome or Outcome.UPSTREAM_CLOSED)
        for timer in (self._look_timer, self._next_turn):
            if timer is not None:
                timer.cancel()
        self.record.outcome = self._outcome or Outcome.OK
        self.record.end = now()
        self._opening.close()
        self._open.discard(self)
        tell(self._route.observer.connection_ended, self.record)

    # ---- drain

    def drain(self) -> None:
        """Close as soon as no exchange is under way; at once when none is. One that has ended since is left alone."""
        if self.record.outcome is None:
            self._draining = True
            self._settle()

    def cut(self) -> None:
        """Reset both sides: the drain limit has passed."""
        if self._outcome in (None, Outcome.DRAINED):
            self._fail(Outcome.DRAINED)
            tell(self._route.observer.connection_reset, ResetCause.DRAIN)
        self._reset_both()
        self._end_if_over()

    # ---- flow control: what one side cannot take, the other is not asked for

    def upstream_full(self) -> None:
        """Stop reading from the client."""
        self._pause_down(PEER_FULL)

    def upstream_drained(self) -> None:
        """Go on reading from the client."""
        self._resume_down(PEER_FULL)

    def client_full(self) -> None:
        """Stop reading from the server."""
        if self._up is not None:
            self._up.pause_reading()
            self._up_paused = True
            self._look_later()

    def client_drained(self) -> None:
        """Go on reading from the server."""
        self._up_paused = False
        # after its FIN the loop would read, and report, the FIN again
        if self._up is not None and not self._server_fin and not self._gone & SERVER:
            self._up.resume_reading()

    def _pause_down(self, why: int) -> None:
        if not self._down_pause:
            self._down.pause_reading()
            self._look_later()
        self._down_pause |= why

    def _resume_down(self, why: int) -> None:
        if self._down_pause & why:
            self._down_pause &= ~why
            if not self._down_pause and not self._client_fin:
                self._down.resume_reading()

    # ---- a reset by a side that is not read from: the loop would notice it when the other side takes bytes again, or never

    def _look_later(self) -> None:
        if self._look_timer is None:
            self._look_timer = asyncio.get_running_loop().call_later(_LOOK, self._look)

    def _look(self) -> None:
        """Pass on such a reset at once. What the other side did not take is lost with it, as it is without us."""
        self._look_timer = None
        if self._down_pause and was_reset(self._down):
            self._client_failed()
        elif self._up_paused and self._up is not None and was_reset(self._up):
            self._fail(Outcome.UPSTREAM_RESET)
        else:
            if self._down_pause or self._up_paused:
                self._look_later()
            return
        self._reset_both()


class _Upstream(asyncio.Protocol):
    """The dialled side, as the loop sees it. `Opening` says when it is made."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def data_received(self, data: bytes) -> None:
        self._connection.server_data(data)

    def eof_received(self) -> bool:
        self._connection.server_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.upstream_lost(exc)

    def pause_writing(self) -> None:
        self._connection.upstream_full()

    def resume_writing(self) -> None:
        self._connection.upstream_drained()
