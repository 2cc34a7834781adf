"""docs/without-kubernetes.md and what it installs, against the program; and its first walk, typed as it stands there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from netra_node.cli.dispatch import COMMANDS
from netra_node.core.desired import DesiredPod
from netra_node.discovery.enrolment import EnrolmentPolicy, decide_all
from netra_node.discovery.file_source import read_pods
from netra_node.settings.model import Settings

CHECKOUT = Path(__file__).parents[1]
PAGE = (CHECKOUT / "docs" / "without-kubernetes.md").read_text()
UNIT = CHECKOUT / "deploy" / "netra-node.service"
PODS_OF_ENGINE = CHECKOUT / "deploy" / "netra-pods"
#: What is marked as shell is typed; what is not marked is for a machine that has Docker, Podman or systemd.
WALK = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
PROGRAM = "/opt/netra-node/bin/netra-node"

#: One container that runs, and one that has ended between the two questions.
ENGINE = """#!/bin/sh
case "$1 $*" in
ps*"--filter label=netra.io/enabled=true"*) printf 'web\\nended\\n' ;;
inspect*" web") echo /run/engine/netns/1a2b ;;
*) echo "no such container" >&2; exit 1 ;;
esac
"""


def settings_of_unit() -> dict[str, list[str]]:
    """The unit's directives; one that stands there several times has several values."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_the_example_of_the_page_is_captured() -> None:
    example = PAGE.partition("<<'END'\n")[2].partition("END\n")[0]

    (pod,) = decide_all(read_pods(example.encode()), EnrolmentPolicy())

    assert isinstance(pod, DesiredPod)
    assert (pod.identity.service, pod.netns) == ("web", "/run/netns/web")


def test_the_page_types_only_commands_there_are() -> None:
    typed = set(re.findall(rf"^{PROGRAM} (\w+)", PAGE, re.MULTILINE))

    assert typed
    assert typed <= set(COMMANDS)


def test_the_page_names_only_files_there_are() -> None:
    named = set(re.findall(r"\b(?:deploy|requirements|e2e)/[\w.-]+\w", PAGE))

    assert named
    assert [name for name in named if not (CHECKOUT / name).exists()] == []


def test_the_unit_starts_the_daemon_with_settings_it_knows() -> None:
    unit = settings_of_unit()
    environment = dict(value.split("=", 1) for value in unit["Environment"])

    settings = Settings.from_env(environment)

    assert unit["ExecStart"] == [f"{PROGRAM} run"]
    assert settings.warnings == ()
    assert f"cat > {settings.pods.source} " in PAGE


def test_the_unit_lets_open_exchanges_end() -> None:
    (stop,) = settings_of_unit()["TimeoutStopSec"]

    assert Settings.from_env({"NETRA_POD_SOURCE": "file:///x"}).drain_ms / 1000 < int(stop)


def test_the_unit_always_brings_the_daemon_back() -> None:
    unit = settings_of_unit()

    assert (unit["Restart"], unit["StartLimitIntervalSec"]) == (["always"], ["0"])


def test_the_unit_gives_no_more_than_three_capabilities_and_no_root() -> None:
    unit = settings_of_unit()

    assert unit["AmbientCapabilities"] == ["CAP_NET_ADMIN CAP_SYS_ADMIN CAP_NET_BIND_SERVICE"]
    assert unit["CapabilityBoundingSet"] == unit["AmbientCapabilities"]
    assert unit["DynamicUser"] == ["yes"]


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    engine = tmp_path / "engine"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    return engine


def test_the_running_containers_with_the_label_become_a_pods_file(
    engine: Path, tmp_path: Path
) -> None:
    file = tmp_path / "pods.yaml"
    subprocess.run([PODS_OF_ENGINE, engine, file], check=True, timeout=10, capture_output=True)

    (pod,) = decide_all(read_pods(file.read_bytes()), EnrolmentPolicy())

    assert isinstance(pod, DesiredPod)
    assert (pod.identity.service, pod.netns) == ("web", "/run/engine/netns/1a2b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["engine", "pods.yaml"]


def test_an_engine_that_does_not_answer_leaves_the_last_list(tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text("the last list")

    done = subprocess.run(
        [PODS_OF_ENGINE, "false", file], timeout=10, capture_output=True, check=False
    )

    assert done.returncode != 0
    assert file.read_text() == "the last list"
    assert list(tmp_path.iterdir()) == [file]


def inside(place: Path) -> list[str]:
    """A machine of its own for the walk: its addresses, ports and names are in use on some other."""
    script = f"""
mount -t tmpfs none /run
ip link set lo up
set -e
{WALK.replace("/etc/netra", str(place)).replace(PROGRAM, f"{sys.executable} -m netra_node")}
"""
    return ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork",
            "--kill-child", "--mount-proc", "sh", "-c", script]  # fmt: skip


@pytest.mark.long
@pytest.mark.netns
@pytest.mark.timeout(60)
def test_the_walk_goes_as_it_is_told(tmp_path: Path) -> None:
    place = tmp_path / "netra"

    done = subprocess.run(
        inside(place), cwd=CHECKOUT, capture_output=True, text=True, timeout=50, check=False
    )

    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^default/web +web +running", done.stdout, re.MULTILINE)) == 2
    assert len(re.findall(r"^default/job +job +running", done.stdout, re.MULTILINE)) == 1
    assert '"service": "web"' in done.stdout
    assert "still served" in done.stdout
    assert not place.exists()


@pytest.mark.long
def test_systemd_knows_every_directive_of_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # It also looks whether the program is there; any will do.
    unit.write_text(UNIT.read_text().replace(PROGRAM, shlex.quote(sys.executable)))

    done = subprocess.run(
        ["systemd-analyze", "verify", unit],
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []
    assert done.returncode == 0
