"""Jaeger's Thrift structs: the spans of finished exchanges as batches, for its agent (compact) and its collector (binary).

Belongs here: the fields of jaeger.thrift and agent.thrift, what a Process says of a pod, how much fits a datagram. Does not
belong here: how a field is written (`thrift`), what a span says (`spans`), how it travels (`agent`, `collector`).

A comment at the end of a line names the field. Logs and references there are none: the one parent is `parentSpanId`.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from netra_node.core.kept import keep
from netra_node.core.records import Exchange
from netra_node.core.trace_context import DEBUG, SAMPLED
from netra_node.telemetry.export import Message
from netra_node.telemetry.flow import Finished, Flow, Owner, Tags
from netra_node.telemetry.spans import Attribute, Schema, Value, failure, path_of
from netra_node.telemetry.thrift import STOP, Binary, Compact, Kind, Wire

#: What an agent reads at once; a client of Jaeger's never sends more.
LARGEST_DATAGRAM: Final = 65_000
#: A datagram is closed at this size: large ones come in many pieces, and a receiver that is slow for a moment loses less.
_DATAGRAM: Final = 8192
_FLAGS: Final = SAMPLED | DEBUG
_MICROSECOND: Final = 1000
#: enum TagType
_STRING, _DOUBLE, _BOOL, _LONG = range(4)


#: What spans of one place share: the operation as a field, and tags.
_Place = tuple[bytes, Tags]
_NONE: Final[Tags] = (0, b"")


class _SpanFields:
    """What stands before the values of a span's fields."""

    __slots__ = (
        "duration",
        "flags",
        "operation",
        "parent",
        "span",
        "tags",
        "trace_high",
        "trace_low",
    )

    def __init__(self, wire: Wire) -> None:
        self.trace_low = wire.field(Kind.I64, 1, 0)  # Span.traceIdLow
        self.trace_high = wire.field(Kind.I64, 2, 1)  # Span.traceIdHigh
        self.span = wire.field(Kind.I64, 3, 2)  # Span.spanId
        self.parent = wire.field(Kind.I64, 4, 3)  # Span.parentSpanId
        self.operation = wire.field(Kind.TEXT, 5, 4)  # Span.operationName
        flags, start = wire.field(Kind.I32, 7, 5), wire.field(Kind.I64, 8, 7)
        #: Span.flags with its value, and what stands before Span.startTime.
        self.flags = [flags + wire.i32(value) + start for value in range(_FLAGS + 1)]
        self.duration = wire.field(Kind.I64, 9, 8)  # Span.duration
        self.tags = wire.field(Kind.LIST, 10, 9)  # Span.tags


def _text(wire: Wire, content: str) -> bytes:
    raw = content.encode()
    return wire.length(len(raw)) + raw


class TagWriter:
    """Tags to bytes. Keys are few: they come from schemas and settings. Values mostly come again."""

    __slots__ = ("_heads", "_kept", "_wire")

    def __init__(self, wire: Wire) -> None:
        """Write for `wire`."""
        self._wire = wire
        #: What stands before a text and before a number, by key.
        self._heads: dict[str, tuple[bytes, bytes]] = {}
        self._kept: dict[Hashable, bytes] = {}

    def tag(self, attribute: Attribute) -> bytes:
        """Return one Tag."""
        kind = attribute[1].__class__
        # neither may be mistaken for the number it equals
        if kind is bool or kind is float:
            return self._other(*attribute) + STOP
        return self._kept.get(attribute) or keep(self._kept, attribute, self._encode(*attribute))

    def tags(self, attributes: Sequence[Attribute]) -> Tags:
        """Return several, with their number."""
        if not attributes:
            return _NONE
        encoded = list(map(self.tag, attributes))
        return len(encoded), b"".join(encoded)

    def _encode(self, key: str, value: Value) -> bytes:
        text, long = self._heads.get(key) or self._make_heads(key)
        if isinstance(value, str):
            content = value.encode()
            return text + self._wire.length(len(content)) + content + STOP
        return long + self._wire.i64(int(value)) + STOP

    def _make_heads(self, key: str) -> tuple[bytes, bytes]:
        wire = self._wire
        text = self._head(key, _STRING) + wire.field(Kind.TEXT, 3, 2)  # Tag.vStr
        long = self._head(key, _LONG) + wire.field(Kind.I64, 6, 2)  # Tag.vLong
        return self._heads.setdefault(key, (text, long))

    def _other(self, key: str, value: Value) -> bytes:
        wire = self._wire
        if isinstance(value, bool):
            return self._head(key, _BOOL) + wire.flag(5, 2, value=value)  # Tag.vBool
        double = wire.field(Kind.DOUBLE, 4, 2) + wire.double(float(value))  # Tag.vDouble
        return self._head(key, _DOUBLE) + double

    def _head(self, key: str, kind: int) -> bytes:
        wire = self._wire
        name = wire.field(Kind.TEXT, 1, 0) + _text(wire, key)  # Tag.key
        return name + wire.field(Kind.I32, 2, 1) + wire.i32(kind)  # Tag.vType


class Envelope:
    """What lies around the spans of one message."""

    __slots__ = ("_end", "_process", "_spans", "_start", "_wire")

    def __init__(self, wire: Wire, start: bytes = b"", end: bytes = b"") -> None:
        """`start` and `end` lie around the Batch."""
        self._wire = wire
        self._process = wire.field(Kind.STRUCT, 1, 0)  # Batch.process
        self._spans = wire.field(Kind.LIST, 2, 1)  # Batch.spans
        self._start = start
        self._end = STOP + end

    def seal(self, process: bytes, spans: list[bytes]) -> Message:
        """Return a message of these spans, all of one `process`."""
        count = len(spans)
        head = (self._start, self._process, process, self._spans, self._wire.structs(count))
        return Message(b"".join((*head, *spans, self._end)), count)


#: Makes the messages of one pod: its Process, its spans.
Packer = Callable[[bytes, list[bytes]], Iterable[Message]]


def requests(process: bytes, spans: list[bytes]) -> Iterator[Message]:
    """Yield one Batch in the binary protocol, as the collector reads it at /api/traces."""
    yield _BATCH.seal(process, spans)


def datagrams(process: bytes, spans: list[bytes]) -> Iterator[Message]:
    """Yield calls of Agent.emitBatch in the compact protocol, none over `LARGEST_DATAGRAM`; what does not fit is in none."""
    overhead = len(_CALL.seal(process, []).body) + _LENGTH_OF_COUNT
    room = LARGEST_DATAGRAM - overhead
    gathered: list[bytes] = []
    size = overhead
    for span in spans:
        if len(span) > room:
            continue
        if gathered and size + len(span) > _DATAGRAM:
            yield _CALL.seal(process, gathered)
            gathered, size = [], overhead
        gathered.append(span)
        size += len(span)
    if gathered:
        yield _CALL.seal(process, gathered)


#: What the number of spans takes at most, beyond the byte that an empty list takes.
_LENGTH_OF_COUNT: Final = 5
_COMPACT: Final = Compact()
_BINARY: Final = Binary()
_BATCH: Final = Envelope(_BINARY)
#: A message of the compact protocol, version 1, oneway, sequence 0; its arguments are a struct: field 1, batch.
_CALL: Final = Envelope(
    _COMPACT,
    b"\x82\x81\x00" + _text(_COMPACT, "emitBatch") + _COMPACT.field(Kind.STRUCT, 1, 0),
    STOP,
)


@dataclass(frozen=True, slots=True)
class ProcessTags:
    """What every Process says besides what is known of its pod."""

    version: str
    #: Weaker than what is known of a pod, stronger than `hostname` and `ip`.
    tags: tuple[tuple[str, str], ...]
    #: Returns a random number.
    new_id: Callable[[], int]

    def of(self, owner: Owner) -> dict[str, str]:
        """Return the tags of a pod, in Jaeger's order."""
        identity = owner.identity
        known = {"jaeger.version": self.version, "hostname": identity.name, "ip": owner.address}
        tags = {**known, **dict(self.tags), **dict(identity.attributes)}
        return {**tags, "client-uuid": f"{self.new_id():x}"}


class JaegerEncoder:
    """Implements `export.Encoder`. Finished exchanges to bytes: 3 to 6 µs each."""

    __slots__ = (
        "_alike",
        "_fields",
        "_located",
        "_pack",
        "_process",
        "_schema",
        "_tags",
        "_traces",
        "_wire",
    )

    def __init__(self, wire: Wire, pack: Packer, schema: Schema, process: ProcessTags) -> None:
        """`pack` makes messages of what is written for `wire`; `schema` decides what a span says."""
        self._wire = wire
        self._pack = pack
        self._schema = schema
        self._process = process
        self._fields = _SpanFields(wire)
        self._tags = TagWriter(wire)
        self._alike: dict[Hashable, Tags] = {}
        self._located: dict[Hashable, _Place] = {}
        self._traces: dict[Hashable, bytes] = {}

    def encode(self, finished: Finished, offset: int) -> bytes:
        """Return a Span; `offset` turns its times into nanoseconds since 1970.

        An exchange without trace context has no span and may not be given. Both ends are cut to microseconds, and not the
        duration, so that a child does not outlast its parent.
        """
        flow, exchange = finished
        trace = exchange.trace
        assert trace is not None  # noqa: S101 - the caller's promise
        schema, fields, i64 = self._schema, self._fields, self._wire.i64
        place, likeness = schema.place(flow, exchange), schema.likeness(flow, exchange)
        operation, located = self._located.get(place) or self._encode_located(place, flow, exchange)
        alike = self._alike.get(likeness) or self._encode_alike(likeness, flow, exchange)
        shared = flow.tags or self._encode_shared(flow)
        own = list(map(self._tags.tag, schema.own(flow, exchange)))
        count = located[0] + alike[0] + shared[0] + len(own)
        start = (exchange.start + offset) // _MICROSECOND
        duration = (exchange.end + offset) // _MICROSECOND - start
        return b"".join(
            (
                self._traces.get(trace.trace_id) or self._encode_trace(trace.trace_id),
                i64(trace.span_id),
                fields.parent,
                i64(trace.parent_id),
                operation,
                fields.flags[trace.flags & _FLAGS],
                i64(start),
                fields.duration,
                i64(duration),
                fields.tags,
                self._wire.structs(count),
                located[1],
                alike[1],
                shared[1],
                *own,
                STOP,
            )
        )

    def messages(self, groups: Mapping[Owner, list[bytes]]) -> Iterable[Message]:
        """See `export.Encoder`: each pod is a Process, with messages of its own."""
        for owner, spans in groups.items():
            owner.process = owner.process or self._encode_process(owner)
            yield from self._pack(owner.process, spans)

    def _encode_trace(self, trace_id: int) -> bytes:
        """Spans of one trace often end together: half of what an id costs is in the trace's."""
        fields, i64 = self._fields, self._wire.i64
        low, high = fields.trace_low + i64(trace_id), fields.trace_high + i64(trace_id >> 64)
        return keep(self._traces, trace_id, low + high + fields.span)

    def _encode_located(self, place: Hashable, flow: Flow, exchange: Exchange) -> _Place:
        path = path_of(exchange.target)
        name = _text(self._wire, self._schema.name(flow, exchange, path))
        tags = self._tags.tags(self._schema.located(flow, exchange, path))
        return keep(self._located, place, (self._fields.operation + name, tags))

    def _encode_alike(self, likeness: Hashable, flow: Flow, exchange: Exchange) -> Tags:
        attributes = self._schema.alike(flow, exchange)
        if not self._schema.complete and failure(exchange):
            attributes.append(("error", True))
        return keep(self._alike, likeness, self._tags.tags(attributes))

    def _encode_shared(self, flow: Flow) -> Tags:
        attributes = self._schema.shared(flow)
        if not self._schema.complete:
            attributes.append(("span.kind", "server" if flow.inbound else "client"))
        flow.tags = self._tags.tags(attributes)
        return flow.tags

    def _encode_process(self, owner: Owner) -> bytes:
        wire = self._wire
        count, tags = self._tags.tags(tuple(self._process.of(owner).items()))
        service = wire.field(Kind.TEXT, 1, 0) + _text(wire, owner.identity.service)
        # Process.serviceName, .tags
        return service + wire.field(Kind.LIST, 2, 1) + wire.structs(count) + tags + STOP


def agent_encoder(schema: Schema, process: ProcessTags) -> JaegerEncoder:
    """Return one for Jaeger's agent."""
    return JaegerEncoder(_COMPACT, datagrams, schema, process)


def collector_encoder(schema: Schema, process: ProcessTags) -> JaegerEncoder:
    """Return one for Jaeger's collector."""
    return JaegerEncoder(_BINARY, requests, schema, process)
