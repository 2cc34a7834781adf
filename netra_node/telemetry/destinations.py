"""Where spans may go, as values, and the exporter for each. Belongs here: which encoder and which carrier make one exporter.

Does not belong here: their work. What is not wanted is not imported: it would cost memory.
"""

import random
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from netra_node import __version__
from netra_node.core.records import Exchange
from netra_node.http_client import Client, Target
from netra_node.telemetry.clock import WallClock
from netra_node.telemetry.collector import HttpCarrier
from netra_node.telemetry.export import Carrier, Encoder, ExportLimits, SpanExporter
from netra_node.telemetry.flow import Flow
from netra_node.telemetry.metrics import SpanResults
from netra_node.telemetry.otlp import SpanEncoder, rejected_spans
from netra_node.telemetry.plugins import make_installed
from netra_node.telemetry.schemas import SpanOptions, schema_for

if TYPE_CHECKING:
    from netra_node.telemetry.jaeger import ProcessTags

#: Seconds that one request may take, as in netramesh.
_JAEGER_TIMEOUT = 5.0
_USER_AGENT = ("User-Agent", f"netra-node/{__version__}")


@dataclass(frozen=True, slots=True)
class OtlpCollector:
    """OTLP over HTTP, protobuf. `timeout` in seconds covers one request."""

    target: Target
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 10.0
    gzip: bool = False
    limits: ExportLimits = field(default_factory=ExportLimits)


@dataclass(frozen=True, slots=True)
class JaegerCollector:
    """Jaeger's collector: Thrift over HTTP. `credentials` are user and password."""

    target: Target
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    #: Tags of every Process, below those that are known of its pod.
    tags: tuple[tuple[str, str], ...] = ()
    limits: ExportLimits = field(default_factory=ExportLimits)


@dataclass(frozen=True, slots=True)
class JaegerAgent:
    """Jaeger's agent: Thrift by UDP. `interval` in seconds is the time between two looks at its name; None: once is enough."""

    host: str
    port: int
    interval: float | None = 30.0
    tags: tuple[tuple[str, str], ...] = ()
    limits: ExportLimits = field(default_factory=ExportLimits)


@dataclass(frozen=True, slots=True)
class SdkPlugin:
    """An exporter of the OpenTelemetry SDK, by its entry point."""

    name: str
    limits: ExportLimits = field(default_factory=ExportLimits)


Destination = OtlpCollector | JaegerCollector | JaegerAgent | SdkPlugin


class Exporter(Protocol):
    """Takes finished exchanges somewhere. Starts and ends on one loop."""

    def start(self) -> None:
        """Begin, on the running loop."""

    def submit(self, flow: Flow, exchange: Exchange) -> None:
        """Take an exchange that has a sampled trace context. Never waits."""

    async def stop(self, deadline: float) -> None:
        """Send what is left, for at most `deadline` seconds."""


def make_exporter(
    destination: Destination, spans: SpanOptions, results: SpanResults, clock: WallClock
) -> Exporter:
    """Return what takes finished exchanges to `destination`; it does not run yet. Raises PluginError."""
    match destination:
        case OtlpCollector():
            encoder, carrier = _otlp(destination, spans)
        case JaegerCollector():
            encoder, carrier = _jaeger_collector(destination, spans)
        case JaegerAgent():
            encoder, carrier = _jaeger_agent(destination, spans)
        case _:
            return _plugin(destination, spans, results, clock)
    return SpanExporter(encoder, carrier, results, destination.limits, clock)


def _otlp(destination: OtlpCollector, spans: SpanOptions) -> tuple[Encoder, Carrier]:
    fields = (("Content-Type", "application/x-protobuf"), _USER_AGENT, *destination.headers)
    post = Client(destination.target, fields, destination.timeout)
    encoder = SpanEncoder(schema_for("otlp", spans), __version__)
    return encoder, HttpCarrier(post, rejected_spans, gzip=destination.gzip)


def _jaeger_collector(destination: JaegerCollector, spans: SpanOptions) -> tuple[Encoder, Carrier]:
    from netra_node.telemetry import jaeger  # noqa: PLC0415 - see above

    fields = [("Content-Type", "application/x-thrift"), _USER_AGENT]
    if destination.credentials is not None:
        known = b64encode(":".join(destination.credentials).encode()).decode()
        fields.append(("Authorization", f"Basic {known}"))  # RFC 7617
    encoder = jaeger.collector_encoder(schema_for("jaeger", spans), _process(destination.tags))
    return encoder, HttpCarrier(Client(destination.target, fields, _JAEGER_TIMEOUT))


def _jaeger_agent(destination: JaegerAgent, spans: SpanOptions) -> tuple[Encoder, Carrier]:
    from netra_node.telemetry import agent, datagrams, jaeger  # noqa: PLC0415 - see above

    to = datagrams.Destination(
        "spans", destination.host, destination.port, interval=destination.interval
    )
    encoder = jaeger.agent_encoder(schema_for("jaeger", spans), _process(destination.tags))
    return encoder, agent.AgentCarrier(to)


def _process(tags: tuple[tuple[str, str], ...]) -> "ProcessTags":
    from netra_node.telemetry.jaeger import ProcessTags  # noqa: PLC0415 - see above

    return ProcessTags(f"netra-node-{__version__}", tags, lambda: random.getrandbits(64))


def _plugin(
    destination: SdkPlugin, spans: SpanOptions, results: SpanResults, clock: WallClock
) -> Exporter:
    from netra_node.telemetry import sdk_exporter  # noqa: PLC0415 - see above

    made: Any = make_installed(destination.name)
    schema = schema_for(destination.name, spans)
    return sdk_exporter.SdkExporter(made, schema, results, destination.limits, clock)
