"""The encoder against the official classes of opentelemetry-proto."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, Status

from netra_node.core.addresses import ClientAddr, OriginalDst, PodUid
from netra_node.core.identity import PodIdentity
from netra_node.core.records import ConnectionRecord, Direction, Exchange, Outcome
from netra_node.core.trace_context import DEBUG, SAMPLED, TraceContext
from netra_node.telemetry.flow import Flow, Owner
from netra_node.telemetry.metrics import Edge
from netra_node.telemetry.otlp import (
    CLIENT,
    SERVER,
    SpanEncoder,
    encode_attribute,
    encode_group,
    encode_label,
    encode_resource,
    encode_scope,
    encode_span,
    rejected_spans,
)
from netra_node.telemetry.paths import MAX_NAMES, PathNames
from netra_node.telemetry.schemas import NAMES, SpanOptions, schema_for
from netra_node.telemetry.spans import OtelSchema, Schema, path_of

text = st.text(max_size=300)
values = st.one_of(
    text,
    st.booleans(),
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.integers(0, 20_000),
    st.floats(allow_nan=False),
)
id64 = st.integers(min_value=1, max_value=2**64 - 1)
id128 = st.integers(min_value=1, max_value=2**128 - 1)
moment = st.integers(min_value=0, max_value=2**64 - 1)


few = st.sampled_from([b"", b"/", b"/a/7", b"/a/8", b"h:80", b"x" * 200, b"\xff"])


@st.composite
def exchanges(draw) -> Exchange:
    exchange = Exchange(draw(few), draw(few), draw(few), 1)
    exchange.host = draw(few)
    exchange.user_agent = draw(few)
    exchange.request_id = draw(few)
    exchange.request_size = draw(st.sampled_from([0, 127, 128, 1023, 1024, 16_384, 2**40]))
    exchange.response_size = draw(st.sampled_from([0, 127, 128, 1023, 1024, 16_384, 2**40]))
    exchange.request_length = draw(st.sampled_from([-1, 0, 5]))
    exchange.response_length = draw(st.sampled_from([None, -2, -1, 0, 5]))
    exchange.sampler = draw(st.sampled_from([None, ("const", True), ("probabilistic", 0.5)]))
    exchange.tags = draw(st.sampled_from([(), (("session", b"s-1"),)]))
    exchange.request_complete = draw(st.booleans())
    exchange.status = draw(st.sampled_from([0, 200, 503]))
    exchange.outcome = draw(st.sampled_from([*Outcome, None]))
    exchange.trace = TraceContext(1, 2, draw(st.sampled_from([0, 3])), 1)
    return exchange


def parse_span(encoded: bytes) -> Span:
    (span,) = ScopeSpans.FromString(encoded).spans
    return span


def value_of(attribute) -> object:
    return getattr(attribute.value, attribute.value.WhichOneof("value"))


@given(text, values)
def test_an_attribute_comes_back_with_its_key_value_and_type(key, value) -> None:
    (attribute,) = Span.FromString(encode_attribute(key, value)).attributes

    assert (attribute.key, value_of(attribute)) == (key, value)
    assert type(value_of(attribute)) is type(value)


@pytest.mark.parametrize("size", [*range(90, 135), 16_000, 16_400])
def test_texts_around_the_sizes_where_lengths_grow_a_byte(size) -> None:
    (attribute,) = Span.FromString(encode_attribute("k", "x" * size)).attributes

    assert attribute.value.string_value == "x" * size


@pytest.mark.parametrize("size", range(100, 130))
def test_numbers_under_long_keys(size) -> None:
    (attribute,) = Span.FromString(encode_attribute("k" * size, 300)).attributes

    assert (attribute.key, attribute.value.int_value) == ("k" * size, 300)


@given(
    id128,
    id64,
    st.one_of(st.just(0), id64),
    st.sampled_from([0, SAMPLED, DEBUG, SAMPLED | DEBUG]),
    st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=300),
)
def test_the_identity_of_a_span_comes_back(trace_id, span_id, parent_id, flags, state) -> None:
    trace = TraceContext(trace_id, span_id, parent_id, flags, state.encode())

    span = parse_span(encode_span(trace, 1, 2, []))

    assert int.from_bytes(span.trace_id, "big") == trace_id
    assert len(span.trace_id) == 16
    assert int.from_bytes(span.span_id, "big") == span_id
    assert len(span.span_id) == 8
    assert span.parent_span_id == (parent_id.to_bytes(8, "big") if parent_id else b"")
    assert span.trace_state == state
    assert span.flags == flags & SAMPLED


@given(text, moment, moment, st.sampled_from([SERVER, CLIENT]))
def test_name_kind_and_times_come_back(name, start, end, kind) -> None:
    span = parse_span(encode_span(TraceContext(1, 2, 0, 1), start, end, [encode_label(kind, name)]))

    assert (span.name, span.kind) == (name, kind)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (start, end)


@given(
    text, st.lists(st.tuples(text, text), max_size=4), st.lists(st.binary(max_size=3), max_size=3)
)
def test_resource_and_scope_stand_before_their_spans(service, attributes, states) -> None:
    identity = PodIdentity(PodUid("u"), "ns", "pod", service, tuple(attributes))
    spans = [
        encode_span(TraceContext(1, number + 1, 0, 1), 1, 2, [encode_label(SERVER, repr(state))])
        for number, state in enumerate(states)
    ]
    pieces = encode_group(encode_resource(identity), encode_scope("netra", "1.2"), spans)

    request = ExportTraceServiceRequest.FromString(b"".join(pieces))

    (group,) = request.resource_spans
    (scope,) = group.scope_spans
    found = [(pair.key, pair.value.string_value) for pair in group.resource.attributes]
    assert found == [("service.name", service), *attributes]
    assert (scope.scope.name, scope.scope.version) == ("netra", "1.2")
    assert [span.name for span in scope.spans] == [repr(state) for state in states]


@pytest.fixture(params=NAMES)
def schema(request) -> Schema:
    return schema_for("otlp", SpanOptions(schema=request.param))


@pytest.fixture
def flow(make_connection, identity) -> Flow:
    return Flow(Owner(identity), make_connection(Direction.INBOUND), Edge("web"), None)


def test_a_finished_exchange_says_on_the_wire_what_the_schema_says(
    schema, flow, make_exchange
) -> None:
    exchange = make_exchange(
        host=b"orders", user_agent=b"curl/\xff", request_id=b"r", sampler=("probabilistic", 0.25)
    )

    span = parse_span(SpanEncoder(schema, "1").encode((flow, exchange), 10**18))

    assert span.name == schema.name(flow, exchange, path_of(exchange.target))
    said = [(pair.key, value_of(pair)) for pair in span.attributes]
    assert said == schema.all(flow, exchange)
    assert span.start_time_unix_nano == exchange.start + 10**18
    assert span.end_time_unix_nano == exchange.end + 10**18
    assert span.kind == Span.SPAN_KIND_SERVER
    assert span.status.code == Status.STATUS_CODE_UNSET


def test_an_error_is_the_status_of_the_span(schema, flow, make_exchange) -> None:
    exchange = make_exchange(status=0, outcome=Outcome.UPSTREAM_RESET)

    span = parse_span(SpanEncoder(schema, "1").encode((flow, exchange), 0))

    assert span.status.code == Status.STATUS_CODE_ERROR


def test_the_second_span_of_a_flow_says_the_same(schema, flow, make_exchange) -> None:
    encoder = SpanEncoder(schema, "1")
    first = encoder.encode((flow, make_exchange()), 0)

    assert encoder.encode((flow, make_exchange()), 0) == first


def test_spans_of_several_pods_come_in_groups_of_their_own(schema, make_exchange, flow) -> None:
    encoder = SpanEncoder(schema, "1")
    span = encoder.encode((flow, make_exchange()), 0)
    other = Owner(PodIdentity(PodUid("u2"), "shop", "web-1", "web"))

    (message,) = encoder.messages({flow.owner: [span, span], other: [span]})

    request = ExportTraceServiceRequest.FromString(message.body)
    assert message.spans == 3
    found = [
        (group.resource.attributes[0].value.string_value, len(group.scope_spans[0].spans))
        for group in request.resource_spans
    ]
    assert found == [("orders", 2), ("web", 1)]


def test_a_pod_that_used_up_its_names_costs_no_other_its_own(
    flow, make_exchange, make_connection, identity
) -> None:
    encoder = SpanEncoder(OtelSchema(PathNames()), "1")
    other = Flow(Owner(identity), make_connection(Direction.INBOUND), Edge("web"), None)
    for number in range(MAX_NAMES + 1):
        encoder.encode((flow, make_exchange(target=b"/word-%d" % number)), 0)
    last = make_exchange(target=b"/word-%d" % MAX_NAMES)

    names = [parse_span(encoder.encode((each, last), 0)).name for each in (flow, other)]

    assert names == ["GET", f"GET /word-{MAX_NAMES}"]


@pytest.mark.parametrize("field", ["user_agent", "target", "method", "host"])
def test_what_is_kept_of_the_wire_is_bounded(schema, flow, make_exchange, field) -> None:
    encoder = SpanEncoder(schema, "1")
    for number in range(2000):
        encoder.encode((flow, make_exchange(**{field: b"/%d" % number})), 0)

    assert len(encoder._alike) <= 512
    assert len(encoder._located) <= 512


def test_sizes_and_request_ids_are_not_kept(schema, flow, make_exchange) -> None:
    encoder = SpanEncoder(schema, "1")
    for number in range(100):
        exchange = make_exchange(response_size=number, request_id=b"%d" % number)
        encoder.encode((flow, exchange), 0)

    assert (len(encoder._alike), len(encoder._located)) == (1, 1)


@given(st.integers(min_value=0, max_value=2**63 - 1), text)
def test_rejected_spans_are_read_from_a_partial_success(count, message) -> None:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = count
    answer.partial_success.error_message = message

    assert rejected_spans(answer.SerializeToString()) == count


@given(st.binary(max_size=40))
def test_an_answer_that_makes_no_sense_rejects_nothing_and_raises_nothing(answer) -> None:
    assert rejected_spans(answer) >= 0


def test_a_negative_number_of_rejected_spans_is_none() -> None:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = -1

    assert rejected_spans(answer.SerializeToString()) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"method": b"POST"},
        {"method": b"PROPFIND"},
        {"status": 404},
        {"status": 0},
        {"version": b"1.0"},
        {"host": b"other"},
        {"user_agent": b"wget"},
        {"outcome": Outcome.OPAQUE},
        {"request_complete": False},
        {"target": b"/"},
        {"request_length": 5},
        {"response_length": 5},
        {"sampler": ("const", True)},
        {"trace": TraceContext(0xABC, 0xDEF, 0x123, 1)},
    ],
)
def test_an_exchange_that_differs_is_not_told_as_one_seen_before(
    schema, flow, make_exchange, fields
) -> None:
    encoder = SpanEncoder(schema, "1")
    encoder.encode((flow, make_exchange()), 0)
    other = make_exchange(**fields)

    assert encoder.encode((flow, other), 0) == encode_afresh(schema, flow, other)


def encode_afresh(schema, flow, exchange) -> bytes:
    """As an encoder does that has seen nothing yet, on a connection that had no span yet."""
    unseen = Flow(flow.owner, flow.connection, flow.transport, None)
    return SpanEncoder(schema, "1").encode((unseen, exchange), 0)


def flow_to(direction: Direction, host: str) -> Flow:
    connection = ConnectionRecord(direction, ClientAddr("10.0.0.5", 1), OriginalDst(host, 80), 1)
    return Flow(Owner(PodIdentity(PodUid("u"), "ns", "pod", "s")), connection, Edge("web"), None)


@given(st.sampled_from(NAMES), st.lists(st.tuples(st.integers(0, 3), exchanges()), max_size=6))
def test_what_came_before_never_shows_in_a_span(name, seen) -> None:
    schema = schema_for("otlp", SpanOptions(schema=name))
    encoder = SpanEncoder(schema, "1")
    flows = [flow_to(direction, host) for direction in Direction for host in ("::1", "10.0.0.9")]

    for which, exchange in seen:
        encoded = encoder.encode((flows[which], exchange), 0)
        assert encoded == encode_afresh(schema, flows[which], exchange)
