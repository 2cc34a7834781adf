"""The real Jaeger clients, for Python and for Node, as applications of captured pods: their spans and ours are one trace.

Chains x → a → b → y and x → b → a → y, with Python in `a` and Node in `b`; what their clients report goes to sockets of the test's.
"""

import contextlib
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.transport.TTransport import TMemoryBuffer

from e2e.support import npm, pypi
from e2e.support.daemon import UNDISTURBED, Daemon, until
from e2e.support.node import Node, read, read_head
from e2e.support.software import ENVIRONMENT, PROGRAMS, start
from netra_node.testbed import Testbed
from tests.telemetry.jaeger_reader import read_datagram, read_struct

pytestmark = [pytest.mark.netns, pytest.mark.long, pytest.mark.timeout(180)]

PYTHON_CLIENT = (
    *("jaeger-client==4.8.0", "opentracing==2.4.0", "threadloop==1.0.2", "tornado==6.6.1"),
    # not declared by it, and needed
    *("thrift==0.25.0", "six==1.17.0"),
)
NODE_CLIENT = "jaeger-client@3.19.0"
PORT = 8080
COMPACT, BINARY = 6831, 6832
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
SAMPLED, DEBUGGED = 1, 3
UNSIGNED = (1 << 64) - 1
ORDERS = pytest.mark.parametrize(
    "order", [("a", "b"), ("b", "a")], ids=["python-node", "node-python"]
)
APPS = {"a": "python-app", "b": "node-app"}


@dataclass(frozen=True)
class Span:
    """Whoever reported it. `by` is a pod's service, or an application's."""

    by: str
    name: str
    trace_id: int
    span_id: int
    parent_id: int
    flags: int


class Agent:
    """Where the clients of one pod's application report to, in the thrift that each speaks."""

    def __init__(self, node: Node) -> None:
        make = lambda: [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]  # noqa: E731
        self._sockets = [node.keep(one) for one in node.bed.run_inside("x", make)]
        for one, port in zip(self._sockets, (COMPACT, BINARY), strict=True):
            one.bind(("0.0.0.0", port))
            one.setblocking(False)
        self.spans: list[Span] = []

    def look(self) -> list[Span]:
        """Everything reported so far."""
        for one, protocol in zip(self._sockets, (TCompactProtocol, TBinaryProtocol), strict=True):
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.spans += spans_of(protocol(TMemoryBuffer(one.recv(65536))))
        return self.spans


class OurAgent:
    """Where the daemon reports to."""

    def __init__(self, node: Node) -> None:
        self._socket = node.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self.spans: list[Span] = []

    def look(self) -> list[Span]:
        """Everything reported so far; a span is called by its kind."""
        with contextlib.suppress(BlockingIOError):
            while True:
                batch = read_datagram(self._socket.recv(65536))
                for span in batch.spans:
                    ids = (span.trace_id, span.span_id, span.parent_id)
                    kind = dict(span.tags)["span.kind"]
                    self.spans.append(Span(batch.service, kind, *ids, span.flags))
        return self.spans


def spans_of(protocol: Any) -> Iterator[Span]:
    """agent.thrift's `emitBatch(1: Batch batch)`; jaeger.thrift's Batch is a Process and spans."""
    name, _, _ = protocol.readMessageBegin()
    assert name == "emitBatch"
    batch = read_struct(protocol)[1]
    for span in batch[2]:
        trace_id = (span[2] & UNSIGNED) << 64 | span[1] & UNSIGNED
        span_id, parent_id = span[3] & UNSIGNED, span[4] & UNSIGNED
        yield Span(batch[1][1], span[5], trace_id, span_id, parent_id, span[7])


@pytest.fixture(scope="module")
def apps(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """Both applications, and the agent they report to."""
    directory = tmp_path_factory.mktemp("clients")
    python = pypi.install(directory / "venv", *PYTHON_CLIENT)
    modules = npm.install(NODE_CLIENT, directory)
    with Node(bed, directory / "pods.json") as node:
        agent, host = Agent(node), node.pod("x").ipv4
        python_app = (python, f"{PROGRAMS}/jaeger_hop.py", str(PORT), host, str(COMPACT))
        node_app = ("node", f"{PROGRAMS}/jaeger_hop.js", str(PORT), host, str(BINARY))
        start(bed, "a", python_app, PORT, directory / "python.log")
        environment = {**ENVIRONMENT, "NODE_PATH": str(modules)}
        start(bed, "b", node_app, PORT, directory / "node.log", env=environment)
        yield agent


@pytest.fixture(scope="module")
def ours(bed: Testbed, directory: Path) -> Iterator[OurAgent]:
    """The daemon, as an agent sees it."""
    with Node(bed, directory / "pods.json") as node:
        node.enrol("a", "b")
        agent = OurAgent(node)
        settings = {
            "JAEGER_AGENT_HOST": "127.0.0.1",
            "JAEGER_AGENT_PORT": str(agent.port),
            "JAEGER_REPORTER_FLUSH_INTERVAL": "50ms",
            **UNDISTURBED,
        }
        with Daemon(node.file, directory, **settings) as daemon:
            daemon.wait_for("a", "b")
            yield agent
            assert daemon.mishaps() == []


@dataclass(frozen=True)
class Agents:
    """Theirs and ours."""

    theirs: Agent
    ours: OurAgent

    def of(self, trace_id: int) -> list[Span]:
        """All spans of a trace that were reported so far."""
        spans = [*self.theirs.look(), *self.ours.look()]
        return [span for span in spans if span.trace_id == trace_id]


@pytest.fixture(scope="module")
def agents(apps: Agent, ours: OurAgent) -> Agents:
    return Agents(apps, ours)


@dataclass
class Travel:
    """What one request left: the trace header that y was told, and all spans of its trace but the ones before it."""

    told: str
    spans: list[Span]

    def chain(self) -> list[tuple[str, str]]:
        """Who reported and what, from the root down, as parents say."""
        by_parent = {span.parent_id: span for span in self.spans}
        assert len(by_parent) == len(self.spans), self.spans
        found, at = [], 0
        while at in by_parent:
            found.append(by_parent[at])
            at = found[-1].span_id
        return [(span.by, span.name) for span in found]


def travel(node: Node, agents: Agents, verb: str, order: tuple[str, str], expected: int) -> Travel:
    """Ask the first pod of `order` to ask the second, and that to ask y; until `expected` spans have y's trace."""
    first, second = (f"{node.pod(name).ipv4}:{PORT}" for name in order)
    last = node.listen("y")
    third = f"{node.pod('y').ipv4}:{last.getsockname()[1]}"
    client = node.connect("x", (node.pod(order[0]).ipv4, PORT))
    client.sendall(f"GET /{verb}/{second}/{third} HTTP/1.1\r\nHost: {first}\r\n\r\n".encode())
    server = node.accept(last)
    head = read_head(server).decode()
    server.sendall(OK)
    assert read(client, 15) == b"HTTP/1.1 200 OK"
    (told,) = (line for line in head.split("\r\n") if line.lower().startswith("uber-trace-id:"))
    told = told.partition(":")[2].strip()
    trace_id = int(told.partition(":")[0], 16)

    until(lambda: len(agents.of(trace_id)) >= expected)
    return Travel(told, agents.of(trace_id))


@ORDERS
def test_a_request_from_outside_is_one_trace_of_ours_and_theirs(
    node: Node, agents: Agents, order: tuple[str, str]
) -> None:
    found = travel(node, agents, "hop", order, 8)

    assert found.chain() == [
        step
        for pod in order
        for step in ((pod, "server"), (APPS[pod], "serve"), (APPS[pod], "ask"), (pod, "client"))
    ]
    assert found.told.endswith(":1")
    assert {span.flags for span in found.spans} == {SAMPLED}


@ORDERS
def test_a_trace_that_an_application_begins_goes_on_through_us(
    node: Node, agents: Agents, order: tuple[str, str]
) -> None:
    found = travel(node, agents, "begin", order, 7)

    first, second = order
    assert found.chain() == [
        (APPS[first], "serve"),
        (APPS[first], "ask"),
        (first, "client"),
        (second, "server"),
        (APPS[second], "serve"),
        (APPS[second], "ask"),
        (second, "client"),
    ]
    assert found.told.endswith(":1")
    assert {span.flags for span in found.spans} == {SAMPLED}


@ORDERS
def test_an_application_that_debugs_is_believed(
    node: Node, agents: Agents, order: tuple[str, str]
) -> None:
    found = travel(node, agents, "debug", order, 7)

    assert len(found.chain()) == 7
    assert found.told.endswith(":3")
    assert {span.flags for span in found.spans} == {DEBUGGED}


@ORDERS
def test_what_an_application_does_not_sample_nobody_reports(
    node: Node, agents: Agents, order: tuple[str, str]
) -> None:
    found = travel(node, agents, "unsampled", order, 0)
    # what would be reported is on its way within 50 ms
    time.sleep(0.5)

    assert found.told.endswith(":0")
    assert agents.of(int(found.told.partition(":")[0], 16)) == []
