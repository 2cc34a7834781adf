import re
from collections.abc import Iterator

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.head import (
    CHUNKED,
    UNTIL_CLOSE,
    HeadParser,
    RequestHead,
    ResponseHead,
    _remembered_response,
    _response,
    _response_thoroughly,
    could_be_request,
    could_be_response,
    not_http,
    parse_response,
)
from netra_node.core.headers import Declared
from netra_node.core.records import OpaqueReason
from tests.core import ambiguous

PARSER = HeadParser((b"traceparent", b"tracestate", b"x-request-id"))

TRACED = (
    b"GET /a?b=%20c HTTP/1.1\r\nHost: a:80\r\nTraceparent:  old \r\nX-Other: traceparent: no\r\n"
    b"traceparent: older\r\nAccept: */*\r\n\r\n"
)


def request(raw: bytes) -> RequestHead:
    head = PARSER.request(raw)
    assert isinstance(head, RequestHead), head
    return head


def response(raw: bytes) -> ResponseHead:
    head = parse_response(raw)
    assert head is not None
    return head


def refusal(raw: bytes) -> OpaqueReason:
    reason = PARSER.request(raw)
    assert isinstance(reason, OpaqueReason)
    return reason


tokens = st.text("abcXYZ019-_!~", min_size=1, max_size=12).map(str.encode)
values = st.binary(max_size=30).map(lambda value: re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", value))
fields = st.lists(
    st.tuples(
        tokens | st.sampled_from([b"traceparent", b"TraceParent", b"tracestate", b"X-Request-Id"]),
        st.sampled_from([b":", b": ", b":\t "]),
        values,
    ),
    max_size=8,
)
request_heads = fields.map(
    lambda several: (
        b"GET /x HTTP/1.1\r\n"
        + b"".join(b"%b%b%b\r\n" % field for field in several if not _frames(field[0]))
        + b"\r\n"
    )
)


def _frames(name: bytes) -> bool:
    return name.lower() in {b"host", b"content-length", b"transfer-encoding", b"upgrade"}


# ---- what a request head says


def test_a_request_head_gives_method_target_and_version_untouched() -> None:
    head = request(b"OPTIONS /%7e/a%2Fb?q=%zz#f HTTP/1.0\r\n\r\n")

    assert (head.method, head.target, head.version) == (b"OPTIONS", b"/%7e/a%2Fb?q=%zz#f", b"1.0")


@pytest.mark.parametrize(
    "line", [b"GET http://a:80/b?c", b"OPTIONS *", b"CONNECT a:443", b"GET //a", b"GET /?a=b|c"]
)
def test_every_form_of_a_request_target_is_taken(line: bytes) -> None:
    assert request(line + b" HTTP/1.1\r\nHost: a\r\n\r\n").target == line.split(b" ")[1]


def test_names_are_compared_without_regard_to_case() -> None:
    assert request(TRACED).get_all(b"traceparent") == [b"old", b"older"]


def test_a_value_has_no_white_space_around_it() -> None:
    assert request(TRACED).get(b"traceparent") == b"old"


def test_a_field_name_inside_a_value_is_no_field() -> None:
    assert b"no" not in request(TRACED).get_all(b"traceparent")


def test_only_the_fields_that_were_asked_for_are_read() -> None:
    assert request(TRACED).get(b"accept") is None


@pytest.mark.parametrize(
    ("field", "length"),
    [
        (b"", 0),
        (b"Content-Length: 0\r\n", 0),
        (b"Content-Length: 17\r\n", 17),
        (b"content-length:\t017 \r\n", 17),
        (b"Content-Length: 999999999999999999\r\n", 999_999_999_999_999_999),
        (b"Transfer-Encoding: chunked\r\n", CHUNKED),
        (b"TRANSFER-ENCODING:Chunked \r\n", CHUNKED),
    ],
)
def test_a_request_body_is_as_long_as_its_head_says(field: bytes, length: int) -> None:
    assert request(b"POST / HTTP/1.1\r\n" + field + b"\r\n").length == length


@pytest.mark.parametrize(
    ("head", "upgrades"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", False),
        (b"CONNECT a:443 HTTP/1.1\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: upgrade\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nUpgrade-Insecure-Requests: 1\r\n\r\n", False),
    ],
)
def test_connect_and_upgrade_may_change_the_protocol(head: bytes, upgrades: bool) -> None:
    assert request(head).upgrades is upgrades


# ---- which request heads are refused


@pytest.mark.parametrize("name", ambiguous.REQUESTS)
def test_a_head_that_two_readers_could_frame_differently_is_ambiguous(name: str) -> None:
    assert refusal(ambiguous.REQUESTS[name]) is OpaqueReason.AMBIGUOUS


@pytest.mark.parametrize("name", ambiguous.UNAMBIGUOUS)
def test_a_head_that_only_looks_odd_is_taken(name: str) -> None:
    assert isinstance(PARSER.request(ambiguous.UNAMBIGUOUS[name]), RequestHead)


@pytest.mark.parametrize("control", [*range(9), *range(10, 32), 127])
def test_a_control_character_in_a_value_is_refused(control: int) -> None:
    raw = b"GET / HTTP/1.1\r\nX: a" + bytes((control,)) + b"b\r\n\r\n"

    assert refusal(raw) is OpaqueReason.AMBIGUOUS


@pytest.mark.parametrize("byte", sorted(set(range(256)) - set(b"!#$%&'*+-.^_`|~:")))
def test_a_name_takes_token_characters_and_nothing_else(byte: int) -> None:
    raw = b"GET / HTTP/1.1\r\nX" + bytes((byte,)) + b"Y: a\r\n\r\n"

    assert isinstance(PARSER.request(raw), RequestHead) == chr(byte).isalnum() & (byte < 128)


@pytest.mark.parametrize("method", [b"BREW", b"get", b"GETX", b"X"])
def test_a_method_that_llhttp_does_not_know_is_named(method: bytes) -> None:
    assert refusal(method + b" / HTTP/1.1\r\n\r\n") is OpaqueReason.METHOD


@pytest.mark.parametrize("method", [b"GET", b"PATCH", b"PURGE", b"REPORT", b"M-SEARCH", b"QUERY"])
def test_a_method_that_llhttp_knows_is_taken(method: bytes) -> None:
    assert request(method + b" / HTTP/1.1\r\n\r\n").method == method


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x16\x03\x01\x02\x00", OpaqueReason.TLS),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", OpaqueReason.H2),
        (b"PRI * HTTP/2", OpaqueReason.H2),
        (b"GET / HTTP/2.0\r\n\r\n", OpaqueReason.NOT_HTTP),
        (b"GET / HTTP/1.2\r\n\r\n", OpaqueReason.NOT_HTTP),
        (b"GET / HTTP/0.9\r\n\r\n", OpaqueReason.NOT_HTTP),
        (b"GET / http/1.1\r\n\r\n", OpaqueReason.NOT_HTTP),
        (b"GET /\r\n", OpaqueReason.NOT_HTTP),
        (b"GET  / HTTP/1.1\r\n\r\n", OpaqueReason.NOT_HTTP),
        (b"GET /a b HTTP/1.1\r\n\r\n", OpaqueReason.NOT_HTTP),
        (b"GET\t/ HTTP/1.1\r\n\r\n", OpaqueReason.NOT_HTTP),
        (b"GET / HTTP/1.1 \r\n\r\n", OpaqueReason.NOT_HTTP),
        (b" GET / HTTP/1.1\r\n\r\n", OpaqueReason.NOT_HTTP),
        (b"\x00GET / HTTP/1.1\r\n\r\n", OpaqueReason.NOT_HTTP),
        (b"A" * 33 + b" / HTTP/1.1\r\n\r\n", OpaqueReason.NOT_HTTP),
        (b"*1\r\n$4\r\nPING\r\n", OpaqueReason.NOT_HTTP),
        (b"SSH-2.0-OpenSSH_9.2\r\n", OpaqueReason.NOT_HTTP),
        (b"GET / HTTP/1.1\nHost: a\n\n", OpaqueReason.AMBIGUOUS),
    ],
)
def test_what_is_no_http_is_named_for_what_it_is(data: bytes, reason: OpaqueReason) -> None:
    assert not_http(data) is reason


# ---- what may still become a head


@pytest.mark.parametrize("name", ambiguous.UNAMBIGUOUS)
def test_every_beginning_of_a_sound_head_could_be_one(name: str) -> None:
    raw = ambiguous.UNAMBIGUOUS[name]

    assert all(could_be_request(raw[:length]) for length in range(1, len(raw)))


GRAMMAR = {
    name: raw
    for name, raw in ambiguous.REQUESTS.items()
    if not re.search("length|chunked|coding|identity|gzip|hosts", name)
}


@pytest.mark.parametrize("name", GRAMMAR)
def test_a_head_that_breaks_the_grammar_is_refused_before_it_is_complete(name: str) -> None:
    raw = GRAMMAR[name]

    assert not all(could_be_request(raw[:length]) for length in range(1, len(raw)))


@given(request_heads, st.data())
def test_what_was_seen_before_does_not_change_the_verdict(raw: bytes, draw: st.DataObject) -> None:
    end = draw.draw(st.integers(1, len(raw) - 1))
    beginning = raw[:end] + draw.draw(st.binary(max_size=2))
    for seen in range(1, end):
        assert could_be_request(beginning, seen) == could_be_request(beginning)


@pytest.mark.parametrize("name", ambiguous.UNAMBIGUOUS)
def test_a_wrong_byte_is_found_whatever_was_seen_before(name: str) -> None:
    raw = ambiguous.UNAMBIGUOUS[name]
    for seen in range(1, len(raw) - 1):
        for wrong in (b"\x00", b"\n", b"\r\r", b" ", b":", b"x", b"\r\n\r\r"):
            beginning = raw[:seen] + wrong
            assert could_be_request(beginning, seen) == could_be_request(beginning), beginning


def test_a_head_that_ended_is_no_beginning() -> None:
    assert not could_be_request(b"GET / HTTP/1.1\r\n\r\n")


# ---- declared headers


def test_a_declared_value_is_replaced_where_it_stands_and_further_copies_go() -> None:
    assert request(TRACED).with_headers([(b"traceparent", b"new")]) == (
        b"GET /a?b=%20c HTTP/1.1\r\nHost: a:80\r\nTraceparent:  new\r\nX-Other: traceparent: no\r\n"
        b"Accept: */*\r\n\r\n"
    )


def test_a_declared_header_that_is_not_there_is_added_before_the_empty_line() -> None:
    assert request(TRACED).with_headers([(b"X-Request-Id", b"1")]) == (
        TRACED[:-2] + b"X-Request-Id: 1\r\n\r\n"
    )


def test_several_declared_headers_are_added_in_their_order() -> None:
    declared: list[Declared] = [(b"tracestate", b"a=b"), (b"X-Request-Id", b"1")]

    assert request(b"GET / HTTP/1.1\r\n\r\n").with_headers(declared) == (
        b"GET / HTTP/1.1\r\ntracestate: a=b\r\nX-Request-Id: 1\r\n\r\n"
    )


def test_a_declared_none_removes_every_copy() -> None:
    assert request(TRACED).with_headers([(b"traceparent", None)]) == (
        b"GET /a?b=%20c HTTP/1.1\r\nHost: a:80\r\nX-Other: traceparent: no\r\nAccept: */*\r\n\r\n"
    )


def test_a_declared_none_that_is_not_there_changes_nothing() -> None:
    assert request(TRACED).with_headers([(b"tracestate", None)]) == TRACED


def test_nothing_declared_leaves_the_head_alone() -> None:
    assert request(TRACED).with_headers([]) == TRACED


def test_an_empty_value_is_filled_in() -> None:
    raw = b"GET / HTTP/1.1\r\nX-Request-Id:\r\n\r\n"

    assert request(raw).with_headers([(b"x-request-id", b"1")]) == (
        b"GET / HTTP/1.1\r\nX-Request-Id:1\r\n\r\n"
    )


@given(
    request_heads,
    st.lists(
        st.tuples(
            st.sampled_from([b"traceparent", b"tracestate", b"X-Request-Id"]),
            st.none() | st.just(b"value-1"),
        ),
        unique_by=lambda declared: declared[0],
    ),
)
def test_every_byte_outside_the_declared_headers_stays(
    raw: bytes, declared: list[Declared]
) -> None:
    written = request(raw).with_headers(declared)
    names = [name.lower() for name, _ in declared]

    assert list(_others(written, names)) == list(_others(raw, names))
    assert isinstance(PARSER.request(written), RequestHead)


@given(request_heads, st.sampled_from([b"traceparent", b"tracestate", b"X-Request-Id"]))
def test_a_declared_header_stands_exactly_once_afterwards(raw: bytes, name: bytes) -> None:
    written = request(raw).with_headers([(name, b"value-1")])

    assert request(written).get_all(name.lower()) == [b"value-1"]


def _others(raw: bytes, names: list[bytes]) -> Iterator[bytes]:
    for line in raw.split(b"\r\n"):
        if line.partition(b":")[0].lower() not in names:
            yield line


# ---- responses


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", 200),
        (b"HTTP/1.0 404\r\n\r\n", 404),
        (b"HTTP/1.1 503 \r\n\r\n", 503),
        (b"HTTP/1.1 100 Continue\r\n\r\n", 100),
        (b"HTTP/1.1 999 \xe4 reason, with: everything\r\n\r\n", 999),
    ],
)
def test_a_status_line_with_or_without_a_reason_gives_the_status(raw: bytes, status: int) -> None:
    assert response(raw).status == status


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", UNTIL_CLOSE),
        (b"HTTP/1.0 200 OK\r\nServer: a\r\n\r\n", UNTIL_CLOSE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n", 17),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", CHUNKED),
    ],
)
def test_a_response_body_is_as_long_as_its_head_says(head: bytes, length: int) -> None:
    assert response(head).length == length


@pytest.mark.parametrize("name", ambiguous.UNCERTAIN_RESPONSES)
def test_a_response_length_that_is_uncertain_is_none(name: str) -> None:
    assert response(ambiguous.UNCERTAIN_RESPONSES[name]).length is None


@pytest.mark.parametrize("name", ambiguous.MALFORMED_RESPONSES)
def test_a_malformed_response_head_is_refused(name: str) -> None:
    assert parse_response(ambiguous.MALFORMED_RESPONSES[name]) is None


@pytest.mark.parametrize(
    ("head", "closes"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", False),
    ],
)
def test_a_server_announces_the_end_of_its_connection(head: bytes, closes: bool) -> None:
    assert response(head).closes is closes


RESPONSE = b"HTTP/1.1 200 Very OK\r\nServer: a\r\nX:\r\nContent-Length: 3\r\n\r\n"


@pytest.mark.parametrize(
    "raw", [RESPONSE, b"HTTP/1.0 204\r\n\r\n", b"HTTP/1.1 200 \r\nA: b\r\n\r\n"]
)
def test_every_beginning_of_a_response_head_could_be_one(raw: bytes) -> None:
    assert all(could_be_response(raw[:length]) for length in range(1, len(raw)))


@pytest.mark.parametrize("name", ambiguous.MALFORMED_RESPONSES)
def test_a_malformed_response_is_refused_before_it_is_complete(name: str) -> None:
    raw = ambiguous.MALFORMED_RESPONSES[name]

    assert not all(could_be_response(raw[:length]) for length in range(1, len(raw)))


def test_what_was_seen_before_does_not_change_the_verdict_on_a_response() -> None:
    for end in range(1, len(RESPONSE)):
        for wrong in (b"", b"\x00", b"\n", b"\r\r", b" ", b"x"):
            beginning = RESPONSE[:end] + wrong
            for seen in range(1, end):
                assert could_be_response(beginning, seen) == could_be_response(beginning)


# ---- any bytes, and a second reader


@given(st.binary(min_size=1, max_size=80))
def test_any_bytes_get_a_verdict(data: bytes) -> None:
    head = b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n"

    assert isinstance(PARSER.request(data), RequestHead | OpaqueReason)
    assert isinstance(PARSER.request(head), RequestHead | OpaqueReason)
    assert isinstance(parse_response(data), ResponseHead | None)
    assert isinstance(could_be_request(data), bool)
    assert isinstance(could_be_response(data), bool)


KNOWN_VALUES = {
    b"Content-Length": [b"5", b"05", b"+5", b"", b"5,5"],
    b"Transfer-Encoding": [b"chunked", b"Chunked", b"gzip", b""],
    b"Host": [b"a", b"", b"b:80"],
    b"Connection": [b"close", b"keep-alive, Upgrade", b""],
    b"Upgrade": [b"websocket", b""],
    b"User-Agent": [b"wrk", b""],
    b"traceparent": [b"1", b"2", b""],
    b"X-Request-Id": [b"1", b""],
    b"X-Other": [b"1", b"Host: b"],
}
known_lines = st.sampled_from(sorted(KNOWN_VALUES)).flatmap(
    lambda name: st.tuples(
        st.sampled_from([name, name.lower(), name.upper()]),
        st.sampled_from([b":", b": ", b":\t "]),
        st.sampled_from(KNOWN_VALUES[name]),
        st.sampled_from([b"", b"", b"", b" ", b"  "]),
    ).map(b"".join)
)


def naively(lines: list[bytes]) -> dict[bytes, list[bytes]]:
    """Read fields in the plainest way there is."""
    values: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        values.setdefault(name.lower(), []).append(value.strip(b" \t"))
    return values


def naive_length(values: dict[bytes, list[bytes]], version: str, otherwise: int) -> int | None:
    lengths, codings = values.get(b"content-length"), values.get(b"transfer-encoding")
    if codings is not None:
        single = [coding.lower() for coding in codings] == [b"chunked"] and lengths is None
        return CHUNKED if single and version == "1.1" else None
    if lengths is None:
        return otherwise
    return int(lengths[0]) if len(lengths) == 1 and lengths[0].isdigit() else None


def head_of(first_line: str, lines: list[bytes]) -> bytes:
    return b"\r\n".join([first_line.encode(), *lines, b"", b""])


@given(st.lists(known_lines, max_size=8), st.sampled_from(["1.0", "1.1"]))
def test_a_request_head_is_read_as_by_the_plainest_reader(lines: list[bytes], version: str) -> None:
    values = naively(lines)
    length = naive_length(values, version, otherwise=0)
    head = PARSER.request(head_of(f"POST / HTTP/{version}", lines))

    if length is None or len(values.get(b"host", [])) > 1:
        assert head is OpaqueReason.AMBIGUOUS
        return
    assert isinstance(head, RequestHead)
    assert (head.length, head.upgrades) == (length, b"upgrade" in values)
    for name in (b"host", b"user-agent", b"traceparent", b"tracestate", b"x-request-id"):
        assert head.get_all(name) == values.get(name, [])
        assert head.get(name) == next(iter(values.get(name, [])), None)


@given(st.lists(known_lines, max_size=6), st.sampled_from(["1.0", "1.1"]))
def test_a_response_head_is_read_as_by_the_plainest_reader(
    lines: list[bytes], version: str
) -> None:
    values = naively(lines)
    head = response(head_of(f"HTTP/{version} 200 OK", lines))

    assert head.length == naive_length(values, version, otherwise=UNTIL_CLOSE)


@given(st.lists(known_lines, max_size=4), st.integers(0, 400), st.binary(max_size=2))
def test_a_damaged_head_is_read_only_where_it_stays_a_head(
    lines: list[bytes], place: int, wound: bytes
) -> None:
    raw = head_of("POST / HTTP/1.1", lines)
    damaged = raw[:place] + wound + raw[place + 1 :]
    head = PARSER.request(damaged) if damaged else None
    if isinstance(head, RequestHead):
        values = naively(damaged.split(b"\r\n")[1:-2])
        assert damaged.endswith(b"\r\n\r\n")
        assert all(re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9a-z]+", name) for name in values)
        assert head.length == naive_length(values, head.version.decode(), otherwise=0)


class _Headers:
    """What llhttp read."""

    def __init__(self) -> None:
        self.fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))


@given(request_heads)
def test_llhttp_reads_the_same_values(raw: bytes) -> None:
    head, theirs = request(raw), _Headers()
    httptools.HttpRequestParser(theirs).feed_data(raw)

    for name in (b"traceparent", b"tracestate", b"x-request-id"):
        values = [value.strip(b" \t") for known, value in theirs.fields if known == name]
        assert head.get_all(name) == values


interesting = st.sampled_from(
    [b"Host", b"content-length", b"Transfer-Encoding", b"connection", b"traceparent", b"Upgrade"]
)
lines = st.lists(
    st.tuples(
        interesting | tokens,
        values | st.sampled_from([b"0", b"12", b"1 ", b"close", b"chunked", b" x\t", b"+1"]),
    ),
    max_size=6,
).map(lambda pairs: b"".join(name + b":" + value + b"\r\n" for name, value in pairs))


@given(lines)
def test_a_head_read_in_one_pass_says_what_it_says_when_read_thoroughly(block: bytes) -> None:
    raw = b"GET /a HTTP/1.1\r\n" + block + b"\r\n"

    quick, thorough = PARSER.request(raw), PARSER._thoroughly(raw)

    if isinstance(quick, OpaqueReason) or isinstance(thorough, OpaqueReason):
        assert quick is thorough
        return
    assert (quick.length, quick.upgrades) == (thorough.length, thorough.upgrades)
    for name in (b"host", b"content-length", b"connection", b"traceparent", b"upgrade"):
        assert quick.get(name) == thorough.get(name)
        assert quick.get_all(name) == thorough.get_all(name)


@given(lines, st.sampled_from([b"200 OK", b"204 ", b"404 Not Found", b"304 Not Modified"]))
def test_a_response_read_in_one_pass_says_what_it_says_when_read_thoroughly(
    block: bytes, status: bytes
) -> None:
    raw = b"HTTP/1.1 " + status + b"\r\n" + block + b"\r\n"

    quick, thorough = _response(raw), _response_thoroughly(raw)

    assert (quick is None) == (thorough is None)
    if quick is not None and thorough is not None:
        assert (quick.status, quick.length, quick.closes) == (
            thorough.status,
            thorough.length,
            thorough.closes,
        )


def test_a_long_response_head_is_not_remembered() -> None:
    before = _remembered_response.cache_info().currsize

    head = parse_response(
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2000 + b"\r\nContent-Length: 3\r\n\r\n"
    )

    assert head is not None
    assert _remembered_response.cache_info().currsize == before


def test_a_rare_field_is_read_wherever_it_stands_and_the_others_with_it() -> None:
    parser = HeadParser((b"x-request-id",), (b"b3", b"x-b3-traceid"))
    head = parser.request(
        b"GET / HTTP/1.1\r\nX-B3-TraceId: a\r\nHost: h\r\nX-Request-Id: 1\r\nB3: 0\r\nBar: x\r\n\r\n"
    )

    assert isinstance(head, RequestHead)
    assert [head.get(name) for name in (b"b3", b"x-b3-traceid", b"x-request-id")] == [
        b"0",
        b"a",
        b"1",
    ]
    assert head.repeats
    assert head.with_headers([(b"b3", None), (b"X-B3-TraceId", b"c")]) == (
        b"GET / HTTP/1.1\r\nX-B3-TraceId: c\r\nHost: h\r\nX-Request-Id: 1\r\nBar: x\r\n\r\n"
    )


def test_without_a_rare_field_nothing_shows_that_there_could_be_one() -> None:
    head = HeadParser((), (b"b3",)).request(b"GET / HTTP/1.1\r\nHost: h\r\nBar: 1\r\n\r\n")

    assert isinstance(head, RequestHead)
    assert (head.get(b"b3"), head.repeats) == (None, False)
