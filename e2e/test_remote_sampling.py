"""Jaeger's remote sampling with the real daemon: a server on this node tells each service's strategy, new traces follow it."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from e2e.support.daemon import Daemon, until
from e2e.support.node import Node, read, read_head
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

SERVICES = ("shop", "cart", "depot")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def by_operation(**ratios: float) -> dict[str, Any]:
    operations = [
        {"operation": f"GET /{path}", "probabilisticSampling": {"samplingRate": ratio}}
        for path, ratio in ratios.items()
    ]
    return {
        "strategyType": "PROBABILISTIC",
        "operationSampling": {
            "defaultSamplingProbability": 0,
            "defaultLowerBoundTracesPerSecond": 1e-6,
            "perOperationStrategies": operations,
        },
    }


class Strategies:
    """What the server answers, by service, and how often it was asked."""

    def __init__(self) -> None:
        self.of: dict[str, Any] = {}
        self.asked: Counter[str] = Counter()
        self.url = ""


@pytest.fixture
def strategies() -> Iterator[Strategies]:
    told = Strategies()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            (service,) = parse_qs(urlsplit(self.path).query)["service"]
            body = json.dumps(told.of.get(service)).encode()
            self.send_response(200 if service in told.of else 500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            told.asked[service] += 1

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_port}/sampling"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield told
        server.shutdown()
        thread.join()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with Testbed("remote") as bed, Node(bed, tmp_path / "pods.json") as made:
        for name in ("x", *SERVICES):
            bed.add_pod(name)
        made.enrol(*SERVICES)
        yield made


def sampled_flags(node: Node, called: str, path: str) -> bytes:
    """What the called pod's application is told about a new trace: the flags of its `uber-trace-id`."""
    client, server = node.pair("x", called)
    client.sendall(b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n" % path.encode())
    head = read_head(server)
    server.sendall(OK)
    assert read(client, len(OK)) == OK
    return head.partition(b"uber-trace-id: ")[2].partition(b"\r\n")[0].rpartition(b":")[2]


def test_each_service_and_operation_is_sampled_as_the_server_tells_while_it_does(
    node: Node, tmp_path: Path, strategies: Strategies
) -> None:
    strategies.of = {
        "shop": by_operation(a=1),
        "cart": {"probabilisticSampling": {"samplingRate": 1}},
    }
    with Daemon(
        node.file,
        tmp_path,
        JAEGER_SAMPLER_TYPE="remote",
        JAEGER_SAMPLING_ENDPOINT=strategies.url,
        JAEGER_SAMPLER_REFRESH_INTERVAL="100ms",
    ) as daemon:
        daemon.wait_for(*SERVICES)
        assert until(lambda: min(strategies.asked[name] for name in SERVICES) > 1)
        # each operation is promised one trace, whatever its share
        promised = [sampled_flags(node, "shop", path) for path in ("a", "b")]
        flags = [sampled_flags(node, "shop", path) for path in ("a", "b", "a?q=1")]
        others = [sampled_flags(node, name, "b") for name in ("cart", "depot")]
        spans = until(lambda: len(daemon.traces()) == 5 and daemon.traces())

        strategies.of = {}
        before = strategies.asked["cart"]
        assert until(lambda: strategies.asked["cart"] > before + 2)
        kept = sampled_flags(node, "cart", "b")

        assert promised == [b"1", b"1"]
        assert flags == [b"1", b"0", b"1"]
        # nobody was told anything about depot, and JAEGER_SAMPLER_PARAM is not set
        assert others == [b"1", b"0"]
        assert Counter(span["name"] for span in spans) == {"GET /a": 3, "GET /b": 2}
        assert kept == b"1"
        assert daemon.log.read_text().count("does not tell the sampling strategy") == 1
        assert daemon.mishaps() == []
