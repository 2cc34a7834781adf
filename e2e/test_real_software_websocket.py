"""WebSocket libraries, each with itself and with the other: every message, ping and close code arrives as it does directly."""

from collections.abc import Iterator

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
    Verdict,
    compare,
    observe,
    start,
)
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.long, pytest.mark.timeout(60)]

COMMANDS = {"websockets": PYTHON, "ws": NODE}
FILES = {"websockets": "py", "ws": "js"}
PORTS = {"websockets": 9001, "ws": 9002}

#: Two connections, and on each the daemon understands the handshake and passes the rest on.
VERDICT = Verdict({"ok": 2}, {"upgrade": 2})


def command(library: str, end: str) -> tuple[str, ...]:
    return (*COMMANDS[library], f"{PROGRAMS}/websocket_{end}.{FILES[library]}")


@pytest.fixture(scope="module", params=PORTS)
def serving(
    bed: Testbed, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[str, dict[str, Log]]]:
    """The server's library, and the log of the server in each pod."""
    library: str = request.param
    logs = {pod: Log(tmp_path_factory.mktemp(library) / pod) for pod in ("y", "b")}
    for pod, log in logs.items():
        start(bed, pod, command(library, "server"), PORTS[library], log.path)
    return library, logs


@pytest.mark.parametrize("client", COMMANDS)
@ROUTES
def test_websocket_ends_receive_what_they_would_directly(
    node: Node, daemon: Daemon, serving: tuple[str, dict[str, Log]], route: Route, client: str
) -> None:
    library, logs = serving

    seen = compare(
        daemon,
        route,
        lambda way: observe(
            node,
            way,
            Client(
                (*command(client, "client"), f"ws://{node.pod(way.server).ipv4}:{PORTS[library]}"),
                2,
            ),
            logs[way.server],
        ),
        VERDICT,
    )

    assert seen.exit_code == 0, seen
    assert b"closed 4001 enough\n" in seen.output
    assert b"closed 4002 as you wished\n" in seen.output
    assert len(seen.logged) == 2
    assert b"keep-alive" in seen.logged[1]
