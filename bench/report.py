"""What the rounds say: medians, ratios to the peer, budgets, verdicts; a table or JSON. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import median
from typing import Any

from bench.trial import Trial

DIRECT, OURS, PEER = "direct", "ours", "envoy"

Round = Mapping[str, Trial]
# The value of one contender in one round; None where it has none (the direct path's CPU).
Value = Callable[[Round, str], float | None]


class Verdict(Enum):
    """How a row stands against its budget."""

    OK = "ok"
    MISSED = "MISSED"
    SPANS = "SPANS LOST"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that ours may take: absolute, or as a multiple of the peer's.

    A `gate` decides the exit code; the others are shown, to be met by a later release.
    """

    limit: float
    relative: bool
    gate: bool

    def __str__(self) -> str:
        return f"<= {self.limit:g}{'x' if self.relative else ''}{'' if self.gate else ' (later)'}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: how to get its values, how to join the rounds, what is allowed."""

    title: str
    value: Value
    digits: int = 1
    load: str | None = None
    budget: Budget | None = None
    join: Callable[[Sequence[float]], float] = median


@dataclass(frozen=True, slots=True)
class Line:
    """A row with its figures; `rounds` are the single values, `spans` the worst ratio."""

    row: Row
    figures: Mapping[str, float]
    ratio: float | None
    verdict: Verdict
    spans: Mapping[str, float] = field(default_factory=dict)
    rounds: Mapping[str, Sequence[float]] = field(default_factory=dict)


def _cpu_per_request(load: str) -> Value:
    def value(each: Round, who: str) -> float | None:
        sample = each[who].samples[load]
        return None if who == DIRECT else sample.cpu / max(sample.outcome.requests, 1) * 1e6

    return value


def _machine_per_request(load: str) -> Value:
    def value(each: Round, who: str) -> float | None:
        sample = each[who].samples[load]
        return sample.machine_cpu / max(sample.outcome.requests, 1) * 1e6

    return value


def _foreign(each: Round, who: str) -> float | None:
    sample = each[who].samples["many"]
    return sample.foreign_cpu / sample.outcome.seconds * 100


def _cpu_per_megabyte(each: Round, who: str) -> float | None:
    sample = each[who].samples["download"]
    return None if who == DIRECT else sample.cpu / max(sample.outcome.received / 1e6, 1e-6) * 1e3


def _added_p50(each: Round, who: str) -> float | None:
    if who == DIRECT or DIRECT not in each:
        return None
    return each[who].samples["one"].outcome.p50 - each[DIRECT].samples["one"].outcome.p50


def _errors(each: Round, who: str) -> float | None:
    return sum(sample.outcome.errors for sample in each[who].samples.values())


def _memory(each: Round, who: str, *, when: str, kind: str) -> float | None:
    return None if who == DIRECT else float(getattr(getattr(each[who], when), kind))


def _outcome(load: str, name: str, scale: float = 1) -> Value:
    return lambda each, who: getattr(each[who].samples[load].outcome, name) * scale


ROWS = (
    Row(
        "CPU per keep-alive request, 8 connections, us",
        _cpu_per_request("few"),
        load="few",
        budget=Budget(0.6, relative=True, gate=True),
    ),
    Row(
        "CPU per keep-alive request, 32 connections, us",
        _cpu_per_request("many"),
        load="many",
        # Here Envoy shares each wake-up among many requests; at 8 connections it costs what the budget was measured against.
        budget=Budget(0.6, relative=True, gate=False),
    ),
    Row(
        "CPU per keep-alive request, 1 connection, us",
        _cpu_per_request("one"),
        load="one",
        budget=Budget(0.6, relative=True, gate=True),
    ),
    Row(
        "CPU per new connection and request, us",
        _cpu_per_request("close"),
        load="close",
        budget=Budget(1.5, relative=True, gate=False),
    ),
    Row(
        "CPU per MB downloaded, ms",
        _cpu_per_megabyte,
        digits=2,
        load="download",
        budget=Budget(0.6, relative=True, gate=False),
    ),
    Row(
        "added p50, 1 connection, us",
        _added_p50,
        digits=0,
        load="one",
        budget=Budget(0.6, relative=True, gate=True),
    ),
    Row("p50, 1 connection, us", _outcome("one", "p50"), digits=0, load="one"),
    Row("p99, 1 connection, us", _outcome("one", "p99"), digits=0, load="one"),
    Row(
        "p99, 32 connections, ms",
        _outcome("many", "p99", 1e-3),
        digits=2,
        load="many",
        budget=Budget(1.0, relative=True, gate=False),
    ),
    Row(
        "requests/s, 32 connections",
        lambda each, who: (o := each[who].samples["many"].outcome).requests / o.seconds,
        digits=0,
        load="many",
    ),
    Row("whole machine's CPU per request, us", _machine_per_request("many"), load="many"),
    Row("CPU taken by others meanwhile, % of a core", _foreign),
    Row(
        "memory at rest, PSS, MiB",
        lambda each, who: _memory(each, who, when="idle", kind="pss"),
        budget=Budget(45, relative=False, gate=True),
    ),
    Row(
        "memory under load, PSS, MiB",
        lambda each, who: _memory(each, who, when="loaded", kind="pss"),
        budget=Budget(45, relative=False, gate=True),
    ),
    Row(
        "memory under load, files unshared, MiB",
        lambda each, who: _memory(each, who, when="loaded", kind="unshared"),
        budget=Budget(45, relative=False, gate=True),
    ),
    Row("errors", _errors, digits=0, budget=Budget(0, relative=False, gate=True), join=sum),
)


def lines(rounds: Sequence[Round], rows: Sequence[Row] = ROWS) -> list[Line]:
    """Judge every row of the rounds, which all hold the same contenders."""
    return [_line(row, rounds) for row in rows]


def passed(judged: Sequence[Line]) -> bool:
    """Say whether every budget that gates is met with all spans exported."""
    return not any(
        line.verdict in {Verdict.MISSED, Verdict.SPANS}
        for line in judged
        if line.row.budget is not None and line.row.budget.gate
    )


def _line(row: Row, rounds: Sequence[Round]) -> Line:
    values = {who: _present(row.value(each, who) for each in rounds) for who in rounds[0]}
    figures = {who: row.join(found) for who, found in values.items() if found}
    ratio = None
    if OURS in figures and figures.get(PEER):
        ratio = figures[OURS] / figures[PEER]
    return Line(
        row, figures, ratio, _verdict(row, figures, ratio, rounds), _spans(row, rounds), values
    )


def _present(values: Any) -> list[float]:
    return [value for value in values if value is not None]


def _verdict(
    row: Row, figures: Mapping[str, float], ratio: float | None, rounds: Sequence[Round]
) -> Verdict:
    if row.budget is None or OURS not in figures:
        return Verdict.NONE
    if not _spans_complete(row, rounds):
        return Verdict.SPANS
    measured = ratio if row.budget.relative else figures[OURS]
    if measured is None:
        return Verdict.NONE
    return Verdict.OK if measured <= row.budget.limit else Verdict.MISSED


def _spans_complete(row: Row, rounds: Sequence[Round]) -> bool:
    return row.load is None or all(
        trial.samples[row.load].spans_complete
        for each in rounds
        for who, trial in each.items()
        if who != DIRECT
    )


def _spans(row: Row, rounds: Sequence[Round]) -> dict[str, float]:
    """Return, for each proxy, the spans ÷ requests of the round that lost most."""
    if row.load is None:
        return {}
    return {
        who: min(each[who].samples[row.load].spans_per_request for each in rounds)
        for who in rounds[0]
        if who != DIRECT
    }


def table(judged: Sequence[Line]) -> str:
    """Lay the lines out for people."""
    header = ["", DIRECT, OURS, PEER, "ratio", "budget", "verdict", "spans/request"]
    body = [header, *(_cells(line) for line in judged)]
    widths = [max(len(row[column]) for row in body) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in {0, 5, 6, 7} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in body
    )


def _cells(line: Line) -> list[str]:
    figures = [
        f"{line.figures[who]:.{line.row.digits}f}" if who in line.figures else "-"
        for who in (DIRECT, OURS, PEER)
    ]
    spans = ", ".join(f"{who} {ratio:.3f}" for who, ratio in line.spans.items())
    return [
        line.row.title,
        *figures,
        "-" if line.ratio is None else f"{line.ratio:.2f}x",
        "" if line.row.budget is None else str(line.row.budget),
        line.verdict.value,
        spans,
    ]


def as_json(judged: Sequence[Line]) -> list[dict[str, Any]]:
    """Return the lines as plain values."""
    return [
        {
            "title": line.row.title,
            "figures": dict(line.figures),
            "rounds": {who: list(values) for who, values in line.rounds.items()},
            "ratio": line.ratio,
            "budget": None if line.row.budget is None else str(line.row.budget),
            "gate": line.row.budget is not None and line.row.budget.gate,
            "verdict": line.verdict.value,
            "spans_per_request": dict(line.spans),
        }
        for line in judged
    ]
