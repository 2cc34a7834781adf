"""The service graph of real daemons: as a person, Jaeger's tools and Jaeger's store get it, over a daemon's death."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.support.daemon import Daemon, until
from e2e.support.node import Node, read, read_head
from tests.cli import elasticsearch_stub as stub

pytestmark = [pytest.mark.netns, pytest.mark.timeout(120)]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAILED = b"HTTP/1.1 500 Sorry\r\nContent-Length: 2\r\n\r\nno"


def call(node: Node, source: str, answers: list[bytes]) -> None:
    """Ask pod `b` once for each answer, on one connection."""
    client, server = node.pair(source, "b")
    for answer in answers:
        client.sendall(b"GET /x HTTP/1.1\r\nHost: b\r\n\r\n")
        read_head(server)
        server.sendall(answer)
        assert read(client, len(answer)) == answer
    client.close()
    server.close()


def graph(daemon: Daemon, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "netra_node", "graph", *arguments],
        env={"PATH": os.environ["PATH"], "NETRA_PPROF_PORT": str(daemon.debug_port)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def links(daemon: Daemon) -> dict[tuple[str, str], int]:
    answer = daemon.ask("/api/dependencies") or {"data": []}
    return {(link["parent"], link["child"]): link["callCount"] for link in answer["data"]}


def stored(store: stub.Store) -> int:
    """Calls of `b` by `a` in all documents: a test may run at midnight."""
    sources = [store.source(index) for index in store.indices]
    return sum(link["callCount"] for source in sources for link in source["dependencies"])


@pytest.fixture
def store() -> Iterator[stub.Store]:
    with stub.serving(stub.Store()) as store:
        yield store


def test_what_a_daemon_counted_is_shown_and_what_was_written_outlives_it(
    node: Node, directory: Path, store: stub.Store
) -> None:
    node.enrol("a", "b")
    write = "--write-elasticsearch", store.url
    with Daemon(node.file, directory) as daemon:
        daemon.wait_for("a", "b")
        call(node, "a", [OK, FAILED, OK])
        call(node, "x", [OK])

        # the record of an exchange follows its last byte
        assert until(lambda: links(daemon) == {("a", "b"): 3})
        assert until(lambda: "2 edges, 4 requests, 1 error" in graph(daemon))
        assert json.loads(graph(daemon, "--format", "jaeger"))["data"] == [
            {"parent": "a", "child": "b", "callCount": 3}
        ]
        graph(daemon, *write)
        assert stored(store) == 3
        os.kill(daemon.pid, signal.SIGKILL)
        assert until(lambda: daemon.exit_code is not None)

    with Daemon(node.file, directory) as daemon:
        daemon.wait_for("a", "b")
        call(node, "a", [OK, OK])
        assert until(lambda: links(daemon) == {("a", "b"): 2})
        for _ in range(2):
            graph(daemon, *write)

    assert stored(store) == 5
