"""The admin listeners' HTTP syntax."""

from http import HTTPStatus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netra_node.admin.message import (
    BadRequestError,
    Request,
    Response,
    chunk,
    parse_head,
    response_head,
    text,
)


def test_a_head_gives_method_path_and_accept() -> None:
    head = b"GET /metrics HTTP/1.1\r\nHost: node\r\nACCEPT:  text/plain \r\n\r\n"

    assert parse_head(head) == Request("GET", "/metrics", "text/plain", chunked=True)


def test_the_query_is_told_apart_from_the_path() -> None:
    request = parse_head(b"GET /traces?limit=3&x=? HTTP/1.1\r\n\r\n")

    assert (request.path, request.query) == ("/traces", "limit=3&x=?")


def test_several_accept_fields_are_one_list() -> None:
    head = b"GET / HTTP/1.1\r\nAccept: a/b\r\nAccept: c/d\r\n\r\n"

    assert parse_head(head).accept == "a/b,c/d"


def test_http_1_0_is_answered_without_chunks() -> None:
    assert parse_head(b"GET / HTTP/1.0\r\n\r\n").chunked is False


@pytest.mark.parametrize(
    "head", [b"\r\n\r\n", b"GET /\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n", b"GET / a HTTP/1.1\r\n\r\n"]
)
def test_a_request_line_without_its_three_parts_is_a_bad_request(head: bytes) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_head(head)

    assert caught.value.status is HTTPStatus.BAD_REQUEST


def test_another_version_is_refused_as_such() -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_head(b"GET / HTTP/2.0\r\n\r\n")

    assert caught.value.status is HTTPStatus.HTTP_VERSION_NOT_SUPPORTED


@given(st.binary(max_size=200))
@example(b"\xff\x00\r\n\r\n")
def test_any_bytes_give_a_request_or_a_bad_request(head: bytes) -> None:
    try:
        request = parse_head(head)
    except BadRequestError:
        return
    assert request.method


def test_a_chunked_response_head_ends_the_connection_after_it() -> None:
    head = response_head(Response((), "text/css"), chunked=True)

    assert head == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nTransfer-Encoding: chunked\r\n"
        b"Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )


def test_a_response_to_http_1_0_has_no_transfer_encoding() -> None:
    assert b"Transfer-Encoding" not in response_head(text("ok"), chunked=False)


def test_a_chunk_carries_its_size_in_hexadecimal() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_text_ends_with_a_line_end() -> None:
    assert list(text("ok").body) == [b"ok\n"]
