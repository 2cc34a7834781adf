"""Metric families as text, piece by piece: Prometheus 0.0.4 and OpenMetrics 1.0.

Belongs here: the two formats. Does not belong here: which families there are (`families`).
A scrape of 8 MB takes 15 ms in all, the library 620 ms (measured); cut into pieces neither holds the loop.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netra_node.telemetry.metrics import Exemplar, Histogram

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_PIECE = 16_384
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Format:
    """What to print. `offset` turns an exemplar's monotonic time into nanoseconds since 1970."""

    openmetrics: bool
    offset: int = 0

    @property
    def content_type(self) -> str:
        """The media type to answer with."""
        return OPENMETRICS_TYPE if self.openmetrics else TEXT_TYPE


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name as samples carry it, `type` (counter, gauge, histogram), and its lines.

    `blocks` are made as they are printed; each is whole lines, small, and made in one go: counters move in between.
    """

    name: str
    type: str
    help: str
    blocks: Iterable[str]


def sample(name: str, labels: str, value: float) -> str:
    """Return one line; `labels` from `labels.label_text`, or empty."""
    return f"{name}{{{labels}}} {value}\n" if labels else f"{name} {value}\n"


def histogram(name: str, labels: str, counts: Histogram, style: Format) -> str:
    """Return the lines of one histogram in seconds, with exemplars where the format has them."""
    lines = []
    passed = 0
    comma = "," if labels else ""
    for index, (bound, count) in enumerate(zip(bound_texts(counts), counts.buckets, strict=True)):
        passed += count
        exemplar = counts.exemplars.get(index) if style.openmetrics else None
        suffix = _exemplar(exemplar, style.offset) if exemplar else ""
        lines.append(f'{name}_bucket{{{labels}{comma}le="{bound}"}} {passed}{suffix}\n')
    lines.append(sample(f"{name}_sum", labels, counts.total / _NANOSECONDS))
    lines.append(sample(f"{name}_count", labels, passed))
    return "".join(lines)


def bound_texts(counts: Histogram) -> list[str]:
    """Return the `le` values; OpenMetrics wants floats, and series must not change with the format."""
    return [str(bound / _NANOSECONDS) for bound in counts.bounds] + ["+Inf"]


def _exemplar(exemplar: Exemplar, offset: int) -> str:
    trace_id, duration, at = exemplar
    seconds = (at + offset) / _NANOSECONDS
    return f' # {{trace_id="{trace_id:032x}"}} {duration / _NANOSECONDS} {seconds:.3f}'


def render(families: Iterable[Family], style: Format) -> Iterator[bytes]:
    """Yield the exposition in pieces of about 16 KB, none empty."""
    pending: list[str] = []
    size = 0
    for line in _lines(families, style):
        pending.append(line)
        size += len(line)
        if size >= _PIECE:
            yield "".join(pending).encode()
            pending.clear()
            size = 0
    if pending:
        yield "".join(pending).encode()


def _lines(families: Iterable[Family], style: Format) -> Iterator[str]:
    for family in families:
        heading = _heading(family, style)
        for block in family.blocks:
            if block:
                # OpenMetrics and Prometheus both allow a family without samples; nobody needs one.
                yield heading + block
                heading = ""
    if style.openmetrics:
        yield "# EOF\n"


def _heading(family: Family, style: Format) -> str:
    """In OpenMetrics a counter's family lacks the suffix of its samples."""
    name = family.name
    if style.openmetrics and family.type == "counter":
        name = name.removesuffix("_total")
    text = family.help.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {text}\n# TYPE {name} {family.type}\n"
