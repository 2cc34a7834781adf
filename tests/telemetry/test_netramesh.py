"""Operations and tags as netramesh 0.10 sent them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.addresses import ClientAddr, OriginalDst, PodUid
from netra_node.core.identity import PodIdentity
from netra_node.core.records import ConnectionRecord, Direction, Exchange, Outcome
from netra_node.telemetry.flow import Flow, Owner
from netra_node.telemetry.metrics import Edge
from netra_node.telemetry.netramesh import NetrameshSchema
from netra_node.telemetry.paths import MAX_NAMES, PathNames, parse_templates
from netra_node.telemetry.spans import path_of

IN, OUT = Direction.INBOUND, Direction.OUTBOUND


@pytest.fixture
def flow_of(make_connection, identity):
    def make(direction: Direction = IN, **ends) -> Flow:
        return Flow(Owner(identity), make_connection(direction, **ends), Edge("web"), None)

    return make


@pytest.fixture
def operation(flow_of, make_exchange):
    """The name of a span."""

    def run(direction=IN, names=None, **fields) -> str:
        schema = NetrameshSchema(names or PathNames(collapse=False))
        exchange = make_exchange(**fields)
        return schema.name(flow_of(direction), exchange, path_of(exchange.target))

    return run


@pytest.fixture
def tags_of(flow_of, make_exchange):
    """All tags of a span."""

    def run(direction=IN, ends=None, **fields) -> list:
        exchange = make_exchange(**fields)
        tags = NetrameshSchema(PathNames(collapse=False)).all(
            flow_of(direction, **(ends or {})), exchange
        )
        keys = [key for key, _ in tags]
        assert len(keys) == len(set(keys)), "OTLP requires unique keys"
        return tags

    return run


def test_an_inbound_root_in_full_and_in_order(tags_of) -> None:
    assert tags_of(
        host=b"orders:8080",
        user_agent=b"curl/8",
        request_id=b"r-1",
        request_length=5,
        request_size=5,
        response_length=7,
        response_size=7,
        sampler=("const", True),
    ) == [
        ("sampler.type", "const"),
        ("sampler.param", True),
        ("span.kind", "server"),
        ("remote_addr", "10.0.0.5:40000"),
        ("http.host", "orders:8080"),
        ("http.path", "/orders/42?card=1"),
        ("http.request_size", 5),
        ("http.method", "GET"),
        ("http.user_agent", "curl/8"),
        ("http.request_id", "r-1"),
        ("http.response_size", 7),
        ("http.status_code", 200),
    ]


def test_an_outbound_child_names_the_server_and_leaves_out_what_was_not_sent(tags_of) -> None:
    assert tags_of(OUT, host=b"orders", response_length=-1, status=503) == [
        ("span.kind", "client"),
        ("remote_addr", "10.0.0.9:8080"),
        ("http.host", "orders"),
        ("http.path", "/orders/42?card=1"),
        ("http.request_size", 0),
        ("http.method", "GET"),
        ("http.response_size", -1),
        ("http.status_code", 503),
        ("error", "true"),
    ]


@pytest.mark.parametrize("param", [0.25, 10.0])
def test_the_samplers_number_stays_one(tags_of, param) -> None:
    assert tags_of(sampler=("probabilistic", param))[:2] == [
        ("sampler.type", "probabilistic"),
        ("sampler.param", param),
    ]


def test_tags_of_the_operator_stand_between_the_sampler_and_the_rest(tags_of) -> None:
    tags = tags_of(sampler=("const", True), tags=(("session", b"s-1"), ("app", b"\xff")))

    assert tags[1:5] == [
        ("sampler.param", True),
        ("session", "s-1"),
        ("app", "\ufffd"),
        ("span.kind", "server"),
    ]


def test_ipv6_addresses_are_in_brackets(tags_of) -> None:
    ends = {"client": ("fd00::5", 40000), "destination": ("fd00::9", 80)}

    assert dict(tags_of(IN, ends))["remote_addr"] == "[fd00::5]:40000"
    assert dict(tags_of(OUT, ends))["remote_addr"] == "[fd00::9]:80"


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (b"/a%20b?token=1&x=/y", "/a%20b?token=1&x=/y"),
        (b"/a@b", "/a@b"),
        (b"http://h:80/a?b", "http://h:80/a?b"),
        (b"http://user:secret@h/a?b=c@d", "http://h/a?b=c@d"),
        (b"http://h?b=c@d", "http://h?b=c@d"),
        (b"user:secret@db:5432", "db:5432"),
        (b"db:5432", "db:5432"),
        (b"*", "*"),
    ],
)
def test_the_target_is_shown_with_its_query_and_without_a_password(tags_of, target, shown) -> None:
    assert dict(tags_of(target=target))["http.path"] == shown


@pytest.mark.parametrize(("announced", "shown"), [(0, 0), (5, 5), (-1, -1)])
def test_the_size_of_a_request_is_what_its_head_says(tags_of, announced, shown) -> None:
    tags = dict(tags_of(request_length=announced, request_size=3))

    assert tags["http.request_size"] == shown


@pytest.mark.parametrize(
    ("method", "status", "announced", "shown"),
    [
        (b"GET", 200, 7, 7),
        (b"GET", 200, 0, 0),
        (b"GET", 200, -1, -1),
        (b"GET", 200, -2, -1),
        (b"HEAD", 200, 7, 7),
        (b"HEAD", 200, -2, -1),
        (b"HEAD", 200, None, -1),
        (b"GET", 204, -2, 0),
        (b"GET", 304, 7, 0),
        (b"GET", 101, -2, 0),
    ],
)
def test_the_size_of_an_answer_is_what_gos_client_says(
    tags_of, method, status, announced, shown
) -> None:
    tags = dict(tags_of(method=method, status=status, response_length=announced))

    assert tags["http.response_size"] == shown


@pytest.mark.parametrize(("status", "error"), [(499, None), (500, "true"), (599, "true")])
def test_an_error_of_the_server_is_a_text(tags_of, status, error) -> None:
    tags = dict(tags_of(status=status))

    assert tags.get("error") == error
    assert "netra.outcome" not in tags


def test_an_unanswered_request_is_an_error_and_tells_no_status(tags_of) -> None:
    tags = tags_of(status=0, outcome=Outcome.UPSTREAM_TIMEOUT)

    assert tags[-2:] == [("error", "true"), ("netra.outcome", "upstream_timeout")]
    assert not {"http.status_code", "http.response_size"} & dict(tags).keys()


def test_an_answer_that_broke_off_is_an_error_and_keeps_its_status(tags_of) -> None:
    tags = dict(tags_of(status=200, outcome=Outcome.UPSTREAM_RESET))

    assert (tags["http.status_code"], tags["error"]) == (200, "true")
    assert tags["netra.outcome"] == "upstream_reset"


def test_a_connection_that_changed_protocols_is_none(tags_of) -> None:
    tags = dict(tags_of(status=200, outcome=Outcome.OPAQUE))

    assert "error" not in tags
    assert tags["netra.outcome"] == "opaque"


def test_texts_are_cut_at_256_bytes(tags_of) -> None:
    long = b"x" * 60_000
    tags = tags_of(OUT, target=b"/" + long, host=long, user_agent=long, request_id=long)

    assert max(len(value) for _, value in tags if isinstance(value, str)) == 256


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (b"/orders/42?card=1", "/orders/42"),
        (b"/caf%C3%A9/a%20b", "/caf\u00e9/a b"),
        (b"/a%3Fb", "/a?b"),
        (b"/%FF", "/\ufffd"),
        (b"/%zz", "/%zz"),
        (b"http://h/a?b", "/a"),
        (b"*", "*"),
    ],
)
def test_an_inbound_operation_is_the_decoded_path(operation, target, name) -> None:
    assert operation(target=target) == name


@pytest.mark.parametrize(
    ("host", "name"), [(b"orders:8080", "orders:8080/orders/42"), (b"", "/orders/42")]
)
def test_an_outbound_operation_is_the_host_as_sent_and_the_decoded_path(
    operation, host, name
) -> None:
    assert operation(OUT, host=host) == name


@pytest.mark.parametrize("direction", [IN, OUT])
def test_an_operation_without_host_and_path_is_the_method(operation, direction) -> None:
    assert operation(direction, method=b"CONNECT", target=b"db:5432") == "CONNECT"


def test_templates_see_the_decoded_path_and_not_the_host(operation) -> None:
    names = PathNames(parse_templates(r"^/users/[^/ ]+ ?[^/]*=>/users/{name}"), collapse=False)

    assert operation(OUT, names, target=b"/users/ann%20b/42", host=b"web") == "web/users/{name}/42"


def test_raw_paths_are_operations_however_many_there_are(flow_of, make_exchange) -> None:
    schema, flow = NetrameshSchema(PathNames(collapse=False)), flow_of()
    names = {schema.name(flow, make_exchange(), f"/{number}") for number in range(MAX_NAMES + 5)}

    assert len(names) == MAX_NAMES + 5


@pytest.mark.parametrize("direction", [IN, OUT])
def test_kinds_of_paths_are_limited_for_each_pod(flow_of, make_exchange, direction) -> None:
    schema = NetrameshSchema(PathNames(parse_templates("^/x=>/y"), collapse=False))
    flow, exchange = flow_of(direction), make_exchange()
    for number in range(MAX_NAMES):
        schema.name(flow, exchange, f"/word-{number}")

    assert schema.name(flow, exchange, "/another") == "GET"
    assert schema.name(flow, exchange, "/word-0") == "/word-0"
    assert schema.name(flow_of(direction), exchange, "/another") == "/another"


@given(
    st.binary(max_size=600),
    st.binary(max_size=300),
    st.sampled_from([IN, OUT]),
    st.sampled_from([0, 101, 200, 503]),
)
def test_whatever_is_sent_has_a_name_and_bounded_tags(target, host, direction, status) -> None:
    connection = ConnectionRecord(direction, ClientAddr("::1", 1), OriginalDst("::2", 2), 1)
    flow = Flow(Owner(PodIdentity(PodUid("u"), "ns", "pod", "s")), connection, Edge("web"), None)
    exchange = Exchange(b"GET", target, b"1.1", 1)
    exchange.host, exchange.status = host, status
    schema = NetrameshSchema(PathNames(collapse=False))

    texts = [value for _, value in schema.own(flow, exchange) if isinstance(value, str)]

    assert schema.name(flow, exchange, path_of(target))
    assert all(len(value) <= 256 for value in texts)
