"""What the daemon costs on a node with thirty captured pods: memory, and CPU at rest. The figures are printed."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.support.daemon import Daemon
from e2e.support.load import Server
from e2e.support.node import Node, read
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(120)]

PODS = [f"pod{number}" for number in range(30)]
MEBIBYTES = 50
#: Of one core, in percent; the test's margin is tenfold, as the machine may be anybody's.
PROMISE, MARGIN = 0.5, 10
REST_SECONDS = 5
CALLERS, REQUESTS = 5, 600
REQUEST = b"GET /orders/%d HTTP/1.1\r\nHost: b\r\nUser-Agent: e2e\r\n\r\n"
ANSWER_SIZE = len(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 8\r\n\r\ncaptured")


@pytest.fixture(scope="module")
def bed() -> Iterator[Testbed]:
    with Testbed("thirty") as bed:
        for name in PODS:
            bed.add_pod(name)
        yield bed


@pytest.fixture(scope="module")
def daemon(bed: Testbed, directory: Path) -> Iterator[Daemon]:
    with Node(bed, directory / "pods.json") as node:
        node.enrol(*PODS)
        with Daemon(node.file, directory, NETRA_DRAIN_MILLISECONDS="200") as daemon:
            daemon.wait_for(*PODS)
            yield daemon
            assert daemon.mishaps() == []


def unshared(daemon: Daemon) -> float:
    """MiB as if nobody else mapped its files: this test's interpreter is the same file as the daemon's."""
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def cpu_nanoseconds(daemon: Daemon) -> int:
    """Of all threads, from the scheduler: the ticks of /proc/PID/stat are too coarse for what is measured here."""
    tasks = Path(f"/proc/{daemon.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def ask(client: socket.socket, requests: int) -> None:
    for number in range(requests):
        client.sendall(REQUEST % number)
        assert read(client, ANSWER_SIZE).endswith(b"captured")


def test_at_rest_it_takes_next_to_no_cpu(daemon: Daemon) -> None:
    time.sleep(1)  # what entering left to do
    before, began = cpu_nanoseconds(daemon), time.monotonic_ns()
    time.sleep(REST_SECONDS)
    spent = cpu_nanoseconds(daemon) - before
    share = 100 * spent / (time.monotonic_ns() - began)

    print(f"at rest: {share:.2f} % of a core; the promise is {PROMISE} %")
    assert 0 < share < MARGIN * PROMISE


def test_at_rest_it_fits(daemon: Daemon) -> None:
    print(f"at rest: {daemon.pss():.1f} MiB PSS, {unshared(daemon):.1f} MiB unshared")
    assert daemon.pss() <= MEBIBYTES


def test_after_load_it_fits(node: Node, daemon: Daemon) -> None:
    """Each pod calls the next, on kept and on new connections, until the memory of spans is full."""
    threads = []
    for number, name in enumerate(PODS):
        listener = node.listen(name)
        Server(listener)
        target = (node.pod(name).ipv4, listener.getsockname()[1])
        caller = PODS[number - 1]
        ask(node.connect(caller, target), 5)
        if number % (len(PODS) // CALLERS) == 0:
            client = node.connect(caller, target)
            threads.append(threading.Thread(target=ask, args=(client, REQUESTS)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(daemon.traces()) == 2000
    assert daemon.metrics()

    print(f"after load: {daemon.pss():.1f} MiB PSS, {unshared(daemon):.1f} MiB unshared")
    assert daemon.requests() == {"ok": 2 * (5 * len(PODS) + CALLERS * REQUESTS)}
    assert daemon.pss() <= MEBIBYTES
