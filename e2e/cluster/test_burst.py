"""How soon new pods are captured: thirty at once, each before its first container runs, and some one after the other."""

import re
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from e2e.cluster.support.containerd import NODE_IPV4, ClusterNode
from e2e.cluster.support.daemon import NodeDaemon
from e2e.cluster.support.kubelet import Kubelet, Pod, manifest
from e2e.support.daemon import until
from e2e.support.load import Server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

BURST = 30
#: Pods that start one after the other.
SINGLE = 10
#: Milliseconds from label and CNI result to rules; ten times that fails, as the machine may be busy with anything.
PROMISE, MARGIN = 20, 10
_CAPTURED = re.compile(r"(\S+Z) info +captured shop/(\S+) as")
#: Thirty interpreters that start at once, ten times as long as on two cores of which nobody else wants any.
_CALLED_SECONDS = 60.0
_FIRST_CALL = re.compile(r"(\S+)Z stdout F first call: (\S+)")

Chain = dict[str, float]


@pytest.fixture(scope="module")
def callee(kubelet: Kubelet, daemon: NodeDaemon) -> Iterator[str]:
    """Somebody on the node whom the pods call, and who knows whether the call was captured."""
    # The bridge, and with it the address, is there from the first pod on.
    kubelet.start(manifest("early"))
    daemon.wait_for("early")
    listening = lambda: socket.create_server((NODE_IPV4, 0), backlog=64)  # noqa: E731
    with kubelet.node.network.run(listening) as listener:
        Server(listener)
        yield f"{NODE_IPV4}:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def burst(kubelet: Kubelet, daemon: NodeDaemon, callee: str) -> list[Pod]:
    pods = kubelet.start_all(
        manifest(f"burst-{number}", FIRST_CALL=callee) for number in range(BURST)
    )
    daemon.wait_for(*(pod.name for pod in pods))
    assert until(lambda: all("first call:" in pod.log() for pod in pods), _CALLED_SECONDS)
    return pods


@pytest.fixture(scope="module")
def chains(burst: list[Pod], daemon: NodeDaemon, node: ClusterNode) -> dict[str, Chain]:
    """What happened to each pod and when, in milliseconds since it was listed."""
    return chains_of(burst, daemon, node)


def chains_of(pods: list[Pod], daemon: NodeDaemon, node: ClusterNode) -> dict[str, Chain]:
    captured = {name: moment(at) for at, name in _CAPTURED.findall(daemon.log.read_text())}
    return {pod.name: chain_of(pod, captured[pod.name], node) for pod in pods}


def chain_of(pod: Pod, captured: float, node: ClusterNode) -> Chain:
    result = Path(node.outside(f"/var/lib/cni/results/pods-{pod.sandbox}-eth0"))
    called = _FIRST_CALL.search(pod.log())
    assert called
    times = {
        "CNI result": result.stat().st_mtime,
        "captured": captured,
        "sandbox runs": pod.times["sandbox"],
        "container runs": node.cri.container_started(pod.containers["app"]),
        # containerd writes nine digits, Python reads six.
        "first call": moment(called[1][:26]),
        "podIP listed": pod.times.get("podIP", float("inf")),
    }
    return {what: (at - pod.times["listed"]) * 1e3 for what, at in times.items()}


def moment(text: str) -> float:
    return datetime.fromisoformat(text.removesuffix("Z") + "+00:00").timestamp()


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def test_the_whole_chain_of_times(chains: dict[str, Chain]) -> None:
    steps = list(next(iter(chains.values())))
    print(
        f"\n{BURST} pods at once, ms since listed  {'min':>8} {'median':>8} {'p95':>8} {'max':>8}"
    )
    for step in steps:
        values = [chain[step] for chain in chains.values()]
        row = (min(values), quantile(values, 0.5), quantile(values, 0.95), max(values))
        print(f"{step:32} " + " ".join(f"{value:8.1f}" for value in row))
    assert len(chains) == BURST


def test_every_pod_is_captured_before_its_container_runs(chains: dict[str, Chain]) -> None:
    ahead = [chain["container runs"] - chain["captured"] for chain in chains.values()]
    print(f"the closest was {min(ahead):.1f} ms ahead")

    assert min(ahead) > 0


def test_the_first_call_of_every_pod_is_captured(burst: list[Pod]) -> None:
    assert [found[1] for pod in burst for found in _FIRST_CALL.findall(pod.log())] == [
        "captured"
    ] * BURST


def after_cni_result(chains: dict[str, Chain]) -> tuple[float, float]:
    """p50 and p95, printed, of what passed from the CNI result to the rules, in milliseconds."""
    # The label is readable first, always: it is listed before anything is made.
    took = [chain["captured"] - chain["CNI result"] for chain in chains.values()]
    p50, p95 = quantile(took, 0.5), quantile(took, 0.95)
    print(f"CNI result to rules, {len(took)} pods: p50 {p50:.1f} ms, p95 {p95:.1f} ms")
    return p50, p95


def test_rules_follow_label_and_cni_result_at_once(
    burst: list[Pod], callee: str, kubelet: Kubelet, daemon: NodeDaemon, node: ClusterNode
) -> None:
    del burst  # over by now: the node has a core for us
    pods = [
        kubelet.start(manifest(f"single-{number}", FIRST_CALL=callee)) for number in range(SINGLE)
    ]
    daemon.wait_for(*(pod.name for pod in pods))
    assert until(lambda: all("first call:" in pod.log() for pod in pods))

    _, p95 = after_cni_result(chains_of(pods, daemon, node))

    assert p95 < PROMISE * MARGIN


def test_in_a_burst_most_rules_follow_at_once(chains: dict[str, Chain]) -> None:
    # The median: of thirty containers that start at once, two cores leave the daemon what the scheduler has left.
    p50, _ = after_cni_result(chains)

    assert p50 < PROMISE * MARGIN


def test_nobody_waits_for_the_kubelet_s_address(chains: dict[str, Chain]) -> None:
    late = [chain for chain in chains.values() if chain["captured"] < chain["podIP listed"]]

    assert len(late) == BURST
