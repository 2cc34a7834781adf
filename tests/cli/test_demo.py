"""The demo around a daemon played by a script; the real one is `e2e/test_demo.py`'s matter."""

import argparse
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netra_node.cli.demo import Demo, DemoError, add_parser, report
from netra_node.cli.interruption import Interruption
from netra_node.cli.style import PLAIN
from netra_node.rootless import RootlessError

FAKE = str(Path(__file__).with_name("fake_daemon.py"))


class Impatient(Interruption):
    """Waits a moment instead of seconds, but from when the daemon listens: how long it takes until then is the machine's matter."""

    def __init__(self, listens: Path) -> None:
        super().__init__()
        self._listens = listens

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        while not self._listens.exists():
            if condition():
                return True
            self.pause(0.02)
        return super().wait_until(condition, 0.3)


class Showing:
    """One demo with its two streams."""

    def __init__(
        self,
        mode: str,
        *more: str,
        as_json: bool = False,
        stop: Interruption | None = None,
    ) -> None:
        self.out = io.StringIO()
        self.progress = io.StringIO()
        self.demo = Demo(
            (sys.executable, FAKE, mode, *more),
            once=True,
            as_json=as_json,
            out=self.out,
            progress=self.progress,
            stop=stop,
        )


def impatient(mode: str, tmp_path: Path) -> Showing:
    listens = tmp_path / "listens"
    return Showing(mode, str(listens), stop=Impatient(listens))


def failure(showing: Showing) -> str:
    """Run a demo that must fail, and return what it says."""
    with pytest.raises(DemoError) as caught:
        showing.demo.run()
    return str(caught.value)


@pytest.mark.netns
def test_it_prints_every_story_with_its_trace() -> None:
    showing = Showing("ok")
    showing.demo.run()

    shown = showing.out.getvalue()
    assert "1  A request that works" in shown
    assert "4  No answer: stock hangs up on orders" in shown
    assert shown.count("└─ stock") == 3


@pytest.mark.netns
def test_progress_is_told_on_the_other_stream() -> None:
    showing = Showing("ok")
    showing.demo.run()

    assert "all three pods captured" in showing.progress.getvalue()
    assert "captured" not in showing.out.getvalue()


@pytest.mark.netns
def test_json_is_one_object_and_nothing_else() -> None:
    showing = Showing("ok", as_json=True)
    showing.demo.run()

    shown: dict[str, list[Any]] = json.loads(showing.out.getvalue())
    assert {name: len(items) for name, items in shown.items()} == {"spans": 18, "edges": 2}


@pytest.mark.netns
def test_a_daemon_that_ends_is_told_with_its_last_words() -> None:
    assert failure(Showing("dies")) == (
        "netra-node run ended (exit code 1); its last words:\n  NETRA_POD_SOURCE: planted complaint"
    )


@pytest.mark.netns
def test_a_daemon_that_is_not_ready_is_told_with_what_blocks_it(tmp_path: Path) -> None:
    said = failure(impatient("blocked", tmp_path))

    assert said.startswith("netra-node is not there after 15 s: null")


@pytest.mark.netns
def test_pods_that_are_not_captured_are_told_with_the_reason(tmp_path: Path) -> None:
    said = failure(impatient("uncaptured", tmp_path))

    assert "15 s: pod stock is pending (no such namespace), pod orders is pending" in said


@pytest.mark.netns
def test_missing_spans_are_a_failure_after_what_came_was_shown(tmp_path: Path) -> None:
    showing = impatient("forgetful", tmp_path)
    with pytest.raises(DemoError, match="18 spans were expected, 7 came"):
        showing.demo.run()

    assert "1  A request that works" in showing.out.getvalue()


ORDINARY, ROOT = "CapEff:\t0000000000000000\n", "CapEff:\t000001ffffffffff\n"


def refuse() -> None:
    message = "the kernel gives none: planted"
    raise RootlessError(message)


def test_without_privileges_it_enters_a_user_namespace_and_says_so() -> None:
    showing = Showing("ok")
    entered: list[str] = []
    showing.demo.gain_privileges(ORDINARY, lambda: entered.append("entered"))

    assert entered == ["entered"]
    assert showing.progress.getvalue() == "· not root: going on inside a user namespace\n"


def test_where_neither_works_it_says_what_is_missing_and_what_to_do() -> None:
    with pytest.raises(DemoError) as caught:
        Showing("ok").demo.gain_privileges(ORDINARY, refuse)

    assert str(caught.value).splitlines() == [
        "needs to make network namespaces, as root or in a user namespace",
        "  not as root: this process lacks CAP_NET_ADMIN and CAP_SYS_ADMIN; try `sudo netra-node demo`",
        "  not in a user namespace: the kernel gives none: planted",
    ]


def test_with_privileges_it_stays_where_it_is_and_says_nothing() -> None:
    showing = Showing("ok")
    showing.demo.gain_privileges(ROOT, refuse)

    assert showing.progress.getvalue() == ""


def test_the_report_without_spans_still_explains_what_happened() -> None:
    lines = report([], [], PLAIN, 100)

    assert any(line.startswith("What happened:") for line in lines)


def test_no_line_of_prose_is_longer_than_100_columns() -> None:
    assert max(map(len, report([], [], PLAIN, 100))) <= 100


def test_its_two_options_are_off_unless_asked_for() -> None:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())

    assert parser.parse_args(["demo"]) == argparse.Namespace(once=False, json=False)
