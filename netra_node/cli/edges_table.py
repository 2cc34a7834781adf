"""Prints the service graph as a table. Pure: edges in, lines out. The schema is that of `/graph`."""

from collections.abc import Sequence

from netra_node.cli.status_report import printable
from netra_node.cli.style import Style
from netra_node.telemetry.graph import GraphEdge

_HEADINGS = ("SOURCE", "DESTINATION", "REQUESTS", "ERRORS", "P50", "P99")
_NAMES = 2  # the first columns are names, the others numbers
_ERRORS = 3
_NAME_WIDTH = 26  # two names, four numbers and the gaps stay below 100 columns


def render_edges(edges: Sequence[GraphEdge], style: Style) -> list[str]:
    """Return a heading and a line for each edge, callers before those they call."""
    rows = [_cells(edge) for edge in _by_calls(edges)]
    widths = [max(len(row[i]) for row in (_HEADINGS, *rows)) for i in range(len(_HEADINGS))]
    heading = "  ".join(_pad(_HEADINGS, widths)).rstrip()
    return [style.dim(heading), *(_line(row, widths, style) for row in rows)]


def _by_calls(edges: Sequence[GraphEdge]) -> list[GraphEdge]:
    """Follow the calls from those whom nobody calls; what is left are circles, in the order given."""
    called = {edge["destination"] for edge in edges}
    calls: dict[str, list[GraphEdge]] = {}
    for edge in edges:
        calls.setdefault(edge["source"], []).append(edge)
    reached = [edge for edge in edges if edge["source"] not in called]
    followed = {edge["source"] for edge in reached}
    for edge in reached:  # grows as it is read
        if edge["destination"] not in followed:
            followed.add(edge["destination"])
            reached += calls.get(edge["destination"], [])
    return reached + [edge for edge in edges if edge["source"] not in followed]


def _cells(edge: GraphEdge) -> tuple[str, ...]:
    return (
        _clip(printable(edge["source"])),
        _clip(printable(edge["destination"])),
        str(edge["requests"]),
        str(edge["errors"]),
        _milliseconds(edge["p50_ms"]),
        _milliseconds(edge["p99_ms"]),
    )


def _line(row: tuple[str, ...], widths: list[int], style: Style) -> str:
    cells = _pad(row, widths)
    if row[_ERRORS] != "0":
        cells[_ERRORS] = style.red(cells[_ERRORS])
    return "  ".join(cells)


def _pad(row: tuple[str, ...], widths: list[int]) -> list[str]:
    pairs = list(zip(row, widths, strict=True))
    names = [cell.ljust(width) for cell, width in pairs[:_NAMES]]
    return names + [cell.rjust(width) for cell, width in pairs[_NAMES:]]


def _clip(name: str) -> str:
    return name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 1] + "…"


def _milliseconds(value: float) -> str:
    return f"{value:.1f} ms" if value else "-"
