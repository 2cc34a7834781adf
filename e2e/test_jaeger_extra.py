"""The extra `jaeger`: the real daemon, in an environment of that lock alone, exporting through OpenTelemetry's own exporter."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.support.daemon import UNDISTURBED, Daemon, until
from e2e.support.jaeger import AgentSink
from e2e.support.node import Node, read, read_head
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.long, pytest.mark.netns, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "jaeger.txt"
#: What the lock has for the command line's questions to a cluster: most of it, and nothing the daemon imports.
UNUSED = (
    "aio",
    "annotated",
    "attrs",
    "certifi",
    "charset",
    "durationpy",
    "frozenlist",
    "idna",
    "kubernetes",
    "multidict",
    "oauthlib",
    "propcache",
    "pydantic",
    "python-dateutil",
    "requests",
    "typing-inspection",
    "tzdata",
    "urllib3",
    "websocket",
    "yarl",
)
OK = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
#: Some of what it says; a resource stands in every span.
TAGS = {"service.name", "k8s.pod.name", "http.request.method", "span.kind", "otel.scope.name"}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with what the daemon needs of the lock, and nothing else."""
    place = tmp_path_factory.mktemp("extra")
    needed = place / "needed.txt"
    entries = re.split(r"\n(?=[a-z])", LOCK.read_text())
    needed.write_text("\n".join(entry for entry in entries if not entry.startswith(UNUSED)))
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True, timeout=60)
    pip = (place / "venv" / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", needed], check=True, timeout=180)
    return str(place / "venv" / "bin" / "python")


def test_spans_go_through_opentelemetrys_exporter_to_jaegers_agent(
    bed: Testbed, directory: Path, python: str
) -> None:
    with AgentSink() as sink, Node(bed, directory / "pods.json") as node:
        node.enrol("a", "b")
        settings = {
            "PYTHONPATH": str(ROOT),
            "OTEL_TRACES_EXPORTER": "jaeger_thrift",
            "OTEL_EXPORTER_JAEGER_AGENT_HOST": sink.host,
            "OTEL_EXPORTER_JAEGER_AGENT_PORT": str(sink.port),
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            **UNDISTURBED,
        }
        argv = (python, "-m", "netra_node", "run")
        with Daemon(node.file, directory, argv, **settings) as daemon:
            daemon.wait_for("a", "b")
            assert daemon.status()["collector"] == "SDK exporter jaeger_thrift"
            client, server = node.pair("a", "b")
            client.sendall(b"GET /orders/42 HTTP/1.1\r\nHost: b\r\n\r\n")
            read_head(server)
            server.sendall(OK)
            assert read(client, len(OK)) == OK
            assert until(lambda: len(sink.spans) == 2), daemon.last_words()
        assert daemon.mishaps() == []

    (called,), (calling,) = sink.spans["b"], sink.spans["a"]
    assert (called.trace_id, called.parent_id) == (calling.trace_id, calling.span_id)
    assert (called.operation, called.flags, calling.flags) == ("GET /orders/{id}", 1, 1)
    assert dict(called.tags).keys() >= TAGS
    assert dict(called.tags)["error"] is True
