"""Counts the spans in an OTLP export, without decoding them.

Pure and cheap: a decoder in the sink would compete with the proxies for the machine's cores.
"""

from collections.abc import Iterator

# Field numbers of opentelemetry/proto/collector/trace/v1 and trace/v1.
_RESOURCE_SPANS = 1
_SCOPE_SPANS = 2
_SPANS = 2

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}


def count_spans(export: bytes) -> int:
    """Return the number of spans in one `ExportTraceServiceRequest`.

    Raises ValueError where the bytes are not protobuf.
    """
    return sum(
        1
        for resource in _submessages(export, 0, len(export), _RESOURCE_SPANS)
        for scope in _submessages(export, *resource, _SCOPE_SPANS)
        for _ in _submessages(export, *scope, _SPANS)
    )


def _submessages(data: bytes, at: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of every length-delimited field `wanted` of the message data[at:end]."""
    while at < end:
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _LENGTH:
            size, at = _varint(data, at)
            if at + size > end:
                message = "length runs past the end of its message"
                raise ValueError(message)
            if number == wanted:
                yield at, at + size
            at += size
        else:
            at = _after_scalar(data, at, kind)


def _after_scalar(data: bytes, at: int, kind: int) -> int:
    if kind == _VARINT:
        return _varint(data, at)[1]
    if kind not in _FIXED_SIZES:
        message = f"wire type {kind} is not protobuf"
        raise ValueError(message)
    return at + _FIXED_SIZES[kind]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    message = "truncated varint"
    raise ValueError(message)
