"""Cookie before header before the inbound request's; inbound remembers and never re-routes."""

import pytest

from netra_node.core.head import HeadParser, RequestHead
from netra_node.core.headers import Declared
from netra_node.core.linking import LinkTable
from netra_node.core.propagation import Propagation
from netra_node.core.records import Direction, Exchange
from netra_node.core.route_memory import RouteMemory
from netra_node.core.routed_tracing import RoutedTracing, Routes
from netra_node.core.routing import RouteNames, RouteSource, Target
from netra_node.core.sampling import sampler_from
from netra_node.core.tracing import IdSource, TracingOptions

SECOND = 1_000_000_000
INBOUND, OUTBOUND = Direction.INBOUND, Direction.OUTBOUND
ID = "X-Request-Id: 7"


class Pod:
    """One pod's requests in and out."""

    def __init__(self) -> None:
        self.malformed = 0
        self.routes = Routes(
            RouteSource(RouteNames(b"X-Route", b"R")), RouteMemory(5 * SECOND), self._count
        )
        self.tracing = RoutedTracing(
            Propagation(()),
            sampler_from("always_off", 0),
            LinkTable(SECOND),
            IdSource(lambda: 1, lambda: 2, lambda: b"new"),
            TracingOptions(b"me"),
            self.routes,
        )
        self.parser = HeadParser(self.tracing.fields, self.tracing.rare)

    def _count(self) -> None:
        self.malformed += 1

    def head(self, *fields: str) -> RequestHead:
        text = "".join(f"{field}\r\n" for field in ("Host: a", *fields))
        head = self.parser.request(f"GET / HTTP/1.1\r\n{text}\r\n".encode())
        assert isinstance(head, RequestHead)
        return head

    def begin(self, direction: Direction, *fields: str, now: int = 0) -> Exchange:
        self.exchange = Exchange(b"GET", b"/", b"1.1", now)
        self.declared = self.tracing.begin(direction, self.exchange, self.head(*fields), now)
        return self.exchange

    def inbound(self, *fields: str) -> Exchange:
        return self.begin(INBOUND, *fields)

    def routes_declared(self) -> list[Declared]:
        return [pair for pair in self.declared if pair[0] == b"X-Route"]

    def target(self, *fields: str, now: int = 0) -> Target | None:
        return self.tracing.target(self.head(*fields), now)


@pytest.fixture
def pod() -> Pod:
    return Pod()


COOKIE, HEADER, CONTEXT = "Cookie: R=a=cookie", "X-Route: a=header", "X-Route: a=context"


@pytest.mark.parametrize(
    ("fields", "host"),
    [
        ((COOKIE, HEADER, ID), "cookie"),
        ((COOKIE, ID), "cookie"),
        ((HEADER, ID), "header"),
        (("Cookie: R=", HEADER, ID), "header"),
        (("Cookie: R=", "X-Route:", ID), "context"),
        ((ID,), "context"),
        ((), None),
    ],
)
def test_cookie_comes_before_header_before_the_inbound_requests(
    pod: Pod, fields: tuple[str, ...], host: str | None
) -> None:
    pod.inbound(CONTEXT, ID)

    assert pod.target(*fields) == (None if host is None else Target(host, 80))


def test_an_inbound_request_is_remembered_by_its_cookie_before_its_header(pod: Pod) -> None:
    pod.inbound(COOKIE, HEADER, ID)

    assert pod.target(ID) == Target("cookie", 80)


def test_the_header_is_added_where_the_route_is_the_inbound_requests(pod: Pod) -> None:
    pod.inbound(CONTEXT, ID)
    pod.begin(OUTBOUND, ID)

    assert pod.routes_declared() == [(b"X-Route", b"a=context")]


@pytest.mark.parametrize("field", [COOKIE, HEADER])
def test_no_header_is_added_where_the_request_has_a_route_itself(pod: Pod, field: str) -> None:
    pod.inbound(CONTEXT, ID)
    pod.begin(OUTBOUND, field, ID)

    assert pod.routes_declared() == []


def test_nothing_is_added_to_an_inbound_request(pod: Pod) -> None:
    pod.inbound(CONTEXT, ID)
    pod.inbound(ID)

    assert pod.routes_declared() == []


def test_nothing_is_remembered_of_a_probe_nor_added_to_one(pod: Pod) -> None:
    pod.inbound(CONTEXT, ID, "User-Agent: kube-probe/1.30")
    assert len(pod.routes.memory) == 0

    pod.inbound(CONTEXT, ID)
    pod.begin(OUTBOUND, ID, "User-Agent: kube-probe/1.30")
    assert pod.declared == []


def test_an_inbound_request_without_id_is_remembered_by_the_one_it_gets(pod: Pod) -> None:
    assert pod.inbound(CONTEXT).request_id == b"new"

    assert pod.target("X-Request-Id: new") == Target("context", 80)


def test_the_second_copy_of_an_empty_request_id_finds_it_too(pod: Pod) -> None:
    pod.inbound(CONTEXT, ID)

    assert pod.target("X-Request-Id:", ID) == Target("context", 80)


def test_what_an_inbound_request_brought_lives_on_after_its_end(pod: Pod) -> None:
    exchange = pod.inbound(CONTEXT, ID)
    pod.tracing.ended(exchange, SECOND)

    assert pod.target(ID, now=6 * SECOND - 1) == Target("context", 80)
    assert pod.target(ID, now=6 * SECOND) is None


@pytest.mark.parametrize("value", ["junk", "a=b,junk"])
def test_a_malformed_route_is_not_remembered_and_is_told(pod: Pod, value: str) -> None:
    pod.inbound(f"X-Route: {value}", ID)

    assert len(pod.routes.memory) == 0
    assert pod.malformed == 1
    assert pod.routes.counts == {"malformed": 1}


def test_an_outbound_request_with_a_malformed_route_goes_where_it_wanted_to(pod: Pod) -> None:
    assert pod.target("X-Route: junk,a=b") is None
    assert pod.malformed == 1


def test_what_became_of_routes_is_counted(pod: Pod) -> None:
    pod.target(HEADER)
    pod.target("X-Route: b=c")
    pod.target()

    assert pod.routes.counts == {"routed": 1, "original": 1}


def test_an_ended_outbound_exchange_changes_nothing(pod: Pod) -> None:
    pod.inbound(CONTEXT, ID)
    outbound = pod.begin(OUTBOUND, ID)
    pod.tracing.ended(outbound, 0)

    assert pod.target(ID, now=100 * SECOND) == Target("context", 80)
