"""The three forms of a graph, to the character."""

import json

from netra_node.cli.graph_report import as_jaeger, as_json, table
from netra_node.cli.node_graphs import NodeAnswer, Nodes
from netra_node.cli.style import PLAIN
from tests.cli.graphs import call, edge, graph
from tests.cli.test_node_graphs import read

TWO = Nodes(
    [
        NodeAnswer("a", "p", read(graph(("external", "web"), ("web", "orders")))),
        NodeAnswer("b", "q", read(graph(("web", "orders"), since="2026-11-21T11:00:00Z"))),
    ]
)
PART = Nodes([TWO.answers[0], NodeAnswer("b", "q", None, "it \x1b[31mhangs")])


def test_a_table_says_since_when_and_ends_with_the_sum() -> None:
    since, *rest = table(TWO, PLAIN)

    assert since == (
        "counted since 2026-11-21T10:00:00Z to 2026-11-21T11:00:00Z, each daemon from its own start; "
        "pods that are gone leave after 5 minutes"
    )
    assert rest == [
        "",
        "SOURCE    DESTINATION  REQUESTS  ERRORS     P50     P99",
        "external  web                 4       1  1.0 ms  1.0 ms",
        "web       orders              8       2  1.0 ms  1.0 ms",
        "",
        "2 edges, 12 requests, 3 errors",
    ]


def test_a_part_of_the_graph_is_marked_and_steers_no_terminal() -> None:
    lines = table(PART, PLAIN)

    assert lines[0].startswith("counted since 2026-11-21T10:00:00Z; pods")
    assert lines[-4:-1] == [
        "a part of the graph, as some is missing:",
        "b does not answer: it ?[31mhangs",
        "",
    ]


def test_when_nobody_answers_there_is_no_since() -> None:
    assert (
        table(Nodes([NodeAnswer("b", "q", None, "no")]), PLAIN)[-1]
        == "0 edges, 0 requests, 0 errors"
    )


def test_as_json_it_has_each_node_and_the_sums() -> None:
    document = json.loads(as_json(PART, {"server": "s"}))

    assert document["server"] == "s"
    assert (document["complete"], document["nodes_without_pod"]) == (False, 0)
    assert [(node["node"], node["problem"], node["since"]) for node in document["nodes"]] == [
        ("a", None, "2026-11-21T10:00:00Z"),
        ("b", "it \x1b[31mhangs", None),
    ]
    assert document["edges"] == [edge("external", "web"), edge("web", "orders")]
    assert document["calls"] == [call("external", "web"), call("web", "orders")]


def test_jaegers_form_has_services_only() -> None:
    assert json.loads(as_jaeger(TWO)) == {
        "data": [{"parent": "web", "child": "orders", "callCount": 8}],
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": None,
    }


def test_a_part_in_jaegers_form_carries_errors() -> None:
    (error,) = json.loads(as_jaeger(PART))["errors"]

    assert error["code"] == 503
    assert error["msg"].startswith("b does not answer")
