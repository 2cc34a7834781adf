"""Spans as somebody else's library reads them, as JSON that a person can read."""

import json
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from e2e.golden.cases import CASES, play
from netra_node.telemetry.flow import Finished
from netra_node.telemetry.otlp import SpanEncoder
from netra_node.telemetry.schemas import SpanOptions, schema_for


def otlp(schema: str) -> dict[str, Any]:
    """Return every case with its spans, through our OTLP encoder and opentelemetry-proto."""
    encoder = SpanEncoder(schema_for("otlp", SpanOptions(schema=schema)), "1")
    return {case.name: [_decoded(encoder, finished) for finished in play(case)] for case in CASES}


def _decoded(encoder: SpanEncoder, finished: Finished) -> dict[str, Any]:
    owner = finished[0].owner
    (message,) = encoder.messages({owner: [encoder.encode(finished, 0)]})
    (group,) = ExportTraceServiceRequest.FromString(message.body).resource_spans
    (span,) = group.scope_spans[0].spans
    return {
        "resource": dict(map(_pair, group.resource.attributes)),
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "kind": Span.SpanKind.Name(span.kind),
        "name": span.name,
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "status": span.status.code,
        # a list, as the order counts in one of the schemas
        "attributes": [list(_pair(attribute)) for attribute in span.attributes],
    }


def _pair(attribute: Any) -> tuple[str, Any]:
    value = attribute.value
    return attribute.key, getattr(value, value.WhichOneof("value"))


def text(spans: dict[str, Any]) -> str:
    """Return a golden file: a line for each attribute. JSON keeps 1, 1.0, true and "true" apart."""
    lines = []
    for case, found in spans.items():
        lines.append(f"  {json.dumps(case)}: [{', '.join(map(_shown, found))}]")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _shown(span: dict[str, Any]) -> str:
    attributes = span.pop("attributes")
    head = [f"    {json.dumps(key)}: {_line(value)}" for key, value in span.items()]
    pairs = ",\n".join(f"      {_line(pair)}" for pair in attributes)
    return "{\n" + ",\n".join([*head, f'    "attributes": [\n{pairs}\n    ]']) + "\n  }"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
