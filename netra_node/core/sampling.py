"""Which exchanges become exported spans: OpenTelemetry's samplers and Jaeger's as decisions.

Belongs here: the decision and the names of `OTEL_TRACES_SAMPLER` and `JAEGER_SAMPLER_TYPE`. Does not belong here: how it
travels (`propagation`), strategies that a server tells (`remote_sampling`).
"""

import math
from collections.abc import Callable
from typing import Final, Protocol

from netra_node.core.records import Direction, Exchange, SampledBy
from netra_node.core.trace_context import SAMPLED, TraceContext

_LOW_64: Final = (1 << 64) - 1
_LOW_63: Final = (1 << 63) - 1
_SECOND: Final = 1_000_000_000
#: Nanoseconds: the time of a token at rate 0. 146 years.
_NEVER: Final = 1 << 62
_ALWAYS: Final[SampledBy] = ("const", True)
#: Of a span that is not a root nobody reads it.
_BY_PARENT: Final[SampledBy] = ("parent", True)

#: What the span of an exchange will be called.
Operation = Callable[[Direction, Exchange], str]


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
        _check_ratio(ratio)
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


def is_chosen(trace_id: int, ratio: float) -> bool:
    """Tell whether Jaeger's clients choose a trace at `ratio`, 0 to 1: they compare its low 63 bits (jaeger-client-go)."""
    return trace_id & _LOW_63 <= ratio * (_LOW_63 + 1)


class Probabilistic:
    """Exports a share of all traces, the same ones as Jaeger's clients do at that ratio."""

    __slots__ = ("_by", "_ratio")

    def __init__(self, ratio: float) -> None:
        """`ratio` is 0 to 1; ValueError outside it."""
        _check_ratio(ratio)
        self._ratio = ratio
        self._by: SampledBy = ("probabilistic", float(ratio))

    def decide(
        self,
        _parent: TraceContext | None,
        trace_id: int,
        _direction: Direction,
        _exchange: Exchange,
        _now: int,
    ) -> SampledBy | None:
        """Compare the trace id."""
        return self._by if is_chosen(trace_id, self._ratio) else None


class Rate:
    """A token bucket whose whole state is one number, kept by the caller: when it will be full again, 0 at first.

    It holds max(`per_second`, 1) tokens, as Jaeger's does.
    """

    __slots__ = ("_period", "_spare")

    def __init__(self, per_second: float) -> None:
        """`per_second` is not negative."""
        #: nanoseconds until a token is back,
        self._period = int(min(_SECOND / per_second, _NEVER)) if per_second > 0 else _NEVER
        #: and until all are but the one that a taker wants.
        self._spare = max(0, _SECOND - self._period)

    def take(self, full_at: int, now: int) -> int | None:
        """Take a token and return the state after it; None: there is none. Times are monotonic nanoseconds."""
        if full_at - now > self._spare:
            return None
        return max(full_at, now) + self._period


class RateLimiting:
    """Exports at most so many traces a second, the first ones that come."""

    __slots__ = ("_by", "_full_at", "_rate")

    def __init__(self, per_second: float) -> None:
        """`per_second` is not negative; ValueError where it is."""
        if not 0 <= per_second < math.inf:
            message = "takes a number, 0 or more"
            raise ValueError(message)
        self._rate = Rate(per_second)
        self._full_at = 0
        self._by: SampledBy = ("ratelimiting", float(per_second))

    def decide(
        self,
        _parent: TraceContext | None,
        _trace_id: int,
        _direction: Direction,
        _exchange: Exchange,
        now: int,
    ) -> SampledBy | None:
        """Take a token."""
        after = self._rate.take(self._full_at, now)
        if after is None:
            return None
        self._full_at = after
        return self._by


def _check_ratio(ratio: float) -> None:
    if not 0 <= ratio <= 1:
        message = "takes a number from 0 to 1"
        raise ValueError(message)


def sampler_from(name: str, param: float = 1.0) -> Sampler:
    """Return the sampler that `OTEL_TRACES_SAMPLER` or `JAEGER_SAMPLER_TYPE` means by `name`.

    `param` is `OTEL_TRACES_SAMPLER_ARG` or `JAEGER_SAMPLER_PARAM` where that has a meaning. One sampler is one client of Jaeger's:
    pods that share it share its rate. Raises ValueError saying what is taken: about `param` when `name` is one of `NAMES`, else
    about `name`.
    """
    make = _SAMPLERS.get(name)
    if make is None:
        message = f"takes {', '.join(NAMES)}"
        raise ValueError(message)
    return make(param)


_SAMPLERS: Final[dict[str, Callable[[float], Sampler]]] = {
    "always_on": lambda _ratio: AlwaysOn(),
    "always_off": lambda _ratio: AlwaysOff(),
    "traceidratio": TraceIdRatio,
    "parentbased_always_on": lambda _ratio: ParentBased(AlwaysOn()),
    "parentbased_always_off": lambda _ratio: ParentBased(AlwaysOff()),
    "parentbased_traceidratio": lambda ratio: ParentBased(TraceIdRatio(ratio)),
    # every sampler of Jaeger's is asked for roots only
    "const": lambda param: ParentBased(AlwaysOn() if param else AlwaysOff()),
    "probabilistic": lambda param: ParentBased(Probabilistic(param)),
    "ratelimiting": lambda param: ParentBased(RateLimiting(param)),
}

#: Every name `sampler_from` takes, for messages.
NAMES: Final = tuple(_SAMPLERS)
