"""One intercepted connection read as HTTP/1: bytes in, bytes and finished exchanges out. The contract is `http.md`.

Belongs here: which bytes are whose, what may be held, when an exchange begins and ends, when reading stops for good.
Does not belong here: sockets, timers, what a span is. This file does not know where the bytes come from or go to.

Two machines, one per direction, joined by the queue of exchanges not yet answered; their steps are the tables of
`states`. Client heads are held while incomplete; server heads are copied then, never held.

The shell calls `client_data`, `server_data`, `client_eof`, `server_eof`, `release` and `end` as things happen, writes
what they return to the upstream, and hands on what gathers in `ended`. Where they leave something `behind`, it calls
`catch_up` in the next turn of its loop: many heads in one read would make others wait. Server bytes go to the client
untouched, before they are shown to `server_data`. Time is an argument: nanoseconds of a monotonic clock.
"""

import re
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from netra_node.core.framing import Body, UntilCloseBody, body_of
from netra_node.core.head import (
    UNTIL_CLOSE,
    HeadParser,
    RequestHead,
    ResponseHead,
    could_be_request,
    could_be_response,
    not_http,
    parse_response,
)
from netra_node.core.limits import Limits
from netra_node.core.records import ConnectionRecord, Exchange, OpaqueReason, Outcome
from netra_node.core.states import CLIENT_STEPS, SERVER_STEPS, Event, Side
from netra_node.core.tracing import Tracing

_END_OF_HEAD: Final = b"\r\n\r\n"
_SHORTEST_FIELD: Final = len(b"a:\r\n")
_CR: Final = 0x0D
_BLANK_LINES = re.compile(rb"(?:\r\n)+")
_SWITCHING_PROTOCOLS: Final = 101
_BODILESS: Final = frozenset({204, 304})
#: The client's request may turn the connection into something else.
_UPGRADES: Final = (Side.UPGRADING, Side.UPGRADE_BODY)


@dataclass(frozen=True, slots=True)
class HttpRules:
    """What all connections of a pod share: how heads are read, what is declared in them, what is too much."""

    parser: HeadParser
    tracing: Tracing
    limits: Limits


class Conversation:
    """The HTTP/1 of one connection, both directions."""

    __slots__ = (
        "_answer",
        "_client",
        "_client_ended",
        "_held",
        "_held_first",
        "_held_last",
        "_interim",
        "_late",
        "_limits",
        "_open",
        "_parser",
        "_request_body",
        "_response_body",
        "_sending",
        "_sent",
        "_server",
        "_server_ended",
        "_spoke_early",
        "_tracing",
        "_turn",
        "_waiting",
        "closing",
        "ended",
        "excess",
        "failure",
        "record",
    )

    def __init__(self, record: ConnectionRecord, rules: HttpRules) -> None:
        """Begin reading; `record.opaque` and `record.exchanges` are kept up to date."""
        self.record = record
        self._parser = rules.parser
        self._tracing = rules.tracing
        self._limits = rules.limits
        self._client = Side.HEAD
        self._server = Side.HEAD
        #: Exchanges that ended since the shell last looked; it empties this list.
        self.ended: list[Exchange] = []
        #: What went wrong in here, if anything did: the connection is opaque since then and no byte was lost.
        self.failure: Exception | None = None
        #: The server announced that the connection ends with the answer that just ended.
        self.closing = False
        #: Bytes at the end of what the server said last that answer no request.
        self.excess = 0
        self._open: deque[Exchange] = deque()
        self._sending: Exchange | None = None
        self._request_body: Body | None = None
        self._response_body: Body | None = None
        # the beginning of a request head; its first `_sent` bytes have gone to the upstream already
        self._held = b""
        self._sent = 0
        self._held_first = 0
        self._held_last = 0
        # client bytes behind too many unanswered requests, or behind as much as is read in a turn
        self._waiting = b""
        # bytes of heads read in this turn
        self._turn = 0
        # the beginning of a response head (a copy: the bytes themselves have gone to the client)
        self._answer = b""
        #: 1xx answers since the last request
        self._interim = 0
        #: requests since the server's FIN
        self._late = 0
        self._spoke_early = False
        self._client_ended = False
        self._server_ended = False

    # ---- the shell's questions

    @property
    def hold_deadline(self) -> int:
        """When `release` is due for the held beginning of a head; 0 when nothing is held."""
        if not self._held or self._sent:
            return 0
        limits = self._limits
        return min(
            self._held_last + limits.hold_after_last, self._held_first + limits.hold_after_first
        )

    @property
    def full(self) -> bool:
        """Whether reading from the client must stop until an answer ends, or `catch_up` is done."""
        return bool(self._waiting) or (self._client is Side.HEAD and self._too_many())

    @property
    def behind(self) -> bool:
        """Whether something waits for the next turn of the loop and for nothing else."""
        return bool(self._waiting) and not self._too_many()

    @property
    def idle(self) -> bool:
        """Whether no request is under way: the connection may be closed without cutting anything. Never once it is opaque."""
        nothing = not (self._open or self._held or self._waiting)
        return nothing and self._client is Side.HEAD

    # ---- the shell's verbs

    def client_data(self, data: bytes, now: int) -> bytes:
        """Take bytes from the client; return what goes to the upstream now."""
        if self._waiting:
            self._waiting += data
            return b""
        self._turn = 0
        out: list[bytes] = []
        sent = self._sent
        if self._held:
            data = self._held + data
        position, end = 0, len(data)
        try:
            while position < end:
                position = _CLIENT[self._client](self, data, position, now, out)
        except Exception as error:  # noqa: BLE001 - an error of ours costs the reading, never a byte
            return self._fail(error, data[sent:], now)
        return out[0] if len(out) == 1 else b"".join(out)

    def server_data(self, data: bytes, now: int) -> bytes:
        """Take note of bytes that went to the client; return what may go to the upstream because of them."""
        try:
            if len(self._open) == 1 and self._is_whole_answer(data, now):
                return b""
            if self._answer:
                data = self._answer + data
            position, end = 0, len(data)
            while position < end:
                position = _SERVER[self._server](self, data, position, now)
        except Exception as error:  # noqa: BLE001
            return self._fail(error, self._held[self._sent :] + self._waiting, now)
        return self._let_go(now) if self._waiting else b""

    def catch_up(self, now: int) -> bytes:
        """Go on with what was left behind; return what goes to the upstream now."""
        return self._let_go(now) if self._waiting else b""

    def release(self) -> bytes:
        """Give up holding an incomplete head: return it. Parsing goes on behind, this message gets no header."""
        data = self._held[self._sent :]
        self._sent = len(self._held)
        return data

    def client_eof(self) -> bytes:
        """Take note that the client sends no more; return what it had sent and we held."""
        self._client_ended = True
        return self.release()

    def server_eof(self, now: int) -> bytes:
        """Take note that the server sends no more; return what may go to the upstream because of it.

        An answer that lasts until the close is complete; others, also those of requests still to come, never will be.
        """
        if isinstance(self._response_body, UntilCloseBody):
            self._answered(now)
        self._server_ended = True
        self._end_unanswered(now)
        return self._let_go(now) if self._waiting else b""

    def end(self, outcome: Outcome, now: int) -> None:
        """End every open exchange: no more of its answer will come."""
        while self._open:
            self._finish(self._open.popleft(), outcome, now)

    def turn_opaque(self, reason: OpaqueReason, now: int) -> bytes:
        """Stop reading for good; return what was held for the upstream."""
        data = self._held[self._sent :] + self._waiting
        self._held = self._waiting = self._answer = b""
        self._sent = 0
        self._client = CLIENT_STEPS[self._client, Event.LEAVES_HTTP]
        self._server = SERVER_STEPS[self._server, Event.LEAVES_HTTP]
        self._request_body = self._response_body = self._sending = None
        self.record.opaque = reason
        self.end(Outcome.OPAQUE, now)
        return data

    def _fail(self, error: Exception, unsent: bytes, now: int) -> bytes:
        """Leave HTTP because of an error of ours; return the client bytes that have not been sent on."""
        self.failure = error
        # what failed once may fail again, and the bytes come before the books
        with suppress(Exception):
            self.turn_opaque(OpaqueReason.INTERNAL, now)
        return unsent

    # ---- client bytes

    def _client_head(self, data: bytes, position: int, now: int, out: list[bytes]) -> int:
        if len(self._open) >= self._limits.unanswered or self._turn >= self._limits.turn:
            self._waiting += data[position:]
            return len(data)
        if data[position] == _CR:
            return self._blank_lines(data, position, now, out)
        limit = self._limits.head
        end = data.find(_END_OF_HEAD, position + max(0, len(self._held) - 3)) + 4
        if end < 4 or end - position > limit:  # noqa: PLR2004 - not found
            return self._incomplete(data, position, now, out)
        if self._late >= self._limits.unanswered or self._has_too_many_fields(data, position, end):
            return self._give_up(OpaqueReason.TOO_LARGE, data, position, now, out)
        head = self._parser.request(data[position:end])
        if isinstance(head, OpaqueReason):
            return self._give_up(head, data, position, now, out)
        self._turn += end - position
        self._begin(head, now, out)
        return end

    def _has_too_many_fields(self, data: bytes, position: int, end: int) -> bool:
        limit = self._limits.fields
        if end - position <= limit * _SHORTEST_FIELD:
            return False
        # the first line and the empty one are no fields
        return data.count(b"\r\n", position, end) - 2 > limit

    def _blank_lines(self, data: bytes, position: int, now: int, out: list[bytes]) -> int:
        """Let empty lines before a request pass: RFC 9112 §2.2 has servers ignore one, and many ignore them all."""
        lines = _BLANK_LINES.match(data, position)
        if lines is not None:
            out.append(lines[0][self._sent :])
            self._held = b""
            self._sent = 0
            return lines.end()
        if len(data) > position + 1:
            return self._give_up(OpaqueReason.NOT_HTTP, data, position, now, out)
        self._hold(data[position:], now)
        return len(data)

    def _incomplete(self, data: bytes, position: int, now: int, out: list[bytes]) -> int:
        """Hold the beginning of a head, as long as it may become one and is not too long."""
        limit = self._limits.head
        beginning = data[position:]
        if not could_be_request(beginning[:limit], len(self._held)):
            return self._give_up(not_http(beginning), data, position, now, out)
        if len(beginning) > limit:
            return self._give_up(OpaqueReason.TOO_LARGE, data, position, now, out)
        if self._sent:
            out.append(beginning[self._sent :])
            self._sent = len(beginning)
        self._hold(beginning, now)
        return len(data)

    def _hold(self, data: bytes, now: int) -> None:
        if not self._held:
            self._held_first = now
        self._held = data
        self._held_last = now

    def _give_up(
        self, reason: OpaqueReason, data: bytes, position: int, now: int, out: list[bytes]
    ) -> int:
        """Go opaque at a byte of the client; what follows `position` contains what was held."""
        out.append(data[position + self._sent :])
        self._held = b""
        self.turn_opaque(reason, now)
        return len(data)

    def _begin(self, head: RequestHead, now: int, out: list[bytes]) -> None:
        """Open an exchange and send its head on."""
        exchange = Exchange(
            head.method, head.target, head.version, self._held_first if self._held else now
        )
        exchange.request_length = head.length
        declared = self._tracing.begin(self.record.direction, exchange, head, now)
        if self._sent:
            exchange.slow_head = True
            self._tracing.undeclared(exchange, head)
            out.append(head.raw[self._sent :])
        else:
            out.append(head.with_headers(declared))
        self._held = b""
        self._sent = 0
        self._interim = 0
        self.record.exchanges += 1
        self._open.append(exchange)
        self._sending = exchange
        if head.length or head.upgrades:
            self._expect_more(head)
        else:
            exchange.request_complete = True
        if self._server_ended:
            self._late += 1
            self._end_unanswered(now)

    def _expect_more(self, head: RequestHead) -> None:
        """Prepare for what follows this head and is not the next one."""
        connect = head.method == b"CONNECT"
        # RFC 9110 §9.3.6: what a CONNECT's length would mean is nobody's agreement, nor where a request behind it would begin
        self._spoke_early |= connect and head.length != 0
        body = None if connect else body_of(head.length, self._limits.chunk_line)
        self._request_body = body
        if not head.upgrades:
            event = Event.REQUEST_WITH_BODY
        elif body is None:
            event = Event.UPGRADE_REQUEST
        else:
            event = Event.UPGRADE_REQUEST_WITH_BODY
        self._client = CLIENT_STEPS[self._client, event]

    def _client_body(self, data: bytes, position: int, now: int, out: list[bytes]) -> int:
        body, exchange = self._request_body, self._sending
        assert body is not None  # noqa: S101 - the table's promise: BODY has a body
        assert exchange is not None  # noqa: S101
        end = body.take(data, position)
        if exchange.outcome is None:
            exchange.request_size += end - position
        if body.broken:
            return self._give_up(OpaqueReason.AMBIGUOUS, data, position, now, out)
        if body.done:
            self._client = CLIENT_STEPS[self._client, Event.BODY_END]
            exchange.request_complete = exchange.outcome is None
        out.append(data[position:end])
        return end

    def _client_upgrading(self, data: bytes, position: int, now: int, out: list[bytes]) -> int:
        self._spoke_early = True
        return self._client_opaque(data, position, now, out)

    def _client_opaque(self, data: bytes, position: int, now: int, out: list[bytes]) -> int:
        out.append(data[position:])
        return len(data)

    # ---- server bytes

    def _is_whole_answer(self, data: bytes, now: int) -> bool:
        """Take `data` in if it is the one answer that is expected, head and body; else leave it to the machine.

        Nearly every answer of a service is of this kind, and the machine's steps for it would cost 2 µs.
        """
        if (
            self._server or self._client or self._answer or self._waiting
        ):  # HEAD is 0: neither is in the midst of anything
            return False
        end = data.find(_END_OF_HEAD) + 4
        if not 4 < end <= self._limits.head:  # noqa: PLR2004 - not found
            return False
        if self._has_too_many_fields(data, 0, end):
            return False
        head = parse_response(data[:end])
        exchange = self._open[0]
        if (
            head is None
            or head.length != len(data) - end
            or exchange.method == b"HEAD"
            or head.status in _BODILESS
            or head.status < 200  # noqa: PLR2004 - informational
        ):
            return False
        exchange.first_response = now
        exchange.status = head.status
        exchange.response_length = exchange.response_size = head.length
        self.closing = head.closes
        self._answered(now)
        return True

    def _server_head(self, data: bytes, position: int, now: int) -> int:
        if not self._open:
            early = not self.record.exchanges
            reason = OpaqueReason.SERVER_FIRST if early else OpaqueReason.UNSOLICITED
            self.excess = len(data) - position
            return self._opaque_answer(reason, data, now)
        if not self._open[0].first_response:
            self._open[0].first_response = now
        end = data.find(_END_OF_HEAD, position + max(0, len(self._answer) - 3)) + 4
        if end < 4 or end - position > self._limits.head:  # noqa: PLR2004 - not found
            return self._incomplete_answer(data, position, now)
        self._answer = b""
        if self._has_too_many_fields(data, position, end):
            return self._opaque_answer(OpaqueReason.TOO_LARGE, data, now)
        head = parse_response(data[position:end])
        if head is None or not self._answer_begins(head, now):
            return self._opaque_answer(OpaqueReason.AMBIGUOUS_RESPONSE, data, now)
        if self._interim > self._limits.interim:
            return self._opaque_answer(OpaqueReason.TOO_LARGE, data, now)
        return end

    def _incomplete_answer(self, data: bytes, position: int, now: int) -> int:
        limit = self._limits.head
        beginning = data[position:]
        if not could_be_response(beginning[:limit], len(self._answer)):
            return self._opaque_answer(OpaqueReason.AMBIGUOUS_RESPONSE, data, now)
        if len(beginning) > limit:
            return self._opaque_answer(OpaqueReason.TOO_LARGE, data, now)
        self._answer = beginning
        return len(data)

    def _opaque_answer(self, reason: OpaqueReason, data: bytes, now: int) -> int:
        """Go opaque at a byte of the server; what was held for the upstream waits for `_let_go`."""
        self._waiting = self.turn_opaque(reason, now)
        return len(data)

    def _answer_begins(self, head: ResponseHead, now: int) -> bool:
        """Take in a response head; return whether its framing can be followed."""
        exchange = self._open[0]
        if 100 <= head.status < 200 and head.status != _SWITCHING_PROTOCOLS:  # noqa: PLR2004
            exchange.first_response = 0  # the final answer's first byte is the one that is timed
            self._interim += 1
            # RFC 9112 §6.3 item 1 gives it no body whatever its lengths say; llhttp, and so Node's client, reads one
            return head.length in (0, UNTIL_CLOSE)
        exchange.status = head.status
        exchange.response_length = head.length
        self.closing = head.closes
        if self._leaves_http(exchange, head.status):
            self._leave_http(exchange, now)
            return True
        bodiless = exchange.method == b"HEAD" or head.status in _BODILESS or head.length == 0
        if bodiless:
            self._answered(now)
        elif head.length is not None:
            self._response_body = body_of(head.length, self._limits.chunk_line)
            self._server = SERVER_STEPS[self._server, Event.ANSWER_WITH_BODY]
        return bodiless or head.length is not None

    def _leaves_http(self, exchange: Exchange, status: int) -> bool:
        """Tell whether the connection speaks something else after this final head; else requests may follow again."""
        if status == _SWITCHING_PROTOCOLS:
            return True
        if self._client not in _UPGRADES or exchange is not self._sending:
            return False
        if self._spoke_early or (exchange.method == b"CONNECT" and 200 <= status < 300):  # noqa: PLR2004
            return True
        exchange.request_complete |= self._client is Side.UPGRADING
        self._client = CLIENT_STEPS[self._client, Event.UPGRADE_REFUSED]
        return False

    def _leave_http(self, exchange: Exchange, now: int) -> None:
        """End the exchange that changed protocols at its final head and go opaque."""
        connect = exchange.method == b"CONNECT"
        switched = exchange.status == _SWITCHING_PROTOCOLS or (connect and exchange.status < 300)  # noqa: PLR2004
        if switched:
            exchange.request_complete |= self._client is Side.UPGRADING
            self._finish(self._open.popleft(), Outcome.OK, now)
        reason = OpaqueReason.CONNECT if connect else OpaqueReason.UPGRADE
        self._waiting = self.turn_opaque(reason, now)

    def _server_body(self, data: bytes, position: int, now: int) -> int:
        body = self._response_body
        assert body is not None  # noqa: S101 - the table's promise: BODY has a body
        end = body.take(data, position)
        self._open[0].response_size += end - position
        if body.broken:
            return self._opaque_answer(OpaqueReason.AMBIGUOUS_RESPONSE, data, now)
        if body.done:
            self._answered(now)
        return end

    def _server_opaque(self, data: bytes, position: int, now: int) -> int:
        return len(data)

    def _answered(self, now: int) -> None:
        if self._response_body is not None:
            self._response_body = None
            self._server = SERVER_STEPS[self._server, Event.BODY_END]
        self._finish(self._open.popleft(), Outcome.OK, now)

    def _finish(self, exchange: Exchange, outcome: Outcome, now: int) -> None:
        exchange.outcome = outcome
        exchange.end = now
        self.ended.append(exchange)
        self._tracing.ended(exchange, now)

    def _end_unanswered(self, now: int) -> None:
        self.end(Outcome.CLIENT_CLOSED if self._client_ended else Outcome.UPSTREAM_CLOSED, now)

    def _let_go(self, now: int) -> bytes:
        """Return client bytes that were set free: those behind too many requests, or held when reading stopped."""
        if self._too_many():
            return b""
        data, self._waiting = self._waiting, b""
        out = self.client_data(data, now)
        if self._client_ended and not self._waiting:  # nothing will complete what they may end with
            out += self.release()
        return out

    def _too_many(self) -> bool:
        return len(self._open) >= self._limits.unanswered


# In the order of Side. The server side never upgrades by itself: it waits for the final head in HEAD.
_CLIENT: Final[tuple[Callable[[Conversation, bytes, int, int, list[bytes]], int], ...]] = (
    Conversation._client_head,  # noqa: SLF001 - the table belongs to the class
    Conversation._client_body,  # noqa: SLF001
    Conversation._client_opaque,  # noqa: SLF001
    Conversation._client_upgrading,  # noqa: SLF001
    Conversation._client_body,  # noqa: SLF001 - of a request with Upgrade
)
_SERVER: Final[tuple[Callable[[Conversation, bytes, int, int], int], ...]] = (
    Conversation._server_head,  # noqa: SLF001
    Conversation._server_body,  # noqa: SLF001
    Conversation._server_opaque,  # noqa: SLF001
)
