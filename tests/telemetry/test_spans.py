"""What spans say: the OpenTelemetry HTTP semantic conventions, and no query string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.records import Direction, Outcome
from netra_node.telemetry.flow import Flow, Owner
from netra_node.telemetry.metrics import Edge
from netra_node.telemetry.paths import MAX_NAMES, PathNames
from netra_node.telemetry.spans import OtelSchema, failure, host_of, path_of


@pytest.fixture
def describe(make_connection, make_exchange, identity):
    """All a span says about an exchange: name, attributes, error."""

    def run(direction=Direction.INBOUND, peer="external", destination=("10.0.0.9", 8080), **fields):
        flow = Flow(
            Owner(identity),
            make_connection(direction, destination=destination),
            Edge(peer),
            None,
        )
        schema = OtelSchema(PathNames())
        exchange = make_exchange(**fields)
        path = path_of(exchange.target)
        pairs = schema.all(flow, exchange)
        keys = [key for key, _ in pairs]
        assert len(keys) == len(set(keys)), "OTLP requires unique keys"
        return schema.name(flow, exchange, path), dict(pairs), bool(failure(exchange))

    return run


def test_a_server_span_in_full(describe) -> None:
    name, attributes, error = describe(
        peer="web",
        host=b"orders:8080",
        user_agent=b"curl/8",
        request_id=b"r-1",
        request_size=5,
        response_size=7,
    )

    assert (name, error) == ("GET /orders/{id}", False)
    assert attributes == {
        "http.request.method": "GET",
        "url.path": "/orders/42",
        "url.scheme": "http",
        "server.address": "orders",
        "server.port": 8080,
        "client.address": "10.0.0.5",
        "network.peer.address": "10.0.0.5",
        "network.peer.port": 40000,
        "network.protocol.version": "1.1",
        "http.response.status_code": 200,
        "http.request.body.size": 5,
        "http.response.body.size": 7,
        "user_agent.original": "curl/8",
        "peer.service": "web",
        "netra.outcome": "ok",
        "netra.request_id": "r-1",
    }


def test_a_client_span_names_the_other_side_and_the_url_without_its_query(describe) -> None:
    _, attributes, _ = describe(Direction.OUTBOUND, peer="orders", host=b"orders:8080")

    assert attributes["network.peer.address"] == "10.0.0.9"
    assert attributes["network.peer.port"] == 8080
    assert attributes["url.full"] == "http://orders:8080/orders/42"
    assert "client.address" not in attributes


def test_without_a_host_the_destination_is_the_server(describe) -> None:
    _, attributes, _ = describe(Direction.OUTBOUND, destination=("fd00::9", 80))

    assert attributes["server.address"] == "fd00::9"
    assert attributes["url.full"] == "http://[fd00::9]:80/orders/42"


@pytest.mark.parametrize("peer", ["external", "other"])
def test_a_peer_without_a_name_is_not_mentioned(describe, peer) -> None:
    assert "peer.service" not in describe(peer=peer)[1]


def test_tags_of_the_operator_are_attributes_under_their_own_names(describe) -> None:
    _, attributes, _ = describe(tags=(("session", b"s-1"), ("caf\u00e9", b"\xff")))

    assert (attributes["session"], attributes["caf\u00e9"]) == ("s-1", "\ufffd")


def test_an_unusual_method_is_other_and_named_in_its_own_attribute(describe) -> None:
    name, attributes, _ = describe(method=b"PROPFIND")

    assert name == "HTTP /orders/{id}"
    assert attributes["http.request.method"] == "_OTHER"
    assert attributes["http.request.method_original"] == "PROPFIND"


@pytest.mark.parametrize("direction", list(Direction))
def test_a_server_error_is_an_error_on_either_side(describe, direction) -> None:
    _, attributes, error = describe(direction, status=503)

    assert (error, attributes["error.type"]) == (True, "503")


@pytest.mark.parametrize("direction", list(Direction))
def test_a_client_error_is_none(describe, direction) -> None:
    _, attributes, error = describe(direction, status=404)

    assert not error
    assert "error.type" not in attributes


def test_an_unanswered_request_has_no_status_and_its_outcome_as_error(describe) -> None:
    _, attributes, error = describe(status=0, outcome=Outcome.UPSTREAM_CLOSED)

    assert error
    assert attributes["error.type"] == attributes["netra.outcome"] == "upstream_closed"
    assert "http.response.status_code" not in attributes


def test_an_answer_that_broke_off_keeps_its_status(describe) -> None:
    _, attributes, error = describe(status=200, outcome=Outcome.UPSTREAM_RESET)

    assert error
    assert attributes["error.type"] == "upstream_reset"
    assert attributes["http.response.status_code"] == 200


def test_an_answer_before_the_request_was_complete_is_said(describe) -> None:
    assert describe(request_complete=False)[1]["netra.request_complete"] is False


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (101, Outcome.OPAQUE, ""),
        (0, Outcome.OPAQUE, "opaque"),
        (502, Outcome.OPAQUE, "502"),
        (0, Outcome.CLIENT_CLOSED, "client_closed"),
        (499, Outcome.OK, ""),
        (500, Outcome.OK, "500"),
        (0, None, ""),
    ],
)
def test_what_counts_as_an_error(make_exchange, status, outcome, reason) -> None:
    assert failure(make_exchange(status=status, outcome=outcome)) == reason


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a/b?c=/d", "/a/b"),
        (b"/", "/"),
        (b"/?", "/"),
        (b"http://user:secret@host/a?b", "/a"),
        (b"http://host", "/"),
        (b"http://host?next=/x", "/"),
        (b"host:443", ""),
        (b"*", "*"),
        (b"/caf%C3%A9", "/caf%C3%A9"),
        (b"/\xff", "/\ufffd"),
    ],
)
def test_the_path_of_every_form_of_target(target, path) -> None:
    assert path_of(target) == path


@pytest.mark.parametrize(
    ("host", "name"), [(b"a:80", "a"), (b"a", "a"), (b"[::1]:80", "::1"), (b"", "")]
)
def test_a_host_without_its_port(host, name) -> None:
    assert host_of(host) == name


def test_a_target_without_a_path_is_named_by_its_method(describe) -> None:
    assert describe(method=b"CONNECT", target=b"db:5432")[0] == "CONNECT"


@given(
    st.sampled_from([b"/", b"http://h/", b"h:1", b"*"]),
    st.binary(max_size=20).filter(lambda raw: b"?" not in raw),
)
def test_nothing_after_a_question_mark_is_ever_shown(start, rest) -> None:
    assert "SECRET" not in path_of(start + rest + b"?SECRET" + rest)


def test_beyond_the_names_a_pod_may_use_a_span_is_named_by_its_method(
    make_connection, make_exchange, identity
) -> None:
    flows = [
        Flow(Owner(identity), make_connection(Direction.INBOUND), Edge("web"), None)
        for _ in range(2)
    ]
    schema = OtelSchema(PathNames())
    exchange = make_exchange()
    words = [schema.name(flows[0], exchange, f"/word-{number}") for number in range(MAX_NAMES)]

    assert words[-1] == f"GET /word-{MAX_NAMES - 1}"
    assert schema.name(flows[0], exchange, "/another") == "GET"
    assert schema.name(flows[0], exchange, "/word-0") == "GET /word-0"
    assert schema.name(flows[1], exchange, "/another") == "GET /another"


def test_no_value_is_longer_than_its_limit(describe) -> None:
    long = b"x" * 60_000
    name, attributes, _ = describe(
        Direction.OUTBOUND,
        target=b"/" + long,
        host=long,
        user_agent=long,
        request_id=long,
        method=long,
    )

    assert len(name) <= 300
    assert all(len(value) <= 600 for value in attributes.values() if isinstance(value, str))
