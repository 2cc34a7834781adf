"""The command: facts from this machine, and the exit code."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from netra_node.cli.doctor import configuration
from netra_node.cli.doctor_checks import Check, Verdict
from tests.cli.admin_stub import answering, unused_port
from tests.cli.command import netra_node
from tests.cli.test_status_report import pod, status

pytestmark = pytest.mark.netns


def free_ports() -> dict[str, str]:
    return {"NETRA_PROMETHEUS_PORT": "0", "NETRA_PPROF_PORT": str(unused_port())}


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return netra_node("doctor", *arguments, **free_ports() | settings)


def found(**settings: str) -> dict[str, Check]:
    """What is found of these settings alone, without a process and its trial of the kernel."""
    return {check.what: check for check in configuration(free_ports() | settings)}


@pytest.fixture
def pods_file(tmp_path: Path) -> str:
    path = tmp_path / "pods.json"
    labels = {"netra.io/enabled": "true"}
    path.write_text(
        json.dumps(
            {"metadata": {"name": "x", "labels": labels, "annotations": {"netra.io/netns": "x"}}}
        )
    )
    return f"file://{path}"


def test_where_pods_can_be_captured_it_ends_with_0(pods_file: str) -> None:
    done = run(NETRA_POD_SOURCE=pods_file)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("pods can be captured here")


def test_a_newcomer_without_settings_is_told_what_to_set_and_passes() -> None:
    done = run()

    assert done.returncode == 0
    assert "NETRA_POD_SOURCE is not set" in done.stdout


def test_bad_settings_are_all_named_and_fail() -> None:
    done = run(NETRA_PORT="x", NETRA_INBOUND_PORT="y")

    assert done.returncode == 1
    assert "NETRA_PORT='x'" in done.stdout
    assert "NETRA_INBOUND_PORT='y'" in done.stdout


def test_a_port_somebody_else_has_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check = found(NETRA_PPROF_PORT=str(port))[f"port {port}"]

    assert check.verdict is Verdict.FAILED


def test_a_running_daemon_is_found_and_its_port_is_as_it_should_be() -> None:
    with answering(dict(status(pod("web")))) as port:
        checks = found(NETRA_PPROF_PORT=str(port))

    assert checks["daemon"].found == "one runs (pid 4711) and captures 1 pod"
    assert checks[f"port {port}"].verdict is Verdict.OK


def test_the_pods_that_ask_for_capture_are_counted(pods_file: str) -> None:
    assert found(NETRA_POD_SOURCE=pods_file)["pods file"].found == "1 pod to capture"


def test_a_pods_file_that_is_not_there_fails(tmp_path: Path) -> None:
    check = found(NETRA_POD_SOURCE=f"file://{tmp_path}/missing")["pods file"]

    assert check.verdict is Verdict.FAILED
    assert "no such file" in check.found


def test_a_kubelet_that_cannot_be_asked_fails(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    checks = found(
        NETRA_POD_SOURCE="kubelet", NETRA_KUBELET_URL=url, NETRA_CNI_RESULTS=str(tmp_path)
    )

    assert checks["kubelet"].verdict is Verdict.FAILED
    assert checks["kubelet"].found.startswith(f"kubelet {url} cannot be asked: ")
    assert checks["CNI results"].found == str(tmp_path)


def test_certificates_that_are_not_there_fail(tmp_path: Path) -> None:
    check = found(NETRA_POD_SOURCE="kubelet", NETRA_KUBELET_CA=f"{tmp_path}/ca.pem")["kubelet"]

    assert f"{tmp_path}/ca.pem cannot be used" in check.found


def test_a_collector_is_looked_for_only_where_one_is_set() -> None:
    assert "collector" not in found()


def test_a_collector_that_is_away_is_a_warning() -> None:
    check = found(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{unused_port()}")["collector"]

    assert check.verdict is Verdict.WARNING
    assert check.found.endswith("connection refused")


def test_a_collector_that_is_there_is_ok() -> None:
    with answering({}) as port:
        check = found(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")["collector"]

    assert check.verdict is Verdict.OK


def test_a_collector_of_jaegers_is_looked_for_too() -> None:
    check = found(JAEGER_ENDPOINT=f"http://127.0.0.1:{unused_port()}/api/traces")["collector"]

    assert check.verdict is Verdict.WARNING
    assert "JAEGER_ENDPOINT" in check.mend


def test_an_agent_must_have_an_address() -> None:
    assert found(JAEGER_AGENT_HOST="127.0.0.1")["agent"].verdict is Verdict.OK
    check = found(JAEGER_AGENT_HOST="a..b")["agent"]

    assert check.verdict is Verdict.WARNING
    assert check.found.startswith("udp://a..b:6831: ")


def test_an_exporter_of_the_sdk_is_said_to_be_slow() -> None:
    assert "thread" in found(OTEL_TRACES_EXPORTER="console")["exporter"].found


def test_without_privileges_it_says_what_is_missing_and_ends_with_1() -> None:
    prefix = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "netra_node", "doctor"],
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )

    assert (done.returncode, done.stderr) == (1, "")
    assert "this process lacks CAP_NET_ADMIN and CAP_SYS_ADMIN" in done.stdout
