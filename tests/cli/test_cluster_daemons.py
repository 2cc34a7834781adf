"""What the cluster's API tells of the daemons' pods, as shapes that real clusters send."""

from typing import Any

import pytest

from netra_node.cli.cluster_daemons import Daemon, daemons, missing, selector
from tests.cli.cluster_stub import daemon_set, pod

ENDS = {"deletionTimestamp": "2026-11-21T00:00:00Z"}


def waiting(**told: str) -> dict[str, Any]:
    return {"waiting": told}


def problem(of: dict[str, Any]) -> str:
    (daemon,) = daemons(daemon_set(1), [of])
    return daemon.problem


def unmade(node: str, **status: Any) -> dict[str, Any]:
    """A pod that no node has taken yet, as the DaemonSet's controller makes it."""
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    made = pod(node)
    spec = {"affinity": affinity, "containers": [{"name": "netra-node"}]}
    return made | {"spec": spec, "status": {"phase": "Pending", **status}}


def test_a_pod_that_runs_can_be_asked() -> None:
    assert daemons(daemon_set(1), [pod("a")]) == [
        Daemon("a", "netra-system", "netra-node-a", "netra-node", "")
    ]


def test_they_come_in_the_order_of_their_nodes() -> None:
    found = daemons(daemon_set(3), [pod("c"), pod("a"), pod("b")])

    assert [daemon.node for daemon in found] == ["a", "b", "c"]


def test_pods_of_others_with_the_same_labels_are_not_ours() -> None:
    assert daemons(daemon_set(1), [pod("a", ownerReferences=[{"uid": "other"}])]) == []
    assert daemons(daemon_set(1), [pod("a", ownerReferences=None)]) == []


def test_beside_a_sidecar_ours_is_the_container_of_our_name() -> None:
    both = pod("a")
    both["spec"]["containers"].insert(0, {"name": "sidecar"})
    both["status"]["containerStatuses"].insert(0, {"name": "sidecar", "state": waiting()})
    (daemon,) = daemons(daemon_set(1), [both])

    assert (daemon.container, daemon.problem) == ("netra-node", "")


def test_a_renamed_container_is_the_first() -> None:
    renamed = pod("a")
    renamed["spec"]["containers"] = [{"name": "mesh"}]
    renamed["status"]["containerStatuses"][0]["name"] = "mesh"

    assert daemons(daemon_set(1), [renamed])[0].container == "mesh"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (
            waiting(reason="ImagePullBackOff", message="Back-off pulling image"),
            "its container waits: ImagePullBackOff: Back-off pulling image",
        ),
        (waiting(), "its container waits: no reason is told"),
        (
            {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            "its container ended with 137 (OOMKilled)",
        ),
        ({}, "its container waits: no reason is told"),
    ],
)
def test_a_container_that_does_not_run_says_why(state: dict[str, Any], told: str) -> None:
    assert problem(pod("a", state)) == told


def test_a_pod_that_is_not_scheduled_says_why_and_on_which_node_it_should_be() -> None:
    why = "0/3 nodes are available: 1 Insufficient memory."
    condition = {"type": "PodScheduled", "status": "False", "message": why}
    (daemon,) = daemons(daemon_set(1), [unmade("b", conditions=[condition])])

    assert (daemon.node, daemon.problem) == ("b", f"its pod is not scheduled: {why}")


def test_an_evicted_pod_says_why() -> None:
    evicted = unmade("a", phase="Failed", reason="Evicted", message="The node was low on memory.")

    assert problem(evicted) == "its pod is Failed: The node was low on memory."


def test_a_pod_nothing_is_known_of_yet_says_so() -> None:
    assert problem(unmade("a")) == "its pod is Pending: no container of it has been made"


def test_a_pod_that_ends_counts_only_where_none_follows_it() -> None:
    old, new = pod("a", name="old", **ENDS), pod("a", name="new")

    assert [daemon.pod for daemon in daemons(daemon_set(1), [old, new])] == ["new"]
    assert problem(old) == "its pod old ends"


def test_nodes_without_a_pod_are_counted() -> None:
    wanted = daemon_set(3)

    assert missing(wanted, daemons(wanted, [pod("a"), pod("b")])) == 1
    assert missing(wanted, daemons(wanted, [pod("a"), pod("b"), pod("c")])) == 0
    assert missing({"metadata": {}}, []) == 0


def test_its_pods_are_selected_by_its_own_selector() -> None:
    labels = {"b": "2", "a": "1"}

    assert selector({"spec": {"selector": {"matchLabels": labels}}}) == "a=1,b=2"
