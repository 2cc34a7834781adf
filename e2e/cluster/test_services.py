"""A Service's address in front of captured pods: real DNAT rules of the node, and a rolling replacement behind them."""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from e2e.cluster.support.containerd import NODE_IPV4, ClusterNode
from e2e.cluster.support.daemon import NodeDaemon
from e2e.cluster.support.kubelet import Kubelet, Pod, manifest
from e2e.cluster.support.service import Service
from e2e.cluster.support.traffic import PORT, OnNode, Traffic, ask, connects
from e2e.support.daemon import until
from e2e.support.load import Fate

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

VIP = "10.96.0.10"
REPLICAS = 20


@pytest.fixture(scope="module")
def pods(kubelet: Kubelet, daemon: NodeDaemon) -> dict[str, Pod]:
    """Two captured pods, and one that is not."""
    outside = manifest("outside")
    del outside["metadata"]["labels"]["netra.io/enabled"]
    found = kubelet.start_all([manifest("front"), manifest("back"), outside])
    daemon.wait_for("front", "back")
    for pod in found:
        assert until(lambda pod=pod: connects(pod, ("127.0.0.1", PORT)))
    return {pod.name: pod for pod in found}


@pytest.fixture
def service(node: ClusterNode, pods: dict[str, Pod]) -> Iterator[Service]:
    with Service(node, "back", VIP) as service:
        service.lead_to([pods["back"].ipv4], PORT)
        yield service


@pytest.fixture
def rolling(node: ClusterNode) -> Iterator[Service]:
    with Service(node, "rolling", "10.96.0.20") as service:
        yield service


def test_trap_14_a_captured_pod_reaches_another_by_the_service_s_address(
    service: Service, pods: dict[str, Pod], daemon: NodeDaemon
) -> None:
    before = daemon.total("netra_http_requests_total", direction="outbound", service="front")

    assert ask(pods["front"], service.target, "/name") == "back"
    assert ask(pods["front"], service.target) == "captured"

    grown = lambda: daemon.total("netra_http_requests_total", direction="outbound", service="front")  # noqa: E731
    assert until(lambda: grown() == before + 2), daemon.explain()


def test_it_is_seen_at_both_ends_as_one_trace(
    service: Service, pods: dict[str, Pod], daemon: NodeDaemon, on_node: OnNode
) -> None:
    path = f"/call/{VIP}/80"
    assert ask(on_node, (pods["front"].ipv4, PORT), path, x_request_id="both-ends") == "captured"

    found: list[dict[str, Any]] = []

    def complete() -> bool:
        ids = {s["trace_id"] for s in daemon.traces() if path in str(s)}
        found[:] = [s for s in daemon.traces() if s["trace_id"] in ids]
        return len(found) == 3

    assert until(complete), found
    kinds = sorted((span["service"], span["kind"]) for span in found)
    assert kinds == [("back", "server"), ("front", "client"), ("front", "server")]
    del service


def test_an_outsider_reaches_a_captured_pod_by_it(service: Service, pods: dict[str, Pod]) -> None:
    assert ask(pods["outside"], service.target) == "captured"


def test_the_node_reaches_a_captured_pod_by_it(service: Service, on_node: OnNode) -> None:
    assert ask(on_node, service.target) == "captured"


def test_a_captured_pod_reaches_itself_by_it(service: Service, pods: dict[str, Pod]) -> None:
    # Through the node and back, so the application sees the node: as without us.
    assert ask(pods["back"], service.target, "/name") == "back"
    assert ask(pods["back"], service.target) == "captured"
    assert ask(pods["back"], service.target, "/peer").split()[0] == NODE_IPV4


def end_what_is_under_way(loads: list[Traffic]) -> None:
    """Wait until no request goes to an endpoint that is no longer one: each client has one under way."""
    ended = [len(load.visits) for load in loads]
    assert until(lambda: all(len(load.visits) > n for load, n in zip(loads, ended, strict=True)))


def test_twenty_pods_are_replaced_under_load_and_no_request_fails(
    rolling: Service, kubelet: Kubelet, daemon: NodeDaemon, pods: dict[str, Pod]
) -> None:
    old = kubelet.start_all(manifest(f"one-{number}") for number in range(REPLICAS))
    endpoints = [pod.ipv4 for pod in old]
    rolling.lead_to(endpoints, PORT)
    assert until(lambda: all(connects(pods["outside"], (ip, PORT)) for ip in endpoints))
    daemon.wait_for(*(pod.name for pod in old))

    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        loads = [Traffic(pods[name], rolling.target) for name in ("outside", "front")]
        for load in loads:
            stack.enter_context(load)
        with ThreadPoolExecutor(4) as workers:
            for number, leaving in enumerate(old):
                coming = kubelet.start(manifest(f"two-{number}"))
                assert until(lambda pod=coming: connects(pods["outside"], (pod.ipv4, PORT)))
                endpoints[number] = coming.ipv4
                rolling.lead_to(endpoints, PORT)
                end_what_is_under_way(loads)
                workers.submit(kubelet.delete, leaving.name)
    took = time.monotonic() - began

    visits = [visit for load in loads for visit in load.visits]
    captured = sum(visit.fate is Fate.CAPTURED for visit in visits)
    print(
        f"{REPLICAS} pods replaced in {took:.1f} s under {len(visits)} requests, {captured} captured"
    )
    assert {visit.fate for visit in visits} <= {Fate.CAPTURED, Fate.DIRECT}
    # What `front` calls is captured at its own end already.
    assert {visit.fate for visit in loads[1].visits} == {Fate.CAPTURED}
    daemon.wait_for(*(f"two-{number}" for number in range(REPLICAS)))
    names = lambda: {pod["name"] for pod in daemon.status()["pods"]}  # noqa: E731
    assert until(lambda: not any(name.startswith("one-") for name in names())), daemon.explain()
