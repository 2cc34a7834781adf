"""From finished exchanges to a collector: queue, encoding in slices, batches, delivery with patience.

Belongs here: when and how much, what is dropped and how that is counted. Does not belong here: bytes of a span (`otlp`),
of HTTP (`http_client`). All of it runs on the loop: an exporter thread of Python costs the data path 4 ms at p99, as
it keeps the interpreter's lock for 5 ms at a time (measured); a slice here takes 0.2 ms.
"""

import asyncio
import logging
import random
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from netra_node.core.records import Exchange
from netra_node.http_client import Answer, TransportError
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.flow import Finished, Flow, Owner
from netra_node.telemetry.metrics import SpanResults
from netra_node.telemetry.otlp import SpanEncoder, rejected_spans

logger = logging.getLogger(__name__)

#: Spans encoded before the loop may turn: at up to 5 µs each, 0.2 ms.
_SLICE = 40
#: Spans gather this long before the first slice, so that a timer serves many.
_GATHER_SECONDS = 0.02
#: A batch is closed at this size, whatever its number of spans.
_BATCH_BYTES = 1 << 20
#: Encoded spans held while the collector is away or slow.
_HELD_BYTES = 4 << 20
_GZIP_PIECE = 16_384
_GZIP = zlib.MAX_WBITS | 16

#: https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
_RETRYABLE = frozenset((429, 502, 503, 504))
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0


class Post(Protocol):
    """Where batches go: `http_client.Client`, or a test's stand-in."""

    @property
    def authority(self) -> str:
        """Host and port, for a log line."""

    async def post(self, body: bytes, fields: Sequence[tuple[str, str]] = ()) -> Answer:
        """Send `body`; return the answer or raise TransportError."""

    def close(self) -> None:
        """Drop the connection."""


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
    gzip: bool = False


class _Batch:
    """Encoded spans by the pod they belong to, until they are sent."""

    __slots__ = ("count", "groups", "size")

    def __init__(self) -> None:
        self.groups: defaultdict[Owner, list[bytes]] = defaultdict(list)
        self.count = 0
        self.size = 0


class SpanExporter:
    """Takes finished exchanges without ever waiting, and sends them as OTLP. Starts and ends on one loop."""

    def __init__(
        self,
        encoder: SpanEncoder,
        post: Post,
        results: SpanResults,
        limits: ExportLimits,
        clock: WallClock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`jitter` returns a number between 0 and 1."""
        self._encoder = encoder
        self._post = post
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
        self._post.close()

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
            self._hold(-batch.count, -batch.size)

    async def _deliver(self, batch: _Batch) -> None:
        """Settle one batch: exported, rejected, or failed after all patience."""
        body = self._encoder.request(batch.groups)
        fields: tuple[tuple[str, str], ...] = ()
        if self._limits.gzip:
            body, fields = await compress(body), (("Content-Encoding", "gzip"),)
        give_up = asyncio.get_running_loop().time() + self._limits.patience
        delay = _FIRST_DELAY
        while True:
            last = self._hurry.is_set()
            asked = await self._attempt(batch.count, body, fields)
            if asked is None:
                return
            # Half of the delay is chance: many nodes lose one collector at the same moment.
            pause = max(asked, delay * (0.5 + self._jitter() / 2))
            if last or asyncio.get_running_loop().time() + pause > give_up:
                self._results.failed += batch.count
                return
            await self._pause(pause)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _attempt(
        self, count: int, body: bytes, fields: Sequence[tuple[str, str]]
    ) -> float | None:
        """Return None when the batch is settled, else how many seconds the collector asks to wait."""
        try:
            answer = await self._post.post(body, fields)
        except TransportError as error:
            self._note(str(error))
            return 0.0
        if answer.status in _RETRYABLE:
            self._note(f"status {answer.status}")
            return retry_after(answer.fields.get("retry-after", ""), datetime.now(UTC))
        taken = 200 <= answer.status < 300  # noqa: PLR2004 - success (RFC 9110 §15.3)
        rejected = min(rejected_spans(answer.body), count) if taken else count
        self._note(f"status {answer.status}, {rejected} spans rejected" if rejected else "")
        self._results.rejected += rejected
        self._results.exported += count - rejected
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
            logger.warning("spans are not exported to %s: %s", self._post.authority, trouble)
        elif not trouble and not self._reachable:
            logger.info("spans are exported to %s again", self._post.authority)
        self._reachable = not trouble


async def compress(body: bytes) -> bytes:
    """Return `body` as gzip; the loop turns in between, as 200 KB take 3 ms."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    pieces = []
    for start in range(0, len(body), _GZIP_PIECE):
        pieces.append(packer.compress(body[start : start + _GZIP_PIECE]))
        await asyncio.sleep(0)
    return b"".join((*pieces, packer.flush()))


def retry_after(value: str, now: datetime) -> float:
    """Return the seconds a Retry-After field asks for (RFC 9110 §10.2.3); 0 where it says nothing."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    if not value:
        return 0.0
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rare, and 1 MB

    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    # The form without a zone, "-0000", is UTC too.
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())
