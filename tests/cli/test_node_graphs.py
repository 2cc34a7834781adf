"""What a graph must have, and how several become one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.cli.node_graphs import (
    NodeAnswer,
    NodeGraph,
    Nodes,
    calls_of,
    edges_of,
    graph_of,
    links_of,
)
from netra_node.telemetry.hub import Telemetry, TelemetryOptions
from tests.cli.graphs import DAY, call, graph


def read(document: dict[str, Any]) -> NodeGraph:
    found = graph_of(document)
    assert found is not None
    return found


def test_what_a_daemon_answers_is_a_graph() -> None:
    document = Telemetry(TelemetryOptions()).graph()

    assert graph_of(
        {name: value if isinstance(value, str) else list(value) for name, value in document.items()}
    )
    assert read(graph(("web", "orders"))).edges[0]["source"] == "web"


def without(document: dict[str, Any], *path: Any) -> dict[str, Any]:
    *outer, last = path
    inner: Any = document
    for step in outer:
        inner = inner[step]
    del inner[last]
    return document


@pytest.mark.parametrize(
    "path",
    [
        ("start",),
        ("since",),
        ("edges",),
        ("calls",),
        ("edges", 0, "latency"),
        ("edges", 0, "latency", "buckets"),
        ("edges", 0, "latency", "buckets", 0, 1),
        ("edges", 0, "requests"),
        ("calls", 0, "day"),
        ("calls", 0, "requests"),
    ],
)
def test_what_lacks_a_member_is_none(path: tuple[Any, ...]) -> None:
    assert graph_of(without(graph(("web", "orders")), *path)) is None


@pytest.mark.parametrize("day", ["2026-11-2", "../x", "2026-11-21/_doc"])
def test_a_day_that_is_none_makes_no_graph(day: str) -> None:
    document = graph()
    document["calls"] = [call("web", "orders", day=day)]

    assert graph_of(document) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["start", "since", "edges", "calls"]), st.booleans())
def test_any_document_is_read_without_an_error(found: Any, member: str, deep: bool) -> None:
    document = graph(("web", "orders"))
    document[member] = [found] if deep else found

    graph_of(found)
    graph_of(document)


def test_edges_between_the_same_two_are_one() -> None:
    one, two = read(graph(("web", "orders"), ("a", "b"))), read(graph(("web", "orders")))
    edges = edges_of([one, two])

    assert [(e["source"], e["requests"], e["errors"], e["p99_ms"]) for e in edges] == [
        ("a", 4, 1, 1.0),
        ("web", 8, 2, 1.0),
    ]


def test_calls_are_added_up_by_day() -> None:
    one, two = graph(("web", "orders")), graph(("web", "orders"))
    two["calls"].append(call("web", "orders", 5, 0, "2026-11-20"))

    assert calls_of([read(one), read(two)]) == [
        call("web", "orders", 5, 0, "2026-11-20"),
        call("web", "orders", 8, 2, DAY),
    ]


def test_links_are_between_services_and_of_all_days() -> None:
    document = graph(("web", "orders"), ("external", "web"), ("other", "other"))
    document["calls"].append(call("web", "orders", 5, 0, "2026-11-20"))

    assert links_of([read(document)]) == [{"parent": "web", "child": "orders", "callCount": 9}]


def test_all_nodes_that_answer_are_complete() -> None:
    nodes = Nodes([NodeAnswer("a", "p", read(graph()))])

    assert nodes.complete
    assert nodes.problems() == []


def test_what_is_missing_is_told() -> None:
    nodes = Nodes([NodeAnswer("a", "p", read(graph())), NodeAnswer("b", "q", None, "it hangs")], 2)

    assert not nodes.complete
    assert nodes.problems() == [
        "b does not answer: it hangs",
        "without a pod of the DaemonSet, though it wants one there: 2 nodes",
    ]


def test_nobody_to_ask_is_not_complete() -> None:
    assert not Nodes([]).complete
    assert "on no node" in Nodes([]).problems()[0]
