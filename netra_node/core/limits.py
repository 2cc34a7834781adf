"""Every size, count and delay the HTTP core refuses to exceed. Values only; passed in, never looked up."""

from dataclasses import dataclass

_MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one intercepted connection (`http.md`, Four rules). Sizes in bytes, delays in nanoseconds."""

    #: A head longer than this makes the connection opaque.
    head: int = 64 * 1024
    #: A head with more fields than this makes it opaque, too: a field costs 0.2 µs, and one read may bring 64 heads of them.
    #: Apache, Tomcat and Envoy take 100.
    fields: int = 200
    #: And so do more 1xx answers than this after the last request: each costs time, and none ends anything.
    interim: int = 256
    #: Requests waiting for their answer; at this number reading from the client stops.
    unanswered: int = 64
    #: Bytes of heads that are read in one turn of the loop; client bytes behind them wait for the next. A head of fields that are
    #: looked at costs 40 µs a KiB.
    turn: int = 8 * 1024
    #: An incomplete request head is let go this long after its last byte,
    hold_after_last: int = 50 * _MILLISECOND
    #: and at the latest this long after its first.
    hold_after_first: int = 1000 * _MILLISECOND
    #: One line of chunked framing: a size with its extensions, or a trailer field.
    chunk_line: int = 8 * 1024
