"""One node with containerd for all cluster tests, its kubelet, and for each module a daemon on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.support.containerd import BASE_IMAGE, ClusterNode
from e2e.cluster.support.daemon import NodeDaemon
from e2e.cluster.support.image import write_base
from e2e.cluster.support.kubelet import Kubelet
from e2e.cluster.support.pods_server import TOKEN, pods_server_on
from e2e.cluster.support.traffic import OnNode
from e2e.support.pods_server import PodsServer


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of pause, of the application, and what netra-node's own is built on."""
    archive = tmp_path_factory.mktemp("image") / "base.tar"
    write_base(archive, BASE_IMAGE)
    return archive


@pytest.fixture(scope="session")
def node(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterNode]:
    with ClusterNode(tmp_path_factory.mktemp("cluster")) as node:
        node.import_image(base)
        node.give_token(TOKEN)
        yield node


@pytest.fixture(scope="session")
def on_node(node: ClusterNode) -> OnNode:
    return OnNode(node)


@pytest.fixture(scope="module")
def kubelet(node: ClusterNode) -> Iterator[Kubelet]:
    with Kubelet(node) as kubelet:
        yield kubelet


@pytest.fixture(scope="module")
def pods_server(node: ClusterNode, kubelet: Kubelet) -> Iterator[PodsServer]:
    with pods_server_on(node, kubelet.pod_list) as server:
        yield server


@pytest.fixture(scope="module")
def daemon(
    node: ClusterNode, pods_server: PodsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeDaemon]:
    del pods_server
    with NodeDaemon(
        node, tmp_path_factory.mktemp("daemon"), NETRA_DRAIN_MILLISECONDS="200"
    ) as daemon:
        daemon.wait_until_ready()
        yield daemon
        assert daemon.mishaps() == []
