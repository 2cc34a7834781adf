"""What the daemon costs with two pods: memory, descriptors, imported modules. The figures are printed."""

import re
import socket
import sys
import threading
from pathlib import Path

import pytest

from e2e.support.daemon import Daemon, until
from e2e.support.load import Server
from e2e.support.node import Node, read
from netra_node.netns import STOCK
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(120)]

MEBIBYTES = 45
REQUEST = b"GET /orders/%d HTTP/1.1\r\nHost: b\r\nUser-Agent: e2e\r\n\r\n"
ANSWER_SIZE = len(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 8\r\n\r\ncaptured")
CLIENTS, REQUESTS, IDLE = 4, 1250, 200

#: 43 to 65 MB, an SDK exporter, HTTP libraries, and what they would bring along.
FORBIDDEN = re.compile(
    r"kubernetes|opentelemetry\.exporter.*|aiohttp|requests|urllib3|grpc|google\.protobuf|yaml"
)
FORBIDDEN_LIBRARIES = ("grpc", "protobuf", "_yaml")


def ask(client: socket.socket, requests: int) -> None:
    for number in range(requests):
        client.sendall(REQUEST % number)
        assert read(client, ANSWER_SIZE).endswith(b"captured")


@pytest.fixture
def target(node: Node) -> tuple[str, int]:
    listener = node.listen("b")
    Server(listener)
    return node.pod("b").ipv4, listener.getsockname()[1]


def test_idle_with_two_pods_it_fits(daemon: Daemon) -> None:
    print(f"idle: {daemon.pss():.1f} MiB PSS; the promise is {MEBIBYTES}")
    assert daemon.pss() <= MEBIBYTES


def test_loaded_with_two_pods_it_fits(node: Node, daemon: Daemon, target: tuple[str, int]) -> None:
    clients = [node.connect("a", target) for _ in range(CLIENTS)]
    threads = [threading.Thread(target=ask, args=(client, REQUESTS)) for client in clients]
    before = daemon.requests()
    for thread in threads:
        thread.start()
    seen = [daemon.pss()]
    while any(thread.is_alive() for thread in threads):
        seen.append(daemon.pss())

    # Seen twice, by the pod that calls and by the pod that is called
    assert (daemon.requests() - before) == {"ok": 2 * CLIENTS * REQUESTS}
    print(f"during {CLIENTS * REQUESTS} requests: {max(seen):.1f} MiB PSS, {len(seen)} looks")
    assert max(seen) <= MEBIBYTES


def test_asked_for_everything_it_fits(daemon: Daemon) -> None:
    """With all its memory of spans full, as the load before left it."""
    for _ in range(3):
        assert len(daemon.traces()) == 2000
        assert daemon.metrics()

    print(f"after printing 2000 spans three times: {daemon.pss():.1f} MiB PSS")
    assert daemon.pss() <= MEBIBYTES


def test_idle_connections_cost_little_and_give_back_their_descriptors(
    node: Node, daemon: Daemon, target: tuple[str, int]
) -> None:
    warm = node.connect("x", target)
    ask(warm, 1)
    memory, descriptors = daemon.own_memory(), daemon.descriptors()

    clients = [node.connect("x", target) for _ in range(IDLE)]
    for client in clients:
        ask(client, 1)
    grown = (daemon.own_memory() - memory) * 1024 / IDLE
    assert daemon.descriptors() - descriptors == 2 * IDLE
    for client in clients:
        client.close()

    print(f"{grown:.1f} KiB for each idle connection; the promise is 12")
    assert grown <= 36
    assert until(lambda: daemon.descriptors() == descriptors, 5)


def is_busy(daemon: Daemon) -> bool:
    return any(pod["connections"] for pod in daemon.status()["pods"])


def test_connections_however_they_end_leave_no_descriptor(
    node: Node, daemon: Daemon, target: tuple[str, int]
) -> None:
    closed = (target[0], 81)
    assert until(lambda: not is_busy(daemon), 5)
    descriptors = daemon.descriptors()

    for number in range(100):
        for caller in ("a", "x"):
            client = node.endpoint(caller, target)
            client.connect_ex(closed if number % 5 == 0 else target)
            if number % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()

    assert until(lambda: not is_busy(daemon), 5)
    # each of two pods has sockets in stock, more or fewer than before
    assert until(lambda: daemon.descriptors() < descriptors + 2 * STOCK, 5)


@pytest.fixture
def modules(bed: Testbed, node: Node, directory: Path) -> set[str]:
    """Every module of a daemon that has captured, exported a span, answered all its pages and stopped."""
    del bed
    node.enrol("a", "b")
    argv = (sys.executable, "-X", "importtime", "-m", "netra_node", "run")
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with Daemon(node.file, directory, argv, **collector) as daemon:
        daemon.wait_for("a", "b")
        listener = node.listen("b")
        Server(listener)
        with node.connect("a", (node.pod("b").ipv4, listener.getsockname()[1])) as client:
            ask(client, 1)
        daemon.ask("/graph")
        assert daemon.metrics()
        maps = Path(f"/proc/{daemon.pid}/maps").read_text()
        assert not [name for name in FORBIDDEN_LIBRARIES if name in maps]
        daemon.terminate()
        log = daemon.log.read_text()
    return {line.rpartition("|")[2].strip() for line in log.splitlines() if "import time:" in line}


def test_it_imports_nothing_it_does_not_need(modules: set[str]) -> None:
    assert "uvloop" in modules  # else nothing was listed
    print(f"{len(modules)} modules")
    assert not {name for name in modules if FORBIDDEN.fullmatch(name)}
