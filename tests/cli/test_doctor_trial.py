"""The trial as a program of its own, on this kernel."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from netra_node.interception import leftovers
from tests.cli.command import python

pytestmark = pytest.mark.netns


def run(*prefix: str) -> dict[str, Any]:
    trial = [*prefix, *python("netra_node.cli.doctor_trial"), "/proc"]
    done = subprocess.run(trial, capture_output=True, text=True, timeout=20, check=True)
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_on_this_kernel_nothing_is_refused() -> None:
    found = run()

    assert {key: value for key, value in found.items() if isinstance(value, str) and value} == {}
    assert found["cookie"] is True


def test_it_leaves_nothing_in_the_namespace_it_was_started_in() -> None:
    before = leftovers.find()
    run()

    assert leftovers.find() == before


def test_without_privileges_it_tries_in_a_user_namespace_and_says_so() -> None:
    found = run("unshare", "--user", "--map-user=1000", "--map-group=1000")

    assert found["ordinary"] is True
    assert (found["namespace"], found["rules"]) == ("", "")


def test_where_there_are_no_namespaces_it_says_why() -> None:
    forbid = "echo 0 > /proc/sys/user/max_user_namespaces"
    drop = 'exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
    found = run("unshare", "--user", "--map-root-user", "sh", "-c", f"{forbid} && {drop}", "sh")

    assert "user.max_user_namespaces is 0" in found["namespace"]


def test_the_switch_that_was_written_is_the_scratch_namespaces_own() -> None:
    switch = Path("/proc/sys/net/ipv4/tcp_fwmark_accept")
    before = switch.read_text()
    run()

    assert switch.read_text() == before
