"""Which schema an exporter's spans follow."""

import pytest

from netra_node.core.records import Direction
from netra_node.telemetry.flow import Flow, Owner
from netra_node.telemetry.metrics import Edge
from netra_node.telemetry.netramesh import NetrameshSchema
from netra_node.telemetry.paths import parse_templates
from netra_node.telemetry.schemas import NAMES, SpanOptions, schema_for
from netra_node.telemetry.spans import OtelSchema


@pytest.mark.parametrize("exporter", ["otlp", "none", "console"])
def test_spans_are_opentelemetrys_by_default(exporter) -> None:
    assert isinstance(schema_for(exporter, SpanOptions()), OtelSchema)


def test_what_goes_to_jaeger_looks_as_netrameshs_did() -> None:
    assert isinstance(schema_for("jaeger", SpanOptions()), NetrameshSchema)


@pytest.mark.parametrize("exporter", ["otlp", "jaeger"])
def test_a_schema_that_is_named_holds_for_every_exporter(exporter) -> None:
    kinds = [type(schema_for(exporter, SpanOptions(schema=name))) for name in NAMES]

    assert kinds == [OtelSchema, NetrameshSchema]


@pytest.fixture
def name_of(make_connection, make_exchange, identity):
    def run(schema: str, collapse: bool | None) -> str:
        options = SpanOptions(schema, parse_templates("^/v1=>/v{n}"), collapse)
        flow = Flow(Owner(identity), make_connection(Direction.INBOUND), Edge("web"), None)
        return schema_for("otlp", options).name(flow, make_exchange(), "/v1/42")

    return run


@pytest.mark.parametrize(
    ("schema", "collapse", "name"),
    [
        ("otel", None, "GET /v{n}/{id}"),
        ("otel", True, "GET /v{n}/{id}"),
        ("otel", False, "GET /v{n}/42"),
        ("netramesh", None, "/v{n}/42"),
        ("netramesh", True, "/v{n}/{id}"),
        ("netramesh", False, "/v{n}/42"),
    ],
)
def test_ids_are_collapsed_by_default_in_one_schema_and_on_request_in_either(
    name_of, schema, collapse, name
) -> None:
    assert name_of(schema, collapse) == name
