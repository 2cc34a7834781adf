"""`http.md`, row by row, and what holds for any bytes at all."""

import sys
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.headers import Declared
from netra_node.core.limits import Limits
from netra_node.core.records import OpaqueReason, Outcome
from tests.core import ambiguous
from tests.core.transcript import GET, LIMITS, MILLISECOND, NO_CONTENT, Talk

HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n"
CONNECT = b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPGRADE_POST = POST[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"
CHUNKED_OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nuntil the end"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"
INVENTED = b"HTTP/1.1 199 Invented\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"

TRACED: list[Declared] = [(b"X-Trace", b"1")]
ADDED = b"X-Trace: 1\r\n"
GET_TRACED = GET[:-2] + ADDED + b"\r\n"


def get(path: str) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode()


def bytewise(data: bytes) -> Iterator[bytes]:
    return (data[place : place + 1] for place in range(len(data)))


@pytest.fixture
def talk() -> Talk:
    return Talk()


# ---- requests: `http.md`, Requests


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_complete_valid_head_goes_on_with_the_declared_headers(version: str) -> None:
    talk = Talk(TRACED)
    head = b"GET / HTTP/%b\r\nHost: a\r\n" % version.encode()

    assert talk.client(head + b"\r\n") == head + ADDED + b"\r\n"
    assert talk.events == ["begun GET /"]


def test_an_exchange_starts_at_the_first_byte_of_its_head(talk: Talk) -> None:
    talk.now = 7
    talk.client(GET)

    assert talk.last.start == 7


def test_a_head_in_pieces_is_held_until_it_is_complete() -> None:
    talk = Talk(TRACED)

    assert talk.client(GET[:9]) == b""
    assert talk.client(GET[9:]) == GET_TRACED


def test_a_head_in_pieces_starts_with_its_first_piece(talk: Talk) -> None:
    talk.now = 7
    talk.client(GET[:1])
    talk.now = 9
    talk.client(GET[1:])

    assert talk.last.start == 7


def test_a_head_byte_by_byte_goes_on_whole() -> None:
    talk = Talk(TRACED)
    sent = [talk.client(byte) for byte in bytewise(GET)]

    assert sent == [b""] * (len(GET) - 1) + [GET_TRACED]


def test_content_length_many_body_bytes_go_on_as_they_come(talk: Talk) -> None:
    assert talk.client(POST + b"he") == POST + b"he"
    assert talk.client(b"llo") == b"llo"
    assert (talk.last.request_size, talk.last.request_complete) == (5, True)


def test_after_a_content_length_body_comes_the_next_head(talk: Talk) -> None:
    talk.client(POST + b"hello" + get("/2"))

    assert talk.events == ["begun POST /", "begun GET /2"]


def test_a_request_is_not_complete_before_its_last_body_byte(talk: Talk) -> None:
    talk.client(POST + b"hell")

    assert talk.last.request_complete is False


def test_a_chunked_body_goes_on_untouched_with_extensions_and_trailers(talk: Talk) -> None:
    assert talk.client(CHUNKED_POST + CHUNKS) == CHUNKED_POST + CHUNKS
    assert (talk.last.request_size, talk.last.request_complete) == (len(CHUNKS), True)


def test_after_the_trailers_comes_the_next_head(talk: Talk) -> None:
    talk.client(CHUNKED_POST)
    talk.client(CHUNKS + get("/2"))

    assert talk.events == ["begun POST /", "begun GET /2"]


def test_a_request_without_length_has_no_body_and_the_next_head_follows(talk: Talk) -> None:
    talk.client(b"POST / HTTP/1.1\r\n\r\n" + get("/2"))

    assert talk.events == ["begun POST /", "begun GET /2"]


@pytest.mark.parametrize("name", ambiguous.REQUESTS)
def test_an_ambiguous_head_goes_on_unchanged_and_has_no_record(name: str) -> None:
    talk = Talk(TRACED)
    data = ambiguous.REQUESTS[name] + b"hello" + GET

    assert talk.client(data) == data
    assert talk.events == ["opaque ambiguous"]


@pytest.mark.parametrize("name", ambiguous.REQUESTS)
def test_an_ambiguous_head_byte_by_byte_goes_on_unchanged(name: str) -> None:
    talk = Talk(TRACED)
    data = ambiguous.REQUESTS[name] + b"hello" + GET
    for byte in bytewise(data):
        talk.client(byte)

    assert talk.upstream == data
    assert talk.events == ["opaque ambiguous"]


@pytest.mark.parametrize("name", ambiguous.BROKEN_CHUNKS)
def test_broken_chunked_framing_goes_on_unchanged_and_ends_the_exchange_opaque(name: str) -> None:
    talk = Talk()
    data = CHUNKED_POST + ambiguous.BROKEN_CHUNKS[name] + GET

    assert talk.client(data) == data
    assert talk.events == ["begun POST /", "ended POST / 0 opaque", "opaque ambiguous"]


NO_HTTP: dict[str, tuple[bytes, str]] = {
    "method outside llhttp's list": (b"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", "method"),
    "method in small letters": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", "method"),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", "h2"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "tls"),
    "0x16 without end": (b"\x16" * 200_000, "tls"),
    "Redis": (b"*1\r\n$4\r\nPING\r\n", "not_http"),
    "zeros without end": (b"\x00" * 200_000, "not_http"),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n\r\n", "not_http"),
    "HTTP/0.9": (b"GET /\r\n", "not_http"),
    "a blank too many": (b"GET  / HTTP/1.1\r\n\r\n", "not_http"),
    "a blank in the target": (b"GET /a b HTTP/1.1\r\n\r\n", "not_http"),
    "LF first": (b"\n" + GET, "not_http"),
    "CR and a letter": (b"\rG", "not_http"),
}


@pytest.mark.parametrize(("data", "reason"), NO_HTTP.values(), ids=NO_HTTP)
@pytest.mark.parametrize("step", [1, 10, 1 << 20])
def test_what_is_no_http_goes_on_unchanged_and_is_opaque_for_its_reason(
    data: bytes, reason: str, step: int
) -> None:
    talk = Talk(TRACED)
    data = data[: 1000 * step]
    for place in range(0, len(data), step):
        talk.client(data[place : place + step])

    assert talk.upstream == data
    assert talk.events == [f"opaque {reason}"]


def test_a_port_that_is_not_http_is_opaque_from_the_start(talk: Talk) -> None:
    assert talk.conversation.turn_opaque(OpaqueReason.PORT, 1) == b""
    assert talk.client(GET) == GET
    assert talk.events == ["opaque port"]


def test_pipelined_requests_go_on_in_order_each_with_its_own_record() -> None:
    talk = Talk(TRACED)
    talk.client(GET + GET)
    talk.server(OK + NO_CONTENT)

    assert talk.upstream == GET_TRACED + GET_TRACED
    assert [exchange.status for exchange in talk.exchanges] == [200, 204]


def test_expect_100_continue_sends_the_head_at_once_and_the_body_when_it_comes(talk: Talk) -> None:
    head = POST[:-2] + b"Expect: 100-continue\r\n\r\n"

    assert talk.client(head) == head
    assert talk.server(CONTINUE) == b""
    assert talk.client(b"hello") == b"hello"
    talk.server(OK)
    assert talk.events == ["begun POST /", "ended POST / 200 ok"]


def test_after_a_refused_expectation_the_body_is_still_the_body(talk: Talk) -> None:
    talk.client(POST[:-2] + b"Expect: 100-continue\r\n\r\n")
    talk.server(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
    talk.client(b"hello" + GET)

    assert talk.events == ["begun POST /", "ended POST / 417 ok", "begun GET /"]


@pytest.mark.parametrize("status", [200, 204, 299])
def test_connect_answered_by_2xx_is_opaque_and_its_exchange_ended_at_the_final_head(
    talk: Talk, status: int
) -> None:
    talk.client(CONNECT)
    talk.server(b"HTTP/1.1 %d Connected\r\n\r\n\x16\x03" % status)

    assert talk.events == [
        "begun CONNECT a:443",
        f"ended CONNECT a:443 {status} ok",
        "opaque connect",
    ]


def test_a_connect_head_carries_the_declared_headers() -> None:
    assert Talk(TRACED).client(CONNECT) == CONNECT[:-2] + ADDED + b"\r\n"


def test_client_bytes_after_connect_go_on_unparsed(talk: Talk) -> None:
    assert talk.client(CONNECT + b"\x16\x03") == CONNECT + b"\x16\x03"
    assert talk.client(GET) == GET
    assert talk.events == ["begun CONNECT a:443"]


def test_after_a_refused_connect_parsing_resumes(talk: Talk) -> None:
    talk.client(CONNECT)
    talk.server(FORBIDDEN)
    talk.client(GET)
    talk.server(OK)

    assert talk.events == [
        "begun CONNECT a:443",
        "ended CONNECT a:443 403 ok",
        "begun GET /",
        "ended GET / 200 ok",
    ]


def test_a_connect_that_is_redirected_is_refused(talk: Talk) -> None:
    talk.client(CONNECT)
    talk.server(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")
    talk.client(GET)

    assert talk.events[1:] == ["ended CONNECT a:443 302 ok", "begun GET /"]


def test_the_answer_to_a_request_before_connect_says_nothing_about_connect(talk: Talk) -> None:
    talk.client(GET + CONNECT)
    talk.server(OK)
    talk.client(b"\x16\x03")
    talk.server(ESTABLISHED)

    assert talk.events[2:] == [
        "ended GET / 200 ok",
        "ended CONNECT a:443 200 ok",
        "opaque connect",
    ]


def test_after_a_refused_connect_with_client_bytes_in_between_it_is_opaque(talk: Talk) -> None:
    talk.client(CONNECT)
    talk.client(b"\x16")
    talk.server(FORBIDDEN)

    assert talk.events == [
        "begun CONNECT a:443",
        "ended CONNECT a:443 403 opaque",
        "opaque connect",
    ]


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_after_a_refused_connect_that_names_a_body_it_is_opaque(talk: Talk, framing: bytes) -> None:
    talk.client(CONNECT[:-2] + framing + b"\r\n")
    talk.server(FORBIDDEN)

    assert talk.events[1:] == ["ended CONNECT a:443 403 opaque", "opaque connect"]


@pytest.mark.parametrize(
    "head",
    [
        UPGRADE,
        UPGRADE.replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"),
        UPGRADE.replace(b"websocket", b"h2c"),
    ],
)
def test_an_upgrade_answered_by_101_is_opaque(head: bytes) -> None:
    talk = Talk()
    talk.client(head)
    talk.server(SWITCHING + b"\x81\x05hello")

    assert talk.events == ["begun GET /", "ended GET / 101 ok", "opaque upgrade"]
    assert talk.last.request_complete is True
    assert talk.client(b"\x81\x85") == b"\x81\x85"


def test_after_a_refused_upgrade_parsing_resumes(talk: Talk) -> None:
    talk.client(UPGRADE)
    talk.server(OK)
    talk.client(get("/2"))
    talk.server(OK)

    assert talk.events[1:] == ["ended GET / 200 ok", "begun GET /2", "ended GET /2 200 ok"]


def test_after_a_refused_upgrade_with_client_bytes_in_between_it_is_opaque(talk: Talk) -> None:
    assert talk.client(UPGRADE + get("/2")) == UPGRADE + get("/2")
    talk.server(OK)

    assert talk.events == ["begun GET /", "ended GET / 200 opaque", "opaque upgrade"]


def test_the_body_of_a_request_with_upgrade_is_its_body_by_its_framing(talk: Talk) -> None:
    talk.client(UPGRADE_POST + b"he")
    talk.client(b"llo")
    talk.server(OK)
    talk.client(GET)

    assert talk.events == ["begun POST /", "ended POST / 200 ok", "begun GET /"]
    assert (talk.exchanges[0].request_size, talk.exchanges[0].request_complete) == (5, True)


def test_an_upgrade_with_body_answered_by_101_is_opaque(talk: Talk) -> None:
    talk.client(UPGRADE_POST + b"hello")
    talk.server(SWITCHING)

    assert talk.events == ["begun POST /", "ended POST / 101 ok", "opaque upgrade"]
    assert talk.last.request_complete is True


def test_an_upgrade_answered_by_101_within_its_body_is_opaque_and_not_complete(talk: Talk) -> None:
    talk.client(UPGRADE_POST + b"he")
    talk.server(SWITCHING)

    assert talk.events == ["begun POST /", "ended POST / 101 ok", "opaque upgrade"]
    assert talk.last.request_complete is False


def test_after_an_upgrade_refused_within_its_body_the_body_goes_on(talk: Talk) -> None:
    talk.client(UPGRADE_POST + b"he")
    talk.server(OK)
    talk.client(b"llo" + GET)

    assert talk.events == ["begun POST /", "ended POST / 200 ok", "begun GET /"]
    assert talk.exchanges[0].request_complete is False


def test_client_bytes_behind_the_body_of_an_upgrade_are_unparsed(talk: Talk) -> None:
    assert talk.client(UPGRADE_POST + b"hello" + GET) == UPGRADE_POST + b"hello" + GET
    talk.server(OK)

    assert talk.events == ["begun POST /", "ended POST / 200 opaque", "opaque upgrade"]


def test_an_interim_answer_to_an_upgrade_decides_nothing(talk: Talk) -> None:
    talk.client(UPGRADE)
    talk.server(EARLY_HINTS)
    talk.server(SWITCHING)

    assert talk.events == ["begun GET /", "ended GET / 101 ok", "opaque upgrade"]


def test_answers_before_the_one_to_an_upgrade_are_read_as_usual(talk: Talk) -> None:
    talk.client(GET + UPGRADE)
    talk.server(OK)
    talk.server(SWITCHING)

    assert talk.events[2:] == ["ended GET / 200 ok", "ended GET / 101 ok", "opaque upgrade"]


def test_a_101_that_nobody_asked_for_is_opaque_too(talk: Talk) -> None:
    talk.client(POST + b"he")
    talk.server(SWITCHING)

    assert talk.events == ["begun POST /", "ended POST / 101 ok", "opaque upgrade"]
    assert talk.last.request_complete is False


@pytest.mark.parametrize("target", [b"http://a/b%20c?d", b"*", b"/%7Ea//b/../c?x=%zz"])
def test_a_target_of_any_form_goes_on_untouched(target: bytes) -> None:
    talk = Talk(TRACED)
    talk.client(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")

    assert talk.upstream.startswith(b"OPTIONS " + target + b" HTTP/1.1\r\n")
    assert talk.last.target == target


@pytest.mark.parametrize("blank", [b"\r\n", b"\r\n\r\n\r\n"])
def test_empty_lines_before_a_request_go_on_as_they_are(blank: bytes) -> None:
    talk = Talk(TRACED)

    assert talk.client(blank + GET) == blank + GET_TRACED


def test_an_empty_line_between_two_requests_goes_on_as_it_is(talk: Talk) -> None:
    talk.client(POST + b"hello\r\n" + GET)

    assert talk.upstream == POST + b"hello\r\n" + GET
    assert talk.events == ["begun POST /", "begun GET /"]


def test_an_empty_line_is_not_the_start_of_the_exchange_behind_it(talk: Talk) -> None:
    talk.now = 7
    talk.client(b"\r")
    talk.now = 9
    talk.client(b"\n" + GET)

    assert talk.last.start == 9


# ---- what is held, and how long: `http.md`, rule 1


def test_nothing_is_held_at_first(talk: Talk) -> None:
    assert talk.conversation.hold_deadline == 0


def test_an_incomplete_head_is_held_50_ms_after_its_last_byte(talk: Talk) -> None:
    talk.client(GET[:5])
    talk.wait(40)
    talk.client(GET[5:9])

    assert talk.wait(49.9) == b""
    assert talk.wait(0.1) == GET[:9]


def test_an_incomplete_head_is_held_one_second_after_its_first_byte_at_most(talk: Talk) -> None:
    sent = []
    for byte in bytewise(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 100):
        sent.append(talk.client(byte))
        sent.append(talk.wait(40))

    assert next(index for index, out in enumerate(sent) if out) == 2 * 25 - 1
    assert talk.now > 1000 * MILLISECOND


def test_a_complete_head_is_not_held(talk: Talk) -> None:
    talk.client(GET)

    assert talk.conversation.hold_deadline == 0


def test_parsing_goes_on_behind_a_slow_head_and_only_it_gets_no_header() -> None:
    talk = Talk(TRACED)
    talk.client(GET[:9])
    talk.wait(50)
    talk.client(GET[9:] + GET)
    talk.server(OK + OK)

    assert talk.upstream == GET + GET_TRACED
    assert [exchange.slow_head for exchange in talk.exchanges] == [True, False]


def test_behind_a_slow_head_bytes_go_on_as_they_come_and_nothing_is_held(talk: Talk) -> None:
    talk.client(GET[:9])
    talk.wait(50)

    assert [talk.client(byte) for byte in bytewise(GET[9:12])] == list(bytewise(GET[9:12]))
    assert talk.conversation.hold_deadline == 0


def test_a_slow_head_starts_with_its_first_byte(talk: Talk) -> None:
    talk.client(GET[:9])
    talk.wait(50)
    talk.client(GET[9:])

    assert talk.last.start == 1


def test_a_slow_head_that_turns_out_to_be_none_loses_no_byte(talk: Talk) -> None:
    talk.client(GET[:9])
    talk.wait(50)

    assert talk.client(b"\x00rest") == b"\x00rest"
    assert talk.upstream == GET[:9] + b"\x00rest"
    assert talk.events == ["opaque not_http"]


def test_half_an_empty_line_is_let_go_and_parsing_goes_on_behind_it(talk: Talk) -> None:
    talk.client(b"\r")

    assert talk.wait(50) == b"\r"
    assert talk.client(b"\n" + GET) == b"\n" + GET
    assert talk.events == ["begun GET /"]


def test_half_an_empty_line_that_was_let_go_begins_no_request(talk: Talk) -> None:
    talk.client(b"\r")
    talk.wait(50)

    assert talk.client(GET) == GET
    assert talk.events == ["opaque not_http"]


def test_a_head_of_64_kibibytes_is_read(talk: Talk) -> None:
    head = GET[:-2] + b"X: " + b"x" * (65_536 - len(GET) - 5) + b"\r\n\r\n"
    talk.client(head)

    assert len(head) == 65_536
    assert talk.events == ["begun GET /"]


def test_a_head_is_held_up_to_its_64th_kibibyte(talk: Talk) -> None:
    beginning = GET[:-2] + b"X: " + b"x" * (65_536 - len(GET) - 1)

    assert len(beginning) == 65_536
    assert talk.client(beginning) == b""
    assert talk.client(b"x") == beginning + b"x"


@pytest.mark.parametrize("step", [1 << 20, 65_536, 50_000])
def test_a_head_of_one_byte_more_is_opaque_and_goes_on_unchanged(step: int) -> None:
    talk = Talk()
    head = GET[:-2] + b"X: " + b"x" * (65_537 - len(GET) - 5) + b"\r\n\r\n"
    for place in range(0, len(head), step):
        talk.client(head[place : place + step])

    assert talk.upstream == head
    assert talk.events == ["opaque too_large"]


def test_a_target_or_a_header_of_a_mebibyte_is_opaque_and_goes_on_unchanged() -> None:
    for head in (b"GET /" + b"a" * (1 << 20), GET[:-2] + b"X: " + b"x" * (1 << 20)):
        talk = Talk()
        for place in range(0, len(head), 4096):
            talk.client(head[place : place + 4096])
            assert len(talk.conversation._held) <= LIMITS.head

        assert talk.upstream == head
        assert talk.events == ["opaque too_large"]


def head_of(fields: int) -> bytes:
    return b"GET / HTTP/1.1\r\n" + b"a:\r\n" * fields + b"\r\n"


def test_a_head_of_200_fields_is_read(talk: Talk) -> None:
    talk.client(head_of(200))

    assert talk.events == ["begun GET /"]


def test_a_head_of_one_field_more_is_opaque_and_goes_on_unchanged(talk: Talk) -> None:
    assert talk.client(head_of(201)) == head_of(201)
    assert talk.events == ["opaque too_large"]


def test_a_response_head_of_more_than_200_fields_is_opaque(talk: Talk) -> None:
    talk.client(GET)
    talk.server(b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 201 + b"\r\n")

    assert talk.events == ["begun GET /", "ended GET / 0 opaque", "opaque too_large"]


def test_so_is_one_that_comes_as_one_piece_with_its_body(talk: Talk) -> None:
    talk.client(GET)
    talk.server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + b"a:\r\n" * 200 + b"\r\n")

    assert talk.events == ["begun GET /", "ended GET / 0 opaque", "opaque too_large"]


def test_a_head_is_refused_and_let_go_at_its_first_wrong_byte(talk: Talk) -> None:
    talk.client(b"GET / HTTP/1.1\r\nHost")

    assert talk.client(b"\x00") == b"GET / HTTP/1.1\r\nHost\x00"


@pytest.mark.parametrize(
    ("request_head", "announced"), [(GET, 0), (POST, 5), (CHUNKED_POST, -1), (UPGRADE, 0)]
)
def test_what_a_request_announces_of_its_body_is_kept(request_head, announced, talk: Talk) -> None:
    talk.client(request_head)

    assert talk.last.request_length == announced


@pytest.mark.parametrize(
    ("request_head", "answer", "announced"),
    [
        (GET, OK, 2),
        (GET, OK[:-1], 2),
        (HEAD, OK[:-2], 2),
        (HEAD, UNTIL_CLOSE.partition(b"until")[0], -2),
        (GET, NOT_MODIFIED, 5),
        (GET, CHUNKED_OK, -1),
        (GET, UNTIL_CLOSE, -2),
        (GET, CONTINUE, None),
        (GET, EARLY_HINTS + OK, 2),
        (GET, b"", None),
    ],
)
def test_what_an_answer_announces_of_its_body_is_kept(
    request_head, answer, announced, talk: Talk
) -> None:
    talk.client(request_head)
    talk.server(answer)

    assert talk.last.response_length == announced


# ---- responses: `http.md`, Responses


@pytest.mark.parametrize(
    "interim", [CONTINUE, PROCESSING, EARLY_HINTS, INVENTED, CONTINUE + EARLY_HINTS * 5]
)
def test_after_1xx_the_same_request_is_the_oldest_and_the_final_status_its_own(
    talk: Talk, interim: bytes
) -> None:
    talk.client(GET + get("/2"))
    talk.server(interim)
    talk.server(OK + NO_CONTENT)

    assert talk.events[2:] == ["ended GET / 200 ok", "ended GET /2 204 ok"]


def test_256_interim_answers_may_precede_the_final_one(talk: Talk) -> None:
    talk.client(GET)
    talk.server(CONTINUE * 256 + OK)

    assert talk.events == ["begun GET /", "ended GET / 200 ok"]


def test_more_interim_answers_are_opaque(talk: Talk) -> None:
    talk.client(GET)
    talk.server(CONTINUE * 257 + OK)

    assert talk.events == ["begun GET /", "ended GET / 0 opaque", "opaque too_large"]


def test_interim_answers_are_counted_anew_for_every_request(talk: Talk) -> None:
    for _ in range(3):
        talk.client(GET)
        talk.server(CONTINUE * 256 + OK)

    assert talk.opaque is None


def test_an_interim_answer_of_length_zero_has_no_body(talk: Talk) -> None:
    talk.client(GET)
    talk.server(EARLY_HINTS[:-2] + b"Content-Length: 0\r\n\r\n")
    talk.server(NO_CONTENT)

    assert talk.events[1:] == ["ended GET / 204 ok"]


@pytest.mark.parametrize("field", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_an_interim_answer_that_names_a_body_is_opaque(talk: Talk, field: bytes) -> None:
    talk.client(GET)
    talk.server(EARLY_HINTS[:-2] + field + b"\r\n\r\n" + OK)

    assert talk.events[1:] == ["ended GET / 0 opaque", "opaque ambiguous_response"]


def test_the_first_response_byte_is_that_of_the_final_answer(talk: Talk) -> None:
    talk.client(GET)
    talk.now = 10
    talk.server(CONTINUE)
    talk.now = 20
    talk.server(OK[:1])
    talk.now = 30
    talk.server(OK[1:])

    assert (talk.last.first_response, talk.last.end) == (20, 30)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        *ambiguous.UNCERTAIN_RESPONSES.values(),
    ],
)
def test_an_answer_to_head_is_its_head_only_whatever_its_lengths_say(head: bytes) -> None:
    talk = Talk()
    talk.client(HEAD + GET)
    talk.server(head + OK)

    assert talk.events[2:] == ["ended HEAD / 200 ok", "ended GET / 200 ok"]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize(
    "lengths",
    [
        b"",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_204_and_304_are_their_head_only_whatever_their_lengths_say(
    status: bytes, lengths: bytes
) -> None:
    talk = Talk()
    talk.client(GET + get("/2"))
    talk.server(b"HTTP/1.1 " + status + b"\r\n" + lengths + b"\r\n" + OK)

    assert talk.events[3:] == ["ended GET /2 200 ok"]


@pytest.mark.parametrize(
    ("request_head", "answer_head"), [(HEAD, OK[:-2]), (GET, NOT_MODIFIED), (GET, NO_CONTENT)]
)
def test_bytes_behind_an_answer_without_a_body_answer_nothing(
    request_head: bytes, answer_head: bytes
) -> None:
    talk = Talk()
    talk.client(request_head)
    talk.server(answer_head + b"hello"[: 2 if request_head is HEAD else 5])

    assert talk.exchanges[0].outcome is Outcome.OK
    assert talk.opaque is OpaqueReason.UNSOLICITED


def test_a_hundred_pipelined_requests_with_one_head_inside_are_told_apart() -> None:
    talk = Talk(limits=Limits(unanswered=200))
    talk.client(GET * 50 + HEAD + GET * 49)
    talk.server(OK * 50 + OK[:-2] + OK * 49)

    assert [exchange.status for exchange in talk.exchanges] == [200] * 100
    assert talk.exchanges[50].method == b"HEAD"
    assert talk.opaque is None


def test_a_response_with_a_length_ends_with_its_last_byte(talk: Talk) -> None:
    talk.client(GET)
    talk.now = 10
    talk.server(OK[:-1])
    assert talk.exchanges == []
    talk.now = 20
    talk.server(OK[-1:])

    assert (talk.last.end, talk.last.response_size) == (20, 2)


def test_a_chunked_response_ends_after_its_trailers(talk: Talk) -> None:
    talk.client(GET + get("/2"))
    talk.server(CHUNKED_OK + CHUNKS + OK)

    assert talk.events[2:] == ["ended GET / 200 ok", "ended GET /2 200 ok"]
    assert talk.exchanges[0].response_size == len(CHUNKS)


def test_a_response_of_length_zero_ends_at_once(talk: Talk) -> None:
    talk.client(GET)
    talk.server(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")

    assert talk.events[1:] == ["ended GET / 500 ok"]


@pytest.mark.parametrize("head", [UNTIL_CLOSE, UNTIL_CLOSE.replace(b"1.1", b"1.0")])
def test_a_body_until_close_ends_with_the_fin(head: bytes) -> None:
    talk = Talk()
    talk.client(GET)
    talk.server(head)
    talk.server(OK)
    assert talk.exchanges == []
    talk.server_fin()

    assert talk.events[1:] == ["ended GET / 200 ok"]
    assert talk.last.response_size == len(b"until the end") + len(OK)


def test_requests_behind_a_body_until_close_are_never_answered(talk: Talk) -> None:
    talk.client(GET + get("/2"))
    talk.server(UNTIL_CLOSE)
    talk.server_fin()

    assert talk.events[2:] == ["ended GET / 200 ok", "ended GET /2 0 upstream_closed"]


def test_a_response_of_http_1_0_is_followed_and_announces_the_close(talk: Talk) -> None:
    talk.client(GET)
    talk.server(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")

    assert talk.events[1:] == ["ended GET / 200 ok"]
    assert talk.conversation.closing is True


def test_a_response_that_keeps_the_connection_announces_nothing(talk: Talk) -> None:
    talk.client(GET)
    talk.server(OK)

    assert talk.conversation.closing is False


@pytest.mark.parametrize("name", ambiguous.UNCERTAIN_RESPONSES)
def test_a_response_of_uncertain_length_is_opaque(name: str) -> None:
    talk = Talk()
    talk.client(GET)
    talk.server(ambiguous.UNCERTAIN_RESPONSES[name] + b"hello")

    assert talk.events[1:] == ["ended GET / 200 opaque", "opaque ambiguous_response"]


@pytest.mark.parametrize("name", ambiguous.MALFORMED_RESPONSES)
@pytest.mark.parametrize("step", [1, 1 << 20])
def test_a_malformed_response_head_is_opaque(name: str, step: int) -> None:
    talk = Talk()
    talk.client(GET)
    data = ambiguous.MALFORMED_RESPONSES[name] + b"hello"
    for place in range(0, len(data), step):
        talk.server(data[place : place + step])

    assert talk.events[1:] == ["ended GET / 0 opaque", "opaque ambiguous_response"]


@pytest.mark.parametrize("name", ambiguous.BROKEN_CHUNKS)
def test_broken_chunked_framing_of_a_response_is_opaque(name: str) -> None:
    talk = Talk()
    talk.client(GET)
    talk.server(CHUNKED_OK + ambiguous.BROKEN_CHUNKS[name] + OK)

    assert talk.events[1:] == ["ended GET / 200 opaque", "opaque ambiguous_response"]


@pytest.mark.parametrize("step", [1 << 20, 50_000, 4096])
def test_a_response_head_over_64_kibibytes_is_opaque(step: int) -> None:
    talk = Talk()
    talk.client(GET)
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: " + b"x" * 65_536 + b"\r\n\r\n"
    for place in range(0, len(data), step):
        talk.server(data[place : place + step])
        assert len(talk.conversation._answer) <= LIMITS.head

    assert talk.events[1:] == ["ended GET / 0 opaque", "opaque too_large"]


def test_bytes_of_a_server_that_speaks_first_are_opaque(talk: Talk) -> None:
    talk.server(b"220 mail.example ESMTP\r\n")

    assert talk.events == ["opaque server_first"]


def test_what_is_held_is_let_go_when_the_server_speaks_first(talk: Talk) -> None:
    talk.client(b"EHLO")

    assert talk.server(b"220 mail.example ESMTP\r\n") == b"EHLO"


def test_bytes_that_answer_no_request_are_opaque(talk: Talk) -> None:
    talk.client(GET)
    talk.server(OK + b"HTTP/1.1 408 Request Timeout\r\n\r\n")

    assert talk.events[1:] == ["ended GET / 200 ok", "opaque unsolicited"]


def test_a_response_complete_before_its_request_ends_the_exchange_and_not_the_request(
    talk: Talk,
) -> None:
    talk.client(POST + b"he")
    talk.server(FORBIDDEN)

    assert talk.events == ["begun POST /", "ended POST / 403 ok"]
    assert (talk.last.request_complete, talk.last.request_size) == (False, 2)


def test_a_response_that_only_begins_before_its_request_is_complete_ends_as_any_other(
    talk: Talk,
) -> None:
    talk.client(POST + b"he")
    talk.server(OK[:-1])
    talk.client(b"llo")
    talk.server(OK[-1:])

    assert talk.events == ["begun POST /", "ended POST / 200 ok"]
    assert (talk.last.request_complete, talk.last.request_size) == (True, 5)


def test_an_upload_goes_on_though_its_answer_and_the_servers_fin_have_come(talk: Talk) -> None:
    talk.client(POST + b"he")
    talk.server(FORBIDDEN[:25] + b"Connection: close\r\n" + FORBIDDEN[25:])
    talk.server_fin()

    assert talk.client(b"llo") == b"llo"
    assert talk.events == ["begun POST /", "ended POST / 403 ok"]


def test_the_next_head_comes_only_after_the_request_that_was_answered_early(talk: Talk) -> None:
    talk.client(POST + b"he")
    talk.server(FORBIDDEN)
    talk.client(b"llo" + get("/2"))
    talk.server(OK)

    assert talk.upstream == POST + b"hello" + get("/2")
    assert talk.events[2:] == ["begun GET /2", "ended GET /2 200 ok"]


def test_a_record_that_was_handed_over_does_not_change_any_more(talk: Talk) -> None:
    talk.client(POST + b"he")
    talk.server(FORBIDDEN)
    early = talk.last
    talk.client(b"llo")

    assert (early.request_complete, early.request_size) == (False, 2)


# ---- opaque: `http.md`, rule 3


def test_every_open_exchange_ends_opaque_with_what_is_known(talk: Talk) -> None:
    talk.client(GET + get("/2"))
    talk.server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel")
    talk.client(b"\x00")

    assert talk.events[2:] == [
        "ended GET / 200 opaque",
        "ended GET /2 0 opaque",
        "opaque not_http",
    ]
    assert talk.exchanges[0].response_size == 3


def test_opaque_is_for_good_in_both_directions(talk: Talk) -> None:
    talk.client(b"\x16\x03")

    assert talk.client(GET) == GET
    assert talk.server(OK) == b""
    assert talk.events == ["opaque tls"]


def test_half_a_head_goes_on_when_the_server_makes_the_connection_opaque(talk: Talk) -> None:
    talk.client(GET + GET[:9])

    assert talk.server(b"garbage") == GET[:9]
    assert talk.client(GET[9:]) == GET[9:]


def test_what_was_let_go_of_a_slow_head_is_not_sent_again(talk: Talk) -> None:
    talk.client(GET + GET[:9])
    talk.wait(50)

    assert talk.server(b"garbage") == b""
    assert talk.upstream == GET + GET[:9]


# ---- at most 64 unanswered requests: `http.md`, rule 4


def test_at_64_unanswered_requests_reading_stops(talk: Talk) -> None:
    talk.client(GET * 63)
    assert talk.conversation.full is False
    talk.client(GET)

    assert talk.conversation.full is True


def test_what_was_read_behind_64_requests_waits_and_goes_on_in_order(talk: Talk) -> None:
    requests = [get(f"/{number}") for number in range(70)]

    assert talk.client(b"".join(requests)) == b"".join(requests[:64])
    assert talk.server(OK * 2) == b"".join(requests[64:66])
    assert talk.server(OK * 64) == b"".join(requests[66:])
    talk.server(OK * 4)
    assert talk.upstream == b"".join(requests)
    assert [exchange.target for exchange in talk.exchanges] == [b"/%d" % n for n in range(70)]


def test_after_one_answer_reading_goes_on(talk: Talk) -> None:
    talk.client(GET * 64)
    talk.server(OK)

    assert talk.conversation.full is False


def test_the_body_of_the_64th_request_goes_on(talk: Talk) -> None:
    talk.client(GET * 63 + POST + b"he")

    assert talk.conversation.full is False
    assert talk.client(b"llo" + GET) == b"llo"
    assert talk.conversation.full is True


def test_with_a_limit_of_one_requests_go_on_one_by_one() -> None:
    talk = Talk(limits=Limits(unanswered=1))

    assert talk.client(GET + get("/2") + get("/3")) == GET
    assert [talk.server(OK), talk.server(OK), talk.server(OK)] == [get("/2"), get("/3"), b""]


def test_bytes_behind_64_requests_go_on_when_the_connection_turns_opaque(talk: Talk) -> None:
    talk.client(GET * 64 + get("/last"))

    assert talk.server(b"garbage") == get("/last")
    assert talk.conversation.full is False


def test_half_a_head_behind_64_requests_goes_on_though_the_client_sent_its_fin(talk: Talk) -> None:
    talk.client(GET * 64 + GET[:9])
    assert talk.client_fin() == b""

    assert talk.server(OK) == GET[:9]
    assert talk.conversation.hold_deadline == 0


def test_bytes_behind_64_requests_go_on_at_the_servers_fin(talk: Talk) -> None:
    talk.client(GET * 64 + get("/last"))

    assert talk.server_fin() == get("/last")
    assert talk.conversation.full is False


# ---- endings: `http.md`, Endings


@pytest.mark.parametrize("status", [200, 302, 404, 500, 503, 999])
def test_an_answered_request_is_ok_whatever_its_status(talk: Talk, status: int) -> None:
    talk.client(GET)
    talk.server(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    assert talk.events[1:] == [f"ended GET / {status} ok"]


@pytest.mark.parametrize("outcome", [o for o in Outcome if o not in {Outcome.OK, Outcome.OPAQUE}])
def test_unanswered_requests_end_with_the_outcome_of_the_connection(outcome: Outcome) -> None:
    talk = Talk()
    talk.client(GET + get("/2"))
    talk.end(outcome)

    assert talk.events[2:] == [f"ended GET / 0 {outcome.value}", f"ended GET /2 0 {outcome.value}"]


def test_an_exchange_ends_once_however_often_the_connection_does(talk: Talk) -> None:
    talk.client(GET)
    talk.end(Outcome.CLIENT_RESET)
    talk.end(Outcome.UPSTREAM_RESET)
    talk.server_fin()

    assert talk.events[1:] == ["ended GET / 0 client_reset"]
    assert talk.tracing.finished == talk.exchanges


def test_the_servers_fin_before_a_complete_answer_is_upstream_closed(talk: Talk) -> None:
    talk.client(GET)
    talk.server(OK[:-1])
    talk.server_fin()

    assert talk.events[1:] == ["ended GET / 200 upstream_closed"]


def test_the_servers_fin_after_the_clients_is_client_closed(talk: Talk) -> None:
    talk.client(GET)
    talk.client_fin()
    talk.server_fin()

    assert talk.events[1:] == ["ended GET / 0 client_closed"]


def test_a_client_that_sent_its_fin_still_gets_its_answer(talk: Talk) -> None:
    talk.client(GET)
    talk.client_fin()
    talk.server(OK)

    assert talk.events[1:] == ["ended GET / 200 ok"]


def test_half_a_head_goes_on_at_the_clients_fin(talk: Talk) -> None:
    talk.client(GET[:9])

    assert talk.client_fin() == GET[:9]
    assert talk.conversation.hold_deadline == 0


def test_requests_after_the_servers_fin_go_on_and_are_upstream_closed(talk: Talk) -> None:
    talk.server_fin()

    assert talk.client(GET * 64) == GET * 64
    assert talk.events == ["begun GET /"] * 64 + ["ended GET / 0 upstream_closed"] * 64


def test_behind_64_requests_after_the_servers_fin_nothing_is_read_any_more(talk: Talk) -> None:
    talk.server_fin()

    assert talk.client(GET * 100) == GET * 100
    assert talk.events[-1] == "opaque too_large"
    assert len(talk.exchanges) == 64


def test_a_connection_is_idle_between_two_exchanges_only(talk: Talk) -> None:
    idle = [talk.conversation.idle]
    for speak, data in (
        (talk.client, GET[:9]),
        (talk.client, GET[9:]),
        (talk.server, OK[:-1]),
        (talk.server, OK[-1:]),
        (talk.client, POST),
        (talk.server, FORBIDDEN),
        (talk.client, b"hello"),
        (talk.client, b"\x00"),
    ):
        speak(data)
        idle.append(talk.conversation.idle)

    assert idle == [True, False, False, False, True, False, False, True, False]


# ---- errors of ours


def test_an_error_of_ours_costs_the_reading_and_never_a_byte() -> None:
    error = RuntimeError("ours")
    talk = Talk(failure=error)
    talk.client(GET[:9])

    assert talk.client(GET[9:] + POST) == GET + POST
    assert talk.conversation.failure is error
    assert talk.events == ["opaque internal"]


def test_an_error_of_ours_behind_other_requests_repeats_none_of_them() -> None:
    talk = Talk()
    talk.client(GET + POST + b"he")
    talk.tracing.failure = RuntimeError("ours")

    assert talk.client(b"llo" + GET) == b"llo" + GET
    assert talk.upstream == GET + POST + b"hello" + GET
    assert talk.opaque is OpaqueReason.INTERNAL


def test_an_error_of_ours_in_an_answer_lets_go_what_was_held() -> None:
    talk = Talk()
    talk.client(GET * 64 + get("/last"))
    talk.tracing.failure = RuntimeError("ours")

    assert talk.server(OK * 2) == get("/last")
    assert talk.opaque is OpaqueReason.INTERNAL


# ---- what a read may cost: nothing of ours holds the loop over 1 ms


def steps(play: Callable[[bytes], object], data: bytes) -> int:
    """Count the Python functions that are called for one read: what grows with the data is left to C."""
    count = 0

    def called(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(called)
    try:
        play(data)
    finally:
        sys.setprofile(None)
    return count


def test_a_read_full_of_tiny_chunks_takes_a_few_steps(talk: Talk) -> None:
    talk.client(CHUNKED_POST)

    assert steps(talk.client, b"1\r\nx\r\n2;a\r\nxx\r\n" * 20_000) < 30
    assert talk.opaque is None


def test_a_read_full_of_trailers_takes_a_few_steps(talk: Talk) -> None:
    talk.client(CHUNKED_POST + b"0\r\n")

    assert steps(talk.client, b"a:\r\n" * 60_000) < 30
    assert talk.opaque is None


def test_a_read_full_of_empty_lines_takes_a_few_steps(talk: Talk) -> None:
    assert steps(talk.client, b"\r\n" * 120_000) < 30
    assert talk.opaque is None


def test_a_byte_of_a_long_head_costs_about_as_much_as_one_of_a_short_head() -> None:
    assert _cost_of_a_byte_behind(60_000) < 20 * _cost_of_a_byte_behind(100)


def _cost_of_a_byte_behind(length: int) -> float:
    """Return the least time that one more byte took after `length` bytes of a header, in seconds."""
    talk = Talk()
    talk.client(GET[:-2] + b"X: " + b"x" * length)
    conversation, best = talk.conversation, 1.0
    for _ in range(200):
        started = time.perf_counter()
        conversation.client_data(b"x", 1)
        best = min(best, time.perf_counter() - started)
    return best


# ---- every split point

Turn = tuple[str, bytes]

CONVERSATIONS: dict[str, list[Turn]] = {
    "keep-alive": [("client", GET), ("server", OK), ("client", get("/2")), ("server", NO_CONTENT)],
    "pipelined": [("client", GET + HEAD + POST + b"hello"), ("server", OK + OK[:-2] + NO_CONTENT)],
    "chunked": [("client", CHUNKED_POST + CHUNKS + GET), ("server", CHUNKED_OK + CHUNKS + OK)],
    "interim": [("client", POST), ("server", CONTINUE), ("client", b"hello"), ("server", OK)],
    "early answer": [("client", POST + b"h"), ("server", OK), ("client", b"ello" + GET)],
    "connect": [("client", CONNECT), ("server", ESTABLISHED + b"\x00"), ("client", b"\x16")],
    "connect refused": [("client", CONNECT), ("server", FORBIDDEN), ("client", GET)],
    "upgrade": [("client", GET + UPGRADE), ("server", OK + SWITCHING), ("client", b"\x81")],
    "upgrade with body": [("client", UPGRADE_POST + b"hello"), ("server", OK), ("client", GET)],
    "until close": [("client", GET), ("server", UNTIL_CLOSE)],
    "empty lines": [("client", b"\r\n\r\n" + GET + b"\r\n" + GET), ("server", NOT_MODIFIED + OK)],
    "broken body": [("client", CHUNKED_POST + b"5\r\nhelloworld\r\n" + GET)],
    "broken answer": [("client", GET), ("server", OK + b"and more"), ("client", GET)],
    "answer in an answer": [("client", GET), ("server", b"HTTP/1.1 404 No\r\nX: " + OK)],
    "h2": [("client", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
}


def play(turns: list[Turn], cut: int | None = None, step: int = 1 << 20) -> tuple[object, ...]:
    """Return everything a conversation came to, its bytes cut at one place, or into equal steps."""
    talk = Talk(TRACED)
    place = 0
    for side, data in turns:
        parts = [data[low : low + step] for low in range(0, len(data), step)]
        if cut is not None and 0 < cut - place < len(data):
            parts = [data[: cut - place], data[cut - place :]]
        place += len(data)
        for part in parts:
            talk.client(part) if side == "client" else talk.server(part)
    talk.client_fin()
    talk.server_fin()
    sizes = [(e.request_size, e.response_size, e.request_complete) for e in talk.exchanges]
    names = sorted(event for event in talk.events if event.startswith("begun"))
    ends = [event for event in talk.events if not event.startswith("begun")]
    return talk.upstream, names, ends, sizes if talk.opaque is None else None


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_cut_anywhere_comes_to_the_same(name: str) -> None:
    turns = CONVERSATIONS[name]
    whole = play(turns)
    for cut in range(1, sum(len(data) for _, data in turns)):
        assert play(turns, cut) == whole


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_byte_by_byte_comes_to_the_same(name: str) -> None:
    turns = CONVERSATIONS[name]

    assert play(turns, step=1) == play(turns)


# ---- many heads at once


def test_heads_behind_as_many_bytes_as_are_read_in_a_turn_wait_for_the_next() -> None:
    talk = Talk(limits=Limits(turn=2 * len(GET)), turns_at_once=False)

    assert talk.client(5 * GET) == 2 * GET
    assert talk.conversation.behind
    assert talk.conversation.full
    assert talk.turn() == 2 * GET
    assert talk.turn() == GET
    assert not talk.conversation.behind
    assert not talk.conversation.full
    assert talk.upstream == 5 * GET


def test_a_head_longer_than_that_is_read_whole() -> None:
    long = GET[:-2] + b"X: " + b"x" * 100 + b"\r\n\r\n"
    talk = Talk(limits=Limits(turn=10), turns_at_once=False)

    assert talk.client(long + GET) == long
    assert talk.turn() == GET


def test_bodies_do_not_count() -> None:
    post = POST + b"hello"
    talk = Talk(limits=Limits(turn=len(POST) + 1), turns_at_once=False)

    assert talk.client(2 * post + GET) == 2 * post
    assert talk.turn() == GET


def test_what_comes_behind_what_waits_stays_behind_it() -> None:
    talk = Talk(limits=Limits(turn=1), turns_at_once=False)
    talk.client(2 * GET)

    assert talk.client(b"POST") == b""
    assert talk.turn() == GET
    assert talk.conversation.hold_deadline == 0
    assert talk.turn() == b""
    assert talk.client(POST[4:] + b"hello") == POST + b"hello"


def test_what_waits_for_a_turn_is_no_peace_to_close_in() -> None:
    talk = Talk(limits=Limits(turn=1), turns_at_once=False)
    talk.client(2 * GET)
    talk.server(NO_CONTENT)

    assert not talk.conversation.idle


def test_an_answer_is_as_good_as_a_turn() -> None:
    talk = Talk(limits=Limits(turn=1), turns_at_once=False)
    talk.client(3 * GET)

    assert talk.server(NO_CONTENT) == GET
    assert talk.conversation.behind


def test_behind_too_many_unanswered_requests_no_turn_helps() -> None:
    talk = Talk(limits=Limits(unanswered=1, turn=1), turns_at_once=False)
    talk.client(2 * GET)

    assert talk.conversation.full
    assert not talk.conversation.behind
    assert talk.turn() == b""


def test_what_waits_for_a_turn_goes_on_when_the_connection_turns_opaque() -> None:
    talk = Talk(limits=Limits(turn=1), turns_at_once=False)
    talk.client(2 * GET)

    assert talk.server(b"garbage") == GET
    assert talk.opaque is OpaqueReason.AMBIGUOUS_RESPONSE
    assert not talk.conversation.full


# ---- any bytes, in any pieces, in any order

SMALL = Limits(head=200, unanswered=3, turn=30, chunk_line=64)

REQUESTS = [
    GET, HEAD, POST + b"hello", CHUNKED_POST + CHUNKS, b"\r\n" + GET, UPGRADE, CONNECT,
    CHUNKED_POST + b"1\r\na\r\n" * 5 + b"0\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"BREW / HTTP/1.1\r\n\r\n",
    GET[:-2] + b"X: " + b"x" * 200 + b"\r\n\r\n", *ambiguous.REQUESTS.values(),
    *ambiguous.UNAMBIGUOUS.values(), *(CHUNKED_POST + body for body in ambiguous.BROKEN_CHUNKS.values()),
]  # fmt: skip
RESPONSES = [
    OK, NO_CONTENT, NOT_MODIFIED, CHUNKED_OK + CHUNKS, CONTINUE, EARLY_HINTS, SWITCHING, ESTABLISHED,
    UNTIL_CLOSE, OK[:-2], b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    *ambiguous.UNCERTAIN_RESPONSES.values(), *ambiguous.MALFORMED_RESPONSES.values(),
    *(CHUNKED_OK + body for body in ambiguous.BROKEN_CHUNKS.values()),
]  # fmt: skip
SNIPPETS = [
    b"\r\n", b"\r", b"\n", b"\r\n\r\n", b":", b" ", b"\x00", b"\x0b", b";", b"0\r\n\r\n", b"HTTP/1.1",
    b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"\xff",
    b"5\r\nhello\r\n", b"Upgrade: a\r\n", b"\r\n ", b"Host: b\r\n", b"+", b"0x", b"_",
]  # fmt: skip


@st.composite
def streams(draw: st.DrawFn, messages: list[bytes], sound: int) -> bytes:
    """Messages in a row, the first `sound` kinds of them preferred, with up to three wounds: cut, splice or flip."""
    preferred = st.sampled_from(messages[:sound])
    one = st.one_of(preferred, preferred, preferred, st.sampled_from(messages))
    data = b"".join(draw(st.lists(one, max_size=6)))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data)))
        removed = draw(st.integers(0, 3))
        data = data[:place] + draw(st.sampled_from([b"", *SNIPPETS])) + data[place + removed :]
    return data


client_streams = streams(REQUESTS, 5) | st.binary(max_size=60)
server_streams = streams(RESPONSES, 6) | st.binary(max_size=60)
#: (what happens next, with how many bytes or milliseconds)
schedules = st.lists(
    st.tuples(
        st.sampled_from(
            ["client"] * 8 + ["server"] * 8 + ["turn"] * 2 + ["wait", "client fin", "server fin"]
        ),
        st.sampled_from([1, 2, 5, 40, 60, 100, 1000]),
    ),
    max_size=60,
)
Schedule = list[tuple[str, int]]


class Fuzz:
    """Plays two streams by a schedule, as a shell would: no reading from a client while the conversation is full."""

    def __init__(self, client: bytes, server: bytes, declared: list[Declared]) -> None:
        self.talk = Talk(declared, SMALL, turns_at_once=False)
        self.client = client
        self.server = server
        self.fed = b""
        self.fins: set[str] = set()

    def play(self, schedule: Schedule) -> None:
        for action, amount in schedule:
            self._step(action, amount)
        for action in ("client", "turn", "server", "turn") * 3:
            self._step(action, 1 << 20)
        for action in ("client fin", "server fin", "turn", "client fin"):
            self._step(action, 1 << 20)
        self.talk.end(Outcome.CLIENT_CLOSED)

    def _step(self, action: str, amount: int) -> None:
        talk = self.talk
        match action:
            case "client" if "client fin" not in self.fins and not talk.conversation.full:
                part, self.client = self.client[:amount], self.client[amount:]
                self.fed += part
                opaque = talk.opaque is not None
                out = talk.client(part)
                assert out == part or not opaque
            case "server" if "server fin" not in self.fins:
                part, self.server = self.server[:amount], self.server[amount:]
                talk.server(part)
            case "turn":
                while talk.conversation.behind:
                    talk.turn()
            case "wait":
                talk.wait(amount)
            case "client fin" if action not in self.fins and not talk.conversation.full:
                self.fins.add(action)
                talk.client_fin()
            case "server fin" if action not in self.fins:
                self.fins.add(action)
                talk.server_fin()
        self._check_memory()

    def _check_memory(self) -> None:
        conversation = self.talk.conversation
        assert len(conversation._held) <= SMALL.head
        assert len(conversation._answer) <= SMALL.head
        assert len(conversation._open) <= SMALL.unanswered
        assert conversation.full or not conversation._waiting


@given(client_streams, server_streams, schedules)
def test_whatever_comes_every_byte_goes_on_in_order(
    client: bytes, server: bytes, schedule: Schedule
) -> None:
    fuzz = Fuzz(client, server, [])
    fuzz.play(schedule)

    assert fuzz.talk.upstream == fuzz.fed


@given(client_streams, server_streams, schedules)
def test_whatever_comes_only_declared_headers_are_added(
    client: bytes, server: bytes, schedule: Schedule
) -> None:
    fuzz = Fuzz(client, server, TRACED)
    fuzz.play(schedule)

    assert fuzz.talk.upstream.replace(ADDED, b"") == fuzz.fed
    rewritten = sum(not exchange.slow_head for exchange in fuzz.talk.tracing.begun)
    assert fuzz.talk.upstream.count(ADDED) == rewritten


@given(client_streams, server_streams, schedules)
def test_whatever_comes_nothing_of_ours_fails(
    client: bytes, server: bytes, schedule: Schedule
) -> None:
    fuzz = Fuzz(client, server, TRACED)
    fuzz.play(schedule)

    assert fuzz.talk.conversation.failure is None


@given(client_streams, server_streams, schedules)
def test_whatever_comes_each_exchange_ends_exactly_once(
    client: bytes, server: bytes, schedule: Schedule
) -> None:
    fuzz = Fuzz(client, server, [])
    fuzz.play(schedule)
    talk = fuzz.talk

    assert sorted(map(id, talk.exchanges)) == sorted(map(id, talk.tracing.begun))
    assert talk.tracing.finished == talk.exchanges
    assert all(exchange.outcome for exchange in talk.exchanges)
    assert talk.record.exchanges == len(talk.exchanges)


@given(client_streams, server_streams, st.integers(1, 30))
def test_whatever_comes_in_small_pieces_comes_to_the_same(
    client: bytes, server: bytes, step: int
) -> None:
    turns = [("client", client), ("server", server)]

    assert play(turns, step=step)[:3] == play(turns)[:3]
