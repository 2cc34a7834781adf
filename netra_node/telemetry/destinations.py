"""Where spans may go, as values, and the exporter for each. Belongs here: which encoder and which carrier make one exporter.

Does not belong here: their work. What is not wanted is not imported: it would cost memory.
"""

from dataclasses import dataclass, field

from netra_node import __version__
from netra_node.http_client import Client, Target
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.collector import HttpCarrier
from netra_node.telemetry.export import ExportLimits, SpanExporter
from netra_node.telemetry.metrics import SpanResults
from netra_node.telemetry.otlp import SpanEncoder, rejected_spans
from netra_node.telemetry.schemas import SpanOptions, schema_for

_USER_AGENT = ("User-Agent", f"netra-node/{__version__}")


@dataclass(frozen=True, slots=True)
class OtlpCollector:
    """OTLP over HTTP, protobuf. `timeout` in seconds covers one request."""

    target: Target
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 10.0
    gzip: bool = False
    limits: ExportLimits = field(default_factory=ExportLimits)


def make_exporter(
    destination: OtlpCollector, spans: SpanOptions, results: SpanResults, clock: WallClock
) -> SpanExporter:
    """Return what takes finished exchanges to `destination`; it does not run yet."""
    fields = (("Content-Type", "application/x-protobuf"), _USER_AGENT, *destination.headers)
    post = Client(destination.target, fields, destination.timeout)
    return SpanExporter(
        SpanEncoder(schema_for("otlp", spans), __version__),
        HttpCarrier(post, rejected_spans, gzip=destination.gzip),
        results,
        destination.limits,
        clock,
    )
