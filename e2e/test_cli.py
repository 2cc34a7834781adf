"""The commands a person types beside a real daemon: status while it lives, cleanup after it was killed, doctor, logs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e.support import kernel
from e2e.support.daemon import Daemon, until
from e2e.support.node import Node, manifest
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(120)]

MISSING = "/run/netns/nt-missing"
Done = subprocess.CompletedProcess[str]


@dataclass
class Machine:
    """A node with pods `a` and `b`, a pending one and a refused one; and the outputs of its daemon's life."""

    node: Node
    daemon: Daemon
    said: dict[str, Done] = field(default_factory=dict)

    def run(self, *arguments: str, **settings: str) -> Done:
        """Do a command as somebody with the daemon's settings does."""
        return command(
            *arguments,
            NETRA_POD_SOURCE=f"file://{self.node.file}",
            NETRA_PPROF_PORT=str(self.daemon.debug_port),
            NETRA_PROMETHEUS_PORT=str(self.daemon.metrics_port),
            **settings,
        )

    def note(self, stage: str, *arguments: str) -> None:
        self.said[stage] = self.run(*arguments)

    def left(self) -> list[str]:
        return [line for name in "ab" for line in kernel.routing_of_ours(self.node.pod(name))]


def command(*arguments: str, **settings: str) -> Done:
    return subprocess.run(
        [sys.executable, "-m", "netra_node", *arguments],
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture(scope="module")
def machine(bed: Testbed, directory: Path) -> Iterator[Machine]:
    """The daemon's whole life, played once: it lives, is killed, what it left is looked at and removed."""
    with Node(bed, directory / "pods.json") as node:
        node.listen("b", "127.0.0.1", 14956)
        captured = [manifest(node.pod(name)) for name in "ab"]
        odd = manifest(node.pod("a"), path=MISSING), manifest(node.pod("a"), http_ports="x")
        for about, name in zip(odd, ("pending", "refused"), strict=True):
            about["metadata"]["name"] = name
        node.write([*captured, *odd])
        with Daemon(node.file, directory, NETRA_LOGGER_FORMAT="json") as daemon:
            daemon.wait_for("a", "b")
            assert until(lambda: daemon.pod("pending").get("reason") and not daemon.blockers())
            machine = Machine(node, daemon)
            play(machine)
            yield machine


def play(machine: Machine) -> None:
    machine.note("status", "status")
    machine.note("status as json", "status", "--json")
    machine.note("doctor", "doctor", "--json")
    machine.note("cleanup beside a living daemon", "cleanup")
    assert machine.left()
    machine.daemon.kill()
    assert until(lambda: machine.daemon.exit_code is not None)
    machine.note("status without a daemon", "status")
    machine.note("dry run", "cleanup", "--dry-run")
    assert machine.left()
    machine.note("cleanup", "cleanup")


def test_status_shows_what_is_captured(machine: Machine) -> None:
    done = machine.said["status"]

    assert (done.returncode, done.stderr) == (0, "")
    line = next(line for line in done.stdout.splitlines() if line.startswith("e2e/a "))
    assert line.split()[:3] == ["e2e/a", "a", "running"]


def test_status_says_why_a_pod_is_pending(machine: Machine) -> None:
    assert (
        f"e2e/pending is tried again: no network namespace at {MISSING}"
        in machine.said["status"].stdout
    )


def test_status_says_why_a_pod_is_refused(machine: Machine) -> None:
    assert "e2e/refused is not captured: annotation netra.io/http-ports='x'" in (
        machine.said["status"].stdout
    )


def test_status_says_which_port_stands_in_where_an_application_has_ours(machine: Machine) -> None:
    assert "e2e/b: port 14956 is taken there, so " in machine.said["status"].stdout


def test_status_as_json_has_the_daemons_pid(machine: Machine) -> None:
    assert json.loads(machine.said["status as json"].stdout)["pid"] == machine.daemon.pid


def test_status_without_a_daemon_fails_in_one_line(machine: Machine) -> None:
    done = machine.said["status without a daemon"]

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_doctor_passes_beside_the_running_daemon(machine: Machine) -> None:
    done = machine.said["doctor"]
    checks = {check["what"]: check for check in json.loads(done.stdout)["checks"]}

    assert done.returncode == 0
    assert checks["daemon"]["found"] == f"one runs (pid {machine.daemon.pid}) and captures 2 pods"


def test_doctor_passes_here_without_any_setting() -> None:
    ports = {"NETRA_PPROF_PORT": "0", "NETRA_PROMETHEUS_PORT": "0"}

    assert command("doctor", **ports).returncode == 0


def test_cleanup_refuses_while_the_daemon_lives_and_names_it(machine: Machine) -> None:
    done = machine.said["cleanup beside a living daemon"]

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"netra-node: process {machine.daemon.pid} holds ")


def test_a_dry_run_says_what_is_left(machine: Machine) -> None:
    done = machine.said["dry run"]

    assert done.returncode == 0
    assert "would remove IPv4 rule with priority 1539" in done.stdout


def test_cleanup_after_a_kill_removes_rules_and_routes(machine: Machine) -> None:
    assert machine.said["cleanup"].returncode == 0
    assert machine.left() == []


def test_a_second_cleanup_finds_nothing(machine: Machine) -> None:
    done = machine.run("cleanup")

    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "nothing to remove in 2 namespaces"


def test_the_log_has_a_line_for_each_event_and_each_is_an_object(machine: Machine) -> None:
    events = [json.loads(line) for line in machine.daemon.log.read_text().splitlines()]
    messages = [(event["level"], event["message"].split(":")[0]) for event in events]

    assert ("info", "captured e2e/a as a") in messages
    assert messages.count(("warning", "cannot capture e2e/pending yet")) == 1
    assert messages.count(("warning", "not capturing e2e/refused")) == 1
