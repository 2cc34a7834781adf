"""`netra-node status --cluster`, against an API server on loopback."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.cli import cluster_stub as stub
from tests.cli.cluster_stub import Exec
from tests.cli.command import here, netra_node
from tests.cli.test_status_report import pod, status

Ask = Callable[..., CompletedProcess[str]]


@pytest.fixture
def known() -> Iterator[stub.Cluster]:
    execs = {
        (f"netra-node-{node}", "status"): Exec(out=json.dumps(status(pod("web"))))
        for node in ("a", "b")
    }
    cluster = stub.Cluster([stub.daemon_set(2)], [stub.pod("a"), stub.pod("b")], execs=execs)
    with stub.serving(cluster):
        yield cluster


@pytest.fixture
def kubeconfig(known: stub.Cluster, tmp_path: Path) -> str:
    return str(stub.kubeconfig(tmp_path / "config", known.server, contexts=("stub", "other")))


@pytest.fixture
def ask(kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> Ask:
    return lambda *more: here(capsys, "status", "--cluster", "--kubeconfig", kubeconfig, *more)


def test_every_node_is_shown_and_the_code_is_0(kubeconfig: str) -> None:
    done = netra_node("status", "--cluster", KUBECONFIG=kubeconfig)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("netra-node in namespace netra-system of context stub\n")
    assert done.stdout.endswith(
        "2 of 2 nodes answer: 2 captured, 0 pending, 0 refused; 4 connections\n"
    )
    assert done.stderr == "asking the cluster …\n"


def test_as_json_it_is_one_object_and_nothing_else(ask: Ask) -> None:
    done = ask("--json", "--context", "other")
    document = json.loads(done.stdout)

    assert (document["context"], document["namespace"]) == ("other", "netra-system")
    assert (document["complete"], document["nodes_without_pod"]) == (True, 0)
    assert document["nodes"][1] == {
        "node": "b",
        "pod": "netra-node-b",
        "problem": None,
        "status": status(pod("web")),
    }


def test_a_node_that_does_not_answer_is_told_and_the_code_is_1(
    known: stub.Cluster, ask: Ask
) -> None:
    known.execs["netra-node-b", "status"] = Exec(
        err="netra-node: no daemon answers at 127.0.0.1:14957\n", code=1
    )
    done = ask()

    assert done.returncode == 1
    assert "b does not answer: no daemon answers at 127.0.0.1:14957" in done.stdout
    assert done.stdout.splitlines()[3].startswith("a ")


def test_without_a_daemon_set_it_says_how_to_make_one(known: stub.Cluster, ask: Ask) -> None:
    done = ask("-n", "elsewhere")

    assert (done.returncode, done.stdout) == (1, "")
    _, sentence = done.stderr.splitlines()
    assert sentence == (
        "netra-node: no DaemonSet with the label app.kubernetes.io/name=netra-node in namespace elsewhere of context stub; "
        "`kubectl apply -f deploy/daemonset.yaml` makes one, --namespace and --context look elsewhere"
    )


def test_a_refusal_is_one_sentence_and_the_code_is_1(known: stub.Cluster, ask: Ask) -> None:
    known.failures["/daemonsets"] = [(403, "daemonsets.apps is forbidden")]
    done = ask("--json")

    assert (done.returncode, done.stdout) == (1, "")
    assert "refuses (403): daemonsets.apps is forbidden; ask who runs" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_bad_kubeconfig_is_one_sentence_and_the_code_is_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config"
    path.write_text("{")
    done = here(capsys, "status", "--cluster", "--kubeconfig", str(path))

    assert (done.returncode, done.stdout) == (2, "")
    assert f"kubeconfig {path} cannot be used" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_flag_that_needs_a_cluster_is_refused_without_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = here(capsys, "status", "--context", "x")

    assert (done.returncode, done.stdout) == (2, "")
    assert "use it together with --cluster" in done.stderr
