"""One cluster for all tests here, with what `docs/kubernetes.md` begins with done: the manifest applied."""

from collections.abc import Iterator

import pytest

from e2e.cluster.support.traffic import OnNode
from e2e.real_kubernetes.control_plane import ControlPlane
from e2e.real_kubernetes.stand import standing


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with standing(tmp_path_factory.mktemp("kubernetes")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def on_node(cluster: ControlPlane) -> OnNode:
    return OnNode(cluster.node)
