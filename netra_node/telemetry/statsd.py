"""Answers counted for StatsD, as netramesh counts them: `<prefix>.inbound.<status>:<count>|c`.

Belongs here: which answers count, their names, packing into datagrams. Does not belong here: addresses and sockets (`datagrams`).

Counts are summed up and sent every 100 ms while there are any. What cannot be sent then is dropped, like a datagram that is lost: sent later
it would look like a burst.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from netra_node.core.records import Exchange, Outcome

#: What fits an Ethernet frame with IPv6 and UDP headers, and what netramesh's client kept to.
MAX_DATAGRAM: Final = 1440
_PERIOD: Final = 0.1
#: Statuses sent in one turn of the loop; a server that invents more waits for the next.
_AT_ONCE: Final = 64
_SWITCHING_PROTOCOLS: Final = 101

_OK = Outcome.OK


@dataclass(frozen=True, slots=True)
class StatsdServer:
    """Where StatsD listens; `prefix` goes before every name as it is, its dot included, at most 512 bytes."""

    host: str
    port: int
    prefix: str


class Sender(Protocol):
    """Where the counts go: `datagrams.Destination`, or a test's stand-in."""

    def start(self) -> None:
        """Begin, on the running loop."""

    def send(self, datagram: bytes) -> None:
        """Send one now, or raise OSError."""

    async def stop(self) -> None:
        """End."""


class Statsd:
    """Counts finished answers and tells StatsD. Starts and ends on one loop."""

    def __init__(self, prefix: str, sender: Sender) -> None:
        """`prefix` as a `StatsdServer` has it."""
        self._name = f"{prefix}inbound."
        self._sender = sender
        self._counts: dict[int, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to send, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._sender.start()

    def count(self, exchange: Exchange) -> None:
        """Count an inbound exchange that is traced, sampled or not, if its answer was finished and changed no protocol."""
        status = exchange.status
        if exchange.outcome is not _OK or status == _SWITCHING_PROTOCOLS:
            return
        self._counts[status] = self._counts.get(status, 0) + 1
        if self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(_PERIOD, self._tick, self._loop)

    async def stop(self) -> None:
        """Send what was counted last."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
        while self._counts:
            self._send_some()
            await asyncio.sleep(0)
        await self._sender.stop()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(_PERIOD, self._tick, loop) if self._counts else None
        self._send_some()

    def _send_some(self) -> None:
        some = [(status, self._counts.pop(status)) for status in [*islice(self._counts, _AT_ONCE)]]
        for datagram in packed(f"{self._name}{status}:{count}|c" for status, count in some):
            with contextlib.suppress(OSError):
                self._sender.send(datagram)


def packed(lines: Iterable[str]) -> Iterator[bytes]:
    """Join lines to datagrams of at most `MAX_DATAGRAM` bytes, as few as their order allows. A longer line goes alone."""
    datagram = b""
    for line in map(str.encode, lines):
        if datagram and len(datagram) + 1 + len(line) > MAX_DATAGRAM:
            yield datagram
            datagram = line
        else:
            datagram = b"\n".join((datagram, line)) if datagram else line
    if datagram:
        yield datagram
