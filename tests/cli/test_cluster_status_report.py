"""What a person is shown of a cluster, letter by letter."""

from typing import Any

import pytest

from netra_node.cli.cluster_ask import Answer
from netra_node.cli.cluster_daemons import Daemon
from netra_node.cli.cluster_status_report import Node, complete, node_of, render_nodes
from netra_node.cli.style import PLAIN, Style
from tests.cli.test_status_report import pod, status, waiting


def answer(node: str, document: Any, problem: str = "") -> Answer:
    return Answer(
        Daemon(node, "netra-system", f"netra-node-{node}", "netra-node", ""), document, problem
    )


def node(name: str, *pods: dict[str, Any], **different: Any) -> Node:
    return node_of(answer(name, status(*pods, **different)))


def silent(name: str, problem: str) -> Node:
    return node_of(answer(name, None, problem))


def test_the_whole_page() -> None:
    nodes = [
        node("worker-1", pod("web"), waiting("orders", "pending", "no network namespace yet")),
        node("worker-2", waiting("mesh", "refused", "it is captured by Istio")),
        silent("worker-3", "its container waits: ImagePullBackOff"),
    ]

    assert "\n".join(render_nodes(nodes, 0, PLAIN)) == (
        """
NODE      VERSION  CAPTURED  PENDING  REFUSED  OLDEST LEASE  CONNECTIONS
worker-1  1.2.3           1        1        0         1m15s            2
worker-2  1.2.3           0        0        1         1m15s            0
worker-3  -               -        -        -             -            -

worker-3 does not answer: its container waits: ImagePullBackOff

worker-1: shop/orders is tried again: no network namespace yet
worker-2: shop/mesh is not captured: it is captured by Istio

2 of 3 nodes answer: 1 captured, 1 pending, 1 refused; 2 connections"""
    )


def test_where_nothing_is_wrong_there_is_only_the_table_and_the_sum() -> None:
    lines = render_nodes([node("a", pod("web"))], 0, PLAIN)

    assert len(lines) == 5
    assert lines[-1] == "1 of 1 node answer: 1 captured, 0 pending, 0 refused; 2 connections"


def test_a_node_without_pods_holds_no_lease() -> None:
    assert render_nodes([node("a")], 0, PLAIN)[2].split() == ["a", "1.2.3", "0", "0", "0", "-", "0"]


def test_a_daemon_that_cannot_read_its_pods_says_so() -> None:
    broken = node("a", source={"path": "kubelet", "problem": "kubelet: 401"}, waiting_for=["pods"])
    lines = render_nodes([broken], 0, PLAIN)

    assert "a: kubelet: 401; the last good list stays in force" in lines
    assert "a: waits for pods" in lines


def test_nodes_without_a_pod_of_the_daemon_set_are_told() -> None:
    assert "without a pod of the DaemonSet, though it wants one there: 2 nodes" in render_nodes(
        [node("a")], 2, PLAIN
    )


def test_a_daemon_set_that_fits_no_node_is_told() -> None:
    lines = render_nodes([], 0, PLAIN)

    assert "the DaemonSet has a pod on no node; `netra-node doctor --cluster` tells more" in lines


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"version": "1"},
        dict(status()) | {"pods": [{"name": "x"}]},
        dict(status()) | {"pods": ["x"]},
        dict(status()) | {"source": {}},
        dict(status()) | {"lease_age_seconds": "1"},
    ],
)
def test_a_status_of_another_version_is_told_and_breaks_nothing(document: dict[str, Any]) -> None:
    strange = node_of(answer("a", document))

    assert strange.status is None
    assert strange.problem == "its status is of another kind; is its netra-node another version?"


def test_it_is_complete_where_every_node_that_should_answer_does() -> None:
    assert complete([node("a"), node("b")], 0)
    assert not complete([node("a")], 1)
    assert not complete([node("a"), silent("b", "it hangs")], 0)
    assert not complete([], 0)


def test_nothing_that_comes_from_a_cluster_can_steer_the_terminal() -> None:
    odd = [
        silent("a\x1b[2J", "b\x1b[2J"),
        node("c\x1b", waiting("d\x1b", "pending", "e\x1b"), version="f\x1b", waiting_for=["g\x1b"]),
    ]

    assert "\x1b" not in "".join(render_nodes(odd, 0, PLAIN))


def test_who_does_not_answer_is_painted() -> None:
    lines = render_nodes([silent("a", "it hangs")], 0, Style(colour=True))

    assert any(line.startswith("\x1b[31ma ") for line in lines)
