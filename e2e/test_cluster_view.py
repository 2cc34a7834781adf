"""The cluster's commands read what real daemons and doctors print: the API server is a stand-in, what runs in the pods is real."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.support.daemon import Daemon
from e2e.support.node import Node
from tests.cli import cluster_stub as stub
from tests.cli.cluster_stub import Exec

pytestmark = [pytest.mark.netns, pytest.mark.timeout(120)]


def command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "netra_node", *arguments],
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def in_its_container(name: str, node: Node, daemon: Daemon) -> Exec:
    """What a command prints with the daemon's own settings, as exec gives them to it."""
    done = command(
        name,
        "--json",
        NETRA_POD_SOURCE=f"file://{node.file}",
        NETRA_PPROF_PORT=str(daemon.debug_port),
        NETRA_PROMETHEUS_PORT=str(daemon.metrics_port),
    )
    return Exec(out=done.stdout, err=done.stderr, code=done.returncode)


def test_what_a_real_daemon_and_its_doctor_say_is_shown_for_their_node(
    node: Node, daemon: Daemon, tmp_path: Path
) -> None:
    known = stub.Cluster([stub.daemon_set(1)], [stub.pod("w1")], [stub.node("w1")])
    known.rights.add("get nodes/pods")
    for name in ("status", "doctor"):
        known.execs["netra-node-w1", name] = in_its_container(name, node, daemon)
    with stub.serving(known):
        settings = {"KUBECONFIG": str(stub.kubeconfig(tmp_path / "config", known.server))}
        status = command("status", "--cluster", **settings)
        doctor = command("doctor", "--cluster", **settings)

    assert "1 of 1 node answer: 2 captured, 0 pending, 0 refused" in status.stdout
    assert status.returncode == 0
    assert "what it says cannot be read" not in doctor.stdout
    assert doctor.stdout.splitlines()[-1].endswith("pods can be captured here")
    assert doctor.returncode == 0
