"""The command: whom it asks, what it prints where, how it ends. With a real daemon: e2e."""

import json
import subprocess
from typing import Any

from tests.cli.admin_stub import answering, unused_port
from tests.cli.command import netra_node
from tests.cli.test_status_report import pod, status


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return netra_node("status", *arguments, **settings)


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    document: dict[str, Any] = dict(status(pod("web")))
    with answering(document) as port:
        return run(*arguments, NETRA_PPROF_PORT=str(port))


def test_it_shows_the_pods_of_the_daemon_on_the_port_of_the_settings() -> None:
    done = ask()

    assert done.returncode == 0
    assert "shop/web" in done.stdout
    assert done.stderr == ""


def test_as_json_it_prints_what_the_daemon_answered_and_nothing_else() -> None:
    assert json.loads(ask("--json").stdout) == status(pod("web"))


def test_without_a_daemon_it_says_so_in_one_line_with_exit_code_1() -> None:
    done = run(NETRA_PPROF_PORT=str(unused_port()))

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("netra-node: no daemon answers at 127.0.0.1:")
    assert len(done.stderr.splitlines()) == 1


def test_a_bad_port_is_a_configuration_error() -> None:
    done = run(NETRA_PPROF_PORT="nonsense")

    assert done.returncode == 2
    assert "NETRA_PPROF_PORT='nonsense'" in done.stderr
