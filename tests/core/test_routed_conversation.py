"""Requests for several upstreams on one connection: each waits for those before it, no byte goes astray."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.addresses import ClientAddr, OriginalDst
from netra_node.core.conversation import HttpRules
from netra_node.core.head import HeadParser
from netra_node.core.headers import Declared, HeaderView
from netra_node.core.limits import Limits
from netra_node.core.linking import LinkTable
from netra_node.core.propagation import Propagation
from netra_node.core.records import ConnectionRecord, Direction, Exchange, OpaqueReason, Outcome
from netra_node.core.route_memory import RouteMemory
from netra_node.core.routed_conversation import RoutedConversation
from netra_node.core.routed_tracing import RoutedTracing, Routes
from netra_node.core.routing import RouteNames, RouteSource
from netra_node.core.sampling import sampler_from
from netra_node.core.tracing import IdSource, TracingOptions

MILLISECOND = 1_000_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(host: str, body: str = "") -> bytes:
    """Return a request that is routed to `host`; empty: it has no route."""
    route = f"X-Route: a={host}\r\n" if host else ""
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"GET /{host} HTTP/1.1\r\nHost: a\r\n{route}{length}\r\n{body}".encode()


class SilentTracing(RoutedTracing):
    """Declares nothing, so that bytes in are bytes out; raises `failure` once it is set."""

    failure: Exception | None = None

    def begin(
        self, direction: Direction, exchange: Exchange, view: HeaderView, now: int
    ) -> list[Declared]:
        if self.failure is not None:
            raise self.failure
        super().begin(direction, exchange, view, now)
        return []

    def ended(self, exchange: Exchange, now: int) -> None:
        if self.failure is not None and exchange.outcome is Outcome.OK:
            raise self.failure


def tracing() -> SilentTracing:
    routes = Routes(RouteSource(RouteNames()), RouteMemory(1), lambda: None)
    ids = IdSource(lambda: 1, lambda: 2, lambda: b"new")
    return SilentTracing(
        Propagation(()), sampler_from("always_off", 0), LinkTable(1), ids, TracingOptions(b"me"), routes
    )  # fmt: skip


class Talk:
    """One connection, and a shell that switches as soon as it may. `sent` is what went where."""

    def __init__(self) -> None:
        self.tracing = tracing()
        self.record = ConnectionRecord(
            Direction.OUTBOUND, ClientAddr("10.0.0.1", 5), OriginalDst("10.0.0.2", 80), 0
        )
        parser = HeadParser(self.tracing.fields, self.tracing.rare)
        rules = HttpRules(parser, self.tracing, Limits())
        self.conversation = RoutedConversation(self.record, rules, self.tracing)
        self.now = 1
        self.sent: dict[str, bytes] = {}

    def client(self, data: bytes) -> None:
        self._forward(self.conversation.client_data(data, self.now))
        self.switch()

    def server(self, data: bytes) -> None:
        self._forward(self.conversation.server_data(data, self.now))
        self.switch()

    def switch(self) -> None:
        if self.conversation.switching and self.conversation.answered:
            self._forward(self.conversation.switched(self.now))

    def _forward(self, out: bytes) -> None:
        target = self.conversation.upstream
        name = "" if target is None else target.host
        if out:
            self.sent[name] = self.sent.get(name, b"") + out


def test_requests_without_route_go_to_the_original_destination() -> None:
    talk = Talk()
    talk.client(get("") * 3)

    assert talk.sent == {"": get("") * 3}


def test_the_first_request_goes_where_its_route_leads_at_once() -> None:
    talk = Talk()
    talk.client(get("b"))

    assert talk.sent == {"b": get("b")}


def test_requests_of_one_route_are_pipelined() -> None:
    talk = Talk()
    talk.client(get("b") * 3)

    assert talk.sent == {"b": get("b") * 3}


def test_a_request_for_another_upstream_waits_for_all_answers_of_the_one_before() -> None:
    talk = Talk()
    talk.client(get("b") * 2 + get("c", "body") + get("c") + get("b"))
    assert talk.conversation.full
    assert talk.sent == {"b": get("b") * 2}

    talk.server(OK)
    assert talk.sent == {"b": get("b") * 2}
    talk.server(OK)
    assert talk.sent == {"b": get("b") * 2, "c": get("c", "body") + get("c")}
    talk.server(OK + OK)
    assert talk.sent == {"b": get("b") * 3, "c": get("c", "body") + get("c")}
    assert not talk.conversation.full


def test_the_rest_of_a_body_goes_to_its_own_upstream_though_it_was_answered() -> None:
    talk = Talk()
    first = get("b", "body")
    talk.client(first[:-2])
    talk.server(OK)
    talk.client(first[-2:] + get("c"))

    assert talk.sent == {"b": first, "c": get("c")}


def test_bytes_that_come_while_a_request_waits_wait_behind_it() -> None:
    talk = Talk()
    talk.client(get("b"))
    talk.client(get("c", "body")[:-2])
    talk.client(get("c", "body")[-2:])
    assert talk.sent == {"b": get("b")}

    talk.server(OK)
    assert talk.sent["c"] == get("c", "body")


def test_an_exchange_that_waited_started_when_its_first_byte_came() -> None:
    talk = Talk()
    talk.client(get("b"))
    talk.now = 10
    talk.client(get("c")[:9])
    talk.now = 20
    talk.client(get("c")[9:])
    talk.now = 30
    talk.server(OK)
    talk.now = 40
    talk.server(OK)

    assert [(e.start, e.end) for e in talk.conversation.ended] == [(1, 30), (10, 40)]


def test_behind_a_head_in_pieces_nothing_is_lost_or_doubled() -> None:
    talk = Talk()
    for byte in get("b") + get("b"):
        talk.client(bytes((byte,)))

    assert talk.sent == {"b": get("b") * 2}


def test_the_rest_of_a_slow_head_goes_where_its_beginning_went() -> None:
    talk = Talk()
    talk.client(get("b")[:20])
    out = talk.conversation.release()
    talk.client(get("b")[20:])

    assert out + talk.sent[""] == get("b")
    assert talk.conversation.upstream is None


def test_connect_and_upgrade_stay_with_their_upstream() -> None:
    talk = Talk()
    upgrade = get("b")[:-2] + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n"
    talk.client(upgrade)
    talk.server(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    talk.client(get("c"))

    assert talk.sent == {"b": upgrade + get("c")}
    assert talk.record.opaque is OpaqueReason.UPGRADE


UNREADABLE = [b"what?", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", OK + b"more"]


@pytest.mark.parametrize("said", UNREADABLE)
def test_an_upstream_whose_answer_cannot_be_read_gets_nothing_more(said: bytes) -> None:
    talk = Talk()
    talk.client(get("b"))
    talk.server(said)

    assert talk.record.opaque is not None
    assert talk.conversation.severed
    assert talk.conversation.dropped is said.endswith(b"more")
    assert talk.conversation.excess == (4 if said.endswith(b"more") else 0)
    assert talk.sent == {"b": get("b")}


@pytest.mark.parametrize("upstream", ["", "b"])
@pytest.mark.parametrize("said", UNREADABLE[:1])
def test_what_waited_for_another_is_lost_then_and_told_so(said: bytes, upstream: str) -> None:
    talk = Talk()
    talk.client(get(upstream) + get("c") + get(""))
    talk.server(said)

    assert talk.conversation.severed
    assert talk.conversation.dropped
    assert talk.sent == {upstream: get(upstream)}
    assert not talk.conversation.switching


def test_the_original_destination_may_speak_something_else() -> None:
    talk = Talk()
    talk.client(get("b"))
    talk.server(OK)
    talk.client(get(""))
    talk.server(b"what?")
    talk.client(get("c"))

    assert not talk.conversation.severed
    assert talk.sent == {"b": get("b"), "": get("") + get("c")}


@pytest.mark.parametrize("odd", [b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"])  # fmt: skip
def test_what_a_client_sends_that_cannot_be_read_goes_where_it_wanted_to(odd: bytes) -> None:
    talk = Talk()
    talk.client(get("b") + odd)
    assert talk.sent == {"b": get("b")}
    talk.server(OK)
    talk.client(get("b"))

    assert talk.sent == {"b": get("b"), "": odd + get("b")}
    assert talk.record.opaque is not None


def test_the_rest_of_a_body_that_cannot_be_followed_is_its_upstreams() -> None:
    talk = Talk()
    broken = get("b")[:-2] + b"Transfer-Encoding: chunked\r\n\r\nno chunk\r\n"
    talk.client(broken)

    assert talk.sent == {"b": broken}


def test_an_error_of_ours_when_it_goes_on_costs_the_connection() -> None:
    talk = Talk()
    talk.client(get("b") + get("c") + get("b"))
    talk.conversation.server_data(OK, 1)
    talk.tracing.failure = LookupError("planted")
    talk.switch()

    assert talk.sent == {"b": get("b")}
    assert talk.conversation.dropped
    assert talk.record.opaque is OpaqueReason.INTERNAL


def test_an_error_of_ours_with_the_original_destination_costs_no_byte() -> None:
    talk = Talk()
    talk.client(get("")[:9])
    talk.tracing.failure = LookupError("planted")
    talk.client(get("")[9:] + get("b"))

    assert talk.sent == {"": get("") + get("b")}
    assert not talk.conversation.severed


def test_an_error_of_ours_when_reading_an_answer_costs_the_connection() -> None:
    talk = Talk()
    talk.client(get("b") + get("c") + get("b"))
    talk.tracing.failure = LookupError("planted")
    talk.server(OK)

    assert talk.sent == {"b": get("b")}
    assert talk.conversation.dropped
    assert talk.record.opaque is OpaqueReason.INTERNAL


def test_it_is_not_idle_while_a_request_waits() -> None:
    talk = Talk()
    assert talk.conversation.idle
    talk.conversation.client_data(get("b"), 1)

    assert talk.conversation.switching
    assert not talk.conversation.idle


def test_our_own_answer_is_the_record_of_the_oldest_and_ends_all() -> None:
    talk = Talk()
    talk.client(get("b").replace(b"GET", b"HEAD") + get("b"))

    assert talk.conversation.refused(502, Outcome.UPSTREAM_REFUSED, 9)
    ended = [(e.status, e.outcome, e.end) for e in talk.conversation.ended]
    assert ended == [(502, Outcome.UPSTREAM_REFUSED, 9), (0, Outcome.UPSTREAM_REFUSED, 9)]


def test_our_own_answer_to_anything_else_has_a_body() -> None:
    talk = Talk()
    talk.client(get("b"))

    assert not talk.conversation.refused(502, Outcome.UPSTREAM_TIMEOUT, 9)


def test_a_head_is_held_only_while_none_of_it_was_sent() -> None:
    talk = Talk()
    assert not talk.conversation.holds
    talk.client(get("b")[:20])
    assert talk.conversation.holds
    talk.conversation.release()
    assert not talk.conversation.holds


REQUESTS = st.lists(
    st.tuples(st.sampled_from(["", "b", "c"]), st.text("x", max_size=3)), max_size=9
)


@given(requests=REQUESTS, cuts=st.lists(st.integers(1, 70), min_size=1), answers=st.data())
def test_however_they_come_each_goes_to_its_upstream_in_order(
    requests: list[tuple[str, str]], cuts: list[int], answers: st.DataObject
) -> None:
    talk = Talk()
    data = b"".join(get(*request) for request in requests)
    owed = 0
    while data or talk.conversation._open or talk.conversation.switching:
        owed = len(talk.conversation._open)
        if owed and (not data or answers.draw(st.booleans())):
            talk.server(OK)
        else:
            size = cuts[len(data) % len(cuts)]
            talk.client(data[:size])
            data = data[size:]

    wanted: dict[str, bytes] = {}
    for request in requests:
        wanted[request[0]] = wanted.get(request[0], b"") + get(*request)
    assert talk.sent == wanted
    assert [e.outcome for e in talk.conversation.ended] == [Outcome.OK] * len(requests)
