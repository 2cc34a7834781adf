"""Plays a case between two sockets, in step, and returns what each side received and how it saw the other end.

In step: a side speaks only when everything the other side has said so far has arrived. So a conversation that stalls, loses
or adds a byte fails at that byte. Played over a direct connection it proves that the conversation itself is sound.
"""

import array
import fcntl
import socket
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from e2e.corpus import marks
from e2e.corpus.case import FIN, RST, Case, Ending
from e2e.corpus.marks import Declared
from e2e.support.node import reset

#: Seconds a side waits for the other's next byte: far more than anything here takes.
_PATIENCE = 5.0
#: Between two pieces of one side: long enough for the first to have left alone.
_GAP = 0.005
#: So many bytes of what is said at once go one by one.
_SINGLY = 1500


class Delivery(Enum):
    """How what a side says at once is cut."""

    WHOLE = "whole"
    BYTES = "by byte"
    LINE = "after the first line"


class Seen(Enum):
    """What a side has seen of the other's end."""

    OPEN = "open"
    FIN = "FIN"
    RST = "RST"


_AS_SEEN = {None: Seen.OPEN, FIN: Seen.FIN, RST: Seen.RST}


@dataclass(frozen=True)
class Transcript:
    """What arrived, whole, and how each side saw the other when the last step was done."""

    by_client: bytes
    by_server: bytes
    seen_by_client: Seen
    seen_by_server: Seen


class Side:
    """One application's end of the connection."""

    def __init__(self, sock: socket.socket, declared: Declared, delivery: Delivery) -> None:
        """`declared`: what is declared on the way here."""
        self.sock = sock
        self._declared = declared
        self._delivery = delivery
        #: Marked, as in the case.
        self.said = b""
        self.got = b""
        self.ended: Ending | None = None
        self.seen = Seen.OPEN

    def expect(self, other: "Side") -> None:
        """Wait for everything the other side has said, and for its end when it has ended."""
        end = time.monotonic() + _PATIENCE
        while self._misses(other):
            self.sock.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                raise AssertionError(self._misses(other)) from None
            except ConnectionResetError:
                self._see(Seen.RST, other)
                continue
            self.got += data
            if not data:
                self._see(Seen.FIN, other)

    def _misses(self, other: "Side") -> str:
        """Say what is not there yet, or is too much."""
        wanted = _AS_SEEN[other.ended]
        if self.seen is not wanted:
            return f"saw {self.seen} where {wanted} is due, after {self.got[-60:]!r}"
        return marks.difference(other.said, self.got, self._declared)

    def _see(self, what: Seen, other: "Side") -> None:
        self.seen = what
        missed = self._misses(other)
        assert not missed, f"{what}: {missed}"

    def is_silent(self) -> bool:
        """Tell whether nothing more has come: no byte and no end."""
        if self.seen is not Seen.OPEN:
            return True
        self.sock.setblocking(False)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        return False

    def do(self, says: bytes | Ending | float) -> None:
        if isinstance(says, float):
            time.sleep(says)
        elif isinstance(says, bytes):
            self.said += says
            self._send(marks.sent(says))
        else:
            self._end(says)

    def _send(self, data: bytes) -> None:
        self.sock.settimeout(_PATIENCE)
        for number, piece in enumerate(_pieces(data, self._delivery)):
            if number and self._delivery is Delivery.LINE:
                time.sleep(_GAP)
            self.sock.sendall(piece)

    def _end(self, how: Ending) -> None:
        self.ended = how
        if how is RST:
            self._wait_until_sent()
            reset(self.sock)
        else:
            self.sock.shutdown(socket.SHUT_WR)

    def _wait_until_sent(self) -> None:
        """Wait for the last acknowledgement: what is not acknowledged, the kernel may forget in a reset."""
        queued = array.array("i", [1])
        while queued[0]:
            fcntl.ioctl(self.sock, termios.TIOCOUTQ, queued)


def _pieces(data: bytes, delivery: Delivery) -> Iterator[bytes]:
    if delivery is Delivery.BYTES:
        for byte in data[:_SINGLY]:
            yield bytes((byte,))
        yield data[_SINGLY:]
    elif delivery is Delivery.LINE:
        line_end = data.find(b"\n") + 1
        yield from (data[:line_end], data[line_end:])
    else:
        yield data


def play(
    case: Case,
    sockets: tuple[socket.socket, socket.socket],
    delivery: Delivery = Delivery.WHOLE,
    declared: Declared = Declared.NOTHING,
) -> Transcript:
    """Play all steps between a client's and a server's socket, then have both sides end."""
    client = Side(sockets[0], Declared.NOTHING, delivery)
    server = Side(sockets[1], declared, delivery)
    last = None
    for step in case.steps:
        one, other = (client, server) if step.client else (server, client)
        if step.client is last:
            time.sleep(_GAP)
        else:
            one.expect(other)
        for says in step.says:
            one.do(says)
        last = step.client
    return _close(client, server)


def _close(client: Side, server: Side) -> Transcript:
    """See what arrives last and that it was the last; then end each side that is open, each for itself."""
    gone = RST in (client.ended, server.ended)
    if client.ended is not RST:
        client.expect(server)
    if server.ended is not RST:
        server.expect(client)
    seen = (client.seen, server.seen)
    if not gone:
        _finish(client, server)
        _finish(server, client)
    return Transcript(client.got, server.got, *seen)


def _finish(one: Side, other: Side) -> None:
    for side in (one, other):
        assert side.is_silent(), f"more came behind {side.got[-60:]!r}"
    if one.ended is None:
        one.do(FIN)
    other.expect(one)
