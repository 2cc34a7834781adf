"""Plays a conversation of raw bytes between a client and a server, in step, and returns what each of them received.

In step: a side speaks only when everything the other side has said so far has arrived. So a conversation that stalls, loses
or adds a byte fails at that byte. Played over a direct connection it proves that the conversation itself is sound.
"""

import socket
import time
from dataclasses import dataclass
from enum import Enum

from e2e.support import declared

_PATIENCE = 3.0
#: Between two pieces of one side: long enough for the first to have left alone.
_GAP = 0.005


class Ending(Enum):
    """How a side ends: it says no more."""

    FIN = "FIN"


@dataclass(frozen=True)
class Step:
    """One thing a side does."""

    client: bool
    says: bytes | Ending | float


def c(says: bytes | Ending) -> Step:
    return Step(client=True, says=says)


def s(says: bytes | Ending) -> Step:
    return Step(client=False, says=says)


def pause(seconds: float) -> Step:
    return Step(client=True, says=seconds)


class Side:
    """One application's end of the connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.said = b""
        self.got = b""
        self.finished = False
        self.saw_end = False

    def expect(self, other: "Side") -> None:
        """Wait for everything the other side has said, and for its end when it has ended."""
        end = time.monotonic() + _PATIENCE
        while not self._has_all(other):
            self.sock.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                raise AssertionError(f"expected {other.said!r}, got {self.got!r}") from None
            self.saw_end = self.saw_end or not data
            self.got += data
            assert data or self._has_all(other), f"ended at {self.got!r}, expected {other.said!r}"

    def _has_all(self, other: "Side") -> bool:
        return declared.without(self.got) == other.said and self.saw_end >= other.finished

    def do(self, says: bytes | Ending) -> None:
        if isinstance(says, bytes):
            self.sock.sendall(says)
            self.said += says
        else:
            self.sock.shutdown(socket.SHUT_WR)
            self.finished = True


@dataclass(frozen=True)
class Received:
    """What arrived, whole."""

    by_client: bytes
    by_server: bytes


def play(client_socket: socket.socket, server_socket: socket.socket, *steps: Step) -> Received:
    """Play all steps, then have both sides end, and return what each received until the other's end."""
    client, server = Side(client_socket), Side(server_socket)
    last = None
    for step in (*steps, c(Ending.FIN), s(Ending.FIN)):
        if isinstance(step.says, float):
            time.sleep(step.says)
            continue
        one, other = (client, server) if step.client else (server, client)
        if one.finished:
            continue
        if step.client is last:
            time.sleep(_GAP)
        else:
            one.expect(other)
        one.do(step.says)
        last = step.client
    client.expect(server)
    server.expect(client)
    return Received(client.got, server.got)
