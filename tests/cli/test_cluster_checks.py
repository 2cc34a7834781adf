"""What is said of a cluster: verdict, words, and how to mend it."""

from typing import Any

import pytest

from netra_node.cli import cluster_checks as checks
from netra_node.cli.cluster_ask import Answer
from netra_node.cli.cluster_checks import NodeFacts, node_facts
from netra_node.cli.cluster_daemons import Daemon
from netra_node.cli.doctor_checks import Verdict
from tests.cli import cluster_stub as stub
from tests.cli.cluster_manifest import documents, granted

USER = "system:serviceaccount:netra-system:netra-node"


def daemon(node: str, problem: str = "") -> Daemon:
    return Daemon(node, "netra-system", f"netra-node-{node}", "netra-node", problem)


def facts(name: str, **info: str) -> NodeFacts:
    return node_facts(stub.node(name, **info))


def unready(name: str, *conditions: dict[str, Any]) -> NodeFacts:
    node = stub.node(name)
    node["status"]["conditions"] = list(conditions)
    return node_facts(node)


def said(node: str, *faults: tuple[str, str, str]) -> Answer:
    """A doctor's words: everything is well but the faults (what, verdict, found)."""
    told = faults or [("kernel", "ok", "Linux 6.8")]
    listed = [
        {"what": what, "verdict": verdict, "found": found, "why": "because", "mend": "mend it"}
        for what, verdict, found in told
    ]
    passed = all(verdict != "failed" for _, verdict, _ in told)
    return Answer(daemon(node), {"passed": passed, "checks": listed})


# The DaemonSet.


def test_a_daemon_set_that_is_rolled_out_is_ok() -> None:
    check = checks.daemon_set([stub.daemon_set(2)], [daemon("a"), daemon("b")], 0)

    assert (check.verdict, check.found) == (Verdict.OK, "its pods are ready on 2 nodes")


def test_pods_that_do_not_run_fail_and_are_told_together_where_the_reason_is_the_same() -> None:
    broken = [daemon(node, "its container waits: ErrImagePull") for node in "ab"]
    check = checks.daemon_set([stub.daemon_set(4)], [*broken, daemon("c")], 1)

    assert check.verdict is Verdict.FAILED
    assert check.found == "its container waits: ErrImagePull (a, b); 1 node without a pod"
    assert "kubectl --namespace netra-system describe daemonset,pods" in check.mend


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"observedGeneration": 0}, "its last change has not been taken up yet"),
        ({"updatedNumberScheduled": 1}, "1 of 2 pods are of its last change"),
        ({"numberReady": 1}, "1 of 2 pods are ready"),
    ],
)
def test_a_rollout_under_way_is_to_look_at(status: dict[str, int], words: str) -> None:
    check = checks.daemon_set([stub.daemon_set(2, **status)], [daemon("a"), daemon("b")], 0)

    assert (check.verdict, check.found) == (Verdict.WARNING, words)


def test_a_daemon_set_that_fits_no_node_fails() -> None:
    check = checks.daemon_set([stub.daemon_set(0)], [], 0)

    assert (check.verdict, check.found) == (Verdict.FAILED, "it wants no pod")


def test_a_daemon_set_whose_pods_are_forbidden_fails_and_its_events_tell_why() -> None:
    """As a quota does it: seen on 1.20, which leaves the status empty then."""
    check = checks.daemon_set([stub.daemon_set(0, observedGeneration=0)], [], 0)

    assert (check.verdict, check.found) == (Verdict.FAILED, "no pod of it could be made so far")
    assert "describe daemonset,pods" in check.mend


def test_no_daemon_set_fails() -> None:
    check = checks.no_daemon_set("there is none")

    assert check.verdict is Verdict.FAILED
    assert check.mend == "kubectl apply -f deploy/daemonset.yaml"


# Nodes.


def test_every_linux_node_should_have_a_daemon() -> None:
    windows = facts("w", operatingSystem="windows")
    nodes = [facts("a"), facts("b"), windows]

    assert checks.coverage(nodes, [daemon("a")]).found == "no daemon on b"
    assert checks.coverage(nodes, [daemon("a")]).verdict is Verdict.WARNING
    both = checks.coverage(nodes, [daemon("a"), daemon("b")])
    assert (both.verdict, both.found) == (Verdict.OK, "2 Linux nodes, a daemon on each")


def test_of_many_nodes_some_are_named_and_the_others_counted() -> None:
    nodes = [facts(f"n{number}") for number in range(8)]

    assert checks.coverage(nodes, []).found == "no daemon on n0, n1, n2, n3, n4 and 3 more"


def test_kernels_without_owned_rules_are_to_look_at_with_what_that_means() -> None:
    check = checks.kernels([facts("a"), facts("b", kernelVersion="5.10.0-30-amd64")])

    assert check.verdict is Verdict.WARNING
    assert check.found == "Linux 6.8.0-45-generic (a); Linux 5.10.0-30-amd64 (b)"
    assert "heartbeat alone" in check.mend


def test_kernels_with_owned_rules_are_ok_and_windows_has_none() -> None:
    windows = facts("w", operatingSystem="windows", kernelVersion="10.0.20348.2340")
    check = checks.kernels([facts("a", kernelVersion="5.12.0"), windows])

    assert (check.verdict, check.found) == (Verdict.OK, "Linux 5.12.0 (a)")


def test_kubelets_are_named_by_version() -> None:
    check = checks.kubelets([facts("a"), facts("b"), facts("c", kubeletVersion="v1.32.1+k3s1")])

    assert (check.verdict, check.found) == (Verdict.OK, "v1.33.4 (a, b); v1.32.1+k3s1 (c)")


def test_a_node_that_is_not_ready_is_to_look_at() -> None:
    stopped = {"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting."}
    pressed = {"type": "MemoryPressure", "status": "False"}
    check = checks.kubelets([unready("a", pressed, stopped), unready("b"), facts("c")])

    assert check.verdict is Verdict.WARNING
    assert check.found == "not ready: Kubelet stopped posting. (a); it never reported (b)"


@pytest.mark.parametrize(
    ("runtime", "verdict"),
    [
        ("containerd://1.7.27", Verdict.OK),
        ("cri-o://1.33.0", Verdict.OK),
        ("docker://28.0.1", Verdict.WARNING),
        ("unknown", Verdict.WARNING),
    ],
)
def test_runtimes_that_nobody_tried_are_to_look_at(runtime: str, verdict: Verdict) -> None:
    assert checks.runtimes([facts("a", containerRuntimeVersion=runtime)]).verdict is verdict


def test_a_node_that_tells_nothing_breaks_nothing() -> None:
    bare = node_facts({"metadata": {"name": "virtual"}})

    assert (bare.kernel, bare.problem) == ("unknown", "it never reported")
    assert checks.kernels([bare]).verdict is Verdict.WARNING


def test_nodes_that_may_not_be_listed_are_skipped() -> None:
    check = checks.unknown("nodes", "nodes is forbidden")

    assert (check.verdict, check.found) == (Verdict.SKIPPED, "nodes is forbidden")


# Rights.

NEW, OLD = "v1.33.0", "v1.32.9"


@pytest.mark.parametrize(
    ("pods", "proxy", "versions", "verdict", "words"),
    [
        (True, False, (NEW,), Verdict.OK, f"{USER} may get nodes/pods"),
        (
            True,
            True,
            (NEW,),
            Verdict.OK,
            f"{USER} may get nodes/pods; and nodes/proxy, which no kubelet here needs",
        ),
        (True, True, (NEW, OLD), Verdict.OK, f"{USER} may get nodes/pods and nodes/proxy"),
        (False, True, (OLD,), Verdict.OK, f"{USER} may get nodes/proxy"),
        (
            True,
            False,
            (NEW, OLD),
            Verdict.FAILED,
            f"{USER} may not get nodes/proxy, as kubelets before 1.33 demand: n1",
        ),
        (False, False, (NEW,), Verdict.FAILED, f"{USER} may not get nodes/pods"),
        (
            False,
            True,
            (NEW,),
            Verdict.WARNING,
            f"{USER} may get nodes/proxy, all of the kubelet's API, but not nodes/pods",
        ),
        (False, False, (), Verdict.FAILED, f"{USER} may not get nodes/pods"),
        (True, False, ("strange",), Verdict.OK, f"{USER} may get nodes/pods"),
    ],
)
def test_what_the_account_needs_depends_on_the_kubelets(
    pods: bool, proxy: bool, versions: tuple[str, ...], verdict: Verdict, words: str
) -> None:
    nodes = [facts(f"n{number}", kubeletVersion=of) for number, of in enumerate(versions)]
    check = checks.account(USER, pods=pods, proxy=proxy, nodes=nodes)

    assert (check.verdict, check.found) == (verdict, words)


def test_a_right_that_lacks_is_mended_by_a_rule_of_the_manifest() -> None:
    roles = {one["metadata"]["name"] for one in documents() if one["kind"] == "ClusterRole"}
    old = checks.account(USER, pods=True, proxy=False, nodes=[facts("a", kubeletVersion=OLD)])
    new = checks.account(USER, pods=False, proxy=False, nodes=[facts("a")])

    assert {check.mend.split()[1] for check in (old, new)} == roles
    assert '{apiGroups: [""], resources: [nodes/proxy], verbs: [get]}' in old.mend
    assert '{apiGroups: [""], resources: [nodes/pods], verbs: [get]}' in new.mend
    assert granted() == {"get nodes/pods", "get nodes/proxy"}


def test_rights_that_may_not_be_asked_for_are_skipped_with_whom_to_ask() -> None:
    check = checks.account_unknown(USER, "subjectaccessreviews is forbidden")

    assert check.verdict is Verdict.SKIPPED
    # `get nodes/pods` would ask about a node called pods.
    assert f"kubectl auth can-i get nodes --subresource=pods --as={USER}" in check.mend


def test_the_users_own_rights_are_named() -> None:
    lacking = checks.exec_rights(["get pods/exec", "create pods/exec"], "netra-system")

    assert checks.exec_rights([], "netra-system").verdict is Verdict.OK
    assert lacking.verdict is Verdict.WARNING
    assert lacking.found == "you lack get pods/exec and create pods/exec"


# What the nodes say.


def test_where_every_doctor_is_content_one_line_says_so() -> None:
    (check,) = checks.own_words([said("a"), said("b")])

    assert (check.verdict, check.found) == (Verdict.OK, "nothing to mend, says each of 2 nodes")


def test_faults_are_told_by_topic_with_their_nodes_and_their_own_mending() -> None:
    rules, limit = ("rules", "failed", "no nft_tproxy"), ("open files", "warning", "at most 1024")
    found = checks.own_words([said("a", rules, limit), said("b", rules), said("c")])

    assert [(check.what, check.verdict, check.found) for check in found] == [
        ("daemons: rules", Verdict.FAILED, "no nft_tproxy (a, b)"),
        ("daemons: open files", Verdict.WARNING, "at most 1024 (a)"),
    ]
    assert (found[0].why, found[0].mend) == ("because", "mend it")


def test_daemons_that_do_not_answer_are_told_unless_their_pod_does_not_run_anyway() -> None:
    hangs = Answer(daemon("a"), None, "it did not answer within 45 s")
    broken = Answer(daemon("b", "its container waits"), None, "its container waits")
    strange = Answer(daemon("c"), {"checks": ["x"]})
    (check,) = checks.own_words([hangs, broken, strange])

    assert (check.what, check.verdict) == ("daemons", Verdict.WARNING)
    assert check.found == "it did not answer within 45 s (a); what it says cannot be read (c)"


def test_without_any_daemon_nothing_is_said_of_them() -> None:
    assert checks.own_words([]) == []


def test_the_cluster_that_was_asked_is_named() -> None:
    assert checks.api_server("v1.33.4", "context x").found == "v1.33.4, context x"
