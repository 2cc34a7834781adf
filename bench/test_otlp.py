"""The span counter agrees with the official classes, and refuses what is not protobuf."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.otlp import count_spans


def _export(shape: list[list[int]]) -> bytes:
    """Encode an export: one list per resource, one number of spans per scope."""
    request = ExportTraceServiceRequest()
    for scopes in shape:
        resource = request.resource_spans.add(schema_url="https://example/schema")
        resource.resource.attributes.add(key="service.name").value.string_value = "x" * 200
        for spans in scopes:
            scope = resource.scope_spans.add()
            for number in range(spans):
                scope.spans.add(name="GET /", kind=2, start_time_unix_nano=number)
    return bytes(request.SerializeToString())


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=4))
def test_counts_what_the_official_encoder_wrote(shape: list[list[int]]) -> None:
    assert count_spans(_export(shape)) == sum(map(sum, shape))


def test_a_truncated_export_is_refused() -> None:
    with pytest.raises(ValueError, match="runs past"):
        count_spans(_export([[3]])[:-1])


def test_a_wire_type_that_protobuf_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="wire type 7"):
        count_spans(b"\x0f")


@given(st.binary(max_size=200))
def test_garbage_is_counted_or_refused_but_never_crashes(garbage: bytes) -> None:
    try:
        spans = count_spans(garbage)
    except ValueError:
        return

    assert 0 <= spans <= len(garbage)
