"""How spans look, as settings of the real daemon: schema, templates, tags, ignored paths."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.support.daemon import Daemon, until
from e2e.support.node import Node, read, read_head
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SETTINGS = {
    "NETRA_DRAIN_MILLISECONDS": "200",
    "NETRA_HTTP_PATH_TEMPLATES": r"^/users/\d+=>/users/{id}",
    "HTTP_HEADER_TAG_MAP": "x-session:http.session,without a tag",
    "HTTP_COOKIE_TAG_MAP": "app:shop.app",
    "NETRA_HTTP_TRACING_IGNORED_PATHS": "/health,/static/*",
    "NETRA_HTTP_TRACING_IGNORED_PATTERNS": r"/v\d/ready",
}


@pytest.fixture(scope="module", params=["netramesh", "otel"])
def schema(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def daemon(bed: Testbed, directory: Path, schema: str) -> Iterator[Daemon]:
    with Node(bed, directory / "pods.json") as node:
        node.enrol("b")
        with Daemon(node.file, directory, NETRA_SPAN_SCHEMA=schema, **SETTINGS) as daemon:
            daemon.wait_for("b")
            yield daemon
            assert daemon.mishaps() == []


def sent_on(node: Node, caller: str, called: str, path: str, *fields: bytes) -> tuple[bytes, str]:
    """What the server receives of one request, and the address that the pod knows as remote."""
    client, server = node.pair(caller, called)
    lines = b"".join(field + b"\r\n" for field in fields)
    client.sendall(b"GET %b HTTP/1.1\r\nHost: b:80\r\n%b\r\n" % (path.encode(), lines))
    got = read_head(server)
    server.sendall(OK)
    assert read(client, len(OK)) == OK
    host, port = client.getsockname() if called == "b" else client.getpeername()
    return got, f"{host}:{port}"


def span_of(daemon: Daemon, request_id: str) -> dict[str, Any]:
    """The one span that tells this request id."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = [s for s in daemon.traces() if request_id in s["attributes"].values()]
        return bool(found)

    assert until(look)
    (span,) = found
    return span


def test_an_inbound_root_says_what_was_asked_of_it(node: Node, daemon: Daemon, schema: str) -> None:
    fields = (b"X-Request-Id: one", b"X-SESSION: s-1", b'Cookie: a=b; app="shop"')
    _, remote = sent_on(node, "x", "b", "/users/42/cart?token=1", *fields)
    span = span_of(daemon, "one")
    tags = span["attributes"]

    assert (tags["http.session"], tags["shop.app"]) == ("s-1", "shop")
    if schema == "otel":
        assert span["name"] == "GET /users/{id}/cart"
        assert "token" not in str(tags)
    else:
        assert span["name"] == "/users/{id}/cart"
        assert list(tags)[:5] == [
            "sampler.type",
            "sampler.param",
            "http.session",
            "shop.app",
            "span.kind",
        ]
        assert (tags["remote_addr"], tags["http.response_size"]) == (remote, 2)
        assert tags["http.path"] == "/users/42/cart?token=1"


def test_an_outbound_span_names_the_host_where_netramesh_did(
    node: Node, daemon: Daemon, schema: str
) -> None:
    _, remote = sent_on(node, "b", "x", "/users/7", b"X-Request-Id: two", b"X-Session: s-1")
    span = span_of(daemon, "two")

    assert "http.session" not in span["attributes"]
    if schema == "otel":
        assert span["name"] == "GET /users/{id}"
    else:
        assert span["name"] == "b:80/users/{id}"
        assert span["attributes"]["remote_addr"] == remote


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("path", ["/health?x", "/static/a/b.css", "/v1/ready", "/%68ealth"])
def test_an_ignored_path_gets_a_request_id_and_neither_trace_header_nor_span(
    node: Node, daemon: Daemon, path: str
) -> None:
    got = sent_on(node, "x", "b", path)[0].lower()
    (request_id,) = re.findall(rb"\r\nx-request-id: (\S+)", got)

    assert b"traceparent" not in got
    assert b"uber-trace-id" not in got
    # a span of a later request is there only when that of an earlier one would be
    sent_on(node, "x", "b", "/after", b"X-Request-Id: after-" + request_id)
    span_of(daemon, f"after-{request_id.decode()}")
    told = [value for span in daemon.traces() for value in span["attributes"].values()]
    assert request_id.decode() not in told
