"""Which exchanges become exported spans: OpenTelemetry's samplers as decisions.

Belongs here: the decision and the names of `OTEL_TRACES_SAMPLER`. Does not belong here: how it travels (`propagation`).
"""

from collections.abc import Callable
from typing import Final, Protocol

from netra_node.core.records import Direction, Exchange, SampledBy
from netra_node.core.trace_context import SAMPLED, TraceContext

_LOW_64: Final = (1 << 64) - 1
_ALWAYS: Final[SampledBy] = ("const", True)
#: Of a span that is not a root nobody reads it.
_BY_PARENT: Final[SampledBy] = ("parent", True)


class Sampler(Protocol):
    """Decides once per exchange. Unsampled exchanges carry headers and links all the same."""

    def decide(
        self,
        parent: TraceContext | None,
        trace_id: int,
        direction: Direction,
        exchange: Exchange,
        now: int,
        /,
    ) -> SampledBy | None:
        """Say why the span is exported, or None: it is not. `parent` is None for a root.

        Of `exchange` only what its head says is filled in; `now` is monotonic nanoseconds.
        """


class AlwaysOn:
    """Exports every span."""

    __slots__ = ()

    def decide(
        self,
        _parent: TraceContext | None,
        _trace_id: int,
        _direction: Direction,
        _exchange: Exchange,
        _now: int,
    ) -> SampledBy | None:
        """Say yes."""
        return _ALWAYS


class AlwaysOff:
    """Exports no span."""

    __slots__ = ()

    def decide(
        self,
        _parent: TraceContext | None,
        _trace_id: int,
        _direction: Direction,
        _exchange: Exchange,
        _now: int,
    ) -> SampledBy | None:
        """Say no."""
        return None


class TraceIdRatio:
    """Exports a share of all traces, chosen by trace id: every hop that asks at the same ratio decides alike."""

    __slots__ = ("_bound", "_by")

    def __init__(self, ratio: float) -> None:
        """`ratio` is 0 to 1; ValueError outside it."""
        if not 0 <= ratio <= 1:
            message = "takes a number from 0 to 1"
            raise ValueError(message)
        self._bound = round(ratio * (_LOW_64 + 1))
        self._by: SampledBy = ("probabilistic", float(ratio))

    def decide(
        self,
        _parent: TraceContext | None,
        trace_id: int,
        _direction: Direction,
        _exchange: Exchange,
        _now: int,
    ) -> SampledBy | None:
        """Compare the low 64 bits as the OpenTelemetry SDK does: all that a trace id of 64 bits has."""
        return self._by if trace_id & _LOW_64 < self._bound else None


class ParentBased:
    """Keeps what the parent decided; asks `root` where there is none."""

    __slots__ = ("_decide_root",)

    def __init__(self, root: Sampler) -> None:
        """`root` decides for new traces."""
        self._decide_root = root.decide

    def decide(
        self,
        parent: TraceContext | None,
        trace_id: int,
        direction: Direction,
        exchange: Exchange,
        now: int,
    ) -> SampledBy | None:
        """Return the parent's decision, or the root sampler's."""
        if parent is not None:
            return _BY_PARENT if parent.flags & SAMPLED else None
        return self._decide_root(None, trace_id, direction, exchange, now)


def sampler_from(name: str, ratio: float = 1.0) -> Sampler:
    """Return the sampler `OTEL_TRACES_SAMPLER=name` asks for; `ratio` is `OTEL_TRACES_SAMPLER_ARG` where that has a meaning.

    Raises ValueError saying what is taken: about `ratio` when `name` is one of `NAMES`, else about `name`.
    """
    make = _SAMPLERS.get(name)
    if make is None:
        message = f"takes {', '.join(NAMES)}"
        raise ValueError(message)
    return make(ratio)


_SAMPLERS: Final[dict[str, Callable[[float], Sampler]]] = {
    "always_on": lambda _ratio: AlwaysOn(),
    "always_off": lambda _ratio: AlwaysOff(),
    "traceidratio": TraceIdRatio,
    "parentbased_always_on": lambda _ratio: ParentBased(AlwaysOn()),
    "parentbased_always_off": lambda _ratio: ParentBased(AlwaysOff()),
    "parentbased_traceidratio": lambda ratio: ParentBased(TraceIdRatio(ratio)),
}

#: Every name `sampler_from` takes, for messages.
NAMES: Final = tuple(_SAMPLERS)
