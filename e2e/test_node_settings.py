"""The node's settings of interception, each with a daemon of its own."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.support.daemon import Daemon, until
from e2e.support.load import Fate
from e2e.support.node import Node, manifest
from e2e.support.visitor import Visitor, exchange

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

#: The longest until a change of the file holds: half a second, and patience with a busy machine.
SOON = 5.0
IN, OUT = ("x", "b"), ("b", "x")
#: An id that no process of the tests has.
STRANGER = 1337


@contextlib.contextmanager
def daemon_with(node: Node, directory: Path, **settings: str) -> Iterator[Daemon]:
    """A daemon of its own, which has captured `b`."""
    node.enrol("b")
    with Daemon(node.file, directory, NETRA_DRAIN_MILLISECONDS="200", **settings) as daemon:
        daemon.wait_for("b")
        yield daemon
        assert daemon.mishaps() == []


def test_the_nodes_ports_hold_for_pods_that_name_none(node: Node, tmp_path: Path) -> None:
    out, into = Visitor(node, *OUT), Visitor(node, *IN)
    with daemon_with(
        node,
        tmp_path,
        INBOUND_INTERCEPT_PORTS=f"1:{into.port - 1}",
        OUTBOUND_INTERCEPT_PORTS=f" {out.port} , 80-90",
    ):
        assert (out(), into()) == (Fate.CAPTURED, Fate.DIRECT)
        node.write([manifest(node.pod("b"), inbound_ports="*", outbound_ports="1")])
        assert until(lambda: (out(), into()) == (Fate.DIRECT, Fate.CAPTURED), SOON)


def test_the_nodes_probabilities_hold_for_pods_that_name_none(node: Node, tmp_path: Path) -> None:
    out, into = Visitor(node, *OUT), Visitor(node, *IN)
    with daemon_with(node, tmp_path, NETRA_INBOUND_PROBABILITY="0", NETRA_OUTBOUND_PROBABILITY="0"):
        assert (out(), into()) == (Fate.DIRECT, Fate.DIRECT)
        node.write([manifest(node.pod("b"), outbound_probability="1")])
        assert until(lambda: out() is Fate.CAPTURED, SOON)
        assert into() is Fate.DIRECT


def test_the_nodes_mode_holds_for_pods_that_name_none(node: Node, tmp_path: Path) -> None:
    with daemon_with(node, tmp_path, NETRA_INBOUND_MODE="redirect"):
        client, server = node.pair(*IN)
        assert exchange(client, server)
        assert server.getsockname()[0] == node.pod("b").ipv4


#: A client that becomes somebody else before it makes its socket; it prints what it got.
CLIENT = """
import os, socket, sys
ids, host, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if ids:
    os.setgroups([])
    os.setgid(ids)
    os.setuid(ids)
with socket.socket() as client:
    client.connect((host, port))
    client.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    while data := client.recv(4096):
        sys.stdout.buffer.write(data)
"""


def visit_as(node: Node, ids: int, visitor: Visitor) -> Fate:
    """What becomes of a connection that a process with these ids makes in `b`."""
    argv = [sys.executable, "-c", CLIENT, str(ids), visitor.target[0], str(visitor.port)]
    answer, _ = node.bed.spawn("b", argv, stdout=subprocess.PIPE).communicate(timeout=10)
    return Fate(answer.rpartition(b"\r\n\r\n")[2])


def somebody() -> int:
    """Ids that a child can have: inside a user namespace there may be nobody but its root."""
    _, _, count = Path("/proc/self/uid_map").read_text().split()
    return STRANGER if int(count) > STRANGER else 0


@pytest.mark.parametrize("setting", ["NETRA_SIDECAR_USER_ID", "NETRA_SIDECAR_GROUP_ID"])
def test_exempt_processes_connect_direct(node: Node, tmp_path: Path, setting: str) -> None:
    ids, out, into = somebody(), Visitor(node, *OUT), Visitor(node, *IN)
    with daemon_with(node, tmp_path, **{setting: str(ids)}):
        assert visit_as(node, ids, out) is Fate.DIRECT
        assert into() is Fate.CAPTURED
        if ids:
            assert out() is Fate.CAPTURED


def test_nobody_is_exempt_unless_told(node: Node, tmp_path: Path) -> None:
    with daemon_with(node, tmp_path):
        assert visit_as(node, somebody(), Visitor(node, *OUT)) is Fate.CAPTURED
