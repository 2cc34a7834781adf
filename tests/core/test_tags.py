"""Tags out of headers and cookies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.head import HeadParser, RequestHead
from netra_node.core.tags import TOTAL_LIMIT, VALUE_LIMIT, TagRules


def tags(rules: TagRules, *lines: bytes) -> tuple:
    raw = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    head = HeadParser(rules.fields).request(raw)
    assert isinstance(head, RequestHead)
    return rules.read(head)


@pytest.fixture
def rules() -> TagRules:
    return TagRules(
        {b"X-Session": "session", b"x-app": "app"}, {b"sid": "cookie.sid", b"App": "app"}
    )


def test_headers_of_any_case_and_cookies_of_their_own_become_tags(rules) -> None:
    assert tags(rules, b"x-SESSION: 1", b"X-App: shop", b"Cookie: a=b; sid=2; SID=3") == (
        ("session", b"1"),
        ("app", b"shop"),
        ("cookie.sid", b"2"),
    )


def test_a_request_without_any_of_them_has_none(rules) -> None:
    assert tags(rules) == ()
    assert tags(rules, b"X-Other: 1", b"Cookie: other=1") == ()


def test_of_several_values_the_first_counts(rules) -> None:
    assert tags(rules, b"X-Session: 1", b"X-Session: 2", b"Cookie: sid=1; sid=2") == (
        ("session", b"1"),
        ("cookie.sid", b"1"),
    )


def test_an_empty_header_is_none_and_an_empty_cookie_is_one(rules) -> None:
    assert tags(rules, b"X-Session:", b"Cookie: sid=") == (("cookie.sid", b""),)


def test_a_tag_with_two_sources_is_there_once_from_the_header(rules) -> None:
    assert tags(rules, b"Cookie: App=cookie", b"X-App: header") == (("app", b"header"),)
    assert tags(rules, b"Cookie: App=cookie") == (("app", b"cookie"),)


def test_cookies_of_several_headers_are_one_list(rules) -> None:
    assert tags(rules, b"Cookie: a=1", b"Cookie: sid=2") == (("cookie.sid", b"2"),)


def test_only_what_is_mapped_is_read_out_of_heads() -> None:
    assert TagRules({b"X-A": "a"}, {}).fields == (b"x-a",)
    assert TagRules({}, {b"sid": "a"}).fields == (b"cookie",)
    assert TagRules({b"Cookie": "all"}, {b"sid": "a"}).fields == (b"cookie",)


def test_names_that_framing_and_tracing_read_too_can_be_mapped() -> None:
    rules = TagRules({b"User-Agent": "agent", b"Host": "host", b"Content-Length": "length"}, {})

    assert tags(rules, b"User-Agent: curl") == (("agent", b"curl"), ("host", b"a"))


def test_values_are_bounded_each_and_together() -> None:
    rules = TagRules({b"X-%d" % number: str(number) for number in range(32)}, {})

    found = tags(rules, *(b"X-%d: " % number + b"v" * 300 for number in range(32)))

    assert {len(value) for _, value in found} == {VALUE_LIMIT}
    assert sum(len(value) for _, value in found) == TOTAL_LIMIT


@given(st.binary(max_size=200).filter(lambda raw: not set(raw) & set(b"\r\n\x00")))
def test_whatever_a_client_sends_raises_nothing(raw) -> None:
    rules = TagRules({b"x-a": "a"}, {b"a": "b"})
    head = HeadParser(rules.fields).request(
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + raw + b"\r\nCookie: a=" + raw + b"\r\n\r\n"
    )

    if isinstance(head, RequestHead):
        assert len(rules.read(head)) <= 2
