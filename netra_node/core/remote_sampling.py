"""Sampling as Jaeger's server tells it, service by service: its answers read, and a sampler that follows them.

Belongs here: what an answer means, the decision by operation. Does not belong here: asking (`telemetry.strategies`), samplers
that nobody steers (`sampling`). The form is jaeger-client-go's: of the strategies in an answer `operationSampling` counts most,
then `probabilisticSampling`, then `rateLimitingSampling`, and what is absent is 0.
"""

import json
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final

from netra_node.core.records import Direction, Exchange, SampledBy
from netra_node.core.sampling import (
    Operation,
    Probabilistic,
    Rate,
    RateLimiting,
    Sampler,
    is_chosen,
)
from netra_node.core.trace_context import TraceContext

#: Bytes of a longest answer: some 10,000 operations.
ANSWER_LIMIT: Final = 1 << 20
#: Bytes of what an answer holds besides operations.
_FRAME_LIMIT: Final = 16_384
#: Operations read between two yields: 0.2 ms.
_STEP: Final = 100
_MOST_PER_SECOND: Final = 1e9

# No string can hold these bytes, as it would escape the quotes.
_OPERATIONS: Final = re.compile(r'"perOperationStrategies"\s*:\s*\[')
_GAP: Final = re.compile(r"[\s,]*")
_decode_at: Final = json.JSONDecoder().raw_decode


@dataclass(frozen=True, slots=True)
class Share:
    """Sample this share of the service's traces, 0 to 1."""

    ratio: float


@dataclass(frozen=True, slots=True)
class Limit:
    """Sample at most so many of the service's traces a second."""

    per_second: float


@dataclass(frozen=True, slots=True)
class ByOperation:
    """Sample shares of traces by the operation of their root, and so many of each operation a second all the same."""

    #: For operations without a share of their own.
    ratio: float
    at_least_per_second: float
    ratios: dict[str, float] = field(default_factory=dict)


Strategy = Share | Limit | ByOperation


def reading(body: bytes, most: int) -> Generator[None, None, Strategy]:
    """Read an answer in steps of a fraction of a millisecond; the strategy is the generator's value.

    Of its operations the first `most` have shares of their own. Raises ValueError for what is no strategy.
    """
    try:
        return (yield from _reading(body.decode(), most))
    except RecursionError:
        message = "nested too deep for a sampling strategy"
        raise ValueError(message) from None


def _reading(text: str, most: int) -> Generator[None, None, Strategy]:
    operations = _OPERATIONS.search(text)
    if operations is None:
        return _strategy(text, {})
    ratios: dict[str, float] = {}
    position, number = _end_of_gap(text, operations.end()), 0
    while not text.startswith("]", position):
        form, position = _decode_at(text, position)
        position = _end_of_gap(text, position)
        if len(ratios) < most:
            ratios[_operation(form)] = _ratio(_part(form, "probabilisticSampling"), "samplingRate")
        number += 1
        if not number % _STEP:
            yield
    return _strategy(text[: operations.end()] + text[position:], ratios)


def _end_of_gap(text: str, position: int) -> int:
    gap = _GAP.match(text, position)
    return gap.end() if gap is not None else position


def _strategy(frame: str, ratios: dict[str, float]) -> Strategy:
    if len(frame) > _FRAME_LIMIT:
        message = "too long for a sampling strategy"
        raise ValueError(message)
    form = json.loads(frame)
    if (operations := _part(form, "operationSampling")) is not None:
        return ByOperation(
            _ratio(operations, "defaultSamplingProbability"),
            _number(operations, "defaultLowerBoundTracesPerSecond"),
            ratios,
        )
    if (share := _part(form, "probabilisticSampling")) is not None:
        return Share(_ratio(share, "samplingRate"))
    if (limit := _part(form, "rateLimitingSampling")) is not None:
        return Limit(_number(limit, "maxTracesPerSecond"))
    message = "no sampling strategy"
    raise ValueError(message)


def _part(form: object, name: str) -> dict[str, Any] | None:
    part = form.get(name) if isinstance(form, dict) else None
    return part if isinstance(part, dict) else None


def _operation(form: object) -> str:
    name = form.get("operation") if isinstance(form, dict) else None
    if isinstance(name, str):
        return name
    message = "an operation without a name"
    raise ValueError(message)


def _number(form: dict[str, Any] | None, name: str) -> float:
    value = (form or {}).get(name)
    if value is None:
        return 0.0
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        message = f"{name} is no number, 0 or more"
        raise ValueError(message)
    return float(min(value, _MOST_PER_SECOND))


def _ratio(form: dict[str, Any] | None, name: str) -> float:
    ratio = _number(form, name)
    if ratio > 1:
        message = f"{name} is over 1"
        raise ValueError(message)
    return ratio


class _OfOperation:
    """Decides by operation. Of each it remembers one number, of so many of them that memory stays bounded."""

    __slots__ = ("_full_at", "_least", "_most", "_operation", "_strategy")

    def __init__(
        self,
        strategy: ByOperation,
        operation: Operation,
        most: int,
        before: "_OfOperation | None",
    ) -> None:
        """`most` operations are promised their least number; `before` is whom this one replaces."""
        self._strategy = strategy
        self._operation = operation
        self._most = most
        self._least = Rate(strategy.at_least_per_second)
        #: state of the bucket of each operation, by the hash of its name: the few of one hash share it
        self._full_at: dict[int, int] = {}
        if before is not None and before.at_least == strategy.at_least_per_second:
            self._full_at = before._full_at  # noqa: SLF001 - of the same class

    @property
    def at_least(self) -> float:
        """Traces of each operation a second."""
        return self._strategy.at_least_per_second

    def decide(
        self,
        _parent: TraceContext | None,
        trace_id: int,
        direction: Direction,
        exchange: Exchange,
        now: int,
    ) -> SampledBy | None:
        """Compare the trace id; else take a token of the operation's. What is chosen by its id takes one too."""
        strategy, name = self._strategy, self._operation(direction, exchange)
        ratio = strategy.ratios.get(name, strategy.ratio)
        is_least = self._take(hash(name), now)
        if is_chosen(trace_id, ratio):
            return ("probabilistic", ratio)
        return ("lowerbound", ratio) if is_least else None

    def _take(self, key: int, now: int) -> bool:
        full_at = self._full_at.get(key)
        if full_at is None:
            if len(self._full_at) >= self._most:
                return False
            full_at = 0
        after = self._least.take(full_at, now)
        if after is not None:
            self._full_at[key] = after
        return after is not None


class RemoteSampler:
    """Samples new traces of one pod as its service is told to; keeps what a parent decided (see `sampling.ParentBased`)."""

    __slots__ = ("__weakref__", "_most", "_operation", "_sampler", "_strategy", "service")

    def __init__(self, service: str, initial: float, operation: Operation, most: int) -> None:
        """`initial` is the share until a strategy is known; `most` operations are told apart."""
        self.service = service
        self._operation = operation
        self._most = most
        self._strategy: Strategy = Share(initial)
        self._sampler: Sampler = Probabilistic(initial)

    def follow(self, strategy: Strategy) -> None:
        """Sample so from now on. A changed limit begins anew; one that is the same goes on."""
        if strategy == self._strategy:
            return
        match strategy:
            case Share(ratio):
                self._sampler = Probabilistic(ratio)
            case Limit(per_second):
                self._sampler = RateLimiting(per_second)
            case ByOperation():
                before = self._sampler if isinstance(self._sampler, _OfOperation) else None
                self._sampler = _OfOperation(strategy, self._operation, self._most, before)
        self._strategy = strategy

    def decide(
        self,
        parent: TraceContext | None,
        trace_id: int,
        direction: Direction,
        exchange: Exchange,
        now: int,
    ) -> SampledBy | None:
        """Ask the sampler that is in force."""
        return self._sampler.decide(parent, trace_id, direction, exchange, now)
