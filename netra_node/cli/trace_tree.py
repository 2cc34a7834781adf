"""Prints traces as trees with their times as bars. Pure: spans in, lines out. The schema is that of `/traces`.

Belongs here: who hangs under whom, columns, bars. Does not belong here: where spans come from, colours' escape codes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netra_node.cli.style import Style
from netra_node.telemetry.memory import ShownSpan


@dataclass(frozen=True, slots=True)
class Row:
    """One span's line before it is padded."""

    cells: tuple[str, str, str, str, str]
    #: Where the bar begins and ends, as shares 0..1 of the whole trace.
    begin: float
    end: float
    failed: bool


_HEADINGS = ("SERVICE", "OPERATION", "KIND", "STATUS", "DURATION")
_INDENT = "   "
_DURATION = 4  # the one column that is aligned to the right
_NAME_WIDTH = 26
_BAR_WIDTH = 22
_SERVER_ERROR = 500


def group_traces(spans: Sequence[ShownSpan]) -> list[list[ShownSpan]]:
    """Return the spans of each trace together, traces by their first start, spans by their own."""
    traces: dict[str, list[ShownSpan]] = {}
    for span in sorted(spans, key=lambda span: span["start_unix_nano"]):
        traces.setdefault(span["trace_id"], []).append(span)
    return list(traces.values())


def render_traces(
    stories: Sequence[tuple[str, Sequence[ShownSpan]]], style: Style, width: int = 100
) -> list[str]:
    """Return one block for each `(caption, spans of one trace)`, all with the same columns, in `width` columns."""
    tables = [_rows(spans) for _, spans in stories]
    widths = _column_widths([row for table in tables for row in table])
    bar_width = max(0, min(_BAR_WIDTH, width - len(_INDENT) - sum(widths) - 2 * len(widths)))
    lines = [style.dim((_INDENT + "  ".join(_pad(_HEADINGS, widths))).rstrip())]
    for number, ((caption, spans), table) in enumerate(zip(stories, tables, strict=True), 1):
        lines += ["", _title(number, caption, spans, style, width)]
        lines += [_line(row, widths, bar_width, style) for row in table]
    return lines


def _title(number: int, caption: str, spans: Sequence[ShownSpan], style: Style, width: int) -> str:
    left = f"{number}  {caption}"
    right = f"trace {spans[0]['trace_id']}" if spans else "no trace"
    gap = max(2, width - len(left) - len(right))
    return f"{style.bold(left)}{' ' * gap}{style.dim(right)}"


def _rows(spans: Sequence[ShownSpan]) -> list[Row]:
    if not spans:
        return []
    begin = min(span["start_unix_nano"] for span in spans)
    whole = max(1, max(span["end_unix_nano"] for span in spans) - begin)
    return [
        Row(
            _cells(prefix, span),
            (span["start_unix_nano"] - begin) / whole,
            (span["end_unix_nano"] - begin) / whole,
            _failed(span),
        )
        for prefix, span in _walk(spans)
    ]


def _walk(spans: Sequence[ShownSpan]) -> Iterator[tuple[str, ShownSpan]]:
    """Yield every span once with the branches before its name, parents first. Strangers' children and loops become roots."""
    children: dict[str, list[ShownSpan]] = {}
    known = {span["span_id"] for span in spans}
    ordered = sorted(spans, key=lambda span: span["start_unix_nano"])
    for span in ordered:
        parent = span["parent_span_id"]
        children.setdefault(parent if parent in known else "", []).append(span)
    seen: set[str] = set()
    for root in (*children.get("", []), *ordered):
        yield from _branch(root, "", "", children, seen)


def _branch(
    span: ShownSpan, branch: str, below: str, children: dict[str, list[ShownSpan]], seen: set[str]
) -> Iterator[tuple[str, ShownSpan]]:
    if span["span_id"] in seen:
        return
    seen.add(span["span_id"])
    yield branch, span
    inner = children.get(span["span_id"], [])
    for child in inner:
        last = child is inner[-1]
        yield from _branch(
            child,
            below + ("└─ " if last else "├─ "),
            below + ("   " if last else "│  "),
            children,
            seen,
        )


def _cells(prefix: str, span: ShownSpan) -> tuple[str, str, str, str, str]:
    milliseconds = (span["end_unix_nano"] - span["start_unix_nano"]) / 1e6
    return (
        _clip(prefix + span["service"]),
        _clip(span["name"]),
        span["kind"],
        _status(span),
        f"{milliseconds:.1f} ms",
    )


def _status(span: ShownSpan) -> str:
    # What ended an unanswered request is what a person looks for where the status would stand.
    return str(span["status_code"]) if span["status_code"] else span["outcome"]


def _failed(span: ShownSpan) -> bool:
    return span["outcome"] != "ok" or span["status_code"] >= _SERVER_ERROR


def _column_widths(rows: Sequence[Row]) -> list[int]:
    table = (_HEADINGS, *(row.cells for row in rows))
    return [max(len(cells[i]) for cells in table) for i in range(len(_HEADINGS))]


def _line(row: Row, widths: list[int], bar_width: int, style: Style) -> str:
    text = _INDENT + "  ".join(_pad(row.cells, widths))
    bar = _bar(row, bar_width)
    if row.failed:
        return style.red(f"{text}  {bar}".rstrip())
    return f"{text}  {style.cyan(bar)}".rstrip()


def _pad(cells: tuple[str, ...], widths: list[int]) -> list[str]:
    return [
        cell.rjust(width) if column == _DURATION else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]


def _bar(row: Row, width: int) -> str:
    """Draw the span's share of the trace; even the shortest span is one block."""
    begin = min(int(row.begin * width), max(width - 1, 0))
    end = max(round(row.end * width), begin + 1)
    return (" " * begin + "█" * (end - begin))[:width]


def _clip(text: str) -> str:
    return text if len(text) <= _NAME_WIDTH else text[: _NAME_WIDTH - 1] + "…"
