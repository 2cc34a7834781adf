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
    hex_ids,
    parse_traceparent,
    parse_uber_trace_id,
    traceparent_template,
    uber_trace_id_template,
)

NONE: Final = "none"

_UBER_TRACE_ID: Final = b"uber-trace-id"
#: How nearly every value without the debug bit ends: it needs no parsing to know that.
_NOT_DEBUG: Final = (b":0", b":1", b":00", b":01")


class _Propagator(NamedTuple):
    """One wire format: the headers it looks at (lower case, the first is the one it writes), how it reads and writes."""

    fields: tuple[bytes, ...]
    read: Callable[[HeaderView], TraceContext | None]
    template: Callable[[int], bytes]


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
}
#: Names without a header of ours: baggage passes through as every other header does.
_SILENT: Final = ("baggage", NONE)

#: Every name `Propagation` takes, for messages.
NAMES: Final = (*_PROPAGATORS, *_SILENT)


class Propagation:
    """The configured propagators: the first that finds a valid span wins, all of them are written."""

    __slots__ = ("_debug_elsewhere", "_readers", "_state_at", "_templates", "fields")

    def __init__(self, names: Sequence[str]) -> None:
        """Take names of `OTEL_PROPAGATORS` in their order, duplicates ignored.

        Raises ValueError, saying what it takes, for an unknown name and for `none` beside another.
        """
        chosen = _chosen(names)
        propagators = [_PROPAGATORS[name] for name in chosen]
        self._readers = tuple(propagator.read for propagator in propagators)
        # what is written differs by the flags and the ids only: for each value of the flags (name, template)
        self._templates = tuple(
            tuple((each.fields[0], each.template(flags)) for each in propagators)
            for flags in range(FLAG_VALUES)
        )
        self._debug_elsewhere = _JAEGER in chosen[1:]
        # where a `tracestate` is declared: behind its `traceparent`; 0 = never
        self._state_at = chosen.index(_W3C) + 1 if _W3C in chosen else 0
        #: Lower-case names of every header that is looked at.
        self.fields = tuple(field for each in propagators for field in each.fields)

    def extract(self, view: HeaderView) -> TraceContext | None:
        """Return the span that sent this head, or None. Its `parent_id` is 0: nobody tells us."""
        for read in self._readers:
            remote = read(view)
            if remote is not None:
                if self._debug_elsewhere:
                    remote.flags |= _debug_of(view, remote.trace_id)
                return remote
        return None

    def declare(self, context: TraceContext, view: HeaderView) -> list[Declared]:
        """Return the headers that tell the receiver of `context`, each name once, in their order of writing."""
        ids = hex_ids(context)
        declared: list[Declared] = []
        for name, template in self._templates[context.flags]:
            declared.append((name, template % ids))  # a comprehension costs 0.15 µs more
        if self._state_at and view.get(b"tracestate") is not None and _has_orphaned_state(view):
            declared.insert(self._state_at, (b"tracestate", None))
        return declared


def _chosen(names: Iterable[str]) -> tuple[str, ...]:
    distinct = tuple(dict.fromkeys(names))
    unknown = [name for name in distinct if name not in NAMES]
    if unknown or (NONE in distinct and len(distinct) > 1):
        message = f"takes {NONE} alone or a list of {', '.join(n for n in NAMES if n != NONE)}"
        raise ValueError(message)
    return tuple(name for name in distinct if name in _PROPAGATORS)
