"""The daemon ends and comes back on a node under load: what its pods notice."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.support.containerd import ClusterNode
from e2e.cluster.support.daemon import NodeDaemon
from e2e.cluster.support.kubelet import Kubelet, Pod, manifest
from e2e.cluster.support.traffic import PORT, Traffic, connects
from e2e.support.daemon import until
from e2e.support.load import Fate
from e2e.support.pods_server import PodsServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def pods(kubelet: Kubelet, pods_server: PodsServer) -> list[Pod]:
    """Three pods with the label; the first calls the second, the third the first."""
    del pods_server
    found = kubelet.start_all(manifest(name) for name in NAMES)
    for pod in found:
        assert until(lambda pod=pod: connects(pod, ("127.0.0.1", PORT)))
    return found


@contextlib.contextmanager
def load(pods: list[Pod]) -> Iterator[list[Traffic]]:
    a, b, c = pods
    with Traffic(a, (b.ipv4, PORT)) as one, Traffic(c, (a.ipv4, PORT)) as two:
        yield [one, two]


def started(node: ClusterNode, directory: Path) -> NodeDaemon:
    return NodeDaemon(node, directory)


def fates(loads: list[Traffic]) -> set[Fate]:
    return set().union(*(one.fates() for one in loads))


def captured_again(loads: list[Traffic], since: int) -> bool:
    return all(any(visit.fate is Fate.CAPTURED for visit in one.visits[since:]) for one in loads)


def test_stopped_and_started_it_costs_no_request(
    node: ClusterNode, pods: list[Pod], tmp_path: Path
) -> None:
    with load(pods) as loads:
        for _ in range(3):
            with started(node, tmp_path) as daemon:
                daemon.wait_for(*NAMES)
                since = max(len(one.visits) for one in loads)
                assert until(lambda since=since: captured_again(loads, since)), daemon.explain()
                daemon.terminate()

    assert fates(loads) == {Fate.DIRECT, Fate.CAPTURED}


def test_replaced_by_another_while_it_drains_it_costs_no_request(
    node: ClusterNode, pods: list[Pod], tmp_path: Path
) -> None:
    with load(pods) as loads, started(node, tmp_path) as first:
        first.wait_for(*NAMES)
        with started(node, tmp_path) as second:
            second.wait_for(*NAMES)
            first.terminate()
            since = max(len(one.visits) for one in loads)
            assert until(lambda: captured_again(loads, since)), second.explain()

    assert fates(loads) == {Fate.DIRECT, Fate.CAPTURED}


def test_killed_it_costs_the_requests_under_way_and_no_new_one(
    node: ClusterNode, pods: list[Pod], tmp_path: Path
) -> None:
    with load(pods) as loads, started(node, tmp_path) as first:
        first.wait_for(*NAMES)
        first.kill()
        since = max(len(one.visits) for one in loads)
        assert until(lambda: all(len(one.visits) > since + 20 for one in loads))
        with started(node, tmp_path) as second:
            second.wait_for(*NAMES)
            again = max(len(one.visits) for one in loads)
            assert until(lambda: captured_again(loads, again)), second.explain()

    assert Fate.REFUSED not in fates(loads)
    assert Fate.HUNG not in fates(loads)
    # One client has one request under way.
    assert sum(v.fate is Fate.CUT for one in loads for v in one.visits) <= len(loads)
