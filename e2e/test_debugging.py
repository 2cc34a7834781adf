"""Stacks and profiles of a daemon that is at work, and the log it writes meanwhile."""

import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from e2e.support.daemon import Daemon
from e2e.support.load import Load, Server
from e2e.support.node import Node

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

LINE = re.compile(r"(?:[^;]+;)*[^;]+ [0-9]+")


def get(daemon: Daemon, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{daemon.debug_port}{path}", timeout=30
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


@pytest.fixture
def load(node: Node, daemon: Daemon) -> Iterator[Load]:
    """Requests with a secret in them, until the test is over."""
    listener = node.listen("b")
    Server(listener)
    with Load(node, ("a", "x"), (node.pod("b").ipv4, listener.getsockname()[1])) as load:
        yield load


def test_a_profile_under_load_shows_what_the_daemon_does_and_costs_no_connection(
    daemon: Daemon, load: Load
) -> None:
    before = daemon.requests()["ok"]

    status, body = get(daemon, "/debug/profile?seconds=2")

    assert status == 200
    lines = body.splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    assert sum(int(line.rpartition(" ")[2]) for line in lines if "proxy/" in line) > 5
    assert "GET /" not in body
    assert daemon.requests()["ok"] - before > 100
    assert daemon.total("netra_connections_reset_total") == 0


def test_one_profile_at_a_time(daemon: Daemon) -> None:
    found: list[int] = []
    both = [
        threading.Thread(target=lambda: found.append(get(daemon, "/debug/profile?seconds=2")[0]))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()

    assert sorted(found) == [200, 409]


def test_stacks_under_load_show_tasks_and_count_connections(daemon: Daemon, load: Load) -> None:
    status, body = get(daemon, "/debug/stacks")

    assert status == 200
    assert "pods: 2\n" in body
    assert re.search(r"^open connections: \d+$", body, re.MULTILINE)
    assert "App.run (netra_node/app.py:" in body
    assert "MainThread" in body


def test_pprofs_pages_are_there_or_say_where_to_look(daemon: Daemon) -> None:
    assert get(daemon, "/debug/pprof/")[0] == 200
    assert get(daemon, "/debug/pprof/goroutine?debug=2")[0] == 200
    assert get(daemon, "/debug/pprof/heap") == (
        404,
        "no heap here: Python keeps no record of allocations; process_resident_memory_bytes at /metrics tells the size\n",
    )


def test_bad_parameters_are_told(daemon: Daemon) -> None:
    assert get(daemon, "/debug/profile?seconds=forever") == (
        400,
        "seconds='forever' is not a whole number from 1 to 60\n",
    )
