"""One node for each module: pods `a` and `b` to be captured, `x` and `y` outside; and a daemon where a test wants one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.support.daemon import UNDISTURBED, Daemon
from e2e.support.node import Node
from netra_node.testbed import Testbed


@pytest.fixture(scope="module")
def bed() -> Iterator[Testbed]:
    with Testbed("e2e") as bed:
        for name in ("a", "b", "x", "y"):
            bed.add_pod(name)
        yield bed


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("node")


@pytest.fixture
def node(bed: Testbed, directory: Path) -> Iterator[Node]:
    with Node(bed, directory / "pods.json") as node:
        yield node


@pytest.fixture(scope="module")
def daemon(bed: Testbed, directory: Path) -> Iterator[Daemon]:
    """Runs for the whole module, `a` and `b` captured."""
    with Node(bed, directory / "pods.json") as node:
        node.enrol("a", "b")
        with Daemon(node.file, directory, **UNDISTURBED) as daemon:
            daemon.wait_for("a", "b")
            yield daemon
            assert daemon.mishaps() == []
