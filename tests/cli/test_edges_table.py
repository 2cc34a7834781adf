"""The service graph as a table, to the character."""

import time

from netra_node.cli.edges_table import render_edges
from netra_node.cli.style import PLAIN, Style
from netra_node.telemetry.graph import GraphEdge


def edge(source: str, destination: str, errors: int = 0, p99_ms: float = 20.25) -> GraphEdge:
    return GraphEdge(
        source=source,
        destination=destination,
        requests=1234,
        errors=errors,
        p50_ms=1.04,
        p99_ms=p99_ms,
    )


def test_names_stand_left_and_numbers_right() -> None:
    lines = render_edges([edge("external", "web", errors=2), edge("web", "orders")], PLAIN)

    assert lines == [
        "SOURCE    DESTINATION  REQUESTS  ERRORS     P50      P99",
        "external  web              1234       2  1.0 ms  20.2 ms",
        "web       orders           1234       0  1.0 ms  20.2 ms",
    ]


def names(edges: list[GraphEdge]) -> list[str]:
    return [" ".join(line.split()[:2]) for line in render_edges(edges, PLAIN)[1:]]


def test_callers_stand_before_those_they_call() -> None:
    edges = [edge("b", "c"), edge("external", "a"), edge("a", "b"), edge("a", "d")]

    assert names(edges) == ["external a", "a b", "a d", "b c"]


def test_services_that_call_each_other_are_all_shown_once() -> None:
    edges = [edge("a", "b"), edge("b", "a"), edge("x", "y"), edge("y", "x"), edge("in", "x")]

    assert names(edges) == ["in x", "x y", "y x", "a b", "b a"]


def test_nothing_measured_yet_is_a_dash() -> None:
    assert render_edges([edge("a", "b", p99_ms=0)], PLAIN)[1].endswith("1.0 ms    -")


def test_without_edges_the_heading_stands_alone() -> None:
    assert render_edges([], PLAIN) == ["SOURCE  DESTINATION  REQUESTS  ERRORS  P50  P99"]


def test_errors_are_red_and_their_absence_is_not() -> None:
    style = Style(colour=True)

    failing, fine = render_edges([edge("a", "b", errors=3), edge("b", "c")], style)[1:]

    assert "\x1b[31m     3\x1b[0m" in failing
    assert "\x1b" not in fine


def test_the_widest_table_fits_in_100_columns() -> None:
    widest = edge("s" * 300, "d" * 300, errors=10**8, p99_ms=123456.7)
    widest["requests"] = 10**9

    assert max(map(len, render_edges([widest], PLAIN))) <= 100


def test_a_long_name_shows_that_it_was_cut() -> None:
    assert render_edges([edge("s" * 27, "d")], PLAIN)[1].startswith("s" * 25 + "…")


def test_names_cannot_steer_a_terminal() -> None:
    assert names([edge("a\x1b[31m", "b\n")]) == ["a?[31m b?"]


def test_thousands_of_edges_are_a_table_at_once() -> None:
    edges = [edge("external", "s1")]
    edges += [edge(f"s{n}", f"s{(n * 7 + k) % 1000}") for n in range(1000) for k in range(5)]

    # comparing each with each takes 3 s
    begun = time.process_time()
    assert len(names(edges)) == 5001
    assert time.process_time() - begun < 0.5
