"""The command: what goes to which stream, and the exit code."""

import json
import subprocess

from netra_node.cli.config_report import markdown
from tests.cli.command import netra_node

SOURCE = {"NETRA_POD_SOURCE": "file:///pods.yaml"}


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return netra_node("config", *arguments, **settings)


def test_settings_that_can_be_used_are_shown_with_exit_code_0() -> None:
    done = run(**SOURCE)

    assert (done.returncode, done.stderr) == (0, "")
    assert "NETRA_PORT" in done.stdout


def test_every_bad_setting_is_an_error_and_the_table_is_shown_all_the_same() -> None:
    done = run(NETRA_PORT="x", NETRA_INBOUND_PORT="y")

    assert done.returncode == 2
    assert [line.split("=")[0].split(" is")[0] for line in done.stderr.splitlines()] == [
        "error: NETRA_POD_SOURCE",
        "error: NETRA_PORT",
        "error: NETRA_INBOUND_PORT",
    ]
    assert "NETRA_DRAIN_MILLISECONDS" in done.stdout


def test_a_name_that_is_mistyped_is_a_warning_also_beside_errors() -> None:
    done = run(NETRA_POD_SUORCE="file:///pods.yaml")

    assert done.stderr.splitlines()[-1] == (
        "warning: NETRA_POD_SUORCE is not a setting of this version; did you mean NETRA_POD_SOURCE?"
    )


def test_a_secret_goes_to_no_stream() -> None:
    bad = "authorization=hunter2,hunter2"
    done = run(**SOURCE, OTEL_EXPORTER_OTLP_HEADERS=bad)

    assert done.returncode == 2
    assert "OTEL_EXPORTER_OTLP_HEADERS" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_as_json_problems_are_in_the_object_and_nowhere_else() -> None:
    done = run("--json", **SOURCE, NETRA_PORT="x")
    found = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (2, "")
    assert found["problems"][0].startswith("NETRA_PORT='x'")


def test_the_flag_of_run_is_shown_as_such() -> None:
    for dashes in ("--", "-"):
        assert "flag --service-name" in run(f"{dashes}service-name", "{pod}", **SOURCE).stdout


def test_a_bad_flag_is_a_bad_setting() -> None:
    done = run("--service-name", "{nonsense}", **SOURCE)

    assert done.returncode == 2
    assert done.stderr.startswith("error: JAEGER_SERVICE_NAME")


def test_the_page_is_printed_whatever_the_environment_says() -> None:
    done = run("--markdown", NETRA_PORT="x")

    assert done.returncode == 0
    assert done.stdout == markdown()
