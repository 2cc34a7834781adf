"""What the command says. What it does to namespaces: `test_cleanup` of the package, and e2e."""

import json
import subprocess
from pathlib import Path

from netra_node.cleanup import UNSEEN, Found
from netra_node.cli.cleanup import refused, summary, told
from netra_node.interception.leftovers import Leftovers, Table
from tests.cli.command import netra_node

LEFT = Found("/run/netns/a", left=Leftovers((Table("netra-0badcafe", 0),)))
NOTHING = Found("/run/netns/b")
SKIPPED = Found("/run/netns/c", "no such network namespace")


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return netra_node("cleanup", *arguments, **settings)


def test_what_was_removed_is_told_with_its_namespace() -> None:
    assert told(LEFT, dry_run=False) == ["/run/netns/a: removed table netra-0badcafe"]


def test_a_dry_run_tells_what_would_be() -> None:
    assert told(LEFT, dry_run=True) == ["/run/netns/a: would remove table netra-0badcafe"]


def test_a_namespace_without_anything_of_ours_is_named_too() -> None:
    assert told(NOTHING, dry_run=False) == ["/run/netns/b: nothing of ours"]


def test_a_namespace_that_was_left_alone_says_why() -> None:
    assert told(SKIPPED, dry_run=False) == ["/run/netns/c: left alone, no such network namespace"]


def test_the_last_line_counts() -> None:
    found = [LEFT, NOTHING, SKIPPED]

    assert summary(found, dry_run=False) == "removed 1 in 2 namespaces"
    assert summary(found, dry_run=True) == "would remove 1 in 2 namespaces"
    assert summary([NOTHING], dry_run=False) == "nothing to remove in 1 namespace"


def test_where_nobody_holds_anything_nothing_is_refused() -> None:
    assert refused([LEFT, NOTHING]) == []


def test_who_holds_a_namespace_is_named_by_pid() -> None:
    held = [
        Found("/run/netns/a", held_by=frozenset({4711})),
        Found("/run/netns/b", held_by=frozenset({4711})),
        LEFT,
    ]

    assert refused(held) == [
        "netra-node: process 4711 holds /run/netns/a, /run/netns/b",
        "nothing was removed: stop the daemon first, it removes its own",
    ]


def test_a_holder_that_cannot_be_seen_is_reason_enough() -> None:
    (first, _) = refused([Found("/run/netns/a", held_by=frozenset({UNSEEN}))])

    assert first == "netra-node: a process that cannot be seen from here holds /run/netns/a"


def test_without_a_pods_file_it_says_what_to_set_with_exit_code_2() -> None:
    done = run()

    assert done.returncode == 2
    assert "NETRA_POD_SOURCE is not set" in done.stderr
    assert "--all" in done.stderr


def test_a_pods_file_that_cannot_be_read_is_one_line_with_exit_code_1(tmp_path: Path) -> None:
    done = run(NETRA_POD_SOURCE=f"file://{tmp_path}/missing")

    assert done.returncode == 1
    assert done.stderr.startswith("netra-node: pods file")


def test_pods_that_no_longer_ask_for_capture_are_looked_into_too(tmp_path: Path) -> None:
    pods = tmp_path / "pods.json"
    path = "/run/netns/nt-missing"
    pods.write_text(
        json.dumps({"metadata": {"name": "x", "annotations": {"netra.io/netns": path}}})
    )
    done = run(NETRA_POD_SOURCE=f"file://{pods}")

    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"{path}: left alone, no such network namespace",
        "nothing to remove in 0 namespaces",
    ]
