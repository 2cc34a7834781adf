from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.headers import Declared
from netra_node.core.ignored import IgnoredPaths
from netra_node.core.linking import LinkTable
from netra_node.core.propagation import Propagation
from netra_node.core.records import Direction, Exchange, SampledBy
from netra_node.core.sampling import Sampler, sampler_from
from netra_node.core.tags import TagRules
from netra_node.core.trace_context import DEBUG, RANDOM, SAMPLED
from netra_node.core.tracing import IdSource, Tracing, TracingOptions

IN = Direction.INBOUND
OUT = Direction.OUTBOUND
LIFETIME = 5_000

NEW_ID = b"11111111-1111-4111-8111-111111111111"
W3C = b"00-0000000000000000000000000000000a-000000000000000b-01"
JAEGER = b"c:d:0:1"

Header = tuple[bytes, bytes]

DEFAULTS = TracingOptions(source=b"web")


class View:
    """A request head whose parser reads only the fields it was told to."""

    def __init__(
        self, fields: tuple[bytes, ...], rare: tuple[bytes, ...], headers: tuple[Header, ...]
    ) -> None:
        self._fields = (*fields, *rare)
        self._headers = headers
        has_rare = any(name in rare for name, _ in headers)
        self.repeats = has_rare or len(dict(headers)) < len(headers)

    def get(self, name: bytes) -> bytes | None:
        return next(iter(self.get_all(name)), None)

    def get_all(self, name: bytes) -> list[bytes]:
        assert name in self._fields
        return [value for known, value in self._headers if known == name]


class Pod:
    """One pod's decisions. Trace ids count from 0x100, span ids from 1; the request id is always NEW_ID."""

    def __init__(
        self,
        options: TracingOptions = DEFAULTS,
        propagators: str = "tracecontext,jaeger",
        sampler: Sampler | None = None,
    ) -> None:
        self.tracing = Tracing(
            Propagation(propagators.split(",")),
            sampler or sampler_from("parentbased_always_on"),
            LinkTable(LIFETIME),
            IdSource(count(0x100).__next__, count(1).__next__, lambda: NEW_ID),
            options,
        )
        self.declared: list[Declared] = []

    def begin(
        self, direction: Direction, *headers: Header, target: bytes = b"/", now: int = 0
    ) -> Exchange:
        exchange = Exchange(b"GET", target, b"1.1", now)
        view = View(self.tracing.fields, self.tracing.rare, headers)
        self.declared = self.tracing.begin(direction, exchange, view, now)
        return exchange

    def names(self) -> list[bytes]:
        return [name for name, _ in self.declared]


def ids(exchange: Exchange) -> tuple[int, int, int, int]:
    """Return (trace id, span id, parent id, flags)."""
    trace = exchange.trace
    assert trace is not None
    return (trace.trace_id, trace.span_id, trace.parent_id, trace.flags)


@pytest.fixture
def pod() -> Pod:
    return Pod()


class TestHead:
    def test_host_and_user_agent_are_kept(self, pod: Pod) -> None:
        exchange = pod.begin(IN, (b"host", b"orders:8080"), (b"user-agent", b"curl/8"))

        assert (exchange.host, exchange.user_agent) == (b"orders:8080", b"curl/8")

    @pytest.mark.parametrize("direction", [IN, OUT])
    def test_a_head_without_any_of_them_leaves_them_empty(
        self, pod: Pod, direction: Direction
    ) -> None:
        exchange = pod.begin(direction)

        assert (exchange.host, exchange.user_agent) == (b"", b"")

    def test_the_declared_headers_stand_in_the_order_of_the_contract(self, pod: Pod) -> None:
        pod.begin(OUT, (b"traceparent", b"bad"), (b"tracestate", b"a=1"))

        assert pod.names() == [
            b"traceparent",
            b"tracestate",
            b"uber-trace-id",
            b"X-Request-Id",
            b"X-Source",
        ]


class TestProbe:
    def test_nothing_is_added_to_a_kubelet_probe(self, pod: Pod) -> None:
        pod.begin(IN, (b"user-agent", b"kube-probe/1.31"), (b"traceparent", W3C))

        assert pod.declared == []

    def test_a_kubelet_probe_is_marked_and_has_no_span(self, pod: Pod) -> None:
        exchange = pod.begin(IN, (b"user-agent", b"kube-probe/1.31"))

        assert (exchange.probe, exchange.trace) == (True, None)

    def test_a_user_agent_that_only_contains_its_name_is_no_probe(self, pod: Pod) -> None:
        exchange = pod.begin(IN, (b"user-agent", b"not kube-probe/1.31"))

        assert not exchange.probe

    def test_the_end_of_a_probe_changes_nothing(self, pod: Pod) -> None:
        exchange = pod.begin(IN, (b"user-agent", b"kube-probe/1.31"))

        pod.tracing.ended(exchange, now=0)

        assert len(pod.tracing.links) == 0


class TestTags:
    SESSION = (b"x-session", b"s-1")

    @pytest.fixture
    def options(self) -> TracingOptions:
        rules = TagRules({b"X-Session": "session"}, {b"sid": "sid"})
        return TracingOptions(source=b"web", tags=rules)

    @pytest.fixture
    def pod(self, options: TracingOptions) -> Pod:
        return Pod(options)

    def test_an_inbound_request_that_begins_a_trace_has_them(self, pod: Pod) -> None:
        exchange = pod.begin(IN, self.SESSION, (b"cookie", b"sid=2"))

        assert exchange.tags == (("session", b"s-1"), ("sid", b"2"))

    @pytest.mark.parametrize("value", [b"bad", b"0:0:0:1"])
    def test_an_invalid_context_is_none(self, pod: Pod, value: bytes) -> None:
        assert pod.begin(IN, self.SESSION, (b"uber-trace-id", value)).tags

    def test_a_decision_without_ids_begins_a_trace(self, options: TracingOptions) -> None:
        pod = Pod(options, "b3")

        assert pod.begin(IN, self.SESSION, (b"b3", b"1")).tags

    @pytest.mark.parametrize("header", [(b"traceparent", W3C), (b"uber-trace-id", JAEGER)])
    def test_a_request_that_goes_on_with_a_trace_has_none(self, pod: Pod, header: Header) -> None:
        assert pod.begin(IN, self.SESSION, header).tags == ()

    def test_an_outbound_request_has_none(self, pod: Pod) -> None:
        assert pod.begin(OUT, self.SESSION).tags == ()

    def test_a_trace_that_is_not_sampled_has_none(self, options: TracingOptions) -> None:
        pod = Pod(options, sampler=sampler_from("always_off"))

        assert pod.begin(IN, self.SESSION).tags == ()

    def test_a_head_is_not_searched_for_what_nobody_wants(self) -> None:
        assert b"cookie" not in Pod().tracing.fields

    def test_a_b3_header_that_is_a_tag_is_still_known_to_be_there(self) -> None:
        rules = TagRules({b"B3": "b3"}, {})
        pod = Pod(TracingOptions(source=b"web", tags=rules))

        assert b"b3" in pod.tracing.rare
        assert b"b3" not in pod.tracing.fields
        assert pod.begin(IN, (b"b3", b"bad")).tags == (("b3", b"bad"),)


class TestIgnoredPaths:
    @pytest.fixture
    def pod(self) -> Pod:
        return Pod(TracingOptions(source=b"web", ignored=IgnoredPaths([b"/health"])))

    def test_an_ignored_path_has_no_span(self, pod: Pod) -> None:
        assert pod.begin(IN, target=b"/health?deep=1").trace is None

    def test_any_other_path_has_one(self, pod: Pod) -> None:
        assert pod.begin(IN, target=b"/healthy").trace is not None

    def test_it_gets_request_id_and_source_as_usual_and_no_trace_header(self, pod: Pod) -> None:
        pod.begin(OUT, target=b"/health")

        assert pod.declared == [(b"X-Request-Id", NEW_ID), (b"X-Source", b"web")]

    def test_its_trace_headers_pass_untouched(self, pod: Pod) -> None:
        pod.begin(IN, (b"traceparent", W3C), (b"x-request-id", b"r1"), target=b"/health")

        assert pod.declared == []

    def test_it_is_the_parent_of_nothing(self, pod: Pod) -> None:
        pod.begin(IN, (b"x-request-id", b"r1"), target=b"/health")

        client = pod.begin(OUT, (b"x-request-id", b"r1"), target=b"/orders")
        assert ids(client) == (0x100, 1, 0, SAMPLED)


class TestRequestId:
    @pytest.mark.parametrize("direction", [IN, OUT])
    def test_a_request_without_one_gets_one(self, pod: Pod, direction: Direction) -> None:
        exchange = pod.begin(direction)

        assert (b"X-Request-Id", NEW_ID) in pod.declared
        assert exchange.request_id == NEW_ID

    def test_an_empty_one_is_replaced(self, pod: Pod) -> None:
        pod.begin(IN, (b"x-request-id", b""))

        assert (b"X-Request-Id", NEW_ID) in pod.declared

    @pytest.mark.parametrize("direction", [IN, OUT])
    def test_an_existing_one_is_never_changed(self, pod: Pod, direction: Direction) -> None:
        exchange = pod.begin(direction, (b"x-request-id", b"r1"))

        assert b"X-Request-Id" not in pod.names()
        assert exchange.request_id == b"r1"

    def test_one_behind_an_empty_copy_is_an_existing_one(self, pod: Pod) -> None:
        exchange = pod.begin(IN, (b"x-request-id", b""), (b"x-request-id", b"r1"))

        assert b"X-Request-Id" not in pod.names()
        assert exchange.request_id == b"r1"

    def test_its_header_may_have_another_name(self) -> None:
        pod = Pod(TracingOptions(source=b"web", request_id_header=b"X-Correlation-ID"))

        exchange = pod.begin(IN, (b"x-correlation-id", b"r1"))
        assert exchange.request_id == b"r1"


class TestSource:
    def test_an_outbound_request_without_one_gets_the_pods(self, pod: Pod) -> None:
        exchange = pod.begin(OUT)

        assert (b"X-Source", b"web") in pod.declared
        assert exchange.source == b"web"

    def test_the_applications_own_stays(self, pod: Pod) -> None:
        exchange = pod.begin(OUT, (b"x-source", b"mine"))

        assert b"X-Source" not in pod.names()
        assert exchange.source == b"mine"

    def test_an_empty_one_is_none(self, pod: Pod) -> None:
        exchange = pod.begin(OUT, (b"x-source", b""))

        assert (b"X-Source", b"web") in pod.declared
        assert exchange.source == b"web"

    def test_the_applications_own_may_stand_behind_an_empty_one(self, pod: Pod) -> None:
        exchange = pod.begin(OUT, (b"x-source", b""), (b"x-source", b"mine"))

        assert b"X-Source" not in pod.names()
        assert exchange.source == b"mine"

    def test_force_overwrites_the_applications_own(self) -> None:
        pod = Pod(TracingOptions(source=b"web", force_source=True))

        exchange = pod.begin(OUT, (b"x-source", b"mine"))

        assert (b"X-Source", b"web") in pod.declared
        assert exchange.source == b"web"

    @pytest.mark.parametrize("force", [False, True])
    def test_an_inbound_request_keeps_what_it_has(self, force: bool) -> None:
        pod = Pod(TracingOptions(source=b"web", force_source=force))

        exchange = pod.begin(IN, (b"x-source", b"client"))

        assert b"X-Source" not in pod.names()
        assert exchange.source == b"client"

    def test_an_inbound_request_without_one_gets_none(self, pod: Pod) -> None:
        exchange = pod.begin(IN)

        assert b"X-Source" not in pod.names()
        assert exchange.source == b""


class TestParents:
    @pytest.mark.parametrize("direction", [IN, OUT])
    def test_without_any_parent_a_request_is_a_root(self, pod: Pod, direction: Direction) -> None:
        assert ids(pod.begin(direction)) == (0x100, 1, 0, SAMPLED)

    @pytest.mark.parametrize("direction", [IN, OUT])
    def test_the_sender_named_by_a_header_is_the_parent(
        self, pod: Pod, direction: Direction
    ) -> None:
        assert ids(pod.begin(direction, (b"traceparent", W3C))) == (0xA, 1, 0xB, SAMPLED)

    def test_the_receiver_is_told_the_new_span(self, pod: Pod) -> None:
        pod.begin(IN, (b"traceparent", W3C), (b"x-request-id", b"r1"))

        assert pod.declared == [
            (b"traceparent", b"00-0000000000000000000000000000000a-0000000000000001-01"),
            (b"uber-trace-id", b"0000000000000000000000000000000a:0000000000000001:0:1"),
        ]

    def test_an_outbound_request_hangs_under_the_inbound_one_with_its_request_id(
        self, pod: Pod
    ) -> None:
        server = pod.begin(IN, (b"x-request-id", b"r1"))

        client = pod.begin(OUT, (b"x-request-id", b"r1"))

        assert (ids(server), ids(client)) == ((0x100, 1, 0, SAMPLED), (0x100, 2, 1, SAMPLED))

    def test_a_generated_request_id_links_as_a_received_one_does(self, pod: Pod) -> None:
        server = pod.begin(IN)

        client = pod.begin(OUT, (b"x-request-id", server.request_id))

        assert ids(client) == (0x100, 2, 1, SAMPLED)

    def test_the_requests_own_header_comes_before_its_request_id(self, pod: Pod) -> None:
        pod.begin(IN, (b"x-request-id", b"r1"))

        client = pod.begin(OUT, (b"traceparent", W3C), (b"x-request-id", b"r1"))

        assert ids(client) == (0xA, 2, 0xB, SAMPLED)

    def test_an_inbound_request_is_not_linked_by_its_request_id(self, pod: Pod) -> None:
        pod.begin(IN, (b"x-request-id", b"r1"))

        second = pod.begin(IN, (b"x-request-id", b"r1"))

        assert ids(second) == (0x101, 2, 0, SAMPLED)

    def test_an_outbound_request_is_no_parent_of_another(self, pod: Pod) -> None:
        pod.begin(OUT, (b"x-request-id", b"r1"))

        second = pod.begin(OUT, (b"x-request-id", b"r1"))

        assert ids(second) == (0x101, 2, 0, SAMPLED)

    def test_an_ambiguous_request_id_gives_a_new_root(self, pod: Pod) -> None:
        pod.begin(IN, (b"x-request-id", b"r1"))
        pod.begin(IN, (b"x-request-id", b"r1"))

        client = pod.begin(OUT, (b"x-request-id", b"r1"))

        assert ids(client) == (0x102, 3, 0, SAMPLED)

    def test_the_link_lives_as_long_as_the_inbound_exchange(self, pod: Pod) -> None:
        pod.begin(IN, (b"x-request-id", b"r1"))

        client = pod.begin(OUT, (b"x-request-id", b"r1"), now=100 * LIFETIME)

        assert ids(client) == (0x100, 2, 1, SAMPLED)

    @pytest.mark.parametrize(("passed", "parent"), [(LIFETIME - 1, 1), (LIFETIME, 0)])
    def test_the_link_lives_its_lifetime_after_the_end(
        self, pod: Pod, passed: int, parent: int
    ) -> None:
        server = pod.begin(IN, (b"x-request-id", b"r1"))
        pod.tracing.ended(server, now=100)

        client = pod.begin(OUT, (b"x-request-id", b"r1"), now=100 + passed)

        assert ids(client)[2] == parent

    def test_the_end_of_an_outbound_exchange_changes_nothing(self, pod: Pod) -> None:
        client = pod.begin(OUT, (b"x-request-id", b"r1"))

        pod.tracing.ended(client, now=0)

        assert len(pod.tracing.links) == 0

    @given(st.lists(st.binary(min_size=1, max_size=4), max_size=8), st.binary(min_size=1))
    def test_pods_never_share_links(self, inbound: list[bytes], outbound: bytes) -> None:
        one, other = Pod(), Pod()
        for request_id in (*inbound, outbound):
            one.begin(IN, (b"x-request-id", request_id))

        client = other.begin(OUT, (b"x-request-id", outbound))

        assert ids(client) == (0x100, 1, 0, SAMPLED)


class TestSampling:
    def test_an_unsampled_root_is_set_and_travels_with_flag_zero(self) -> None:
        pod = Pod(sampler=sampler_from("parentbased_always_off"))

        exchange = pod.begin(IN, (b"x-request-id", b"r1"))

        assert ids(exchange) == (0x100, 1, 0, 0)
        assert pod.declared == [
            (b"traceparent", b"00-00000000000000000000000000000100-0000000000000001-00"),
            (b"uber-trace-id", b"00000000000000000000000000000100:0000000000000001:0:0"),
        ]

    def test_an_unsampled_server_span_is_linked_all_the_same(self) -> None:
        pod = Pod(sampler=sampler_from("parentbased_always_off"))
        pod.begin(IN, (b"x-request-id", b"r1"))

        client = pod.begin(OUT, (b"x-request-id", b"r1"))

        assert ids(client) == (0x100, 2, 1, 0)

    def test_the_senders_decision_is_kept(self, pod: Pod) -> None:
        exchange = pod.begin(IN, (b"traceparent", W3C[:-1] + b"0"))

        assert ids(exchange) == (0xA, 1, 0xB, 0)

    def test_a_sampler_that_is_not_parent_based_overrules_the_sender(self) -> None:
        pod = Pod(sampler=sampler_from("always_on"))

        exchange = pod.begin(IN, (b"traceparent", W3C[:-1] + b"0"))

        assert ids(exchange) == (0xA, 1, 0xB, SAMPLED)

    @pytest.mark.parametrize(
        ("decision", "flags"), [(b"0", 0), (b"1", SAMPLED), (b"d", SAMPLED | DEBUG)]
    )
    def test_a_decision_without_a_trace_is_kept_in_a_new_one(
        self, decision: bytes, flags: int
    ) -> None:
        pod = Pod(propagators="b3")

        assert ids(pod.begin(IN, (b"b3", decision))) == (0x100, 1, 0, flags)

    def test_a_decision_without_a_trace_leaves_the_link_by_request_id(self) -> None:
        pod = Pod(propagators="b3")
        pod.begin(IN, (b"x-request-id", b"r1"))

        client = pod.begin(OUT, (b"b3", b"0"), (b"x-request-id", b"r1"))

        assert ids(client) == (0x100, 2, 1, SAMPLED)

    @pytest.mark.parametrize(("sampler", "flags"), [("on", SAMPLED), ("off", 0)])
    def test_a_decision_that_the_sender_left_to_us_is_made_as_for_a_root(
        self, sampler: str, flags: int
    ) -> None:
        pod = Pod(propagators="b3", sampler=sampler_from(f"parentbased_always_{sampler}"))

        exchange = pod.begin(IN, (b"b3", b"000000000000000a-000000000000000b"))

        assert ids(exchange) == (0xA, 1, 0xB, flags)

    def test_a_root_has_neither_the_debug_nor_the_random_bit(self, pod: Pod) -> None:
        assert ids(pod.begin(IN))[3] == SAMPLED

    def test_debug_and_random_bits_pass_on(self, pod: Pod) -> None:
        headers = (b"traceparent", W3C[:-1] + b"3"), (b"uber-trace-id", b"a:d:0:3")

        exchange = pod.begin(IN, *headers)

        assert ids(exchange)[3] == SAMPLED | DEBUG | RANDOM
        assert [value[-2:] for _, value in pod.declared[:2] if value] == [b"03", b":3"]

    def test_the_sampler_is_told_trace_direction_exchange_and_time(self) -> None:
        asked: list[tuple[object, ...]] = []

        class Asked:
            def decide(self, *question: object) -> SampledBy | None:
                asked.append(question)
                return None

        exchange = Pod(sampler=Asked()).begin(OUT, target=b"/orders", now=77)

        assert asked == [(None, 0x100, OUT, exchange, 77)]

    def test_a_root_tells_what_chose_it(self, pod: Pod) -> None:
        assert pod.begin(IN).sampler == ("const", True)

    def test_an_unsampled_root_tells_nothing(self) -> None:
        pod = Pod(sampler=sampler_from("parentbased_always_off"))

        assert pod.begin(IN).sampler is None

    @pytest.mark.parametrize("propagator", ["tracecontext", "b3"])
    def test_where_the_sender_decided_no_sampler_of_ours_is_named(self, propagator: str) -> None:
        pod = Pod(propagators=propagator)

        assert pod.begin(IN, (b"traceparent", W3C), (b"b3", b"1")).sampler is None


class TestDebugId:
    DEBUG_ID = (b"jaeger-debug-id", b"ticket-7")

    @pytest.mark.parametrize("direction", [IN, OUT])
    def test_a_lone_one_begins_a_trace_that_is_kept_and_found_by_it(
        self, direction: Direction
    ) -> None:
        pod = Pod(sampler=sampler_from("parentbased_always_off"))

        exchange = pod.begin(direction, self.DEBUG_ID)

        assert ids(exchange) == (0x100, 1, 0, SAMPLED | DEBUG)
        assert exchange.tags == (("jaeger-debug-id", b"ticket-7"),)
        assert exchange.sampler is None

    def test_it_passes_on_as_it_came(self, pod: Pod) -> None:
        pod.begin(IN, self.DEBUG_ID)

        assert self.DEBUG_ID[0] not in pod.names()

    @pytest.mark.parametrize("header", [(b"traceparent", W3C), (b"uber-trace-id", JAEGER)])
    def test_beside_a_trace_it_means_nothing(self, pod: Pod, header: Header) -> None:
        exchange = pod.begin(IN, header, self.DEBUG_ID)

        assert not ids(exchange)[3] & DEBUG
        assert exchange.tags == ()

    def test_with_the_request_id_of_an_inbound_request_it_means_nothing(self, pod: Pod) -> None:
        pod.begin(IN, (b"x-request-id", b"r1"))

        client = pod.begin(OUT, (b"x-request-id", b"r1"), self.DEBUG_ID)

        assert ids(client) == (0x100, 2, 1, SAMPLED)
        assert client.tags == ()

    def test_beside_a_broken_trace_header_it_counts(self, pod: Pod) -> None:
        assert ids(pod.begin(IN, (b"uber-trace-id", b"x"), self.DEBUG_ID))[3] == SAMPLED | DEBUG

    @pytest.mark.parametrize("propagators", ["tracecontext", "b3", "none"])
    def test_it_is_jaegers_alone(self, propagators: str) -> None:
        exchange = Pod(propagators=propagators).begin(IN, self.DEBUG_ID)

        assert ids(exchange)[3] == SAMPLED
        assert exchange.tags == ()

    def test_an_empty_one_means_nothing(self, pod: Pod) -> None:
        assert ids(pod.begin(IN, (b"jaeger-debug-id", b"")))[3] == SAMPLED

    def test_of_a_long_one_the_beginning_is_told(self, pod: Pod) -> None:
        exchange = pod.begin(IN, (b"jaeger-debug-id", b"x" * 60_000))

        assert exchange.tags == (("jaeger-debug-id", b"x" * 256),)

    def test_the_operators_tags_stand_beside_it(self) -> None:
        rules = TagRules({b"x-shop": "shop"}, {})
        pod = Pod(TracingOptions(source=b"web", tags=rules))

        exchange = pod.begin(IN, (b"x-shop", b"7"), self.DEBUG_ID)

        assert exchange.tags == (("jaeger-debug-id", b"ticket-7"), ("shop", b"7"))


class TestPropagators:
    @pytest.mark.parametrize(
        ("propagators", "names"),
        [
            ("jaeger", [b"uber-trace-id"]),
            ("jaeger,tracecontext", [b"uber-trace-id", b"traceparent"]),
            ("none", []),
        ],
    )
    def test_the_configured_ones_are_written(self, propagators: str, names: list[bytes]) -> None:
        pod = Pod(propagators=propagators)

        pod.begin(IN, (b"x-request-id", b"r1"))

        assert pod.names() == names

    def test_without_any_propagator_requests_are_linked_by_id_alone(self) -> None:
        pod = Pod(propagators="none")
        pod.begin(IN, (b"x-request-id", b"r1"), (b"uber-trace-id", JAEGER))

        client = pod.begin(OUT, (b"x-request-id", b"r1"))

        assert ids(client) == (0x100, 2, 1, SAMPLED)

    def test_the_tracestate_of_the_parent_is_the_spans(self, pod: Pod) -> None:
        exchange = pod.begin(IN, (b"traceparent", W3C), (b"tracestate", b"a=1"))

        assert exchange.trace is not None
        assert exchange.trace.state == b"a=1"
