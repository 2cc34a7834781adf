"""The specification of `netra_node.telemetry.collector`: what answers mean for the spans of a request."""

import asyncio
import gzip
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from netra_node.http_client import Answer, TransportError
from netra_node.telemetry.collector import HttpCarrier, compress, retry_after
from netra_node.telemetry.export import Message, NotNowError, Receipt


class Post:
    """Gives one answer, and remembers what came."""

    authority = "collector:4318"

    def __init__(self, answer: Answer | TransportError) -> None:
        self._answer = answer
        self.body = b""
        self.fields: tuple[tuple[str, str], ...] = ()
        self.closed = False

    async def post(self, body: bytes, fields: Sequence[tuple[str, str]] = ()) -> Answer:
        self.body, self.fields = body, tuple(fields)
        if isinstance(self._answer, TransportError):
            raise self._answer
        return self._answer

    def close(self) -> None:
        self.closed = True


async def carry(status: int, refused: int = 0, **fields: str) -> Receipt:
    post = Post(Answer(status, fields, b""))
    return await HttpCarrier(post, lambda _body: refused).carry(Message(b"x", 5))


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_a_success_takes_all_spans_but_those_it_names(status: int) -> None:
    assert await carry(status) == Receipt()
    assert await carry(status, 2) == Receipt(2, f"status {status}, 2 spans rejected")


async def test_no_more_is_rejected_than_was_sent() -> None:
    assert (await carry(200, 99)).rejected == 5


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500])
async def test_a_refusal_rejects_all(status: int) -> None:
    assert await carry(status) == Receipt(5, f"status {status}, 5 spans rejected")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_passing_trouble_is_none_of_both(status: int) -> None:
    with pytest.raises(NotNowError, match=f"status {status}") as caught:
        await carry(status, **{"retry-after": "17"})

    assert caught.value.seconds == 17


async def test_no_answer_is_a_passing_trouble() -> None:
    with pytest.raises(NotNowError, match="connection refused") as caught:
        await HttpCarrier(Post(TransportError("connection refused"))).carry(Message(b"x", 1))

    assert caught.value.seconds == 0


async def test_gzip_is_said_and_done() -> None:
    post = Post(Answer(200, {}, b""))

    await HttpCarrier(post, gzip=True).carry(Message(b"x" * 100, 1))

    assert post.fields == (("Content-Encoding", "gzip"),)
    assert gzip.decompress(post.body) == b"x" * 100


async def test_a_stop_closes_the_connection() -> None:
    post = Post(Answer(200, {}, b""))

    await HttpCarrier(post).stop()

    assert post.closed


async def test_compression_lets_the_loop_turn() -> None:
    body = b"0123456789abcdef" * 10_000
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.get_running_loop().create_task(count())
    packed = await compress(body)
    counter.cancel()

    assert gzip.decompress(packed) == body
    assert turns >= len(body) // 16_384


NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("", 0),
        ("soon", 0),
        ("-1", 0),
        ("Thu, 01 Jan 2026 12:01:00 GMT", 60),
        ("Thu, 01 Jan 2026 12:01:00 -0000", 60),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("9" * 5000, 999_999_999),
        ("٣", 0),
    ],
)
def test_retry_after_in_seconds_and_as_a_date(value, seconds) -> None:
    assert retry_after(value, NOW) == seconds
