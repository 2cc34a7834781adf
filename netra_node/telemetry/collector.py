"""Messages to a collector over HTTP. Belongs here: what a status means for spans, compression. Does not belong here: bytes of HTTP
(`http_client`), when to try again (`export`).
"""

import asyncio
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from netra_node.http_client import Answer, TransportError
from netra_node.telemetry.export import Message, NotNowError, Receipt

_GZIP_PIECE = 16_384
_GZIP = zlib.MAX_WBITS | 16

#: https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes; Jaeger's collector says 503 when its queue is full.
_RETRYABLE = frozenset((429, 502, 503, 504))


class Post(Protocol):
    """A connection: `http_client.Client`, or a test's stand-in."""

    @property
    def authority(self) -> str:
        """Host and port, for a log line."""

    async def post(self, body: bytes, fields: Sequence[tuple[str, str]] = ()) -> Answer:
        """Send `body`; return the answer or raise TransportError."""

    def close(self) -> None:
        """Drop the connection."""


class HttpCarrier:
    """Implements `export.Carrier`: each message is one POST."""

    def __init__(
        self, post: Post, rejected: Callable[[bytes], int] = lambda _body: 0, *, gzip: bool = False
    ) -> None:
        """`rejected` reads from the body of a success how many spans were not taken all the same."""
        self._post = post
        self._rejected = rejected
        self._gzip = gzip

    @property
    def where(self) -> str:
        """Host and port."""
        return self._post.authority

    def start(self) -> None:
        """Nothing yet: the first message makes the connection."""

    async def carry(self, message: Message) -> Receipt:
        """Post one. Raises NotNowError where there is no answer, or one that says later."""
        body = message.body
        fields: tuple[tuple[str, str], ...] = ()
        if self._gzip:
            body, fields = await compress(body), (("Content-Encoding", "gzip"),)
        try:
            answer = await self._post.post(body, fields)
        except TransportError as error:
            raise NotNowError(str(error)) from error
        status = answer.status
        if status in _RETRYABLE:
            seconds = retry_after(answer.fields.get("retry-after", ""), datetime.now(UTC))
            why = f"status {status}"
            raise NotNowError(why, seconds)
        taken = 200 <= status < 300  # noqa: PLR2004 - success (RFC 9110 §15.3)
        rejected = min(self._rejected(answer.body), message.spans) if taken else message.spans
        return Receipt(rejected, f"status {status}, {rejected} spans rejected" if rejected else "")

    async def stop(self) -> None:
        """Drop the connection."""
        self._post.close()


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
