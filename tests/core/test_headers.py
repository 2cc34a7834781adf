"""The seam between heads and tracing, held against the head that is used in it."""

import pytest

from netra_node.core.head import HeadParser, RequestHead
from netra_node.core.headers import HeaderView


@pytest.fixture
def view() -> HeaderView:
    head = HeadParser((b"b3",)).request(
        b"GET / HTTP/1.1\r\nHost: a\r\nB3:\t1 \r\nx: y\r\nb3: 2\r\n\r\n"
    )
    assert isinstance(head, RequestHead)
    return head


def test_get_returns_the_first_value_without_white_space_around_it(view: HeaderView) -> None:
    assert view.get(b"b3") == b"1"


def test_get_returns_none_for_a_header_that_is_not_there(view: HeaderView) -> None:
    assert view.get(b"user-agent") is None


def test_get_all_returns_every_value_in_order(view: HeaderView) -> None:
    assert view.get_all(b"b3") == [b"1", b"2"]


def test_get_all_returns_nothing_for_a_header_that_is_not_there(view: HeaderView) -> None:
    assert view.get_all(b"user-agent") == []


def test_a_head_with_a_repeated_field_says_so(view: HeaderView) -> None:
    assert view.repeats


def test_a_head_without_a_repeated_field_says_so() -> None:
    head = HeadParser((b"b3",)).request(b"GET / HTTP/1.1\r\nHost: a\r\nB3: 1\r\n\r\n")

    assert isinstance(head, RequestHead)
    assert not head.repeats
