"""`netra-node graph --cluster`, against an API server on loopback; once as a process of its own."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netra_node.cli.dispatch import dispatch, load
from tests.cli import cluster_stub as stub
from tests.cli import elasticsearch_stub
from tests.cli.cluster_stub import Exec
from tests.cli.command import netra_node
from tests.cli.graphs import graph


@pytest.fixture
def known() -> Iterator[stub.Cluster]:
    graphs = {
        "a": graph(("external", "web"), ("web", "orders"), start="a" * 16),
        "b": graph(("web", "orders"), start="b" * 16),
    }
    execs = {
        (f"netra-node-{node}", "graph"): Exec(out=json.dumps(one)) for node, one in graphs.items()
    }
    cluster = stub.Cluster([stub.daemon_set(2)], [stub.pod("a"), stub.pod("b")], execs=execs)
    with stub.serving(cluster):
        yield cluster


@pytest.fixture
def kubeconfig(known: stub.Cluster, tmp_path: Path) -> str:
    return str(stub.kubeconfig(tmp_path / "config", known.server))


Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Exit code, output and errors of the command with more arguments."""

    def run(*arguments: str) -> tuple[int, str, str]:
        argv = ["graph", "--cluster", "--kubeconfig", kubeconfig, *arguments]
        return dispatch(argv, ["graph"], load), *capsys.readouterr()

    return run


def test_the_graphs_of_all_nodes_are_one_and_the_code_is_0(kubeconfig: str) -> None:
    done = netra_node("graph", "--cluster", KUBECONFIG=kubeconfig)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "service graph of namespace netra-system of context stub\ncounted since 2026-11-21T10:00:00Z;"
    )
    assert done.stdout.endswith("\n2 edges, 12 requests, 3 errors\n")


def test_as_json_it_is_one_object_and_nothing_else(ask: Ask) -> None:
    document = json.loads(ask("--json")[1])

    assert (document["context"], document["complete"]) == ("stub", True)
    assert [node["start"] for node in document["nodes"]] == ["a" * 16, "b" * 16]
    assert [edge["requests"] for edge in document["edges"]] == [4, 8]


def test_a_node_that_does_not_answer_leaves_a_part_that_is_marked_and_the_code_is_1(
    known: stub.Cluster, ask: Ask
) -> None:
    known.execs["netra-node-b", "graph"] = Exec(
        err="netra-node: no daemon answers at 127.0.0.1:14957\n", code=1
    )
    code, table, _ = ask()

    assert code == 1
    assert "b does not answer: no daemon answers at 127.0.0.1:14957" in table
    assert table.endswith("\n2 edges, 8 requests, 2 errors\n")

    code, jaeger, _ = ask("--format", "jaeger")
    assert code == 1
    assert json.loads(jaeger)["data"] == [{"parent": "web", "child": "orders", "callCount": 4}]
    assert len(json.loads(jaeger)["errors"]) == 1


def test_another_versions_answer_is_a_node_that_does_not_answer(
    known: stub.Cluster, ask: Ask
) -> None:
    known.execs["netra-node-b", "graph"] = Exec(out='{"edges": []}')
    code, table, _ = ask()

    assert code == 1
    assert "b does not answer: its graph is of another kind" in table


def test_without_a_daemon_set_it_says_how_to_make_one(ask: Ask) -> None:
    code, out, err = ask("-n", "elsewhere")

    assert (code, out) == (1, "")
    assert "`kubectl apply -f deploy/daemonset.yaml` makes one" in err


def test_what_all_nodes_counted_is_written_once_and_again_without_change(ask: Ask) -> None:
    with elasticsearch_stub.serving(elasticsearch_stub.Store()) as store:
        first, second = (ask("--write-elasticsearch", store.url) for _ in range(2))
        written = store.source("jaeger-dependencies-2026-11-21")

    line = "jaeger-dependencies-2026-11-21: 1 link, 8 calls that 2 starts of daemons counted"
    assert first[:2] == (0, f"{line}\n")
    assert second[:2] == (0, f"{line}, nothing new\n")
    assert written["dependencies"] == [{"parent": "web", "child": "orders", "callCount": 8}]
