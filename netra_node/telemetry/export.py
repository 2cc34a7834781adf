"""From finished exchanges to whoever stores spans: queue, encoding in slices, batches, delivery with patience.

Belongs here: when and how much, what is dropped and how that is counted. Does not belong here: bytes of a span (`otlp`,
`jaeger`), how a message travels (`collector`, `agent`). All of it runs on the loop: an exporter thread of Python costs the
data path 4 ms at p99, as it keeps the interpreter's lock for 5 ms at a time (measured); a slice here takes 0.2 ms.
"""

import asyncio
import logging
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from netra_node.core.records import Exchange
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.flow import Finished, Flow, Owner
from netra_node.telemetry.metrics import SpanResults

logger = logging.getLogger(__name__)

#: Spans encoded before the loop may turn: at up to 10 µs each, where every path is new, 0.2 ms.
_SLICE = 20
#: Spans gather this long before the first slice, so that a timer serves many.
_GATHER_SECONDS = 0.02
#: A batch is closed at this size, whatever its number of spans.
_BATCH_BYTES = 1 << 20
#: Encoded spans held while nobody takes them.
_HELD_BYTES = 4 << 20

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0


class Message(NamedTuple):
    """What is sent in one go: a request, a datagram."""

    body: bytes
    spans: int


class Receipt(NamedTuple):
    """What became of a message that is settled. `trouble` is for the log; empty: there was none."""

    rejected: int = 0
    trouble: str = ""


class NotNowError(Exception):
    """A message was not taken and may be later, `seconds` from now at the earliest. Without a text the carrier has logged why."""

    def __init__(self, why: str = "", seconds: float = 0.0) -> None:
        """Keep both."""
        super().__init__(why)
        self.seconds = seconds


class Encoder(Protocol):
    """How spans are written."""

    def encode(self, finished: Finished, offset: int, /) -> bytes:
        """Return a span as it stands in a message; `offset` turns its times into nanoseconds since 1970."""

    def messages(self, groups: Mapping[Owner, list[bytes]], /) -> Iterable[Message]:
        """Yield messages of encoded spans, given by the pod they belong to. A span that fits none is in none."""


class Carrier(Protocol):
    """How messages travel."""

    @property
    def where(self) -> str:
        """Where to, for a log line."""

    def start(self) -> None:
        """Begin, on the running loop."""

    async def carry(self, message: Message) -> Receipt:
        """Send one. Raises NotNowError."""

    async def stop(self) -> None:
        """Let go of everything."""


@dataclass(frozen=True, slots=True)
class ExportLimits:
    """How much waits, and how long. Times in seconds."""

    #: Spans waiting in whatever form; more are dropped (`queue_full`).
    queue: int = 8192
    batch: int = 512
    #: A batch that is not full is sent this long after its first span was encoded.
    delay: float = 1.0
    #: A batch that cannot be delivered is given up after this (`failed`); the Collector's own exporters wait as long.
    patience: float = 300.0


class _Batch:
    """Encoded spans by the pod they belong to, until they are sent."""

    __slots__ = ("count", "groups", "size")

    def __init__(self) -> None:
        self.groups: defaultdict[Owner, list[bytes]] = defaultdict(list)
        self.count = 0
        self.size = 0


class SpanExporter:
    """Takes finished exchanges without ever waiting, and sends them. Starts and ends on one loop."""

    def __init__(
        self,
        encoder: Encoder,
        carrier: Carrier,
        results: SpanResults,
        limits: ExportLimits,
        clock: WallClock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`jitter` returns a number between 0 and 1."""
        self._encoder = encoder
        self._carrier = carrier
        self._results = results
        self._limits = limits
        self._clock = clock
        self._jitter = jitter
        self._waiting: deque[Finished] = deque()
        self._batch = _Batch()
        self._closed: asyncio.Queue[_Batch | None] = asyncio.Queue()
        #: Spans encoded and not yet settled, and their bytes.
        self._held = 0
        self._held_bytes = 0
        #: How many may wait; nothing is taken until `start`.
        self._room = 0
        self._scheduled = False
        self._flush: asyncio.TimerHandle | None = None
        self._hurry = asyncio.Event()
        self._reachable = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sender: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send, on the running loop. What was submitted before is dropped as `queue_full`."""
        self._loop = asyncio.get_running_loop()
        self._make_room()
        self._carrier.start()
        # Owned here: `stop` waits for it, and ends it at the deadline.
        self._sender = self._loop.create_task(self._send_batches(), name="span exporter")

    def submit(self, flow: Flow, exchange: Exchange) -> None:
        """Take an exchange that has a sampled trace context."""
        if len(self._waiting) >= self._room:
            self._results.queue_full += 1
            return
        self._waiting.append((flow, exchange))
        if not self._scheduled and self._loop is not None:
            self._scheduled = True
            self._loop.call_later(_GATHER_SECONDS, self._slice, self._loop)

    async def stop(self, deadline: float) -> None:
        """Send what is left, for at most `deadline` seconds; what then remains counts as `failed`."""
        if self._sender is None:
            return
        self._loop = None
        self._make_room()
        while self._waiting:
            self._encode_some()
            await asyncio.sleep(0)
        self._close_batch()
        self._closed.put_nowait(None)
        self._hurry.set()
        _, late = await asyncio.wait({self._sender}, timeout=deadline)
        for sender in late:
            sender.cancel()
            await asyncio.wait({sender})
        self._results.failed += self._held
        self._held = 0
        await self._carrier.stop()

    def _slice(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._encode_some()
        finally:
            if self._waiting:
                loop.call_soon(self._slice, loop)
            else:
                self._scheduled = False
                if self._batch.count and self._flush is None:
                    self._flush = loop.call_later(self._limits.delay, self._close_batch)

    def _encode_some(self) -> None:
        offset = self._clock.refresh()
        batch, waiting, encode = self._batch, self._waiting, self._encoder.encode
        count = min(_SLICE, len(waiting), self._limits.batch - batch.count)
        size = 0
        for _ in range(count):
            finished = waiting.popleft()
            span = encode(finished, offset)
            batch.groups[finished[0].owner].append(span)
            size += len(span)
        batch.count += count
        batch.size += size
        self._hold(count, size)
        if batch.count >= self._limits.batch or batch.size >= _BATCH_BYTES:
            self._close_batch()

    def _hold(self, spans: int, size: int) -> None:
        """Note that more, or fewer, encoded spans are held: less, or more, may wait."""
        self._held += spans
        self._held_bytes += size
        self._make_room()

    def _make_room(self) -> None:
        """Work out what `submit` has to know of an exchange's chances, once for many."""
        closed = self._loop is None or self._held_bytes >= _HELD_BYTES
        self._room = 0 if closed else self._limits.queue - self._held

    def _close_batch(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._batch.count:
            self._closed.put_nowait(self._batch)
            self._batch = _Batch()

    async def _send_batches(self) -> None:
        while (batch := await self._closed.get()) is not None:
            await self._deliver(batch)
            self._hold(0, -batch.size)

    async def _deliver(self, batch: _Batch) -> None:
        """Settle one batch: exported, rejected, or failed after all patience, which ends it for all its messages."""
        give_up = asyncio.get_running_loop().time() + self._limits.patience
        failed = False
        left = batch.count
        for message in self._encoder.messages(batch.groups):
            failed = failed or not await self._insist(message, give_up)
            self._results.failed += message.spans if failed else 0
            self._hold(-message.spans, 0)
            left -= message.spans
        if left:
            self._note(f"{left} spans are too large")
            self._results.rejected += left
            self._hold(-left, 0)

    async def _insist(self, message: Message, give_up: float) -> bool:
        """Return whether the message is settled; False: it never was before the time to `give_up`."""
        delay = _FIRST_DELAY
        while True:
            last = self._hurry.is_set()
            asked = await self._attempt(message)
            if asked is None:
                return True
            # Half of the delay is chance: many nodes lose one collector at the same moment.
            pause = max(asked, delay * (0.5 + self._jitter() / 2))
            if last or asyncio.get_running_loop().time() + pause > give_up:
                return False
            await self._pause(pause)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _attempt(self, message: Message) -> float | None:
        """Return None when the message is settled, else how many seconds we are asked to wait."""
        try:
            rejected, trouble = await self._carrier.carry(message)
        except NotNowError as refusal:
            self._note(str(refusal))
            return refusal.seconds
        self._note(trouble)
        self._results.rejected += rejected
        self._results.exported += message.spans - rejected
        return None

    async def _pause(self, seconds: float) -> None:
        """Wait; a stop ends it."""
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass

    def _note(self, trouble: str) -> None:
        """Log that spans are not taken, once, and that they are again."""
        if trouble and self._reachable:
            logger.warning("spans are not exported to %s: %s", self._carrier.where, trouble)
        elif not trouble and not self._reachable:
            logger.info("spans are exported to %s again", self._carrier.where)
        self._reachable = not trouble
