"""What StatsD is told of the pods' answers: by the real daemon, to a socket that reads along and to the real StatsD (npm)."""

import json
import re
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.support.daemon import UNDISTURBED, Daemon, until
from e2e.support.node import Node, read, read_head
from e2e.support.npm import install
from netra_node.cli.daemon_process import free_ports
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

MAX_DATAGRAM = 1440
IN, OUT = ("x", "b"), ("a", "y")
#: A status that no application has: what was counted before it has arrived when it has.
LAST = 418
STATSD = "statsd@0.9.0"


class Sink:
    """A UDP server that sums up what it is told."""

    def __init__(self, port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.socket.settimeout(5)
        self.port = self.socket.getsockname()[1]
        self.sizes: list[int] = []
        self.counts: Counter[str] = Counter()

    def until(self, name: str) -> Counter[str]:
        """What it was told up to a datagram that has `name`."""
        while name not in self.counts:
            datagram = self.socket.recv(65536)
            self.sizes.append(len(datagram))
            for line in datagram.decode().split("\n"):
                found = re.fullmatch(r"(.+):([0-9]+)\|c", line)
                assert found is not None, datagram
                self.counts[found[1]] += int(found[2])
        return self.counts


@pytest.fixture(scope="module")
def port() -> int:
    """Where StatsD will listen; nobody does at first."""
    (port,) = free_ports(1)
    return port


@pytest.fixture(scope="module")
def counting(bed: Testbed, directory: Path, port: int) -> Iterator[Daemon]:
    settings = {
        "NETRA_STATSD_ENABLED": "true",
        "NETRA_STATSD_ADDRESS": f"localhost:{port}",
        "NETRA_STATSD_PREFIX": "shop.{service}.",
        "NETRA_HTTP_TRACING_IGNORED_PATHS": "/health",
        **UNDISTURBED,
    }
    with Node(bed, directory / "pods.json") as node:
        node.enrol("a", "b")
        with Daemon(node.file, directory, **settings) as daemon:
            daemon.wait_for("a", "b")
            yield daemon
            assert daemon.mishaps() == []


@pytest.fixture
def sink(port: int) -> Iterator[Sink]:
    sink = Sink(port)
    with sink.socket:
        yield sink


def ask(
    pair: tuple[socket.socket, socket.socket],
    status: int,
    target: str = "/",
    fields: str = "",
) -> None:
    """One exchange, both of whose ends are here."""
    client, server = pair
    client.sendall(f"GET {target} HTTP/1.1\r\nHost: b\r\n{fields}\r\n".encode())
    read_head(server)
    server.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
    read_head(client)


def test_finished_traced_inbound_answers_are_counted_and_nothing_else(
    node: Node, counting: Daemon, sink: Sink
) -> None:
    inbound = node.pair(*IN)
    for status in (200, 503, 200):
        ask(inbound, status)
    ask(inbound, 201, target="/health")
    ask(inbound, 202, target="/health?full")
    ask(inbound, 203, fields="User-Agent: kube-probe/1.33\r\n")
    ask(node.pair(*IN), 101, fields="Connection: Upgrade\r\nUpgrade: websocket\r\n")
    ask(node.pair(*OUT), 204)
    ask(node.pair("a", "b"), 206)
    client, server = node.pair(*IN)
    client.sendall(b"GET / HTTP/1.1\r\nHost: b\r\n\r\n")
    read_head(server)
    client.close()
    assert read(server, 1) == b""
    ask(inbound, LAST)

    assert sink.until(f"shop.b.inbound.{LAST}") == {
        "shop.b.inbound.200": 2,
        "shop.b.inbound.503": 1,
        "shop.b.inbound.206": 1,
        f"shop.b.inbound.{LAST}": 1,
    }


def test_many_answers_are_all_counted_in_few_datagrams(
    node: Node, counting: Daemon, sink: Sink
) -> None:
    pair = node.pair(*IN)
    for number in range(400):
        ask(pair, 200 + number % 200)
    ask(pair, LAST)

    counts = sink.until(f"shop.b.inbound.{LAST}")

    assert sum(counts.values()) == 401
    assert set(counts) == {f"shop.b.inbound.{status}" for status in (*range(200, 400), LAST)}
    assert max(sink.sizes) <= MAX_DATAGRAM


def test_a_server_that_is_away_mutes_nothing(node: Node, counting: Daemon, port: int) -> None:
    pair = node.pair(*IN)

    def said() -> list[str]:
        return [line for line in counting.log.read_text().splitlines() if "StatsD" in line]

    def refused() -> list[str]:
        ask(pair, 200)
        return said()

    # a datagram is refused by the time the next is sent, and what is counted within 100 ms is one
    assert until(refused)
    for _ in range(3):
        ask(pair, 200)
        time.sleep(0.15)

    sink = Sink(port)
    with sink.socket:
        ask(pair, LAST)
        assert sink.until(f"shop.b.inbound.{LAST}")[f"shop.b.inbound.{LAST}"] == 1
    assert len(said()) == 1
    assert "counts for StatsD do not reach localhost port" in said()[0]


def test_switched_on_without_an_address_it_does_not_start(node: Node, directory: Path) -> None:
    with Daemon(node.file, directory, NETRA_STATSD_ENABLED="true") as daemon:
        assert until(lambda: daemon.exit_code is not None)
        assert daemon.exit_code == 2
        assert "NETRA_STATSD_ADDRESS is not set" in daemon.last_words()[-1]


def told(port: int) -> dict[str, int]:
    """The counters of a StatsD, by its management port; empty while it does not answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as asked:
            asked.sendall(b"counters\n")
            answer = b""
            while not answer.rstrip().endswith(b"END"):
                answer += asked.recv(65536)
    except OSError:
        return {}
    return {name: int(count) for name, count in re.findall(r"'([\w.]+)': (\d+)", answer.decode())}


@pytest.mark.long
@pytest.mark.timeout(180)
def test_the_real_statsd_counts_what_it_is_told(
    node: Node, counting: Daemon, port: int, tmp_path: Path
) -> None:
    modules = install(STATSD, tmp_path)
    (management,) = free_ports(1)
    config = tmp_path / "statsd.json"
    config.write_text(
        json.dumps(
            {
                "address": "127.0.0.1",
                "port": port,
                "mgmt_address": "127.0.0.1",
                "mgmt_port": management,
                "backends": ["./backends/console"],
                # the counters are what came since the last one
                "flushInterval": 3_600_000,
            }
        )
    )
    with subprocess.Popen(
        ["node", "stats.js", str(config)], cwd=modules / "statsd", stdout=subprocess.DEVNULL
    ) as statsd:
        try:
            assert until(lambda: "statsd.packets_received" in told(management))
            pair = node.pair(*IN)
            for number in range(300):
                ask(pair, 200 + number % 60)
            ask(pair, LAST)

            assert until(lambda: f"shop.b.inbound.{LAST}" in told(management))
            counters = told(management)
            ours = {name: count for name, count in counters.items() if name.startswith("shop.")}
            assert sum(ours.values()) == 301
            assert ours["shop.b.inbound.200"] == 5
            assert counters["statsd.bad_lines_seen"] == 0
        finally:
            statsd.terminate()
