"""Answers counted for StatsD, as netramesh counts them: `<prefix>.inbound.<status>:<count>|c`.

Belongs here: which answers count, their names, packing into datagrams. Does not belong here: addresses and sockets (`datagrams`).

Counts are summed up and sent every 100 ms while there are any. What cannot be sent then is dropped, like a datagram that is lost: sent later
it would look like a burst.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from netra_node.core.identity import PodIdentity
from netra_node.core.records import Exchange, Outcome

#: What fits an Ethernet frame with IPv6 and UDP headers, and what netramesh's client kept to.
MAX_DATAGRAM: Final = 1440
_PERIOD: Final = 0.1
#: Bytes sent in one turn of the loop, at up to 10 µs for a datagram; more waits for the next.
_AT_ONCE: Final = 16 * MAX_DATAGRAM
_SWITCHING_PROTOCOLS: Final = 101

#: What a prefix may name.
FIELDS: Final = ("namespace", "pod", "service")
#: What some server or storage takes for something else in a name; dots make a hierarchy, as in netramesh's names of services.
_UNUSUAL = re.compile("[^A-Za-z0-9_.-]")

_OK = Outcome.OK


@dataclass(frozen=True, slots=True)
class StatsdServer:
    """Where StatsD listens. `prefix`, with `{fields}` of FIELDS, goes before every name, its dot included: at most 512 bytes."""

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
        self._prefix = prefix
        self._sender = sender
        self._counts: dict[tuple[str, int], int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to send, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._sender.start()

    def counter(self, pod: PodIdentity) -> Callable[[Exchange], None]:
        """Return what counts an inbound exchange of `pod` that is traced, sampled or not, if its answer was finished and changed no protocol."""
        fields = {"namespace": pod.namespace, "pod": pod.name, "service": pod.service}
        safe = {field: _UNUSUAL.sub("_", value) for field, value in fields.items()}
        return partial(self._count, f"{self._prefix.format_map(safe)}inbound.")

    def _count(self, name: str, exchange: Exchange) -> None:
        status = exchange.status
        if exchange.outcome is not _OK or status == _SWITCHING_PROTOCOLS:
            return
        key = (name, status)
        self._counts[key] = self._counts.get(key, 0) + 1
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
        lines: list[str] = []
        size = 0
        while self._counts and size < _AT_ONCE:
            name, status = key = next(iter(self._counts))
            lines.append(f"{name}{status}:{self._counts.pop(key)}|c")
            size += len(lines[-1])
        for datagram in packed(lines):
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
