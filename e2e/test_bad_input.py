"""What cannot work is said at once, in a sentence that names it, with an exit code that tells whose turn it is."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from e2e.support.daemon import RUN, Daemon, until

pytestmark = [pytest.mark.netns, pytest.mark.timeout(30)]

FAILED, USAGE = 1, 2
PODS = '{"kind": "PodList", "items": []}'


def run(**settings: str) -> tuple[int, list[str]]:
    """Exit code, and what it said, of a daemon that is expected to end by itself."""
    environ = {
        k: v for k, v in os.environ.items() if not k.startswith(("NETRA_", "OTEL_", "JAEGER_"))
    }
    ports = {"NETRA_PROMETHEUS_PORT": "0", "NETRA_PPROF_PORT": "0"}
    done = subprocess.run(
        RUN, env={**environ, **ports, **settings}, capture_output=True, timeout=15, check=False
    )
    assert done.stdout == b""
    return done.returncode, done.stderr.decode().splitlines()


@pytest.fixture
def pods_file(tmp_path: Path) -> Path:
    path = tmp_path / "pods.json"
    path.write_text(PODS)
    return path


def test_every_bad_setting_is_named_at_once_with_its_value_and_what_it_takes() -> None:
    bad = {
        "NETRA_POD_SOURCE": "file://relative",
        "NETRA_PORT": "70000",
        "NETRA_HEARTBEAT_MILLISECONDS": "soon",
        "NETRA_HTTP_PORTS": "80-",
        "OTEL_TRACES_SAMPLER": "sometimes",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://collector",
    }

    code, said = run(**bad)

    assert code == USAGE
    for name, value in bad.items():
        (line,) = [line for line in said if name in line]
        assert value in line
        assert "takes" in line
    assert not [line for line in said if "Traceback" in line or line.startswith("  File")]


def test_no_settings_at_all_is_one_error_that_says_what_is_missing() -> None:
    code, said = run()

    assert code == USAGE
    assert len([line for line in said if "NETRA_POD_SOURCE" in line]) == 1
    assert "Traceback" not in "".join(said)


def test_an_unknown_setting_is_a_warning_with_the_nearest_name(pods_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        _, said = run(
            NETRA_POD_SOURCE=f"file://{pods_file}",
            NETRA_HTTP_PORT="80",
            NETRA_PPROF_PORT=str(taken.getsockname()[1]),
        )

    assert [line for line in said if "NETRA_HTTP_PORT " in line and "NETRA_HTTP_PORTS" in line]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "not JSON: "),
        ("a: [", "not YAML: "),
        ("", "empty"),
        ("kind: Service", "no Pod in it, but Service"),
        ("just words", "holds str where a Pod belongs"),
        ('{"items": 3}', "items is not a list"),
        ("\0\1\2", "not YAML: "),
    ],
)
def test_a_bad_pods_file_at_start_is_one_line_that_names_it(
    pods_file: Path, content: str, why: str
) -> None:
    pods_file.write_text(content)

    code, said = run(NETRA_POD_SOURCE=f"file://{pods_file}")

    assert code == FAILED
    (line,) = said
    assert line.startswith(f"netra-node: pods file {pods_file}: {why}")


def test_a_missing_pods_file_at_start_is_one_line_that_names_it(tmp_path: Path) -> None:
    code, said = run(NETRA_POD_SOURCE=f"file://{tmp_path}/none")

    assert code == FAILED
    assert said == [
        f"netra-node: pods file {tmp_path}/none cannot be read: no such file or directory"
    ]


@pytest.mark.parametrize("name", ["NETRA_PROMETHEUS_PORT", "NETRA_PPROF_PORT"])
def test_a_busy_admin_port_is_one_line_that_names_it(pods_file: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = run(**{"NETRA_POD_SOURCE": f"file://{pods_file}", name: port})

    assert code == FAILED
    errors = [line for line in said if " info " not in line]
    assert len(errors) == 1
    assert errors[0].startswith("netra-node: ")
    assert port in errors[0]


def test_a_file_that_names_no_pods_is_no_mistake(pods_file: Path, tmp_path: Path) -> None:
    """It is how a node without pods looks; the daemon waits for them."""
    with Daemon(pods_file, tmp_path) as daemon:
        assert until(lambda: not daemon.blockers())

        assert daemon.status()["pods"] == []
        assert daemon.terminate() < 10


def test_the_log_of_a_daemon_that_runs_goes_to_standard_error(
    pods_file: Path, tmp_path: Path
) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    environ = {"NETRA_POD_SOURCE": f"file://{pods_file}", "PATH": os.environ["PATH"]}
    ports = {"NETRA_PROMETHEUS_PORT": "0", "NETRA_PPROF_PORT": "0"}
    with (
        out.open("wb") as stdout,
        log.open("wb") as stderr,
        subprocess.Popen(RUN, env={**environ, **ports}, stdout=stdout, stderr=stderr) as daemon,
    ):
        assert until(lambda: "admin on" in log.read_text())
        daemon.terminate()

    assert daemon.returncode == 0
    assert out.read_bytes() == b""
