from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.framing import Body, ChunkedBody, LengthBody, UntilCloseBody, body_of
from netra_node.core.head import CHUNKED, UNTIL_CLOSE
from tests.core.ambiguous import BROKEN_CHUNKS, SOUND_CHUNKS

LINE_LIMIT = 8192
NEXT = b"GET / HTTP/1.1\r\n\r\n"

chunk_bodies = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=400),
        st.sampled_from([b"", b";a", b' ;b="c"', b";" + b"x" * 90]),
        st.sampled_from([b"%x", b"%X", b"0%x", b"0000%x"]),
    ),
    max_size=12,
).flatmap(
    lambda chunks: st.lists(st.sampled_from([b"X: a\r\n", b"Y:\r\n", b"Z-1:\t\xff\r\n"])).map(
        lambda trailers: (
            b"".join(
                size % len(data) + extension + b"\r\n" + data + b"\r\n"
                for data, extension, size in chunks
            )
            + b"0\r\n"
            + b"".join(trailers)
            + b"\r\n"
        )
    )
)

cuts = st.lists(st.integers(0, 5000), max_size=8)


def pieces(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut for cut in at if cut < len(data)}), len(data)]
    return [data[low:high] for low, high in pairwise(edges) if high > low]


def feed(body: Body, *parts: bytes) -> tuple[int, bool, bool]:
    """Return (bytes taken, done, broken) after the parts came one after the other."""
    taken = 0
    for part in parts:
        if body.done or body.broken:
            break
        taken += body.take(part, 0)
    return taken, body.done, body.broken


def chunked(*parts: bytes, limit: int = LINE_LIMIT) -> tuple[int, bool, bool]:
    return feed(ChunkedBody(limit), *parts)


# ---- a known length


def test_a_length_body_ends_after_exactly_that_many_bytes() -> None:
    assert feed(LengthBody(5), b"hel", b"lo" + NEXT) == (5, True, False)


def test_a_length_body_is_not_done_before_its_last_byte() -> None:
    assert feed(LengthBody(5), b"hell") == (4, False, False)


def test_a_body_is_counted_from_where_the_head_ended() -> None:
    assert LengthBody(5).take(b"headhello", 4) == 9


def test_a_body_of_ten_gibibytes_needs_no_memory() -> None:
    body = LengthBody(10 << 30)
    part = bytes(1 << 20)

    assert all(body.take(part, 0) == len(part) for _ in range(10 << 10))
    assert body.done


# ---- until the close


def test_a_body_until_close_takes_every_byte_and_is_never_done() -> None:
    assert feed(UntilCloseBody(), b"a", NEXT) == (1 + len(NEXT), False, False)


# ---- chunked


@pytest.mark.parametrize("name", SOUND_CHUNKS)
def test_sound_chunked_framing_ends_after_its_trailers(name: str) -> None:
    data = SOUND_CHUNKS[name]

    assert chunked(data + NEXT) == (len(data), True, False)


@pytest.mark.parametrize("name", SOUND_CHUNKS)
def test_sound_chunked_framing_ends_there_however_it_is_cut(name: str) -> None:
    data = SOUND_CHUNKS[name]
    for cut in range(len(data)):
        assert chunked(data[:cut], data[cut:] + NEXT) == (len(data), True, False)
    assert chunked(*(bytes((byte,)) for byte in data + NEXT)) == (len(data), True, False)


@pytest.mark.parametrize("name", BROKEN_CHUNKS)
def test_chunked_framing_that_two_readers_could_read_differently_is_broken(name: str) -> None:
    _, done, broken = chunked(BROKEN_CHUNKS[name] + NEXT)

    assert (done, broken) == (False, True)


@pytest.mark.parametrize("name", BROKEN_CHUNKS)
def test_broken_chunked_framing_is_broken_however_it_is_cut(name: str) -> None:
    data = BROKEN_CHUNKS[name] + NEXT
    for cut in range(len(data)):
        assert chunked(data[:cut], data[cut:])[1:] == (False, True)
    assert chunked(*(bytes((byte,)) for byte in data))[1:] == (False, True)


def test_chunked_framing_is_not_done_before_the_last_line_feed() -> None:
    assert chunked(b"0\r\nX: a\r\n\r") == (10, False, False)


def test_the_last_chunk_may_be_huge() -> None:
    assert chunked(b"fffffffffffffff\r\nx") == (18, False, False)


def test_a_size_line_at_its_limit_is_followed() -> None:
    assert chunked(b"1;" + b"x" * 12 + b"\r\n", limit=16)[2] is False


@pytest.mark.parametrize("cut", [0, 1, 10, 16, 17])
def test_a_size_line_over_its_limit_is_broken_however_it_is_cut(cut: int) -> None:
    line = b"1;" + b"x" * 1000 + b"\r\nx\r\n"

    assert chunked(line[:cut], line[cut:], limit=16)[2] is True


def test_a_trailer_over_its_limit_is_broken() -> None:
    assert chunked(b"0\r\nX: " + b"x" * 4200 + b"\r\n", limit=4096)[2] is True


def test_what_is_kept_of_an_endless_line_stays_below_its_limit() -> None:
    body = ChunkedBody(64)
    while not body.broken:
        body.take(b"1", 0)
        assert len(body._line) <= 64


@given(chunk_bodies, cuts)
def test_any_chunked_body_in_any_pieces_ends_where_it_ends(data: bytes, at: list[int]) -> None:
    assert chunked(*pieces(data + NEXT, at)) == (len(data), True, False)


@given(chunk_bodies, st.data(), cuts)
def test_a_damaged_chunked_body_is_judged_alike_in_any_pieces(
    data: bytes, draw: st.DataObject, at: list[int]
) -> None:
    place = draw.draw(st.integers(0, len(data) - 1))
    damaged = data[:place] + draw.draw(st.binary(max_size=3)) + data[place + 1 :]

    _, done, broken = chunked(*pieces(damaged, at))
    whole_taken, whole_done, whole_broken = chunked(damaged)

    assert (done, broken) == (whole_done, whole_broken)
    assert whole_taken <= len(damaged)


@given(st.binary(max_size=300), cuts)
def test_any_bytes_as_a_chunked_body_raise_nothing(data: bytes, at: list[int]) -> None:
    taken, _, _ = chunked(*pieces(data, at))

    assert taken <= len(data)


# ---- which one


def test_a_message_without_a_body_has_no_reader() -> None:
    assert body_of(0, LINE_LIMIT) is None


@pytest.mark.parametrize(
    ("length", "reader"), [(3, LengthBody), (CHUNKED, ChunkedBody), (UNTIL_CLOSE, UntilCloseBody)]
)
def test_each_framing_has_its_reader(length: int, reader: type) -> None:
    assert isinstance(body_of(length, LINE_LIMIT), reader)
