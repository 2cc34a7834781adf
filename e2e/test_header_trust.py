"""Headers that a client made up: none makes us write a bad one, crosses a pod's border, or merges two strangers' traces.

What a client says truly cannot be told from what it makes up: a sound `traceparent` is followed, whoever sent it.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest

from e2e.support.daemon import Daemon, until
from e2e.support.node import Node, read, read_head

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60), pytest.mark.usefixtures("daemon")]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TRACE = b"0af7651916cd43dd8448eb211c80319c"
OTHER_TRACE = b"1bf7651916cd43dd8448eb211c80319c"
SPAN = b"b7ad6b7169203331"
SOUND = b"00-%b-%b-01" % (TRACE, SPAN)

MALFORMED = {
    "empty": b"",
    "blank": b"  ",
    "no dashes": SOUND.replace(b"-", b""),
    "upper case": b"00-%b-%b-01" % (TRACE.upper(), SPAN),
    "trace id of zeros": b"00-%b-%b-01" % (b"0" * 32, SPAN),
    "span id of zeros": b"00-%b-%b-01" % (TRACE, b"0" * 16),
    "version ff": b"ff" + SOUND[2:],
    "short trace id": b"00-%b-%b-01" % (TRACE[1:], SPAN),
    "longer than version 00": SOUND + b"-00",
    "no flags": SOUND[:-3],
    "flags not hexadecimal": SOUND[:-2] + b"zz",
    "list": SOUND + b", " + SOUND,
    "beyond ASCII": b"00-\xff" + SOUND[4:],
    "60 KiB": b"00-" + b"a" * 60_000,
}
_TRACEPARENT = re.compile(rb"\r\ntraceparent:[ \t]*([^\r]*)", re.IGNORECASE)
_UBER = re.compile(rb"\r\nuber-trace-id:[ \t]*([^\r]*)", re.IGNORECASE)
_VALID = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-0[0-3]")


def head(*fields: bytes, path: str = "/") -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"GET %b HTTP/1.1\r\nHost: b\r\n%b\r\n" % (path.encode(), lines)


def sent_on(node: Node, caller: str, called: str, request: bytes) -> bytes:
    """What the server receives of one request; it is answered."""
    client, server = node.pair(caller, called)
    client.sendall(request)
    got = read_head(server)
    server.sendall(OK)
    assert read(client, len(OK)) == OK
    return got


def told(got: bytes) -> tuple[bytes, bytes]:
    """Trace and span of the one `traceparent`; every other trace header says the same."""
    (value,) = _TRACEPARENT.findall(got)
    found = _VALID.fullmatch(value)
    assert found is not None, value
    (uber,) = _UBER.findall(got)
    trace, span, *_ = uber.split(b":")
    assert (trace.zfill(32), span.zfill(16)) == found.groups()
    return found[1], found[2]


# ---- traceparent


WAYS = pytest.mark.parametrize(("caller", "called"), [("x", "b"), ("a", "y")], ids=["in", "out"])


@WAYS
@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_traceparent_is_replaced_by_that_of_a_new_trace(
    node: Node, caller: str, called: str, name: str
) -> None:
    got = sent_on(node, caller, called, head(b"traceparent: " + MALFORMED[name]))

    trace, _ = told(got)
    assert trace not in (TRACE, b"0" * 32)


@WAYS
@pytest.mark.parametrize("second", [SOUND, SOUND.replace(TRACE, OTHER_TRACE), b"rubbish"])
def test_of_two_traceparents_neither_is_believed_and_one_is_left(
    node: Node, caller: str, called: str, second: bytes
) -> None:
    got = sent_on(node, caller, called, head(b"traceparent: " + SOUND, b"TraceParent: " + second))

    trace, _ = told(got)
    assert trace not in (TRACE, OTHER_TRACE)


@WAYS
def test_behind_a_malformed_traceparent_the_next_format_is_believed(
    node: Node, caller: str, called: str
) -> None:
    uber = b"uber-trace-id: %b:%b:0:1" % (OTHER_TRACE, SPAN)

    got = sent_on(node, caller, called, head(b"traceparent: 00-rubbish", uber))

    assert told(got)[0] == OTHER_TRACE


@WAYS
def test_a_tracestate_goes_with_the_traceparent_it_came_with(
    node: Node, caller: str, called: str
) -> None:
    state = b"tracestate: vendor=forged"

    kept = sent_on(node, caller, called, head(b"traceparent: " + SOUND, state))
    dropped = sent_on(node, caller, called, head(b"traceparent: rubbish", state))

    assert state in kept
    assert b"tracestate" not in dropped


@WAYS
def test_a_sound_traceparent_is_followed_with_a_span_of_our_own(
    node: Node, caller: str, called: str
) -> None:
    trace, span = told(sent_on(node, caller, called, head(b"traceparent: " + SOUND)))

    assert trace == TRACE
    assert span != SPAN


def test_an_unsampled_trace_is_followed_and_not_recorded(node: Node, daemon: Daemon) -> None:
    name = "netra_spans_total"
    before = daemon.total(name, result="unsampled")
    unsampled = SOUND[:-1] + b"0"

    got = sent_on(node, "x", "b", head(b"traceparent: " + unsampled, path="/trust-unsampled"))

    assert told(got)[0] == TRACE
    assert until(lambda: daemon.total(name, result="unsampled") - before == 1, 5)
    assert not [s for s in daemon.traces() if s["attributes"]["url.path"] == "/trust-unsampled"]


# ---- X-Request-Id: the link between what comes in and what goes out


class Visit:
    """A client's request into pod `a`, open until it is answered."""

    def __init__(self, node: Node, request_id: bytes, *fields: bytes) -> None:
        self.client, self._server = node.pair("x", "a")
        self.client.sendall(head(b"X-Request-Id: " + request_id, *fields))
        self.trace, self.span = told(read_head(self._server))

    def answer(self) -> None:
        self._server.sendall(OK)
        assert read(self.client, len(OK)) == OK


def call_of(node: Node, pod: str, request_id: bytes, path: str = "/") -> bytes:
    """What a server outside receives of a pod's own request that carries the id."""
    return sent_on(node, pod, "y", head(b"X-Request-Id: " + request_id, path=path))


@pytest.fixture
def links(daemon: Daemon) -> Callable[[str], int]:
    """How many requests of the captured pods were linked so since the test began."""

    def total(result: str) -> int:
        return int(daemon.total("netra_trace_links_total", result=result))

    before = {result: total(result) for result in ("linked", "none", "ambiguous", "expired")}
    return lambda result: total(result) - before[result]


def test_a_request_id_that_two_clients_share_merges_no_traces(
    node: Node, links: Callable[[str], int]
) -> None:
    victim, forger = Visit(node, b"shared-open"), Visit(node, b"shared-open")
    assert victim.trace != forger.trace

    trace, _ = told(call_of(node, "a", b"shared-open"))

    assert trace not in (victim.trace, forger.trace)
    assert links("ambiguous") == 1


def test_nor_when_both_were_answered_already(node: Node, links: Callable[[str], int]) -> None:
    visits = [Visit(node, b"shared-ended"), Visit(node, b"shared-ended")]
    for visit in visits:
        visit.answer()

    trace, _ = told(call_of(node, "a", b"shared-ended"))

    assert trace not in {visit.trace for visit in visits}
    assert links("ambiguous") == 1


def test_a_forger_who_was_answered_does_not_disturb_one_who_waits(
    node: Node, links: Callable[[str], int]
) -> None:
    forger = Visit(node, b"shared-then")
    forger.answer()
    victim = Visit(node, b"shared-then")

    trace, _ = told(call_of(node, "a", b"shared-then"))

    assert trace == victim.trace
    assert links("linked") == 1


def test_calls_of_both_have_traces_of_their_own_though_their_id_is_the_same(
    node: Node, daemon: Daemon
) -> None:
    for _ in range(2):
        Visit(node, b"shared-calls")
    for _ in range(2):
        call_of(node, "a", b"shared-calls", path="/trust-shared")

    def calls() -> list[dict[str, Any]]:
        return [s for s in daemon.traces() if s["attributes"]["url.path"] == "/trust-shared"]

    assert until(lambda: len(calls()) == 2, 5)
    assert len({span["trace_id"] for span in calls()}) == 2
    assert [span["parent_span_id"] for span in calls()] == ["", ""]


def test_a_request_id_known_in_one_pod_means_nothing_in_another(
    node: Node, links: Callable[[str], int]
) -> None:
    visit = Visit(node, b"of-pod-a")

    trace, _ = told(call_of(node, "b", b"of-pod-a"))

    assert trace != visit.trace
    assert (links("linked"), links("none")) == (0, 1)


def test_a_pods_own_trace_header_comes_before_an_id_that_somebody_forged(node: Node) -> None:
    forger = Visit(node, b"forged-parent", b"traceparent: 00-%b-%b-01" % (OTHER_TRACE, SPAN))
    own = head(b"X-Request-Id: forged-parent", b"traceparent: " + SOUND)

    trace, _ = told(sent_on(node, "a", "y", own))

    assert forger.trace == OTHER_TRACE
    assert trace == TRACE


@pytest.mark.parametrize(
    "request_id",
    [b"a" * 60_000, b"\xff\xfe\x80", b'"} or 1=1 --', b"<script>", b"%0d%0aX-Evil:%20" * 10],
    ids=["60 KiB", "bytes", "quotes", "markup", "encoded line end"],
)
def test_a_request_id_of_any_form_goes_on_as_it_is_and_links(
    node: Node, daemon: Daemon, request_id: bytes
) -> None:
    visit = Visit(node, request_id)

    got = call_of(node, "a", request_id)

    assert b"\r\nX-Request-Id: " + request_id + b"\r\n" in got
    assert told(got)[0] == visit.trace
    assert daemon.mishaps() == []


def test_of_two_request_ids_the_first_counts_and_both_go_on(node: Node) -> None:
    visit = Visit(node, b"first-of-two", b"X-Request-Id: second-of-two")

    got = sent_on(
        node, "a", "y", head(b"X-Request-Id: first-of-two", b"X-Request-Id: third-of-two")
    )

    assert told(got)[0] == visit.trace
    assert got.count(b"X-Request-Id: ") == 2


# ---- the rest


@WAYS
def test_baggage_and_what_is_not_configured_passes_untouched_and_once(
    node: Node, caller: str, called: str
) -> None:
    fields = (
        b"baggage: a=b",
        b"baggage: c=d",
        b"uberctx-user: ann%20b",
        b"Uberctx-User: ann%20b",
        b"uberctx-tenant: shop",
        b"jaeger-baggage: k1=v1, k2=v2",
        b"sentry-trace: 1-2-1",
        b"X-Amzn-Trace-Id: Root=1",
        b"X-Real-IP: ::1",
    )

    got = sent_on(node, caller, called, head(*fields))

    theirs = (b"baggage", b"uberctx-", b"jaeger-", b"sentry-", b"x-amzn-", b"x-real-")
    kept = [line for line in got.split(b"\r\n") if line.lower().startswith(theirs)]
    assert kept == list(fields)


def test_a_client_that_calls_itself_a_kubelet_gets_no_span_and_no_header(
    node: Node, daemon: Daemon
) -> None:
    before = daemon.total("netra_http_requests_total", peer="kubelet")
    request = head(b"User-Agent: kube-probe/1.31", path="/trust-probe")

    assert sent_on(node, "x", "b", request) == request
    assert until(lambda: daemon.total("netra_http_requests_total", peer="kubelet") > before, 5)
    assert not [s for s in daemon.traces() if s["attributes"]["url.path"] == "/trust-probe"]
