"""`netra-node doctor --cluster`, against an API server on loopback."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netra_node.cli import cluster_doctor
from tests.cli import cluster_stub as stub
from tests.cli.cluster_stub import Exec
from tests.cli.command import here, netra_node

FINE = {"what": "kernel", "verdict": "ok", "found": "Linux 6.8", "why": "w", "mend": ""}
BROKEN = {"what": "rules", "verdict": "failed", "found": "no tproxy", "why": "w", "mend": "m"}


def words(*found: dict[str, str]) -> str:
    passed = all(one["verdict"] != "failed" for one in found)
    return json.dumps({"passed": passed, "checks": list(found)})


@pytest.fixture
def known() -> Iterator[stub.Cluster]:
    execs = {(f"netra-node-{node}", "doctor"): Exec(out=words(FINE)) for node in ("a", "b")}
    cluster = stub.Cluster(
        [stub.daemon_set(2)],
        [stub.pod("a"), stub.pod("b")],
        [stub.node("a"), stub.node("b")],
        execs,
        rights={"get nodes/pods"},
    )
    with stub.serving(cluster):
        yield cluster


@pytest.fixture
def args(known: stub.Cluster, tmp_path: Path) -> argparse.Namespace:
    path = stub.kubeconfig(tmp_path / "config", known.server)
    return argparse.Namespace(kubeconfig=str(path), context=None, namespace=None, json=True)


def checked(args: argparse.Namespace, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The checks by name, and the exit code."""
    code = cluster_doctor.main(args)
    document = json.loads(capsys.readouterr().out)
    return {check["what"]: check for check in document["checks"]} | {"code": code}


def test_a_cluster_where_pods_are_captured_passes(known: stub.Cluster, args: Any) -> None:
    done = netra_node("doctor", "--cluster", "--kubeconfig", args.kubeconfig)

    assert (done.returncode, done.stderr) == (0, "asking the cluster …\n")
    assert done.stdout.splitlines()[-1] == "9 ok: pods can be captured here"


def test_as_json_it_is_one_object_with_the_facts_of_each_node(
    args: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cluster_doctor.main(args) == 0
    document = json.loads(capsys.readouterr().out)

    assert (document["passed"], document["context"]) == (True, "stub")
    assert document["nodes"][0] == {
        "node": "a",
        "kernel": "6.8.0-45-generic",
        "kubelet": "v1.33.4",
        "runtime": "containerd://2.0.5",
        "problem": None,
    }
    assert document["daemons"][1] == {
        "node": "b",
        "pod": "netra-node-b",
        "problem": None,
        "doctor": {"passed": True, "checks": [FINE]},
    }


def test_what_one_node_cannot_do_fails(
    known: stub.Cluster, args: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    known.execs["netra-node-b", "doctor"] = Exec(out=words(FINE, BROKEN), code=1)
    found = checked(args, capsys)

    assert found["daemons: rules"]["found"] == "no tproxy (b)"
    assert found["code"] == 1


def test_an_account_without_its_role_fails(
    known: stub.Cluster, args: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    known.rights.clear()
    found = checked(args, capsys)

    assert found["account"]["verdict"] == "failed"
    assert found["code"] == 1
    assert known.reviewed[0]["user"] == "system:serviceaccount:netra-system:netra-node"
    assert known.reviewed[0]["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:netra-system",
        "system:authenticated",
    ]


def test_what_the_user_may_not_ask_is_skipped_and_the_rest_is_told(
    known: stub.Cluster, args: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    known.failures = {
        "/nodes": [(403, "nodes is forbidden")],
        "/subjectaccessreviews": [(403, "subjectaccessreviews is forbidden")],
    }
    known.my_rights.clear()
    for node in ("a", "b"):
        known.execs[f"netra-node-{node}", "doctor"] = Exec(refused=(403, "pods/exec is forbidden"))
    found = checked(args, capsys)

    verdicts = {what: check["verdict"] for what, check in found.items() if what != "code"}
    assert verdicts == {
        "API server": "ok",
        "DaemonSet": "ok",
        "nodes": "skipped",
        "account": "skipped",
        "your rights": "warning",
        "daemons": "warning",
    }
    assert found["code"] == 0


def test_a_cluster_without_a_daemon_set_fails_and_its_nodes_are_looked_at_all_the_same(
    known: stub.Cluster, args: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    known.daemon_sets.clear()
    found = checked(args, capsys)

    assert (found["DaemonSet"]["verdict"], found["kernel"]["verdict"]) == ("failed", "ok")
    assert "account" not in found
    assert found["code"] == 1


def test_nothing_that_comes_from_a_cluster_can_steer_the_terminal(
    known: stub.Cluster, args: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = {"what": "w\x1b", "verdict": "failed", "found": "f\x1b", "why": "y\x1b", "mend": "m\x1b"}
    known.execs["netra-node-b", "doctor"] = Exec(out=words(odd))
    known.nodes[0]["status"]["nodeInfo"]["kernelVersion"] = "5.4\x1b[2J"
    args.json = False

    assert cluster_doctor.main(args) == 1
    out = capsys.readouterr().out
    assert "Linux 5.4?[2J (a)" in out
    assert "\x1b" not in out


def test_a_flag_that_needs_a_cluster_is_refused_without_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = here(capsys, "doctor", "--kubeconfig", "x")

    assert (done.returncode, done.stdout) == (2, "")
    assert "use it together with --cluster" in done.stderr
