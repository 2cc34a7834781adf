"""What Jaeger reads of our bytes, by Apache Thrift's own library: any struct first, by its numbers, then jaeger.thrift's names.

Belongs here: reading, for tests here and in e2e. Does not belong here: anything of `netra_node`.
"""

from dataclasses import dataclass
from typing import Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TMessageType, TType
from thrift.transport.TTransport import TMemoryBuffer

_SCALARS = {
    TType.BOOL: "readBool",
    TType.BYTE: "readByte",
    TType.I16: "readI16",
    TType.I32: "readI32",
    TType.I64: "readI64",
    TType.DOUBLE: "readDouble",
}
_UNSIGNED = (1 << 64) - 1

#: TagType → the number of the field that has the value: vStr, vDouble, vBool, vLong, vBinary.
_VALUES = {0: 3, 1: 4, 2: 5, 3: 6, 4: 7}


@dataclass
class Span:
    """Ids are unsigned, times microseconds. Tags are in their order; of equal keys all are there."""

    trace_id: int
    span_id: int
    parent_id: int
    operation: str
    flags: int
    start: int
    duration: int
    tags: list[tuple[str, Any]]


@dataclass
class Batch:
    service: str
    process: list[tuple[str, Any]]
    spans: list[Span]


def read_struct(protocol: Any) -> dict[int, Any]:
    """The fields of a struct by their numbers."""
    fields: dict[int, Any] = {}
    protocol.readStructBegin()
    while True:
        _, kind, number = protocol.readFieldBegin()
        if kind == TType.STOP:
            break
        assert number not in fields
        fields[number] = _read(protocol, kind)
        protocol.readFieldEnd()
    protocol.readStructEnd()
    return fields


def _read(protocol: Any, kind: int) -> Any:
    if kind in _SCALARS:
        return getattr(protocol, _SCALARS[kind])()
    if kind == TType.STRING:
        return protocol.readString()
    if kind == TType.STRUCT:
        return read_struct(protocol)
    assert kind == TType.LIST, kind
    inner, size = protocol.readListBegin()
    items = [_read(protocol, inner) for _ in range(size)]
    protocol.readListEnd()
    return items


def binary(body: bytes) -> dict[int, Any]:
    """One struct in the binary protocol, and nothing behind it."""
    return _whole(TBinaryProtocol, body)


def compact(body: bytes) -> dict[int, Any]:
    """The same in the compact protocol."""
    return _whole(TCompactProtocol, body)


def _whole(protocol: Any, body: bytes) -> dict[int, Any]:
    buffer = TMemoryBuffer(body)
    found = read_struct(protocol(buffer))
    assert buffer.cstringio_buf.tell() == len(body)
    return found


def read_request(body: bytes) -> Batch:
    """What a collector reads of the body of a POST."""
    return _batch(binary(body))


def read_datagram(datagram: bytes) -> Batch:
    """What an agent reads of a datagram."""
    buffer = TMemoryBuffer(datagram)
    protocol = TCompactProtocol(buffer)
    assert protocol.readMessageBegin() == ("emitBatch", TMessageType.ONEWAY, 0)
    arguments = read_struct(protocol)
    protocol.readMessageEnd()
    assert buffer.cstringio_buf.tell() == len(datagram)
    assert arguments.keys() == {1}
    return _batch(arguments[1])


def _batch(fields: dict[int, Any]) -> Batch:
    assert fields.keys() == {1, 2}
    process = fields[1]
    assert process.keys() <= {1, 2}
    return Batch(
        process[1], [_tag(tag) for tag in process.get(2, [])], [_span(one) for one in fields[2]]
    )


def _span(fields: dict[int, Any]) -> Span:
    assert {1, 2, 3, 4, 5, 7, 8, 9} <= fields.keys() <= set(range(1, 12))
    return Span(
        trace_id=(fields[2] & _UNSIGNED) << 64 | fields[1] & _UNSIGNED,
        span_id=fields[3] & _UNSIGNED,
        parent_id=fields[4] & _UNSIGNED,
        operation=fields[5],
        flags=fields[7],
        start=fields[8],
        duration=fields[9],
        tags=[_tag(tag) for tag in fields.get(10, [])],
    )


def _tag(fields: dict[int, Any]) -> tuple[str, Any]:
    value = _VALUES[fields[2]]
    assert fields.keys() == {1, 2, value}
    return fields[1], fields[value]
