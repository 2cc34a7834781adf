"""The command itself, as a process; what it does once it runs is in `test_app` and e2e."""

import json
import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest

from tests.cli.command import netra_node, python

NO_PODS = '{"kind": "PodList", "items": []}'


@pytest.fixture
def pods_file(tmp_path: Path) -> Path:
    path = tmp_path / "pods.json"
    path.write_text(NO_PODS)
    return path


def environment(**settings: str) -> dict[str, str]:
    # Any free ports: nobody else can take them before the daemon does.
    ours = {"NETRA_PROMETHEUS_PORT": "0", "NETRA_PPROF_PORT": "0"}
    return {"PATH": os.environ["PATH"], **ours, **settings}


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return netra_node("run", *arguments, **environment(**settings))


def test_every_bad_setting_is_named_and_nothing_else_is_said() -> None:
    done = run(NETRA_PORT="x", NETRA_INBOUND_PORT="y")

    assert done.returncode == 2
    assert {line.partition("=")[0].split()[0] for line in done.stderr.splitlines()} == {
        "NETRA_INBOUND_PORT",
        "NETRA_POD_SOURCE",
        "NETRA_PORT",
    }


@pytest.mark.parametrize(
    "flag",
    [
        ("--service-name", "{nonsense}"),
        ("--service-name={nonsense}",),
        ("-service-name", "{nonsense}"),
        ("-service-name={nonsense}",),
    ],
)
def test_a_bad_service_name_template_is_a_bad_setting_however_the_flag_is_written(
    pods_file: Path, flag: tuple[str, ...]
) -> None:
    done = run(*flag, NETRA_POD_SOURCE=f"file://{pods_file}")

    assert done.returncode == 2
    assert done.stderr.startswith("JAEGER_SERVICE_NAME")


def test_a_missing_pods_file_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    done = run(NETRA_POD_SOURCE=f"file://{tmp_path}/missing.json")

    assert done.returncode == 1
    assert done.stderr.startswith("netra-node: pods file")
    assert len(done.stderr.splitlines()) == 1


def test_a_taken_port_is_named_with_exit_code_1(pods_file: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(NETRA_POD_SOURCE=f"file://{pods_file}", NETRA_PROMETHEUS_PORT=port)

    assert done.returncode == 1
    assert f"netra-node: cannot listen on port {port}" in done.stderr


def test_an_unknown_name_of_ours_is_a_warning(pods_file: Path, tmp_path: Path) -> None:
    with Daemon(pods_file, tmp_path, NETRA_PROMETHEUS_PROT="1") as daemon:
        daemon.wait_for("admin on")

    assert "NETRA_PROMETHEUS_PROT" in daemon.said()


def test_the_log_is_json_where_it_is_asked_for(pods_file: Path, tmp_path: Path) -> None:
    with Daemon(pods_file, tmp_path, NETRA_LOGGER_FORMAT="json") as daemon:
        daemon.wait_for("admin on")
        first, *_ = daemon.said().splitlines()

    assert json.loads(first)["message"].startswith("netra-node ")


class Daemon:
    """The command, running."""

    def __init__(self, pods_file: Path, directory: Path, **settings: str) -> None:
        self._log = directory / "log"
        source = {"NETRA_POD_SOURCE": f"file://{pods_file}"}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                python("netra_node", "run"),
                env=environment(**source, **settings),
                stderr=log,
                stdout=log,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        return self._log.read_text()

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + 10
        while words not in self.said():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_within_a_second_with_exit_code_0(
    pods_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with Daemon(pods_file, tmp_path) as daemon:
        daemon.wait_for("admin on 127.0.0.1")
        begin = time.monotonic()
        daemon.process.send_signal(number)

        assert daemon.process.wait(5) == 0
        assert time.monotonic() - begin < 1


def test_it_may_open_as_many_descriptors_as_it_is_allowed_to(
    pods_file: Path, tmp_path: Path
) -> None:
    with Daemon(pods_file, tmp_path) as daemon:
        daemon.wait_for("admin on 127.0.0.1")
        soft, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)

    assert soft == hard


def test_the_lowest_descriptors_are_kept_free_for_leases(pods_file: Path, tmp_path: Path) -> None:
    with Daemon(pods_file, tmp_path) as daemon:
        daemon.wait_for("admin on 127.0.0.1")
        directory = Path(f"/proc/{daemon.process.pid}/fd")
        lowest = {str((directory / str(number)).readlink()) for number in range(3, 3 + 512)}

    assert lowest == {"/dev/null"}
