"""Traces as trees, to the character."""

from hypothesis import given
from hypothesis import strategies as st

from netra_node.cli.style import PLAIN, Style
from netra_node.cli.trace_tree import group_traces, render_traces
from netra_node.telemetry.memory import ShownSpan

MS = 1_000_000


def span(  # noqa: PLR0913
    span_id: str,
    parent: str,
    service: str,
    times: tuple[float, float],
    *,
    kind: str = "server",
    name: str = "GET /orders/{id}",
    status: int = 200,
    outcome: str = "ok",
    trace: str = "4bf92f3577b34da6a3ce929d0e0e4736",
) -> ShownSpan:
    """A span from and to so many milliseconds after noon."""
    noon = 1_700_000_000_000 * MS
    return ShownSpan(
        trace_id=trace,
        span_id=span_id,
        parent_span_id=parent,
        service=service,
        kind=kind,
        name=name,
        start_unix_nano=noon + int(times[0] * MS),
        end_unix_nano=noon + int(times[1] * MS),
        status_code=status,
        outcome=outcome,
        attributes={},
    )


CHAIN = [
    span("a", "", "web", (0, 20), name="GET /buy/{id}"),
    span("b", "a", "web", (2, 19), kind="client"),
    span("c", "b", "orders", (3, 18)),
    span("d", "c", "orders", (9, 17), kind="client", name="GET /stock/{id}"),
    span("e", "d", "stock", (10, 16.5), name="GET /stock/{id}"),
]


def services(lines: list[str]) -> list[str]:
    """The first column of a single trace, branches included."""
    return [line[3 : line.index("GET")].rstrip() for line in lines[3:]]


def test_a_chain_is_a_staircase_with_its_times_as_bars() -> None:
    assert render_traces([("It works", CHAIN)], PLAIN) == [
        "   SERVICE            OPERATION         KIND    STATUS  DURATION",
        "",
        "1  It works" + " " * 51 + "trace 4bf92f3577b34da6a3ce929d0e0e4736",
        "   web                GET /buy/{id}     server  200      20.0 ms  ██████████████████████",
        "   └─ web             GET /orders/{id}  client  200      17.0 ms    ███████████████████",
        "      └─ orders       GET /orders/{id}  server  200      15.0 ms     █████████████████",
        "         └─ orders    GET /stock/{id}   client  200       8.0 ms           ██████████",
        "            └─ stock  GET /stock/{id}   server  200       6.5 ms             ███████",
    ]


def test_an_unanswered_request_shows_how_it_ended_in_place_of_a_status() -> None:
    lines = render_traces(
        [("", [span("a", "", "stock", (0, 1), status=0, outcome="upstream_closed")])], PLAIN
    )

    assert "  upstream_closed  " in lines[-1]


def test_siblings_share_a_branch() -> None:
    spans = [
        span("a", "", "web", (0, 9)),
        span("b", "a", "one", (1, 2)),
        span("c", "b", "below", (1, 2)),
        span("d", "a", "two", (3, 4)),
    ]

    assert services(render_traces([("", spans)], PLAIN)) == [
        "web",
        "├─ one",
        "│  └─ below",
        "└─ two",
    ]


def test_siblings_stand_in_the_order_they_began() -> None:
    spans = [
        span("late", "a", "late", (5, 6)),
        span("a", "", "web", (0, 9)),
        span("early", "a", "early", (1, 8)),
    ]

    assert services(render_traces([("", spans)], PLAIN)) == ["web", "├─ early", "└─ late"]


def test_a_span_whose_parent_is_not_here_is_a_root() -> None:
    spans = [span("b", "elsewhere", "orders", (0, 1)), span("c", "b", "stock", (0, 1))]

    assert services(render_traces([("", spans)], PLAIN)) == ["orders", "└─ stock"]


def test_spans_that_are_each_other_s_parents_are_shown_once() -> None:
    spans = [span("a", "b", "one", (0, 1)), span("b", "a", "two", (0.5, 1))]

    assert services(render_traces([("", spans)], PLAIN)) == ["one", "└─ two"]


def test_all_traces_share_their_columns() -> None:
    lines = render_traces([("", CHAIN), ("", [span("z", "", "z", (0, 1))])], PLAIN)

    assert lines[-1].startswith("   z                  GET /orders/{id}  server")


def test_the_second_trace_has_the_second_number() -> None:
    lines = render_traces([("", CHAIN[:1]), ("Slow", CHAIN[:1])], PLAIN)

    assert lines[5].startswith("2  Slow ")


def test_a_story_without_spans_says_so() -> None:
    assert render_traces([("Lost", [])], PLAIN)[-1].endswith("no trace")


def test_a_server_error_is_red() -> None:
    failing = span("a", "", "web", (0, 1), status=503)

    assert render_traces([("", [failing])], Style(colour=True))[-1].startswith("\x1b[31m   web")


def test_a_client_error_is_not() -> None:
    refused = span("a", "", "web", (0, 1), status=404)

    assert "\x1b[31m" not in render_traces([("", [refused])], Style(colour=True))[-1]


def test_a_span_without_duration_still_has_a_block() -> None:
    spans = [span("a", "", "web", (0, 100)), span("b", "a", "web", (100, 100))]

    assert render_traces([("", spans)], PLAIN)[-1].endswith(" " * 20 + "█")


def test_traces_are_grouped_in_the_order_they_began() -> None:
    spans = [
        span("c", "a", "x", (6, 7), trace="2"),
        span("b", "", "x", (3, 4), trace="1"),
        span("a", "", "x", (5, 8), trace="2"),
    ]

    groups = group_traces(spans)

    assert [[member["span_id"] for member in group] for group in groups] == [["b"], ["a", "c"]]


@st.composite
def tangled_spans(draw: st.DrawFn) -> list[ShownSpan]:
    count = draw(st.integers(0, 12))
    ids = [str(number) for number in range(count)]
    parents = st.sampled_from(["", "stranger", *ids])
    times = st.tuples(st.integers(-5, 5), st.integers(-5, 5))
    service, name = draw(st.text("ab", max_size=60)), draw(st.text("cd", max_size=60))
    return [span(i, draw(parents), service, draw(times), name=name) for i in ids]


@given(tangled_spans())
def test_every_span_has_exactly_one_line_of_at_most_100_columns(spans: list[ShownSpan]) -> None:
    lines = render_traces([("", spans)], PLAIN)

    assert len(lines) == 3 + len(spans)
    assert max(map(len, lines)) <= 100


@given(tangled_spans())
def test_on_a_narrow_terminal_only_the_bars_give_way(spans: list[ShownSpan]) -> None:
    narrow = render_traces([("", spans)], PLAIN, width=40)
    wide = render_traces([("", spans)], PLAIN, width=100)

    assert [line.rstrip(" █") for line in narrow[3:]] == [line.rstrip(" █") for line in wide[3:]]
