"""Clients with a connection through the daemon while something happens to it, and what they get.

Belongs here: what such a client does, and how its connection ends. Does not belong here: what happens to the daemon; clients
that open new connections (`load`).
"""

import select
import socket
import threading
import time
from collections.abc import Callable
from enum import Enum

from e2e.support.load import ANSWER_SIZE
from e2e.support.node import read

#: Longer than anything here may take; who heard nothing for so long was left in silence.
PATIENCE = 15.0
_ASK = b"GET /carried HTTP/1.1\r\nHost: b\r\n\r\n"
_PIECE, _PIECES = b"x" * 16384, 200
_UPLOAD = b"POST /carried HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n" % (
    len(_PIECE) * _PIECES
)
#: Seconds between two requests or pieces: an upload takes 2 s.
_PAUSE = 0.01


class End(Enum):
    """What a client got in the end."""

    GOES_ON = "goes on"
    ANSWERED = "answered"
    FIN = "FIN"
    RST = "RST"
    SILENCE = "silence"


#: Given its connection and the event that says that all is over; returns what it got.
Client = Callable[[socket.socket, threading.Event], End]


def idle(sock: socket.socket, over: threading.Event) -> End:
    """Has asked once, and asks again when all is over."""
    return _until_over(sock, over, lambda: _quiet(sock))


def keep_alive(sock: socket.socket, over: threading.Event) -> End:
    """Asks all the time."""
    return _until_over(sock, over, lambda: _ask(sock))


def upload(sock: socket.socket, over: threading.Event) -> End:
    """Sends one long request, whatever happens."""
    del over
    try:
        sock.sendall(_UPLOAD)
        for _ in range(_PIECES):
            sock.sendall(_PIECE)
            time.sleep(_PAUSE)
        return End.ANSWERED if len(read(sock, ANSWER_SIZE)) == ANSWER_SIZE else End.FIN
    except TimeoutError:
        return End.SILENCE
    except OSError:
        return _ending(sock)


def _until_over(sock: socket.socket, over: threading.Event, step: Callable[[], bool]) -> End:
    try:
        alive = _ask(sock)
        while alive and not over.is_set():
            alive = step()
            time.sleep(_PAUSE)
        return End.GOES_ON if alive and _ask(sock) else End.FIN
    except TimeoutError:
        return End.SILENCE
    except OSError:
        return _ending(sock)


def _quiet(sock: socket.socket) -> bool:
    """Whether nothing has come, which for an idle client could only be the end."""
    return not select.select([sock], [], [], 0)[0] or bool(sock.recv(1))


def _ask(sock: socket.socket) -> bool:
    sock.sendall(_ASK)
    return len(read(sock, ANSWER_SIZE)) == ANSWER_SIZE


def _ending(sock: socket.socket) -> End:
    """Sending failed: with RST, unless a FIN had come before that nobody looked at (EPIPE)."""
    try:
        return End.RST if sock.recv(65536) else End.FIN
    except OSError:
        return End.RST
