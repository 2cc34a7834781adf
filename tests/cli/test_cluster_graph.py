"""`netra-node graph --cluster` as a process, against an API server on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli import cluster_stub as stub
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


def ask(kubeconfig: str, *arguments: str) -> Any:
    return netra_node("graph", "--cluster", *arguments, KUBECONFIG=kubeconfig)


def test_the_graphs_of_all_nodes_are_one_and_the_code_is_0(kubeconfig: str) -> None:
    done = ask(kubeconfig)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "service graph of namespace netra-system of context stub\ncounted since 2026-11-21T10:00:00Z;"
    )
    assert done.stdout.endswith("\n2 edges, 12 requests, 3 errors\n")


def test_as_json_it_is_one_object_and_nothing_else(kubeconfig: str) -> None:
    document = json.loads(ask(kubeconfig, "--json").stdout)

    assert (document["context"], document["complete"]) == ("stub", True)
    assert [node["start"] for node in document["nodes"]] == ["a" * 16, "b" * 16]
    assert [edge["requests"] for edge in document["edges"]] == [4, 8]


def test_a_node_that_does_not_answer_leaves_a_part_that_is_marked_and_the_code_is_1(
    known: stub.Cluster, kubeconfig: str
) -> None:
    known.execs["netra-node-b", "graph"] = Exec(
        err="netra-node: no daemon answers at 127.0.0.1:14957\n", code=1
    )
    done, jaeger = ask(kubeconfig), ask(kubeconfig, "--format", "jaeger")

    assert (done.returncode, jaeger.returncode) == (1, 1)
    assert "b does not answer: no daemon answers at 127.0.0.1:14957" in done.stdout
    assert done.stdout.endswith("\n2 edges, 8 requests, 2 errors\n")
    assert json.loads(jaeger.stdout)["data"] == [
        {"parent": "web", "child": "orders", "callCount": 4}
    ]
    assert len(json.loads(jaeger.stdout)["errors"]) == 1


def test_another_versions_answer_is_a_node_that_does_not_answer(
    known: stub.Cluster, kubeconfig: str
) -> None:
    known.execs["netra-node-b", "graph"] = Exec(out='{"edges": []}')
    done = ask(kubeconfig)

    assert done.returncode == 1
    assert "b does not answer: its graph is of another kind" in done.stdout


def test_without_a_daemon_set_it_says_how_to_make_one(known: stub.Cluster, kubeconfig: str) -> None:
    done = ask(kubeconfig, "-n", "elsewhere")

    assert (done.returncode, done.stdout) == (1, "")
    assert "`kubectl apply -f deploy/daemonset.yaml` makes one" in done.stderr
