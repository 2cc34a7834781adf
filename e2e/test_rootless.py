"""The demo and the namespace tests as an ordinary user types them; and where the kernel gives such users nothing."""

import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from e2e.support.leftovers import Leftovers
from e2e.support.ordinary import as_ordinary_user, where_the_kernel_forbids_it

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

CHECKOUT = Path(__file__).parents[1]
DEMO = [sys.executable, "-m", "netra_node", "demo"]
#: Any test that makes a pod, and one that needs nothing.
A_NETNS_TEST = "tests/test_testbed.py::test_a_pod_knows_its_path_and_its_addresses"
A_PURE_TEST = "tests/core/test_ports.py"
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA"]


@pytest.fixture
def ordinary(tmp_path: Path) -> list[str]:
    stage = tmp_path / "stage"
    stage.mkdir()
    return as_ordinary_user(stage)


@pytest.fixture
def leftovers() -> Iterator[Leftovers]:
    """Where another user may write too; pytest's own temporary directories are its user's alone."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        yield Leftovers(Path(place))


def run(argv: list[str], leftovers: Leftovers) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        argv,
        env=leftovers.environ,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_an_ordinary_user_is_one(ordinary: list[str], leftovers: Leftovers) -> None:
    status = run([*ordinary, "cat", "/proc/self/status"], leftovers).stdout

    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)


def test_an_ordinary_user_sees_the_whole_demo(ordinary: list[str], leftovers: Leftovers) -> None:
    done = run([*ordinary, *DEMO, "--once", "--json"], leftovers)

    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("· not root: going on inside a user namespace\n")
    assert len(json.loads(done.stdout)["spans"]) == 18
    assert leftovers.found() == []


def test_running_on_it_tells_the_way_in_and_leaves_nothing_behind(
    ordinary: list[str], leftovers: Leftovers
) -> None:
    with subprocess.Popen(
        [*ordinary, "sh"],
        env=leftovers.environ,
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        print(f"timeout 30 {shlex.join(DEMO)} &", file=shell.stdin, flush=True)
        said = "".join(takewhile(lambda line: "/metrics" not in line, shell.stdout))
        way_in = said[said.index("nsenter") : said.index("first: a shell")]
        (status,) = re.findall(r"http://\S+/status", said)
        look = f"from urllib.request import *; print(urlopen({status!r}).read().decode())"
        print(way_in, shlex.join([sys.executable, "-c", look]), file=shell.stdin)
        print("kill $!; wait $!; echo ended with $?", file=shell.stdin)
        seen, _, ended = shell.communicate(timeout=30)[0].rpartition("ended with ")

    assert {pod["state"] for pod in json.loads(seen)["pods"]} == {"running"}
    assert ended == "0\n"
    assert leftovers.found() == []


def test_where_the_kernel_forbids_it_the_demo_says_plainly_what_is_missing(
    leftovers: Leftovers,
) -> None:
    done = run([*where_the_kernel_forbids_it(), *DEMO, "--once"], leftovers)

    assert done.returncode == 1
    assert done.stderr == (
        "netra-node demo: needs to make network namespaces, as root or in a user namespace\n"
        "  not as root: this process lacks CAP_NET_ADMIN and CAP_SYS_ADMIN; try `sudo netra-node demo`\n"
        "  not in a user namespace: the kernel gives ordinary users no namespaces (unshare: No space "
        "left on device): user.max_user_namespaces is 0, which `sudo sysctl -w "
        "user.max_user_namespaces=10000` changes\n"
    )
    assert leftovers.found() == []


def test_an_ordinary_users_pytest_makes_pods(ordinary: list[str], leftovers: Leftovers) -> None:
    done = run([*ordinary, *PYTEST, A_NETNS_TEST], leftovers)

    assert done.returncode == 0, done.stdout
    assert f"PASSED {A_NETNS_TEST}" in done.stdout


def test_where_the_kernel_forbids_it_such_a_test_fails_with_the_reason(
    leftovers: Leftovers,
) -> None:
    done = run([*where_the_kernel_forbids_it(), *PYTEST, A_NETNS_TEST, A_PURE_TEST], leftovers)

    assert done.returncode == 1
    assert f"ERROR {A_NETNS_TEST}" in done.stdout
    assert re.search(r"=+ \d+ passed, 1 error in ", done.stdout)
    assert "needs to make network namespaces: run it as root" in done.stdout
    assert "user.max_user_namespaces is 0" in done.stdout
