"""The identity of a span as it travels, and its wire formats: W3C Trace Context, Jaeger and B3.

Belongs here: parsing and printing of one header value. Does not belong here: which header wins, linking, sampling.

Parsers take the value of one header, any bytes, and answer None for what is not valid; they never raise.
Sources: https://www.w3.org/TR/trace-context/ (and its level 2 for the random flag),
https://www.jaegertracing.io/docs/1.76/client-libraries/#propagation-format,
https://github.com/openzipkin/b3-propagation.
"""

import re
from binascii import hexlify
from typing import Final
from urllib.parse import unquote_to_bytes

#: Bits of `TraceContext.flags`. The first two are Jaeger's; RANDOM stands for W3C's 0x02, which is Jaeger's DEBUG.
SAMPLED: Final = 1
DEBUG: Final = 2
RANDOM: Final = 4
#: How many values `TraceContext.flags` of a span of ours can have.
FLAG_VALUES: Final = 8
#: Of a sender only: it left the decision to the receiver.
DEFERRED: Final = 8

_W3C_RANDOM: Final = 2

# [0-9a-f], told by what it is not: three ranges become a bitmap, two become comparisons, and on random digits the
# processor guesses those wrong (0.34 µs instead of 0.20 for one value).
_HEX = rb"[^\x00-/:-`g-\xff]"
_IDS_AND_FLAGS = (
    rb"-(?!0{32})(" + _HEX + rb"{32}+)-(?!0{16})(" + _HEX + rb"{16}+)-(" + _HEX + rb"{2}+)"
)
_TRACEPARENT = re.compile(rb"00" + _IDS_AND_FLAGS).fullmatch
_LATER_TRACEPARENT = re.compile(
    rb"(?!00|ff)" + _HEX + rb"{2}" + _IDS_AND_FLAGS + rb"(?:-.*)?", re.DOTALL
).fullmatch

# what is read in each pair of digits
_SAMPLED_ALONE: Final = {b"%02x" % bits: bits & SAMPLED for bits in range(256)}
_SAMPLED_AND_RANDOM: Final = {
    digits: sampled | (RANDOM if int(digits, 16) & _W3C_RANDOM else 0)
    for digits, sampled in _SAMPLED_ALONE.items()
}

_UBER_TRACE_ID = re.compile(
    rb"([0-9A-Fa-f]{1,32}):([0-9A-Fa-f]{1,16}):[0-9A-Fa-f]{0,16}:0*([0-9A-Fa-f]{1,3})"
).fullmatch
_UBER_LONGEST: Final = 256  # 70 characters, each of them percent-encoded, and some zeros
_FLAGS_HIGHEST: Final = 255

_HEX_ID = rb"[0-9A-Fa-f]{16}"
_B3_TRACE_ID = re.compile(_HEX_ID + rb"(?:" + _HEX_ID + rb")?").fullmatch
_B3_SPAN_ID = re.compile(_HEX_ID).fullmatch
_B3 = re.compile(
    rb"("
    + _HEX_ID
    + rb"(?:"
    + _HEX_ID
    + rb")?)-("
    + _HEX_ID
    + rb")(?:-([01d])(?:-"
    + _HEX_ID
    + rb")?)?"
).fullmatch
#: Sampling states of either form; the words are of tracers older than the specification.
_B3_FLAGS: Final = {
    None: DEFERRED,
    b"0": 0,
    b"1": SAMPLED,
    b"d": SAMPLED | DEBUG,
    b"false": 0,
    b"true": SAMPLED,
}


class TraceContext:
    """The span of one exchange: ids, parent, decision. Ids are integers; 0 as parent means a root.

    A sender that states a decision and no trace (B3 alone can) has 0 as trace id.

    Two of them are equal only when they are the same object: the link table tells exchanges apart by it.
    """

    __slots__ = ("flags", "parent_id", "span_id", "state", "trace_id")

    def __init__(
        self, trace_id: int, span_id: int, parent_id: int, flags: int, state: bytes = b""
    ) -> None:
        """`trace_id` < 2^128, `span_id` and `parent_id` < 2^64; `flags` of SAMPLED, DEBUG and RANDOM."""
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.flags = flags
        #: `tracestate` as received, passed through.
        self.state = state


def parse_traceparent(value: bytes) -> TraceContext | None:
    """Return the sender's span, or None where the value is not a valid `traceparent`.

    Version ff is invalid and 00 has one length; of a later version the known beginning is read (W3C §4.3), and of
    its flags only the sampled bit.
    """
    known = _SAMPLED_AND_RANDOM
    match = _TRACEPARENT(value)
    if match is None:
        known = _SAMPLED_ALONE
        match = _LATER_TRACEPARENT(value)
        if match is None:
            return None
    trace_id, span_id, flags = match.groups()
    return TraceContext(int(trace_id, 16), int(span_id, 16), 0, known[flags])


def traceparent_template(flags: int) -> bytes:
    """Return `00-<trace id>-<span id>-<flags>` for `flags` of a TraceContext; the random flag only where it was received.

    For a span's `hex_ids` to be put in.
    """
    return b"00-%%b-%%b-%02x" % (flags & SAMPLED | (_W3C_RANDOM if flags & RANDOM else 0))


def parse_uber_trace_id(value: bytes) -> TraceContext | None:
    """Return the sender's span, or None where the value is not a valid `uber-trace-id`.

    Clients may URL-encode the value, print ids without padding and trace ids of 64 bits. The deprecated parent is not used.
    """
    if len(value) > _UBER_LONGEST:
        return None
    if b"%" in value:
        value = unquote_to_bytes(value)
    match = _UBER_TRACE_ID(value)
    if match is None:
        return None
    trace, span, flags = match.groups()
    trace_id = int(trace, 16)
    span_id = int(span, 16)
    # Clients print hex and read decimal. All known bits together are 0xb, so digits alone mean the same in both
    # up to 9; beyond it only a letter tells that hex was meant.
    bits = int(flags) if flags.isdigit() else int(flags, 16)
    if trace_id == 0 or span_id == 0 or bits > _FLAGS_HIGHEST:
        return None
    return TraceContext(trace_id, span_id, 0, bits & (SAMPLED | DEBUG))


def uber_trace_id_template(flags: int) -> bytes:
    """Return `<trace id>:<span id>:0:<flags>`, flags are 0 to 3, the same digit in decimal and in hex.

    For a span's `hex_ids` to be put in.
    """
    return b"%%b:%%b:0:%d" % (flags & (SAMPLED | DEBUG))


def parse_b3(value: bytes) -> TraceContext | None:
    """Return the sender's span, or its decision alone, or None where the value is not a valid `b3`."""
    if value in (b"0", b"1", b"d"):
        return TraceContext(0, 0, 0, _B3_FLAGS[value])
    match = _B3(value)
    return None if match is None else _b3_context(match[1], match[2], _B3_FLAGS[match[3]])


def parse_b3_multi(
    trace_id: bytes | None, span_id: bytes | None, sampled: bytes | None, flags: bytes | None
) -> TraceContext | None:
    """Return what the values of `X-B3-TraceId`, `-SpanId`, `-Sampled` and `-Flags` say, as `parse_b3` does."""
    decision = SAMPLED | DEBUG if flags == b"1" else _B3_FLAGS.get(sampled)
    if decision is None:
        return None
    if trace_id is None and span_id is None:
        return None if decision == DEFERRED else TraceContext(0, 0, 0, decision)
    if trace_id is None or span_id is None:
        return None
    if _B3_TRACE_ID(trace_id) is None or _B3_SPAN_ID(span_id) is None:
        return None
    return _b3_context(trace_id, span_id, decision)


def _b3_context(trace: bytes, span: bytes, flags: int) -> TraceContext | None:
    trace_id, span_id = int(trace, 16), int(span, 16)
    return TraceContext(trace_id, span_id, 0, flags) if trace_id and span_id else None


def b3_state(flags: int) -> bytes:
    """Return the sampling state of the single header for `flags` of a span of ours."""
    if flags & DEBUG:
        return b"d"
    return b"1" if flags & SAMPLED else b"0"


def hex_ids(context: TraceContext) -> tuple[bytes, bytes]:
    """Return trace id and span id in 32 and 16 hex digits."""
    # by way of bytes: `%x` takes two to three times as long for random digits
    trace_id = context.trace_id.to_bytes(16, "big")
    return hexlify(trace_id), hexlify(context.span_id.to_bytes(8, "big"))
