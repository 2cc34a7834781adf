"""The specification of `netra_node.core.kept`."""

from netra_node.core.kept import KEPT, keep


def test_what_is_kept_is_returned_and_found_again() -> None:
    kept: dict[object, bytes] = {}

    assert keep(kept, "a", b"1") == b"1"
    assert kept == {"a": b"1"}


def test_there_are_never_more_than_so_many() -> None:
    kept: dict[object, int] = {}
    for number in range(3 * KEPT):
        keep(kept, number, number)
        assert len(kept) <= KEPT
        assert kept[number] == number
