"""Real pods of containerd come, change and go: what is captured, from when to when, and what never is."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from e2e.cluster.support.containerd import BASE_IMAGE, NODE_IPV4, ClusterNode
from e2e.cluster.support.daemon import NodeDaemon
from e2e.cluster.support.kubelet import Kubelet, Pod, manifest
from e2e.cluster.support.pods_server import TOKEN
from e2e.cluster.support.traffic import PORT, OnNode, Traffic, ask, connects, fate
from e2e.support.daemon import until
from e2e.support.kernel import routing_of_ours, tables
from e2e.support.load import Fate
from e2e.support.node import read
from e2e.support.pods_server import PodsServer
from netra_node.testbed import BedPod

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def client(kubelet: Kubelet) -> Iterator[Pod]:
    """A pod that is not captured."""
    with running(kubelet, unlabelled("client")) as pod:
        assert listens(pod)
        yield pod


@pytest.fixture
def web(kubelet: Kubelet, daemon: NodeDaemon) -> Iterator[Pod]:
    """A captured pod."""
    with running(kubelet, manifest("web")) as pod:
        daemon.wait_for("web")
        assert listens(pod)
        yield pod
    assert until(lambda: not daemon.pod("web")), daemon.explain()


def becomes(client: Pod | OnNode, pod: Pod, wanted: Fate) -> bool:
    """Whether requests to the pod come to this end."""
    return until(lambda: fate(client, (pod.ipv4, PORT)) is wanted)


def listens(pod: Pod) -> bool:
    return until(lambda: connects(pod, ("127.0.0.1", PORT)))


def has_table(pod: Pod) -> bool:
    return any(name.startswith("netra-") for name in tables(bed_pod(pod)))


def bed_pod(pod: Pod) -> BedPod:
    return BedPod(pod.name, pod.path, *pod.addresses)


def unlabelled(name: str) -> dict[str, Any]:
    wanted = manifest(name)
    del wanted["metadata"]["labels"]["netra.io/enabled"]
    return wanted


@contextlib.contextmanager
def running(kubelet: Kubelet, wanted: dict[str, Any]) -> Iterator[Pod]:
    """A pod for as long as the `with` block lasts."""
    pod = kubelet.start(wanted)
    try:
        yield pod
    finally:
        kubelet.delete(pod.name, 0)


def test_a_running_pod_is_captured_when_it_gets_the_label(
    kubelet: Kubelet, daemon: NodeDaemon, client: Pod
) -> None:
    with running(kubelet, unlabelled("late")) as pod:
        assert becomes(client, pod, Fate.DIRECT)
        labelled = time.monotonic()
        kubelet.label("late", enabled="true")
        daemon.wait_for("late")
        print(f"captured {time.monotonic() - labelled:.2f} s after the label")

        assert fate(client, (pod.ipv4, PORT)) is Fate.CAPTURED


def test_a_connection_older_than_the_label_lives_on(
    kubelet: Kubelet, daemon: NodeDaemon, client: Pod
) -> None:
    with running(kubelet, unlabelled("old")) as pod:
        assert becomes(client, pod, Fate.DIRECT)
        connected = lambda: socket.create_connection((pod.ipv4, PORT), timeout=10)  # noqa: E731
        with client.run_inside(connected) as old:
            kubelet.label("old", enabled="true")
            daemon.wait_for("old")
            old.sendall(b"GET /name HTTP/1.1\r\nHost: old\r\n\r\n")

            answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nold"
            assert read(old, len(answer)) == answer


def test_a_pod_that_loses_the_label_is_let_go_at_once_and_without_a_trace(
    kubelet: Kubelet, daemon: NodeDaemon, client: Pod, web: Pod
) -> None:
    assert has_table(web)
    with Traffic(client, (web.ipv4, PORT)) as traffic:
        assert until(lambda: Fate.CAPTURED in traffic.fates())
        began = time.monotonic()
        kubelet.label("web", enabled=None)
        assert until(lambda: Fate.DIRECT in traffic.fates())
        print(f"direct {time.monotonic() - began:.2f} s after the label went")

    assert traffic.fates() == {Fate.CAPTURED, Fate.DIRECT}
    assert until(lambda: not has_table(web)), daemon.explain()
    assert until(lambda: routing_of_ours(bed_pod(web)) == [])
    assert fate(client, (web.ipv4, PORT)) is Fate.DIRECT


def test_when_all_pods_lose_the_label_under_load_no_request_fails(
    kubelet: Kubelet, daemon: NodeDaemon, client: Pod
) -> None:
    names = [f"all-{number}" for number in range(5)]
    pods = kubelet.start_all(manifest(name) for name in names)
    assert all(listens(pod) for pod in pods)
    daemon.wait_for(*names)
    with contextlib.ExitStack() as stack:
        loads = [stack.enter_context(Traffic(client, (pod.ipv4, PORT))) for pod in pods]
        assert until(lambda: all(Fate.CAPTURED in load.fates() for load in loads))
        began = time.monotonic()
        for name in names:
            kubelet.label(name, enabled=None)
        assert until(lambda: all(Fate.DIRECT in load.fates() for load in loads))
        print(f"all direct {time.monotonic() - began:.2f} s after their labels went")
    kubelet.delete_all(names)

    assert all(load.fates() == {Fate.CAPTURED, Fate.DIRECT} for load in loads)


def test_a_restarted_pod_is_captured_under_its_new_uid_and_the_old_one_is_forgotten(
    kubelet: Kubelet, daemon: NodeDaemon, client: Pod
) -> None:
    first = kubelet.start(manifest("again"))
    daemon.wait_for("again")
    kubelet.delete("again")
    with running(kubelet, manifest("again")) as second:
        found = lambda: [p["uid"] for p in daemon.status()["pods"] if p["name"] == "again"]  # noqa: E731

        assert first.uid != second.uid
        assert until(lambda: found() == [second.uid]), daemon.explain()
        assert becomes(client, second, Fate.CAPTURED)


def test_a_deleted_pod_frees_its_network(kubelet: Kubelet, daemon: NodeDaemon) -> None:
    # The interface at the node's end goes with the namespace, unless somebody keeps that alive: a socket of ours, say.
    before = interfaces(kubelet)
    kubelet.start(manifest("gone"))
    daemon.wait_for("gone")
    assert interfaces(kubelet) == before + 1

    kubelet.delete("gone")

    assert until(lambda: interfaces(kubelet) == before)
    assert until(lambda: not daemon.pod("gone")), daemon.explain()


def test_a_pod_with_a_new_sandbox_is_captured_in_its_new_network(
    kubelet: Kubelet, daemon: NodeDaemon, client: Pod, web: Pod
) -> None:
    before = web.ipv4
    kubelet.recreate_sandbox("web")

    assert web.ipv4 != before
    assert becomes(client, web, Fate.CAPTURED), daemon.explain()
    assert daemon.pod("web")["uid"] == web.uid


def test_a_crashed_container_comes_back_captured_from_its_first_call(
    kubelet: Kubelet, node: ClusterNode, daemon: NodeDaemon, client: Pod
) -> None:
    with running(kubelet, manifest("crash", FIRST_CALL=f"{client.ipv4}:{PORT}")) as pod:
        daemon.wait_for("crash")
        assert until(lambda: "first call:" in pod.log())
        container = pod.containers["app"]
        node.kill(node.cri.container_pid(container))
        assert until(lambda: not node.cri.container_runs(container))

        kubelet.restart_container("crash")

        assert becomes(client, pod, Fate.CAPTURED), daemon.explain()
        # containerd writes down what a container said when it gets to it.
        assert until(lambda: pod.log().count("first call:") == 2)
        assert "first call: captured" in pod.log().splitlines()[-1]


def test_a_pod_of_the_node_s_own_network_is_refused(
    kubelet: Kubelet, daemon: NodeDaemon, on_node: OnNode
) -> None:
    wanted = manifest("hostnet", PORT="18080")
    wanted["spec"]["hostNetwork"] = True
    with running(kubelet, wanted):
        daemon.wait_for("hostnet", state="refused")

        assert "host" in daemon.pod("hostnet")["reason"], daemon.explain()
        assert until(lambda: fate(on_node, ("127.0.0.1", 18080)) is Fate.DIRECT)


@pytest.mark.parametrize(
    "proxy", ["istio-proxy", "linkerd-proxy", "consul-dataplane", "netra-sidecar"]
)
def test_a_pod_of_another_mesh_is_refused(
    kubelet: Kubelet, daemon: NodeDaemon, client: Pod, proxy: str
) -> None:
    wanted = manifest("meshed")
    sidecar = {"name": proxy, "image": BASE_IMAGE}
    wanted["spec"]["containers"].append(sidecar)
    with running(kubelet, wanted) as pod:
        daemon.wait_for("meshed", state="refused")

        assert proxy in daemon.pod("meshed")["reason"], daemon.explain()
        assert becomes(client, pod, Fate.DIRECT)
        assert not has_table(pod)


def test_both_families_are_captured_in_both_directions(client: Pod, web: Pod) -> None:
    assert becomes(client, web, Fate.CAPTURED)
    for here, there in zip(web.addresses, client.addresses, strict=True):
        assert fate(client, (here, PORT)) is Fate.CAPTURED
        assert fate(web, (there, PORT)) is Fate.CAPTURED
    assert len(web.addresses) == 2


def test_the_application_sees_its_client(client: Pod, web: Pod, on_node: OnNode) -> None:
    assert becomes(client, web, Fate.CAPTURED)
    for here, there in zip(web.addresses, client.addresses, strict=True):
        assert ask(client, (here, PORT), "/peer").split()[0] == there
    assert ask(on_node, (web.ipv4, PORT), "/peer").split()[0] == NODE_IPV4


class TestProbes:
    """As a kubelet makes them: from the node, and told by their user agent."""

    def test_an_http_probe_gets_the_application_s_answer_and_makes_no_span(
        self, daemon: NodeDaemon, web: Pod, on_node: OnNode, client: Pod
    ) -> None:
        assert becomes(client, web, Fate.CAPTURED)
        probe = {"User_Agent": "kube-probe/1.33", "Accept": "*/*"}
        assert [ask(on_node, (web.ipv4, PORT), "/", **probe) for _ in range(5)] == ["direct  "] * 5

        fate(client, (web.ipv4, PORT))
        probed = [s for s in daemon.traces() if "kube-probe" in str(s)]
        assert daemon.traces()
        assert not probed
        assert daemon.total("netra_http_requests_total", peer="kubelet") >= 5

    def test_a_port_probe_is_true(self, web: Pod, on_node: OnNode, client: Pod) -> None:
        assert becomes(client, web, Fate.CAPTURED)

        assert connects(on_node, (web.ipv4, PORT))
        assert not connects(on_node, (web.ipv4, PORT + 1))


class TestMoodsOfAKubelet:
    """What it says that is not so must not cost a pod its capture."""

    @pytest.fixture(autouse=True)
    def captured(self, client: Pod, web: Pod) -> None:
        assert becomes(client, web, Fate.CAPTURED)

    def test_it_lists_nothing(
        self, kubelet: Kubelet, pods_server: PodsServer, daemon: NodeDaemon, client: Pod, web: Pod
    ) -> None:
        pods_server.pod_list = lambda: b'{"kind":"PodList","apiVersion":"v1","items":null}'
        try:
            self.stays_captured_for_three_answers(pods_server, client, web)
        finally:
            pods_server.pod_list = kubelet.pod_list
        assert daemon.state("web") == "running"

    @pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE])
    def test_it_refuses(
        self, pods_server: PodsServer, daemon: NodeDaemon, client: Pod, web: Pod, status: HTTPStatus
    ) -> None:
        pods_server.status = status
        try:
            self.stays_captured_for_three_answers(pods_server, client, web)
        finally:
            pods_server.status = HTTPStatus.OK
        assert daemon.state("web") == "running"

    def test_it_takes_another_token(
        self, pods_server: PodsServer, node: ClusterNode, daemon: NodeDaemon, kubelet: Kubelet
    ) -> None:
        pods_server.token = "rotated"
        node.give_token("rotated")
        with running(kubelet, manifest("later")):
            daemon.wait_for("later")
        pods_server.token = TOKEN
        node.give_token(TOKEN)

    def stays_captured_for_three_answers(self, server: PodsServer, client: Pod, web: Pod) -> None:
        asked = server.asked
        with Traffic(client, (web.ipv4, PORT)) as traffic:
            assert until(lambda: server.asked >= asked + 3, 60)
        assert traffic.fates() == {Fate.CAPTURED}


def interfaces(kubelet: Kubelet) -> int:
    return len(json.loads(kubelet.node.run("ip", "-json", "link", "show", "type", "veth")))
