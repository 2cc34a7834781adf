"""Which trace headers are read, which one wins, and what is written in their place.

Belongs here: the propagators by their `OTEL_PROPAGATORS` names, their order, the headers of each. Does not belong here: the
format of one value (`trace_context`), where a parent comes from when no header names one (`tracing`).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from netra_node.core.headers import Declared, HeaderView
from netra_node.core.trace_context import (
    DEBUG,
    FLAG_VALUES,
    TraceContext,
    b3_state,
    hex_ids,
    parse_b3,
    parse_b3_multi,
    parse_traceparent,
    parse_uber_trace_id,
    traceparent_template,
    uber_trace_id_template,
)

NONE: Final = "none"

_UBER_TRACE_ID: Final = b"uber-trace-id"
_DEBUG_ID: Final = b"jaeger-debug-id"
#: How nearly every value without the debug bit ends: it needs no parsing to know that.
_NOT_DEBUG: Final = (b":0", b":1", b":00", b":01")


_B3: Final = b"b3"
_B3_TRACE_ID: Final = b"x-b3-traceid"
_B3_SPAN_ID: Final = b"x-b3-spanid"
_B3_PARENT_ID: Final = b"x-b3-parentspanid"
_B3_SAMPLED: Final = b"x-b3-sampled"
_B3_FLAGS: Final = b"x-b3-flags"
_B3_MULTI: Final = (_B3_TRACE_ID, _B3_SPAN_ID, _B3_PARENT_ID, _B3_SAMPLED, _B3_FLAGS)


class _Propagator(NamedTuple):
    """One wire format: the headers it looks at (lower case), how it reads them, and how it is written.

    `template` is of a format that is one header, the first of `fields`, and tells nothing but flags and ids.
    """

    fields: tuple[bytes, ...]
    read: Callable[[HeaderView], TraceContext | None]
    template: Callable[[int], bytes] | None = None


def _read_w3c(view: HeaderView) -> TraceContext | None:
    value = view.get(b"traceparent")
    if value is None:
        return None
    if view.repeats and len(view.get_all(b"traceparent")) > 1:  # of several none can be trusted
        return None
    remote = parse_traceparent(value)
    if remote is not None and view.get(b"tracestate"):
        remote.state = b",".join(view.get_all(b"tracestate"))
    return remote


def _read_jaeger(view: HeaderView) -> TraceContext | None:
    value = view.get(_UBER_TRACE_ID)
    return None if value is None else parse_uber_trace_id(value)


def _read_b3(view: HeaderView) -> TraceContext | None:
    value = view.get(_B3)
    return None if value is None else parse_b3(value)


def _read_b3_multi(view: HeaderView) -> TraceContext | None:
    get = view.get
    return parse_b3_multi(get(_B3_TRACE_ID), get(_B3_SPAN_ID), get(_B3_SAMPLED), get(_B3_FLAGS))


def _b3(context: TraceContext, ids: tuple[bytes, bytes]) -> Declared:
    value = b"%b-%b-%b" % (*ids, b3_state(context.flags))
    return (_B3, value + b"-%016x" % context.parent_id if context.parent_id else value)


def _b3_multi(context: TraceContext, ids: tuple[bytes, bytes]) -> Iterable[Declared]:
    """Write the headers of B3's older form. Debug is told instead of the decision, which it implies."""
    debug = context.flags & DEBUG
    yield b"X-B3-TraceId", ids[0]
    yield b"X-B3-SpanId", ids[1]
    yield b"X-B3-ParentSpanId", b"%016x" % context.parent_id if context.parent_id else None
    yield b"X-B3-Sampled", None if debug else b3_state(context.flags)
    yield b"X-B3-Flags", b"1" if debug else None


def _has_orphaned_state(view: HeaderView) -> bool:
    """Tell whether the `tracestate` belongs to a `traceparent` that is invalid."""
    return view.get(b"traceparent") is not None and _read_w3c(view) is None


def _debug_of(view: HeaderView, trace_id: int) -> int:
    """Return the debug bit if a Jaeger header of this very trace carries it."""
    value = view.get(_UBER_TRACE_ID)
    if value is None or value.endswith(_NOT_DEBUG):
        return 0
    jaeger = parse_uber_trace_id(value)
    return jaeger.flags & DEBUG if jaeger is not None and jaeger.trace_id == trace_id else 0


_W3C: Final = "tracecontext"
_JAEGER: Final = "jaeger"
_PROPAGATORS: Final = {
    _W3C: _Propagator((b"traceparent", b"tracestate"), _read_w3c, traceparent_template),
    _JAEGER: _Propagator((_UBER_TRACE_ID,), _read_jaeger, uber_trace_id_template),
    "b3": _Propagator((_B3,), _read_b3),
    "b3multi": _Propagator(_B3_MULTI, _read_b3_multi),
}
#: Names without a header of ours: baggage passes through as every other header does.
_SILENT: Final = ("baggage", NONE)

#: Every name `Propagation` takes, for messages.
NAMES: Final = (*_PROPAGATORS, *_SILENT)


class Propagation:
    """The configured propagators: the first that finds a valid span wins, all of them are written.

    B3 is written also where it came in: whoever reads it behind us would hang under a span that is not its caller's. So it is
    read there too, after all others: else we would lead who uses it alone from one trace into another.
    """

    __slots__ = (
        "_b3",
        "_b3_multi",
        "_debug_elsewhere",
        "_has_debug_id",
        "_rare_readers",
        "_readers",
        "_state_at",
        "_templates",
        "fields",
        "rare",
    )

    def __init__(self, names: Sequence[str]) -> None:
        """Take names of `OTEL_PROPAGATORS` in their order, duplicates ignored.

        Raises ValueError, saying what it takes, for an unknown name and for `none` beside another.
        """
        chosen = _chosen(names)
        propagators = [_PROPAGATORS[name] for name in chosen]
        self._readers = tuple(propagator.read for propagator in propagators)
        b3s = (_read_b3, _read_b3_multi) if chosen else ()
        self._rare_readers = tuple(read for read in b3s if read not in self._readers)
        # what is written differs by the flags and the ids only: for each value of the flags (name, template)
        self._templates = tuple(
            tuple((each.fields[0], each.template(flags)) for each in propagators if each.template)
            for flags in range(FLAG_VALUES)
        )
        self._b3 = "b3" in chosen
        self._b3_multi = "b3multi" in chosen
        self._debug_elsewhere = _JAEGER in chosen[1:]
        # where a `tracestate` is declared: behind its `traceparent`; 0 = never
        written = [name for name, _ in self._templates[0]]
        self._state_at = written.index(b"traceparent") + 1 if _W3C in chosen else 0
        #: Lower-case names of every header that is looked at,
        self.fields = tuple(field for each in propagators for field in each.fields)
        others: tuple[bytes, ...] = (_B3, *_B3_MULTI) if chosen else ()
        self._has_debug_id = _JAEGER in chosen
        if self._has_debug_id:
            others += (_DEBUG_ID,)
        #: and of those that are hardly ever there.
        self.rare = tuple(name for name in others if name not in self.fields)

    def extract(self, view: HeaderView) -> TraceContext | None:
        """Return the span that sent this head, or None. Its `parent_id` is 0: nobody tells us."""
        for read in self._readers:
            remote = read(view)
            if remote is not None:
                if self._debug_elsewhere:
                    remote.flags |= _debug_of(view, remote.trace_id)
                return remote
        return self._extract_b3(view) if view.repeats else None

    def _extract_b3(self, view: HeaderView) -> TraceContext | None:
        for read in self._rare_readers:
            remote = read(view)
            if remote is not None:
                return remote
        return None

    def debug_id(self, view: HeaderView) -> bytes | None:
        """Return what a sender wants to find its trace by; it counts where no trace is known, and passes on untouched."""
        return view.get(_DEBUG_ID) if self._has_debug_id else None

    def declare(self, context: TraceContext, view: HeaderView) -> list[Declared]:
        """Return the headers that tell the receiver of `context`, each name once, in their order of writing."""
        declared: list[Declared] = []
        if not self.fields:
            return declared
        ids = hex_ids(context)
        for name, template in self._templates[context.flags]:
            declared.append((name, template % ids))  # a comprehension costs 0.15 µs more
        if self._state_at and view.get(b"tracestate") is not None and _has_orphaned_state(view):
            declared.insert(self._state_at, (b"tracestate", None))
        if self._b3 or self._b3_multi or view.repeats:
            declared.extend(self._declare_b3(context, ids, view))
        return declared

    def _declare_b3(
        self, context: TraceContext, ids: tuple[bytes, bytes], view: HeaderView
    ) -> Iterable[Declared]:
        if self._b3 or view.get(_B3) is not None:
            yield _b3(context, ids)
        if self._b3_multi or any(view.get(name) is not None for name in _B3_MULTI):
            yield from _b3_multi(context, ids)


def _chosen(names: Iterable[str]) -> tuple[str, ...]:
    distinct = tuple(dict.fromkeys(names))
    unknown = [name for name in distinct if name not in NAMES]
    if unknown or (NONE in distinct and len(distinct) > 1):
        message = f"takes {NONE} alone or a list of {', '.join(n for n in NAMES if n != NONE)}"
        raise ValueError(message)
    return tuple(name for name in distinct if name in _PROPAGATORS)
