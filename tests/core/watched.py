"""A connection that is watched: whatever is done to it, what must hold is looked at after every step and at the end.

Belongs here: the invariants of a Conversation, seen from outside, and the comparison with other readers of the same bytes.
Does not belong here: where the bytes come from (Hypothesis, the fuzzer, a corpus), how others read them (`readers`).

Every request head is marked with a header of its own number. The marks tell where, in what went upstream, we took a head
to end: without looking inside the conversation.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from netra_node.core.conversation import Conversation
from netra_node.core.head import RequestHead
from netra_node.core.headers import Declared, HeaderView
from netra_node.core.limits import Limits
from netra_node.core.records import Direction, Exchange, OpaqueReason, Outcome
from tests.core.readers import (
    Asked,
    Message,
    Reading,
    h11_answers,
    h11_requests,
    harmless,
    llhttp_answers,
    llhttp_requests,
)
from tests.core.transcript import FakeTracing, Talk

MARK: Final = b"X-Mark-6b1f"
#: Declared besides the mark: replaced where they stand, further copies removed.
DECLARED: Final[Sequence[Declared]] = (
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    (b"tracestate", None),
    (b"X-Request-Id", b"1"),
)

READERS: Final = {
    "llhttp": (llhttp_requests, llhttp_answers),
    "h11": (h11_requests, h11_answers),
}


class MarkingTracing(FakeTracing):
    """Declares a mark in every request and keeps the heads as they came."""

    def __init__(self) -> None:
        super().__init__()
        self.fields = (*self.fields, b"tracestate", MARK.lower())
        self.heads: list[RequestHead] = []

    def begin(
        self, direction: Direction, exchange: Exchange, view: HeaderView, now: int
    ) -> list[Declared]:
        assert isinstance(view, RequestHead)
        super().begin(direction, exchange, view, now)
        self.heads.append(view)
        return self.declared_in(len(self.heads) - 1)

    def declared_in(self, number: int) -> list[Declared]:
        return [*DECLARED, (MARK, b"%d" % number)]


class Watched(Talk):
    """One connection under any commands. A shell obeys `full` and FINs; so do these verbs, which then do nothing.

    The server may be faster than the next turn of the loop; the client is not read from before that.
    """

    def __init__(self, limits: Limits) -> None:
        tracing = MarkingTracing()
        super().__init__(limits=limits, tracing=tracing, turns_at_once=False)
        self.marking = tracing
        self.limits = limits
        self.fed = b""
        self.served = b""
        self._added = 0
        self._counted = 0
        self._largest = 0
        self._client_over = self._server_over = False
        self._handed_over: list[tuple[object, ...]] = []
        self._positions: list[tuple[int, int] | None] = []

    # ---- what happens

    def _catch_up(self) -> None:
        while self.conversation.behind:
            self.turn()

    def client(self, data: bytes) -> bytes:
        self._catch_up()
        if self._client_over or self.conversation.full or not data:
            return b""
        opaque = self.opaque is not None
        self.fed += data
        self._largest = max(self._largest, len(data))
        out = super().client(data)
        assert out == data or not opaque, "bytes of an opaque connection changed"
        return out

    def server(self, data: bytes) -> bytes:
        if self._server_over or not data:
            return b""
        self.served += data
        return super().server(data)

    def client_fin(self) -> bytes:
        if self._client_over:
            return b""
        self._catch_up()
        self._client_over = True
        return super().client_fin()

    def server_fin(self) -> bytes:
        if self._server_over:
            return b""
        self._server_over = True
        return super().server_fin()

    def release(self) -> bytes:
        """The shell's timer fires; an old one may be early."""
        return self._forward(self.conversation.release())

    def finish(self, outcome: Outcome = Outcome.CLIENT_CLOSED) -> None:
        """Both sides say farewell, and the whole is judged."""
        self.client_fin()
        self.server_fin()
        self._catch_up()
        self._held_back(0)
        self.end(outcome)
        self._settled()
        self._positions = list(self._heads_in_upstream())
        for name, (read_requests, read_answers) in READERS.items():
            answers = read_answers(self.served, self.asked, eof=True)
            self.compare(name, read_requests(self.fed), answers)

    @property
    def asked(self) -> list[Asked]:
        """What the answers depend on."""
        return [Asked(head.method, head.upgrades) for head in self.marking.heads]

    def compare(self, name: str, requests: Reading, answers: Reading) -> None:
        """Compare with another reader, after `finish`."""
        self._compare_requests(name, requests)
        for number, exchange in enumerate(self.marking.begun):
            self._compare_answer(name, answers, number, exchange)

    # ---- after every step

    def _forward(self, out: bytes) -> bytes:
        super()._forward(out)
        self._look()
        return out

    def _write_down(self) -> None:
        super()._write_down()
        for exchange in self.exchanges[len(self._handed_over) :]:
            self._handed_over.append(_fields(exchange))

    def _look(self) -> None:
        conversation = self.conversation
        assert conversation.failure is None, repr(conversation.failure)
        assert self.opaque is not OpaqueReason.INTERNAL
        self._count_added()
        room = self.limits.head + self._largest * conversation.full
        self._held_back(room)
        if not conversation.hold_deadline and not conversation.full:
            self._held_back(0)
        assert conversation.hold_deadline <= self.now + self.limits.hold_after_last
        kept = kept_bytes(conversation, bodies=False)
        assert kept <= room + self.limits.head, f"{kept} bytes kept of heads"
        kept = kept_bytes(conversation, bodies=True)
        assert kept <= 2 * self.limits.chunk_line, f"{kept} bytes kept of bodies"
        begun = len(self.marking.begun)
        assert begun - len(self.exchanges) <= self.limits.unanswered, "too many unanswered"
        assert begun == self.record.exchanges

    def _held_back(self, most: int) -> None:
        held = len(self.fed) + self._added - len(self.upstream)
        assert 0 <= held <= most, f"{held} bytes held back, {most} may be"

    def _count_added(self) -> None:
        begun = self.marking.begun
        for number in range(self._counted, len(begun)):
            if not begun[number].slow_head:
                self._added += len(self._rewritten(number)) - len(self.marking.heads[number].raw)
        self._counted = len(begun)

    def _rewritten(self, number: int) -> bytes:
        return rewritten(self.marking.heads[number].raw, self.marking.declared_in(number))

    # ---- at the end

    def _settled(self) -> None:
        """Every exchange ended once, and its record did not change any more."""
        assert [id(one) for one in self.marking.finished] == [id(one) for one in self.exchanges]
        assert sorted(map(id, self.exchanges)) == sorted(map(id, self.marking.begun))
        assert self._handed_over == [_fields(exchange) for exchange in self.exchanges]
        assert len(self.exchanges) <= self.fed.count(b"\r\n\r\n"), "more exchanges than requests"
        for exchange in self.exchanges:
            assert exchange.outcome is not None
            assert exchange.start <= (exchange.first_response or exchange.end) <= exchange.end
        assert sum(exchange.request_size for exchange in self.exchanges) <= len(self.fed)
        assert sum(exchange.response_size for exchange in self.exchanges) <= len(self.served)

    def _heads_in_upstream(self) -> Iterator[tuple[int, int] | None]:
        """Yield where in the client's bytes each head begins and ends, None for one that was let go before it was complete.

        On the way all bytes that went upstream are compared with those that came.
        """
        came = went = 0
        for number, (exchange, head) in enumerate(
            zip(self.marking.begun, self.marking.heads, strict=True)
        ):
            if exchange.slow_head:
                yield None
                continue
            sent = self._rewritten(number)
            start = self.upstream.find(sent, went)
            assert start >= 0, f"head {number} went otherwise than declared"
            between = start - went
            assert self.fed[came : came + between] == self.upstream[went:start], "bytes changed"
            came += between
            assert self.fed.startswith(head.raw, came), (
                f"head {number} came otherwise than it was read"
            )
            yield came, came + len(head.raw)
            came += len(head.raw)
            went = start + len(sent)
        assert self.fed[came:] == self.upstream[went:], "bytes changed behind the last head"

    def _compare_requests(self, name: str, reading: Reading) -> None:
        positions = self._positions
        for number, position in enumerate(positions[: len(reading.messages)]):
            self._compare_request(name, reading.messages, number, position)
        complete = sum(
            exchange.request_complete and exchange.method != b"CONNECT"
            for exchange in self.marking.begun
        )
        read_on = len(reading.complete()) >= complete and len(reading.messages) >= len(positions)
        assert read_on or harmless(name, reading), f"{name} stops: {reading.stop!r}"
        more = len(reading.messages) > len(positions)
        assert self._stopped() or not more, f"{name} sees more requests"

    def _stopped(self) -> bool:
        heads = self.marking.heads
        return self.opaque is not None or (bool(heads) and heads[-1].upgrades)

    def _compare_request(
        self, name: str, theirs: list[Message], number: int, position: tuple[int, int] | None
    ) -> None:
        exchange, message = self.marking.begun[number], theirs[number]
        # where the body of a CONNECT would end is nobody's agreement (RFC 9110 §9.3.6)
        known = exchange.request_complete and exchange.method != b"CONNECT"
        if known and message.end is not None:
            size = message.end - message.head_end
            assert exchange.request_size == size, f"{name}: body {number} has {size} bytes"
        if position is None:
            return
        assert message.head_end == position[1], f"{name}: head {number} ends at {message.head_end}"
        before = theirs[number - 1].end if number else 0
        assert before is not None, f"{name}: request {number - 1} has no end"
        blank = self.fed[before : position[0]]
        assert not blank.strip(b"\r\n"), f"{name}: request {number} begins at {before}"

    def _compare_answer(self, name: str, reading: Reading, number: int, exchange: Exchange) -> None:
        if exchange.outcome is not Outcome.OK:
            unread = number >= len(reading.messages) or reading.messages[number].end is None
            assert unread or self._unanswered_rightly(), f"{name} sees answer {number}"
            return
        stopped = len(reading.complete())
        if number >= stopped and reading.stop:
            bodiless = _has_no_body(self.marking.begun[stopped])
            known = harmless(name, reading, bodiless=bodiless)
            assert known, f"{name} stops at answer {stopped}: {reading.stop!r}"
            return
        assert number < len(reading.messages), f"{name} sees no answer {number}"
        message = reading.messages[number]
        assert exchange.status == message.status, f"{name}: answer {number} is {message.status}"
        size = message.body if message.end is None else message.end - message.head_end
        assert exchange.response_size == size, f"{name}: answer {number} has {size} bytes"

    def _unanswered_rightly(self) -> bool:
        """An answer counts for nothing once the connection is opaque, and behind the server's FIN no request gets one."""
        return self.opaque is not None


def rewritten(raw: bytes, declared: Sequence[Declared]) -> bytes:
    """Write declared headers into a head line by line, as `http.md` rule 2 says."""
    lines = raw.split(b"\r\n")[:-2]
    for name, value in declared:
        places = [place for place, line in enumerate(lines) if place and _named(line, name)]
        if value is None:
            lines = [line for place, line in enumerate(lines) if place not in places]
        elif places:
            first = lines[places[0]]
            start = len(name) + 1
            while first[start : start + 1] in (b" ", b"\t"):
                start += 1
            lines[places[0]] = first[:start] + value
            lines = [line for place, line in enumerate(lines) if place not in places[1:]]
        else:
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])


def _named(line: bytes, name: bytes) -> bool:
    return line.partition(b":")[0].lower() == name.lower()


def kept_bytes(conversation: Conversation, *, bodies: bool) -> int:
    """Count the bytes that a conversation keeps in its own slots, or in those of the two bodies it reads."""
    things = [getattr(conversation, slot) for slot in Conversation.__slots__]
    if bodies:
        readers = [thing for thing in things if type(thing).__module__.endswith(".framing")]
        things = [getattr(reader, slot) for reader in readers for slot in reader.__slots__]
    return sum(len(thing) for thing in things if isinstance(thing, bytes | bytearray))


def _has_no_body(exchange: Exchange) -> bool:
    connected = exchange.method == b"CONNECT" and 200 <= exchange.status < 300
    return connected or exchange.method == b"HEAD" or exchange.status in (101, 204, 304)


def _fields(exchange: Exchange) -> tuple[object, ...]:
    return tuple(getattr(exchange, name) for name in Exchange.__slots__)
