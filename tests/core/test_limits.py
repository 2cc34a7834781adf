"""The figures are the contract's (`http.md`, Four rules): who changes one changes the promise."""

from netra_node.core.limits import Limits

MILLISECOND = 1_000_000


def test_a_head_may_have_64_kibibytes() -> None:
    assert Limits().head == 65_536


def test_a_head_may_have_200_fields() -> None:
    assert Limits().fields == 200


def test_256_interim_answers_may_follow_one_request() -> None:
    assert Limits().interim == 256


def test_64_requests_may_wait_for_their_answer() -> None:
    assert Limits().unanswered == 64


def test_a_head_is_held_50_milliseconds_after_its_last_byte() -> None:
    assert Limits().hold_after_last == 50 * MILLISECOND


def test_a_head_is_held_one_second_after_its_first_byte_at_most() -> None:
    assert Limits().hold_after_first == 1000 * MILLISECOND


def test_what_is_kept_of_a_chunk_line_is_less_than_a_head() -> None:
    assert Limits().chunk_line < Limits().head
