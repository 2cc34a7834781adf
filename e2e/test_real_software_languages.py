"""What Python, Node and Java bring along to speak HTTP, and aiohttp, servers and clients: each sees what it sees directly."""

import subprocess
from dataclasses import dataclass

import pytest

from e2e.support.daemon import Daemon
from e2e.support.node import Node
from e2e.support.route import ROUTES, Route
from e2e.support.software import (
    NODE,
    PROGRAMS,
    PYTHON,
    Client,
    Log,
    Seen,
    Verdict,
    compare,
    observe,
    start,
)
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.long, pytest.mark.timeout(60)]


@dataclass(frozen=True)
class Server:
    """How it is started, and where it listens."""

    port: int
    argv: tuple[str, ...]


PYTHON_SERVER = (*PYTHON, f"{PROGRAMS}/http_server.py")
NODE_SERVER = (*NODE, f"{PROGRAMS}/http_server.js")
SERVERS = {
    "http.server 1.0": Server(9010, (*PYTHON_SERVER, "9010", "HTTP/1.0")),
    "http.server 1.1": Server(9011, (*PYTHON_SERVER, "9011", "HTTP/1.1")),
    "aiohttp": Server(9014, (*PYTHON, f"{PROGRAMS}/aiohttp_server.py", "9014")),
    "node": Server(9012, (*NODE_SERVER, "9012")),
    "node with upgrades": Server(9013, (*NODE_SERVER, "9013", "upgrades")),
}
PYTHON_CLIENT = (*PYTHON, f"{PROGRAMS}/http_client.py", "SERVER", "PORT")
NODE_CLIENT = (*NODE, f"{PROGRAMS}/http_client.js", "SERVER", "PORT")
# It runs for too short a time to be worth its better compiler.
JAVA_CLIENT = (
    *("java", "-XX:TieredStopAtLevel=1", "-cp", "CLASSES"),
    "HttpClientMain",
    "http://SERVER:PORT",
)


@dataclass(frozen=True)
class Case:
    """Who asks whom, and what the daemon makes of it."""

    server: str
    argv: tuple[str, ...]
    verdict: Verdict
    #: How many requests the server logs, where it is not as many as were understood.
    logged: int | None = None
    #: Words the client prints when all went as it should.
    holds: tuple[bytes, ...] = ()

    @property
    def least(self) -> int:
        return sum(self.verdict.outcomes.values()) if self.logged is None else self.logged


CASES = {
    "python_asks_http_1_0": Case("http.server 1.0", PYTHON_CLIENT, Verdict.traced(12)),
    "python_asks_python": Case(
        "http.server 1.1",
        (*PYTHON_CLIENT, "pipelined"),
        Verdict.traced(33),
        holds=(b"\r\n019HTTP",),
    ),
    "python_asks_node": Case("node", (*PYTHON_CLIENT, "pipelined"), Verdict.traced(33)),
    "python_asks_aiohttp": Case("aiohttp", (*PYTHON_CLIENT, "pipelined"), Verdict.traced(33)),
    "node_asks_http_1_0": Case("http.server 1.0", NODE_CLIENT, Verdict.traced(13)),
    "node_asks_python": Case("http.server 1.1", NODE_CLIENT, Verdict.traced(13)),
    "node_asks_aiohttp": Case("aiohttp", NODE_CLIENT, Verdict.traced(13)),
    "java_asks_aiohttp": Case("aiohttp", JAVA_CLIENT, Verdict.traced(10)),
    "node_asks_node": Case(
        "node",
        (*NODE_CLIENT, "special"),
        Verdict.traced(18, upstream_closed=2),
        holds=(b"X-Sum: abc", b"information 103", b"information 102", b"1.1 417", b"ECONNRESET"),
    ),
    "node_asks_node_to_switch": Case(
        "node with upgrades",
        (*NODE_CLIENT, "switched"),
        Verdict({"ok": 15}, {"upgrade": 1, "connect": 1}),
        holds=(b"upgrade 101", b"connect 200", b"HELLO", b"X" * 1000),
    ),
    "java_asks_http_1_0": Case("http.server 1.0", (*JAVA_CLIENT, "anew"), Verdict.traced(10)),
    "java_asks_python": Case("http.server 1.1", JAVA_CLIENT, Verdict.traced(10)),
    "java_asks_node": Case("node", JAVA_CLIENT, Verdict.traced(10)),
}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the Java client was compiled to: each run of its source would take two seconds."""
    directory = str(tmp_path_factory.mktemp("classes"))
    compiler = ("javac", "-d", directory, f"{PROGRAMS}/HttpClientMain.java")
    subprocess.run(compiler, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="module")
def logs(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Log]:
    """Every server in both pods: its log, by its name and pod."""
    directory = tmp_path_factory.mktemp("servers")
    found = {
        (name, pod): Log(directory / f"{name} {pod}") for name in SERVERS for pod in ("y", "b")
    }
    for (name, pod), log in found.items():
        start(bed, pod, SERVERS[name].argv, SERVERS[name].port, log.path)
    return found


@pytest.mark.parametrize("name", CASES)
@ROUTES
def test_client_and_server_see_what_they_would_directly(
    node: Node,
    daemon: Daemon,
    logs: dict[tuple[str, str], Log],
    classes: str,
    route: Route,
    name: str,
) -> None:
    case = CASES[name]
    known = {"PORT": str(SERVERS[case.server].port), "CLASSES": classes}

    def operation(way: Route) -> Seen:
        words = {**known, "SERVER": node.pod(way.server).ipv4}
        client = Client(tuple(filled(word, words) for word in case.argv), case.least)
        return observe(node, way, client, logs[case.server, way.server])

    seen = compare(daemon, route, operation, case.verdict)

    assert seen.exit_code == 0, seen.complaints
    assert all(words in seen.output for words in case.holds), seen.output
    assert len(seen.logged) == case.least


def filled(word: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        word = word.replace(name, value)
    return word
