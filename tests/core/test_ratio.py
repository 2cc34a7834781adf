"""The specification of `netra_node.core.ratio`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.ratio import parse


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0.0), ("1", 1.0), ("0.3", 0.3), (".5", 0.5), ("1e-3", 0.001)]
)
def test_a_number_between_nought_and_one_is_read(text: str, value: float) -> None:
    assert parse(text) == value


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "inf", "30"])
def test_any_other_number_is_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match=r"^out of range$"):
        parse(text)


@pytest.mark.parametrize("text", ["", "half", "30%", "0,3"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a number$"):
        parse(text)


@given(st.floats(0, 1))
def test_every_share_is_read_as_it_is_printed(value: float) -> None:
    assert parse(repr(value)) == value
