"""What the admin paths answer."""

import asyncio
import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.admin.pages import (
    accepts_openmetrics,
    debug_server,
    json_pieces,
    public_server,
)
from netra_node.admin.readiness import Readiness
from netra_node.admin.server import AdminServer


class Answer(NamedTuple):
    status: int
    content_type: str
    body: str


async def get(server: AdminServer, path: str, accept: str = "*/*") -> Answer:
    """Fetch one path from a server started for it, with the standard library's client."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    await server.start(listener)
    try:
        return await asyncio.to_thread(_fetch, port, path, accept)
    finally:
        await server.stop()


def _fetch(port: int, path: str, accept: str) -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        return _answer(connection.getresponse())
    finally:
        connection.close()


def _answer(response: HTTPResponse) -> Answer:
    content_type = response.getheader("Content-Type") or ""
    return Answer(response.status, content_type, response.read().decode())


def _render(openmetrics: bool) -> Iterator[bytes]:
    yield b"open" if openmetrics else b"plain"
    yield b" metrics\n"


def _public(*blockers: str) -> AdminServer:
    return public_server(Readiness(blockers), _render)


async def test_healthz_is_answered_while_not_ready() -> None:
    assert (await get(_public("pods"), "/healthz"))[0::2] == (200, "ok\n")


async def test_readyz_names_every_blocker_with_a_503() -> None:
    answer = await get(_public("the first complete pod list", "listeners"), "/readyz")

    assert answer.status == 503
    assert answer.body == "waiting for the first complete pod list\nwaiting for listeners\n"


async def test_readyz_is_ready_without_blockers() -> None:
    assert (await get(_public(), "/readyz"))[0::2] == (200, "ready\n")


@pytest.mark.parametrize("path", ["/healthz?verbose", "/readyz?"])
async def test_a_query_changes_no_probe(path: str) -> None:
    assert (await get(_public(), path)).body in {"ok\n", "ready\n"}


@pytest.mark.parametrize(
    "path", ["/metrics", "/", "/anything/else", "/metrics?name[]=x", "/?a=b", "//", "/healthz/"]
)
async def test_metrics_stand_at_every_other_path(path: str) -> None:
    answer = await get(_public(), path)

    assert answer == (200, "text/plain; version=0.0.4; charset=utf-8", "plain metrics\n")


async def test_metrics_are_openmetrics_where_the_scraper_takes_it() -> None:
    scraper = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"

    answer = await get(_public(), "/metrics", scraper)

    assert answer.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.body == "open metrics\n"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("Application/OpenMetrics-Text; version=1.0.0", True),
        ("text/plain;q=0.3, application/openmetrics-text;q=0.7", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.000", False),
    ],
)
def test_openmetrics_has_to_be_named(accept: str, wanted: bool) -> None:
    assert accepts_openmetrics(accept) is wanted


async def test_a_document_is_served_as_json() -> None:
    server = debug_server({"/status": lambda: {"pods": [{"name": "web"}], "ready": True}})

    answer = await get(server, "/status")

    assert answer.content_type == "application/json"
    assert json.loads(answer.body) == {"pods": [{"name": "web"}], "ready": True}


async def test_an_unknown_path_names_the_known_ones() -> None:
    server = debug_server({"/status": dict, "/traces": dict})

    answer = await get(server, "/favicon.ico")

    assert answer.status == 404
    assert answer.body == (
        "nothing here; known paths: /status, /traces, /debug/stacks, /debug/profile, /debug/pprof/\n"
    )


async def test_stacks_are_served_beside_the_documents() -> None:
    answer = await get(debug_server({}, lambda: {"pods": 2}), "/debug/stacks")

    assert answer.status == 200
    assert answer.body.startswith("pods: 2\n")


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=60,
)


@given(st.dictionaries(st.text(), _JSON_VALUES, max_size=4))
def test_pieces_put_together_are_the_document(document: dict[str, object]) -> None:
    assert json.loads(b"".join(json_pieces(document))) == document


def test_an_iterator_is_drawn_only_as_its_items_are_printed() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            drawn.append(number)
            yield number

    pieces = json_pieces({"numbers": items()})
    next(pieces)
    next(pieces)

    assert 0 < len(drawn) < 100
