"""What the cluster's commands have in common: many nodes at once, hanging ones, interruption, and what is imported when."""

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.support.daemon import until
from netra_node.cli import cluster_view as view
from netra_node.cli.cluster_api import connect
from tests.cli import cluster_stub as stub
from tests.cli.cluster_stub import Exec


def test_forty_nodes_of_which_some_hang_are_asked_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [f"n{number:02}" for number in range(40)]
    hanging = {"n00", "n07", "n39"}
    execs = {
        (f"netra-node-{node}", "status"): Exec(out=json.dumps({"of": node}), hangs=node in hanging)
        for node in nodes
    }
    known = stub.Cluster([stub.daemon_set(40)], [stub.pod(node) for node in nodes], execs=execs)
    with stub.serving(known):
        cluster = connect(str(stub.kubeconfig(tmp_path / "config", known.server)), None, {})
        found = view.find(cluster, "netra-system")
        answers = view.ask_each(cluster, found.daemons, ["status"], 3.0)

    assert {answer.daemon.node for answer in answers if answer.document is None} == hanging
    assert all(
        answer.document == {"of": answer.daemon.node} for answer in answers if answer.document
    )
    assert "of 40 nodes have answered" in capsys.readouterr().err


def test_two_daemon_sets_are_both_ours(tmp_path: Path) -> None:
    arm = stub.daemon_set(1)
    arm["metadata"] |= {"name": "netra-node-arm", "uid": "ds-2"}
    on_arm = stub.pod("b", ownerReferences=[{"uid": "ds-2"}])
    known = stub.Cluster([stub.daemon_set(2), arm], [stub.pod("a"), on_arm])
    with stub.serving(known):
        cluster = connect(str(stub.kubeconfig(tmp_path / "config", known.server)), None, {})
        found = view.find(cluster, "netra-system")

    assert [daemon.node for daemon in found.daemons] == ["a", "b"]
    assert found.missing == 1


def test_an_interrupted_command_ends_quietly_and_at_once(tmp_path: Path) -> None:
    execs = {("netra-node-a", "status"): Exec(hangs=True)}
    known = stub.Cluster([stub.daemon_set(1)], [stub.pod("a")], execs=execs)
    with stub.serving(known):
        path = stub.kubeconfig(tmp_path / "config", known.server)
        environ = {"PATH": os.environ["PATH"], "KUBECONFIG": str(path)}
        command = [sys.executable, "-m", "netra_node", "status", "--cluster"]
        with subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert until(lambda: any(path.endswith("/exec") for path in known.asked))
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=10)
            finally:
                process.kill()

    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_a_refusal_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = stub.Cluster(failures={"/daemonsets": [(403, "no\x1b[2J\nway")]})
    with stub.serving(known):
        path = stub.kubeconfig(tmp_path / "config", known.server)
        args = argparse.Namespace(kubeconfig=str(path), context=None, namespace=None)
        code = view.guarded(
            args, lambda cluster, namespace: len(view.find(cluster, namespace).daemons)
        )

    assert code == 1
    assert "refuses (403): no?[2J way; " in capsys.readouterr().err


def test_commands_for_one_node_do_not_import_the_client() -> None:
    script = (
        "import sys, netra_node.cli.status, netra_node.cli.doctor, netra_node.cli.run\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('kubernetes', 'websocket', 'urllib3')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True
    )

    assert done.stdout == "[]\n"


def test_a_refusal_ends_with_its_own_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = argparse.Namespace(kubeconfig=f"{tmp_path}/missing", context=None, namespace=None)

    assert view.guarded(args, lambda _cluster, _namespace: 0) == 2
    assert capsys.readouterr().err.startswith(
        "asking the cluster …\nnetra-node: there is no kubeconfig "
    )
