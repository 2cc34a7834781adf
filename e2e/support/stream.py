"""Two applications that speak in step over one connection, and how long what they say is on its way.

Belongs here: pieces that must arrive before the next is sent, their delay, what the daemon recorded of it all. Does not belong
here: what is said; conversations in which only the whole counts (`transcript`).
"""

import contextlib
import socket
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e2e.support import declared
from e2e.support.daemon import Daemon, until
from e2e.support.node import Node, read, read_head
from e2e.support.route import Route

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


#: Tells seconds.
Clock = Callable[[], float]


def clock_beside(daemon: Daemon) -> Clock:
    """A clock that stands still while the daemon, or whoever asks, is ready to run and has no core."""
    threads = Path(f"/proc/{daemon.pid}/schedstat"), Path("/proc/thread-self/schedstat")

    def seconds() -> float:
        now = time.perf_counter()
        waited = sum(int(thread.read_text().split()[1]) for thread in threads)
        return now - waited / 1e9

    return seconds


@dataclass(frozen=True)
class Line:
    """Both applications' ends of one connection."""

    client: socket.socket
    server: socket.socket

    def ask(self, head: bytes) -> bytes:
        """Send a head that ends in its empty line; what the server got, which differs in declared headers alone."""
        self.client.sendall(head)
        got = read_head(self.server)
        assert declared.without(got) == head
        return got

    def up(self, *pieces: bytes, pause: float = 0) -> list[float]:
        return in_step(self.client, self.server, pieces, pause)

    def down(self, *pieces: bytes, pause: float = 0) -> list[float]:
        return in_step(self.server, self.client, pieces, pause)

    def exchange(self, path: bytes = b"/next") -> None:
        """One plain request and its answer. Fails unless headers were declared in it: the connection is still read."""
        got = self.ask(b"GET %b HTTP/1.1\r\nHost: b\r\n\r\n" % path)
        assert declared.count(got) == 1
        self.down(OK)

    def close(self) -> None:
        """End both ways; whatever is still on its way shows itself."""
        self.client.shutdown(socket.SHUT_WR)
        assert self.server.recv(100) == b""
        self.server.close()
        assert self.client.recv(100) == b""
        self.client.close()


def open_line(node: Node, route: Route) -> Line:
    return Line(*node.pair(route.client, route.server))


def passes(
    sender: socket.socket,
    receiver: socket.socket,
    piece: bytes,
    clock: Clock = time.perf_counter,
) -> float:
    """Send one piece; the seconds until all of it was there. Nothing else must have come."""
    began = clock()
    sender.sendall(piece)
    got = read(receiver, len(piece))
    took = clock() - began
    assert got == piece
    return took


def in_step(
    sender: socket.socket, receiver: socket.socket, pieces: Iterable[bytes], pause: float = 0
) -> list[float]:
    """Send each piece when the one before has arrived and `pause` seconds have gone by; the delays."""
    delays = []
    for piece in pieces:
        delays.append(passes(sender, receiver, piece))
        time.sleep(pause)
    return delays


def fin_delay(
    sender: socket.socket, receiver: socket.socket, clock: Clock = time.perf_counter
) -> float:
    """Send FIN; the seconds until it was there."""
    began = clock()
    sender.shutdown(socket.SHUT_WR)
    assert receiver.recv(1) == b""
    return clock() - began


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def milliseconds(delays: Iterable[float]) -> str:
    found = sorted(delays)
    return f"median {statistics.median(found) * 1e3:.2f} ms, worst {found[-1] * 1e3:.1f} ms of {len(found)}"


@contextlib.contextmanager
def recorded(daemon: Daemon, outcomes: dict[str, int], opaque: str = "") -> Iterator[None]:
    """Fails unless the daemon's counters grow by exactly these outcomes, and by one connection for the reason if any."""
    before, reasons = daemon.requests(), daemon.opaque()
    yield
    expected = Counter(outcomes)
    assert until(lambda: daemon.requests() - before == expected, 2), daemon.requests() - before
    seen = daemon.opaque() - reasons
    assert set(seen) == ({opaque} if opaque else set())
