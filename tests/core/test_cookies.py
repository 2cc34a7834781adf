"""Cookies as Go's net/http reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.cookies import MOST, cookies
from tests.cost import least_seconds

ANY = frozenset({b"a", b"b", b"c", b"d"})


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"a=1", [(b"a", b"1")]),
        (b"a=1; b=2", [(b"a", b"1"), (b"b", b"2")]),
        (b"a=1;b=2;", [(b"a", b"1"), (b"b", b"2")]),
        (b" a=1 ;\tb=2\t", [(b"a", b"1"), (b"b", b"2")]),
        (b"a=1; a=2", [(b"a", b"1"), (b"a", b"2")]),
        (b'a="1 2"', [(b"a", b"1 2")]),
        (b'a=""', [(b"a", b"")]),
        (b'a="', []),
        (b'a="1', []),
        (b'a=1"2', []),
        (b"a=1=2", [(b"a", b"1=2")]),
        (b"a=", [(b"a", b"")]),
        (b"a", [(b"a", b"")]),
        (b"", []),
        (b";;", []),
        (b"a =1; b=2", [(b"b", b"2")]),
        (b"a=1\\2; b=2", [(b"b", b"2")]),
        (b"a=\x01; b=\x7f; c=\xff; d=2", [(b"d", b"2")]),
        (b"a=1, b=2", [(b"a", b"1, b=2")]),
    ],
)
def test_pairs_are_read_and_invalid_ones_passed_over(header, found) -> None:
    assert list(cookies([header], ANY)) == found


def test_only_wanted_cookies_are_read() -> None:
    assert list(cookies([b"a=1; b=2; A=3; c=4"], {b"a", b"c"})) == [(b"a", b"1"), (b"c", b"4")]


def test_several_headers_are_one_list() -> None:
    assert list(cookies([b"a=1; b=2", b"a=3"], ANY)) == [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]


@pytest.mark.parametrize("headers", [1, 10, MOST * 2])
def test_no_more_pairs_are_looked_at_than_browsers_send(headers) -> None:
    pairs = [b"a=%d" % number for number in range(MOST * 2)]
    size = len(pairs) // headers
    lines = [b";".join(pairs[at : at + size]) for at in range(0, len(pairs), size)]

    assert list(cookies(lines, ANY)) == [(b"a", b"%d" % number) for number in range(MOST)]


def test_a_head_full_of_semicolons_takes_a_moment() -> None:
    for headers in ([b";" * 65_536], [b";" * 320] * 200):
        assert list(cookies(headers, ANY)) == []
        assert least_seconds(lambda headers=headers: list(cookies(headers, ANY))) < 0.01


@given(st.lists(st.binary(max_size=60) | st.binary(max_size=9).map(b"a=".__add__), max_size=3))
def test_whatever_is_sent_is_valid_or_passed_over(headers) -> None:
    for name, value in cookies(headers, ANY):
        assert name in ANY
        assert not set(value) & set(b'";\\\x00\r\n')
