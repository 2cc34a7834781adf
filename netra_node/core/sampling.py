"""Which exchanges become exported spans: OpenTelemetry's samplers as decisions.

Belongs here: the decision and the names of `OTEL_TRACES_SAMPLER`. Does not belong here: how it travels (`propagation`).
"""

from collections.abc import Callable
from typing import Final, Protocol

from netra_node.core.trace_context import SAMPLED, TraceContext

_LOW_64: Final = (1 << 64) - 1


class Sampler(Protocol):
    """Decides once per exchange. Unsampled exchanges carry headers and links all the same."""

    def decide(self, parent: TraceContext | None, trace_id: int, name: bytes, now: int, /) -> bool:
        """Tell whether the span is exported. `parent` is None for a root.

        `name` is the request target and `now` monotonic nanoseconds, for samplers that weigh operations or rates.
        """


class AlwaysOn:
    """Exports every span."""

    __slots__ = ()

    def decide(self, _parent: TraceContext | None, _trace_id: int, _name: bytes, _now: int) -> bool:
        """Say yes."""
        return True


class AlwaysOff:
    """Exports no span."""

    __slots__ = ()

    def decide(self, _parent: TraceContext | None, _trace_id: int, _name: bytes, _now: int) -> bool:
        """Say no."""
        return False


class TraceIdRatio:
    """Exports a share of all traces, chosen by trace id: every hop that asks at the same ratio decides alike."""

    __slots__ = ("_bound",)

    def __init__(self, ratio: float) -> None:
        """`ratio` is 0 to 1; ValueError outside it."""
        if not 0 <= ratio <= 1:
            message = "takes a number from 0 to 1"
            raise ValueError(message)
        self._bound = round(ratio * (_LOW_64 + 1))

    def decide(self, _parent: TraceContext | None, trace_id: int, _name: bytes, _now: int) -> bool:
        """Compare the low 64 bits as the OpenTelemetry SDK does: all that a trace id of 64 bits has."""
        return trace_id & _LOW_64 < self._bound


class ParentBased:
    """Keeps what the parent decided; asks `root` where there is none."""

    __slots__ = ("_decide_root",)

    def __init__(self, root: Sampler) -> None:
        """`root` decides for new traces."""
        self._decide_root = root.decide

    def decide(self, parent: TraceContext | None, trace_id: int, name: bytes, now: int) -> bool:
        """Return the parent's sampled flag, or the root sampler's answer."""
        if parent is not None:
            return parent.flags & SAMPLED != 0
        return self._decide_root(None, trace_id, name, now)


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
