"""Closed-loop clients, one new connection for each request, and the server that tells them whether they were captured."""

import contextlib
import errno
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Self

from e2e.support.node import Node

REQUEST = b"GET /load HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
_ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 8\r\n\r\n"
#: Every answer has this many bytes.
ANSWER_SIZE = len(_ANSWER) + 8
_PATIENCE = 10.0


class Fate(Enum):
    """What became of one connection. DIRECT and CAPTURED were answered; the value is the server's word for it."""

    DIRECT = b"direct  "
    CAPTURED = b"captured"
    #: connect() failed.
    REFUSED = b"refused"
    #: It ended, by FIN or RST, before the answer.
    CUT = b"cut"
    #: Silence.
    HUNG = b"hung"


@dataclass(frozen=True)
class Visit:
    """One connection: when it was begun and how long it took, in seconds of time.monotonic()."""

    began: float
    took: float
    fate: Fate


class Server:
    """Answers every request with whether headers were declared in it; one thread for each connection."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._listener.settimeout(None)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                accepted, _ = self._listener.accept()
                threading.Thread(target=_serve, args=(accepted,), daemon=True).start()


def _serve(sock: socket.socket) -> None:
    with sock, contextlib.suppress(OSError):
        sock.settimeout(60)
        while head := _head(sock):
            _skip_body(sock, head)
            sock.sendall(answer_to(head))
            if closes_after(head):
                return


def _skip_body(sock: socket.socket, head: bytes) -> None:
    length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
    left = int(length[1]) - len(head.partition(b"\r\n\r\n")[2]) if length else 0
    while left and (data := sock.recv(min(left, 65536))):
        left -= len(data)


def answer_to(head: bytes) -> bytes:
    fate = Fate.CAPTURED if b"\r\ntraceparent: " in head else Fate.DIRECT
    return _ANSWER + fate.value


def closes_after(head: bytes) -> bool:
    return b"Connection: close" in head


def fate_of(answer: bytes) -> Fate:
    word = answer.removeprefix(_ANSWER)
    return Fate(word) if word in (Fate.DIRECT.value, Fate.CAPTURED.value) else Fate.CUT


def _head(sock: socket.socket) -> bytes:
    """A head and as much of its body as came along; no client here sends more before it has its answer."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(4096)
        if not data:
            return b""
        head += data
    return head


def visit(
    make: Callable[[], socket.socket], target: tuple[str, int], patience: float = _PATIENCE
) -> Visit:
    """Open a connection, ask, read the answer."""
    began = time.monotonic()
    with make() as sock:
        sock.settimeout(patience)
        try:
            sock.connect(target)
        except OSError as error:
            return Visit(began, time.monotonic() - began, _failed_connect(error))
        fate = _ask(sock)
    return Visit(began, time.monotonic() - began, fate)


def _failed_connect(error: OSError) -> Fate:
    # The handshake was over and the end came before connect() looked: cut, not refused.
    return Fate.CUT if error.errno in (errno.ECONNRESET, errno.EPIPE) else Fate.REFUSED


def _ask(sock: socket.socket) -> Fate:
    answer = b""
    try:
        sock.sendall(REQUEST)
        while len(answer) < ANSWER_SIZE and (data := sock.recv(4096)):
            answer += data
    except TimeoutError:
        return Fate.HUNG
    except OSError:
        return Fate.CUT
    return fate_of(answer)


class Load:
    """Clients that visit `target` without a pause between `with` and its end."""

    def __init__(self, node: Node, clients: tuple[str, ...], target: tuple[str, int]) -> None:
        self.visits: list[Visit] = []
        self._target = target
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop, args=(node, pod), daemon=True) for pod in clients
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * _PATIENCE)

    def _loop(self, node: Node, pod: str) -> None:
        def make() -> socket.socket:
            return node.bed.run_inside(pod, socket.socket)

        while not self._stop.is_set():
            self.visits.append(visit(make, self._target))
            # The daemon shares this machine's cores with us.
            time.sleep(0.002)

    def fates(self) -> set[Fate]:
        return {visit.fate for visit in self.visits}
