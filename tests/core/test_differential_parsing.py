"""Where h11 or llhttp sees another boundary than we do, we must have stopped reading: any streams, any order of events.

What must hold at every step and at the end, and the comparison, is `watched`.
"""

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from e2e.corpus.case import Case
from e2e.corpus.cases import ALL as CASES
from e2e.corpus.marks import sent
from netra_node.core.limits import Limits
from netra_node.core.records import Outcome
from tests.core import ambiguous
from tests.core.node_reader import NodeReader
from tests.core.readers import (
    HARMLESS,
    Asked,
    Reading,
    h11_answers,
    h11_requests,
    harmless,
    llhttp_answers,
    llhttp_requests,
)
from tests.core.streams import ODD_ANSWERS, ODD_REQUESTS, client_streams, server_streams
from tests.core.transcript import GET, LIMITS, NO_CONTENT
from tests.core.watched import Watched, rewritten

SMALL = Limits(head=200, fields=6, interim=3, unanswered=3, turn=60, chunk_line=64)
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n0\r\nX: 1\r\n\r\n"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED_OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nX: 1\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def pieces(data: bytes, step: int) -> list[bytes]:
    return [data[place : place + step] for place in range(0, len(data), step)]


def watch(client: bytes, server: bytes, step: int, limits: Limits = LIMITS) -> Watched:
    """Play a client's bytes and then a server's in steps and judge the whole."""
    watched = Watched(limits)
    for part in pieces(client, step):
        watched.client(part)
    for part in pieces(server, step):
        watched.server(part)
    watched.finish()
    return watched


# ---- the readers themselves


@pytest.mark.parametrize("read", [llhttp_requests, h11_requests])
def test_a_reader_tells_where_every_head_and_every_request_ends(read: object) -> None:
    assert callable(read)
    reading = read(GET + POST + CHUNKED)

    ends = [len(GET), len(GET + POST), len(GET + POST + CHUNKED)]
    assert [message.end for message in reading.messages] == ends
    assert [message.body for message in reading.messages] == [0, 5, 1]
    assert reading.messages[1].head_end == ends[1] - 5


@pytest.mark.parametrize("read", [llhttp_answers, h11_answers])
def test_a_reader_of_answers_knows_head_and_leaves_interim_ones_out(read: object) -> None:
    assert callable(read)
    head_only = OK[:-2]
    stream = CONTINUE + head_only + CHUNKED_OK + NO_CONTENT
    reading = read(stream, [Asked(b"HEAD"), Asked(b"GET"), Asked(b"GET")], eof=True)

    assert [message.status for message in reading.messages] == [200, 200, 204]
    assert [message.end for message in reading.messages] == [
        len(CONTINUE + head_only),
        len(stream) - len(NO_CONTENT),
        len(stream),
    ]


def test_a_stop_is_harmless_only_where_it_is_listed() -> None:
    host, twice = (
        Reading(stop="Missing mandatory Host: header"),
        Reading(stop="Duplicate Content-Length"),
    )
    blank = Reading(stop="Invalid character in chunk size", line=b"5 ;a\r\n")

    assert harmless("h11", host)
    assert not harmless("llhttp", host)
    assert not harmless("h11", Reading())
    assert harmless("llhttp", twice, bodiless=True)
    assert not harmless("llhttp", twice)
    assert harmless("llhttp", blank)
    blank.line = b"5 \r\n"
    assert not harmless("llhttp", blank)


def test_every_harmless_stop_says_why() -> None:
    assert all(known.words and known.reason for known in HARMLESS)


def test_declared_headers_are_written_line_by_line_where_they_stand() -> None:
    head = b"GET / HTTP/1.1\r\nA:  1\r\nB: 2\r\na: 3\r\nC: 4\r\n\r\n"

    assert rewritten(head, [(b"a", b"x"), (b"C", None), (b"D", b"y")]) == (
        b"GET / HTTP/1.1\r\nA:  x\r\nB: 2\r\nD: y\r\n\r\n"
    )


# ---- one by one


@pytest.mark.parametrize("step", [1 << 20, 1, 7])
@pytest.mark.parametrize("number", range(len(ODD_REQUESTS)))
def test_an_odd_request_is_cut_as_others_cut_it_or_not_at_all(number: int, step: int) -> None:
    watch(GET + ODD_REQUESTS[number] + b"hello" + GET, OK * 3, step)


@pytest.mark.parametrize("step", [1 << 20, 1, 7])
@pytest.mark.parametrize("number", range(len(ODD_ANSWERS)))
def test_an_odd_answer_is_cut_as_others_cut_it_or_not_at_all(number: int, step: int) -> None:
    watch(GET * 3, OK + ODD_ANSWERS[number] + b"hello" + OK, step)
    watch(GET + HEAD + GET, OK + ODD_ANSWERS[number] + OK, step)


@pytest.mark.parametrize("pair", [*product(ambiguous.SOUND_CHUNKS, repeat=2)], ids="-".join)
def test_sound_chunks_in_a_row_are_cut_as_others_cut_them(pair: tuple[str, str]) -> None:
    head = CHUNKED[: CHUNKED.index(b"\r\n\r\n") + 4]
    watched = watch(b"".join(head + ambiguous.SOUND_CHUNKS[name] for name in pair), OK * 2, 1 << 20)

    assert [exchange.outcome for exchange in watched.exchanges] == [Outcome.OK] * 2


def played(case: Case, step: int) -> Watched:
    """Play a case of the harness in steps and judge it."""
    watched = Watched(LIMITS)
    for doing in case.steps:
        speak = watched.client if doing.client else watched.server
        fin = watched.client_fin if doing.client else watched.server_fin
        for said in doing.says:
            if isinstance(said, bytes):
                for part in pieces(sent(said), step):
                    speak(part)
            elif isinstance(said, float):
                watched.wait(1000 * said)
            else:
                fin()
    watched.finish()
    return watched


@pytest.mark.parametrize("step", [1 << 20, 11])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_of_the_harness_is_cut_as_others_cut_it_or_not_at_all(case: Case, step: int) -> None:
    played(case, step)


# ---- any streams


@given(client_streams, st.sampled_from([LIMITS, SMALL]), st.sampled_from([1, 3, 50, 1 << 20]))
def test_whatever_a_client_sends_is_cut_as_others_cut_it(
    stream: bytes, limits: Limits, step: int
) -> None:
    watch(stream, b"", step, limits)


@given(
    server_streams,
    st.lists(st.sampled_from([GET, HEAD, POST]), min_size=1, max_size=6),
    st.sampled_from([1, 3, 50, 1 << 20]),
)
def test_whatever_a_server_sends_is_cut_as_others_cut_it(
    stream: bytes, asked: list[bytes], step: int
) -> None:
    watch(b"".join(asked), stream, step)


# ---- Node's llhttp, which knows HEAD and the end of a connection


@pytest.fixture(scope="module")
def node() -> Iterator[NodeReader]:
    with NodeReader() as reader:
        yield reader


def compare_with_node(node: NodeReader, watched: Watched) -> None:
    readings = node.read(watched.fed, watched.served, watched.asked)
    watched.compare("llhttp of node", *readings)


@pytest.mark.long
def test_node_tells_where_messages_end(node: NodeReader) -> None:
    client, server = GET + POST + CHUNKED + HEAD, OK + CONTINUE + CHUNKED_OK + OK + OK[:-2]
    requests, answers = node.read(client, server, [Asked(b"GET")] * 3 + [Asked(b"HEAD")])

    assert [message.end for message in requests.messages] == [
        message.end for message in h11_requests(client).messages
    ]
    assert [message.end for message in answers.messages] == [
        len(OK), len(OK + CONTINUE + CHUNKED_OK), len(server) - len(OK) + 2, len(server)
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(300)
def test_node_cuts_every_case_of_the_harness_as_we_do_or_we_do_not(node: NodeReader) -> None:
    for case in CASES:
        compare_with_node(node, played(case, 1 << 20))


@pytest.mark.long
@pytest.mark.timeout(300)
@settings(max_examples=3000)
@given(client=client_streams, server=server_streams)
def test_node_cuts_any_streams_as_we_do_or_we_do_not(
    node: NodeReader, client: bytes, server: bytes
) -> None:
    compare_with_node(node, watch(client, server, 1 << 20))


# ---- any order of events

amounts = st.sampled_from([1, 2, 5, 40, 100, 1000])


class AnyOrder(RuleBasedStateMachine):
    """Two streams that pass in any pieces while time passes, holds end and sides say farewell."""

    @initialize(
        client=client_streams, server=server_streams, limits=st.sampled_from([LIMITS, SMALL])
    )
    def begin(self, client: bytes, server: bytes, limits: Limits) -> None:
        self.watched = Watched(limits)
        self.left = {"client": client, "server": server}

    def _next(self, side: str, amount: int) -> bytes:
        part, self.left[side] = self.left[side][:amount], self.left[side][amount:]
        return part

    @rule(amount=amounts)
    def client_speaks(self, amount: int) -> None:
        if not self.watched.conversation.full:
            self.watched.client(self._next("client", amount))

    @rule(amount=amounts)
    def server_speaks(self, amount: int) -> None:
        self.watched.server(self._next("server", amount))

    @rule()
    def all_is_said(self) -> None:
        self.client_speaks(1 << 20)
        self.server_speaks(1 << 20)

    @rule(milliseconds=st.sampled_from([1, 49, 50, 990, 1000]))
    def time_passes(self, milliseconds: int) -> None:
        self.watched.wait(milliseconds)

    @rule()
    def a_hold_ends_early(self) -> None:
        self.watched.release()

    @rule()
    def client_says_farewell(self) -> None:
        self.watched.client_fin()

    @rule()
    def server_says_farewell(self) -> None:
        self.watched.server_fin()

    def teardown(self) -> None:
        if hasattr(self, "watched"):
            self.watched.finish()


test_in_any_order_of_events_bytes_boundaries_and_records_are_true = AnyOrder.TestCase
# an example of this one costs as much as several of the others
test_in_any_order_of_events_bytes_boundaries_and_records_are_true.settings = settings(
    max_examples=settings().max_examples // 2, stateful_step_count=20
)
