"""The specification of `netra_node.telemetry.jaeger`: what Jaeger reads, by Apache Thrift's own library, is what the schema says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.addresses import ClientAddr, OriginalDst, PodUid
from netra_node.core.identity import PodIdentity
from netra_node.core.records import ConnectionRecord, Direction, Exchange, Outcome
from netra_node.core.trace_context import DEBUG, RANDOM, SAMPLED, TraceContext
from netra_node.telemetry.flow import Flow, Owner
from netra_node.telemetry.jaeger import (
    LARGEST_DATAGRAM,
    JaegerEncoder,
    ProcessTags,
    TagWriter,
    agent_encoder,
    collector_encoder,
)
from netra_node.telemetry.metrics import Edge
from netra_node.telemetry.schemas import NAMES, NETRAMESH, OTEL, SpanOptions, schema_for
from netra_node.telemetry.spans import path_of
from netra_node.telemetry.thrift import STOP, Binary, Compact, Kind
from tests.telemetry import jaeger_reader as reader
from tests.telemetry.jaeger_reader import Batch, Span

PROCESS = ProcessTags("netra-node-1", (), lambda: 0xABC)
FORMS = [(agent_encoder, reader.read_datagram), (collector_encoder, reader.read_request)]
both = pytest.mark.parametrize(("make", "read"), FORMS, ids=["agent", "collector"])

id64 = st.integers(1, 2**64 - 1)
text = st.text(max_size=300)
values = text | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
few = st.sampled_from([b"", b"/", b"/a/7", b"/a/8", b"h:80", b"x" * 200, b"\xff", b"/%d0%b6?q=1"])


def a_flow(owner: Owner, direction: Direction = Direction.INBOUND) -> Flow:
    client, destination = ClientAddr("10.0.0.5", 40000), OriginalDst("10.0.0.9", 8080)
    return Flow(owner, ConnectionRecord(direction, client, destination, 1), Edge("web"), None)


def an_owner(service: str = "orders", **attributes: str) -> Owner:
    identity = PodIdentity(PodUid("u"), "shop", f"{service}-1", service, tuple(attributes.items()))
    return Owner(identity)


@pytest.fixture
def flow() -> Flow:
    return a_flow(an_owner())


def sent(encoder: JaegerEncoder, read, *finished: tuple[Flow, Exchange], offset=0) -> list[Batch]:
    groups: dict[Owner, list[bytes]] = {}
    for flow, exchange in finished:
        groups.setdefault(flow.owner, []).append(encoder.encode((flow, exchange), offset))
    messages = list(encoder.messages(groups))
    batches = [read(message.body) for message in messages]
    assert [len(batch.spans) for batch in batches] == [message.spans for message in messages]
    return batches


def the_span(encoder: JaegerEncoder, read, flow: Flow, exchange: Exchange, offset=0) -> Span:
    (batch,) = sent(encoder, read, (flow, exchange), offset=offset)
    (span,) = batch.spans
    return span


@pytest.mark.parametrize("wire", [Compact(), Binary()], ids=["compact", "binary"])
@given(tags=st.lists(st.tuples(text, values), max_size=20))
def test_tags_come_back_with_their_keys_values_and_types(wire, tags) -> None:
    count, encoded = TagWriter(wire).tags(tags)
    body = wire.field(Kind.LIST, 1, 0) + wire.structs(count) + encoded + STOP

    found = (reader.compact if isinstance(wire, Compact) else reader.binary)(body)

    read = [reader._tag(tag) for tag in found[1]]
    assert read == tags
    assert [type(value) for _, value in read] == [type(value) for _, value in tags]


@both
@given(
    trace_id=st.integers(1, 2**128 - 1) | id64,
    span_id=id64,
    parent_id=st.just(0) | id64,
    flags=st.integers(0, 7),
)
def test_the_identity_of_a_span_comes_back(make, read, trace_id, span_id, parent_id, flags) -> None:
    exchange = Exchange(b"GET", b"/", b"1.1", 1)
    exchange.trace = TraceContext(trace_id, span_id, parent_id, flags)
    encoder = make(schema_for("jaeger", SpanOptions()), PROCESS)

    span = the_span(encoder, read, a_flow(an_owner()), exchange)

    assert (span.trace_id, span.span_id, span.parent_id) == (trace_id, span_id, parent_id)
    assert span.flags == flags & (SAMPLED | DEBUG)


@both
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (SAMPLED, 1),
        (SAMPLED | DEBUG, 3),
        (SAMPLED | RANDOM, 1),
        (SAMPLED | DEBUG | RANDOM, 3),
    ],
)
def test_debug_is_told_and_w3cs_random_bit_is_never_taken_for_it(
    make, read, flow, make_exchange, flags, said
) -> None:
    exchange = make_exchange(trace=TraceContext(1, 2, 0, flags))

    assert (
        the_span(make(schema_for("jaeger", SpanOptions()), PROCESS), read, flow, exchange).flags
        == said
    )


@both
@given(start=st.integers(0, 2**40), took=st.integers(0, 2**45), offset=st.integers(0, 2**60))
def test_a_span_ends_in_the_microsecond_it_ended_in(make, read, start, took, offset) -> None:
    exchange = Exchange(b"GET", b"/", b"1.1", start)
    exchange.end = start + took
    exchange.trace = TraceContext(1, 2, 0, 1)
    encoder = make(schema_for("jaeger", SpanOptions()), PROCESS)

    span = the_span(encoder, read, a_flow(an_owner()), exchange, offset)

    assert span.start == (start + offset) // 1000
    assert span.start + span.duration == (exchange.end + offset) // 1000


@st.composite
def exchanges(draw) -> Exchange:
    exchange = Exchange(draw(few), draw(few), draw(few), 1)
    exchange.host, exchange.user_agent, exchange.request_id = draw(few), draw(few), draw(few)
    exchange.request_size = exchange.response_size = draw(st.sampled_from([0, 127, 2**40]))
    exchange.request_complete = draw(st.booleans())
    exchange.status = draw(st.sampled_from([0, 200, 503]))
    exchange.outcome = draw(st.sampled_from([*Outcome, None]))
    exchange.sampler = draw(st.sampled_from([None, ("const", True), ("probabilistic", 0.25)]))
    exchange.trace = TraceContext(1, 2, draw(st.sampled_from([0, 3])), 1)
    return exchange


@both
@pytest.mark.parametrize("name", NAMES)
@given(batch=st.lists(exchanges(), min_size=1, max_size=20))
def test_a_span_says_what_the_schema_says_whatever_came_before(make, read, name, batch) -> None:
    schema = schema_for("jaeger", SpanOptions(schema=name))
    encoder = make(schema, PROCESS)
    flow = a_flow(an_owner())

    spans = [
        span
        for found in sent(encoder, read, *((flow, one) for one in batch))
        for span in found.spans
    ]

    for exchange, span in zip(batch, spans, strict=True):
        assert span.operation == schema.name(flow, exchange, path_of(exchange.target))
        added = {} if schema.complete else {"span.kind": "server", "error": True}
        ours = [tag for tag in span.tags if tag[0] not in added]
        assert ours == schema.all(flow, exchange)


@both
@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("status", [200, 503])
def test_of_opentelemetrys_schema_kind_and_failure_become_tags(
    make, read, make_exchange, direction, status
) -> None:
    encoder = make(schema_for("jaeger", SpanOptions(schema=OTEL)), PROCESS)

    span = the_span(encoder, read, a_flow(an_owner(), direction), make_exchange(status=status))

    tags = dict(span.tags)
    assert len(tags) == len(span.tags)
    assert tags["span.kind"] == {"inbound": "server", "outbound": "client"}[direction.value]
    assert tags.get("error") is (True if status == 503 else None)


@both
def test_of_netrameshs_schema_there_is_one_of_each(make, read, flow, make_exchange) -> None:
    encoder = make(schema_for("jaeger", SpanOptions(schema=NETRAMESH)), PROCESS)

    span = the_span(encoder, read, flow, make_exchange(status=503))

    assert len(dict(span.tags)) == len(span.tags)
    assert dict(span.tags)["error"] == "true"


@both
def test_each_pod_is_a_process_of_its_own(make, read, make_exchange) -> None:
    encoder = make(schema_for("jaeger", SpanOptions()), PROCESS)
    pods = [a_flow(an_owner("orders")), a_flow(an_owner("web"))]

    batches = sent(encoder, read, *((flow, make_exchange()) for flow in [*pods, pods[0]]))

    assert [(batch.service, len(batch.spans)) for batch in batches] == [("orders", 2), ("web", 1)]


def process(tags: tuple[tuple[str, str], ...] = (), **attributes: str) -> list[tuple[str, object]]:
    encoder = collector_encoder(
        schema_for("jaeger", SpanOptions()), ProcessTags("netra-node-1", tags, lambda: 0xABC)
    )
    owner = a_flow(an_owner(**attributes)).owner
    (message,) = encoder.messages({owner: []})
    return reader.read_request(message.body).process


def test_a_process_has_jaegers_tags_and_the_pods_resource() -> None:
    assert process(k8s_pod_name="orders-1") == [
        ("jaeger.version", "netra-node-1"),
        ("hostname", "orders-1"),
        ("ip", "10.0.0.9"),
        ("k8s_pod_name", "orders-1"),
        ("client-uuid", "abc"),
    ]


def test_tags_of_the_settings_win_over_host_and_address_and_not_over_the_pods_own() -> None:
    found = dict(process((("ip", "1.2.3.4"), ("zone", "b"), ("pod", "x")), pod="orders-1"))

    assert found["ip"] == "1.2.3.4"
    assert found["zone"] == "b"
    assert found["pod"] == "orders-1"


def test_the_address_of_a_pod_is_its_end_of_its_first_connection() -> None:
    assert a_flow(an_owner(), Direction.INBOUND).owner.address == "10.0.0.9"
    assert a_flow(an_owner(), Direction.OUTBOUND).owner.address == "10.0.0.5"


@given(
    sizes=st.lists(
        st.integers(1, 400) | st.integers(8000, 8400) | st.integers(60_000, 66_000), max_size=60
    ),
    filler=st.sampled_from([0, 100, 20_000]),
)
def test_datagrams_are_never_too_large_and_hold_every_span_that_fits(sizes, filler) -> None:
    owner = an_owner(filler="x" * filler)
    encoder = agent_encoder(schema_for("jaeger", SpanOptions()), PROCESS)
    (empty,) = encoder.messages({owner: [b""]})
    room = LARGEST_DATAGRAM - len(empty.body)
    spans = [bytes([number % 251 + 1]) * size for number, size in enumerate(sizes)]

    messages = list(encoder.messages({owner: spans}))

    assert all(len(message.body) <= LARGEST_DATAGRAM for message in messages)
    count = sum(message.spans for message in messages)
    # the number of spans takes up to 5 bytes
    assert sum(size <= room - 5 for size in sizes) <= count <= sum(size <= room for size in sizes)
    body = b"".join(message.body for message in messages)
    assert all(span in body for span in spans if len(span) <= room - 5)


def test_a_span_that_is_larger_than_a_datagram_is_in_none() -> None:
    encoder = agent_encoder(schema_for("jaeger", SpanOptions()), PROCESS)

    messages = list(encoder.messages({an_owner(): [b"a" * 10, b"b" * 65_000, b"c" * 10]}))

    assert [message.spans for message in messages] == [2]
    assert b"bb" not in messages[0].body


def test_a_pod_whose_process_fills_a_datagram_has_none() -> None:
    encoder = agent_encoder(schema_for("jaeger", SpanOptions()), PROCESS)

    assert list(encoder.messages({an_owner(filler="x" * 65_000): [b"a"]})) == []


def test_datagrams_stay_small_as_long_as_spans_are() -> None:
    encoder = agent_encoder(schema_for("jaeger", SpanOptions()), PROCESS)

    messages = list(encoder.messages({an_owner(): [b"x" * 400] * 512}))

    assert max(len(message.body) for message in messages) <= 8192
    assert sum(message.spans for message in messages) == 512
    assert len(messages) < 30


@pytest.mark.parametrize("field", ["user_agent", "target", "method", "host"])
def test_what_is_kept_of_the_wire_is_bounded(flow, make_exchange, field) -> None:
    for name in NAMES:
        encoder = agent_encoder(schema_for("jaeger", SpanOptions(schema=name)), PROCESS)
        for number in range(2000):
            trace = TraceContext(number + 1, 1, 0, 1)
            exchange = make_exchange(**{field: b"/%d" % number, "trace": trace})
            encoder.encode((flow, exchange), 0)

        for kept in (encoder._alike, encoder._located, encoder._traces):
            assert len(kept) <= 512


def test_otlp_and_jaeger_may_write_the_same_flow(flow, make_exchange) -> None:
    from netra_node.telemetry.otlp import SpanEncoder  # noqa: PLC0415 - the one other encoder

    otel = schema_for("otlp", SpanOptions())
    otlp = SpanEncoder(otel, "1")
    jaeger = agent_encoder(schema_for("jaeger", SpanOptions(schema=OTEL)), PROCESS)
    alone = otlp.encode((flow, make_exchange()), 0)
    first = the_span(jaeger, reader.read_datagram, flow, make_exchange())

    assert otlp.encode((flow, make_exchange()), 0) == alone
    assert the_span(jaeger, reader.read_datagram, flow, make_exchange()) == first
