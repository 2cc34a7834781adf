"""The image built from the Containerfile, run as deploy/daemonset.yaml says: by a kubelet's calls, on a node of containerd."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.support.builder import Image, build
from e2e.cluster.support.containerd import NODE_ADDRESS, ClusterNode
from e2e.cluster.support.kubelet import Kubelet, Pod, manifest
from e2e.cluster.support.traffic import PORT, OnNode, Traffic, ask, connects, fate
from e2e.support.daemon import until
from e2e.support.load import Fate
from e2e.support.pods_server import PodsServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

MANIFEST = Path(__file__).parents[2] / "deploy" / "daemonset.yaml"
OBJECTS = list(yaml.safe_load_all(MANIFEST.read_text()))
# linux/capability.h
CAPABILITIES = {"NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "SYS_ADMIN": 21}


def the(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(form for form in OBJECTS if form["kind"] == kind)
    return found


@pytest.fixture(scope="module")
def image(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(base, tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def netra(
    node: ClusterNode, kubelet: Kubelet, pods_server: PodsServer, image: Image
) -> Iterator[Pod]:
    """The DaemonSet's pod, with nothing changed."""
    del pods_server
    node.import_image(image.archive)
    template = the("DaemonSet")["spec"]["template"]
    wanted = {
        "metadata": {
            **template["metadata"],
            "name": "netra-node-x7k2p",
            "namespace": "netra-system",
        },
        "spec": template["spec"],
    }
    pod = kubelet.start(
        wanted,
        token=node.token_directory,
        config_maps={the("ConfigMap")["metadata"]["name"]: the("ConfigMap")["data"]},
    )
    yield pod
    kubelet.delete(pod.name, 30)


@pytest.fixture(scope="module")
def web(kubelet: Kubelet, netra: Pod) -> Pod:
    """A captured pod."""
    pod = kubelet.start(manifest("web"))
    assert until(lambda: state(netra, "web") == "running"), netra.log("netra-node")
    return pod


@pytest.fixture(scope="module")
def client(kubelet: Kubelet) -> Pod:
    """One that is not."""
    wanted = manifest("client")
    del wanted["metadata"]["labels"]["netra.io/enabled"]
    return kubelet.start(wanted)


def execute(netra: Pod, *argv: str) -> str:
    """As `kubectl exec` does."""
    code, printed = netra.node.cri.execute(netra.containers["netra-node"], *argv)
    assert code == 0, printed
    return printed


def state(netra: Pod, name: str) -> str:
    """Of one of its pods; nothing while it is not known, or the daemon does not listen yet."""
    command = ("netra-node", "status", "--json")
    code, printed = netra.node.cri.execute(netra.containers["netra-node"], *command)
    pods = [] if code else json.loads(printed)["pods"]
    return next((str(pod["state"]) for pod in pods if pod["name"] == name), "")


def process_status(netra: Pod) -> dict[str, str]:
    pid = netra.node.cri.container_pid(netra.containers["netra-node"])
    text = Path(netra.node.outside(f"/proc/{pid}/status")).read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_it_says_what_it_is(image: Image) -> None:
    labels = image.config["Labels"]

    assert labels["org.opencontainers.image.title"] == "netra-node"
    assert labels["org.opencontainers.image.version"] == "0.0.test"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert image.config["Entrypoint"] == ["netra-node"]


def test_the_command_is_there(netra: Pod) -> None:
    assert execute(netra, "netra-node", "--version").startswith("netra-node ")


def test_everything_the_daemon_imports_is_compiled(netra: Pod) -> None:
    look = (
        "import sys, netra_node.cli.run, os;"
        "print([m.__cached__ for m in sys.modules.values()"
        " if getattr(m, '__cached__', None) and not os.path.exists(m.__cached__)])"
    )

    assert execute(netra, "python", "-c", look).strip() == "[]"


def test_the_build_leaves_no_installer_behind(netra: Pod) -> None:
    code, _ = netra.node.cri.execute(netra.containers["netra-node"], "python", "-m", "pip")

    assert code != 0


def test_doctor_finds_all_it_needs(netra: Pod) -> None:
    printed = execute(netra, "netra-node", "doctor")
    print(printed)

    assert "pods can be captured here" in printed
    assert "network switches of a namespace can be written" in printed


def test_its_probes_are_answered(netra: Pod, on_node: OnNode) -> None:
    (container,) = netra.manifest["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        where = container[probe]["httpGet"]
        # The kubelet calls the node's address, which hostNetwork makes the pod's.
        assert until(lambda where=where: connects(on_node, (NODE_ADDRESS, where["port"])))
        assert until(
            lambda where=where: (
                ask(on_node, (NODE_ADDRESS, where["port"]), where["path"]).strip()
                in ("ok", "ready")
            )
        )


def test_it_has_the_capabilities_of_the_manifest_and_no_others(netra: Pod) -> None:
    status = process_status(netra)
    wanted = sum(1 << bit for bit in CAPABILITIES.values())

    assert int(status["CapEff"], 16) == wanted
    assert int(status["CapBnd"], 16) == wanted


def test_it_runs_under_seccomp(netra: Pod) -> None:
    assert process_status(netra)["Seccomp"] == "2"


def test_its_root_cannot_be_written(netra: Pod) -> None:
    code, printed = netra.node.cri.execute(
        netra.containers["netra-node"], "python", "-c", "open('/opt/netra-node/x', 'w')"
    )

    assert code != 0
    assert "Read-only file system" in printed


def test_a_pod_is_captured_from_inside_the_container(web: Pod, client: Pod) -> None:
    assert until(lambda: fate(client, (web.ipv4, PORT)) is Fate.CAPTURED)
    assert until(lambda: fate(web, (client.ipv4, PORT)) is Fate.CAPTURED)
    for address in web.addresses:
        assert fate(client, (address, PORT)) is Fate.CAPTURED


def test_the_pod_s_network_switches_are_on_and_the_node_s_are_not(
    web: Pod, client: Pod, on_node: OnNode
) -> None:
    switch = Path("/proc/sys/net/ipv4/tcp_fwmark_accept")
    found = [place.run_inside(switch.read_text).strip() for place in (web, client, on_node)]

    assert found == ["1", "0", "0"]


def test_an_application_sees_a_client_s_port_below_1024(web: Pod, client: Pod) -> None:
    def exchange() -> str:
        with socket.create_connection(
            (web.ipv4, PORT), timeout=10, source_address=(client.ipv4, 999)
        ) as sock:
            sock.sendall(b"GET /peer HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
            return sock.makefile().read().splitlines()[-1]

    assert until(lambda: fate(client, (web.ipv4, PORT)) is Fate.CAPTURED)
    assert client.run_inside(exchange) == f"{client.ipv4} 999"


def test_a_pod_that_comes_later_is_captured_from_its_first_call(
    kubelet: Kubelet, netra: Pod, client: Pod
) -> None:
    pod = kubelet.start(manifest("later", FIRST_CALL=f"{client.ipv4}:{PORT}"))

    assert until(lambda: "first call:" in pod.log())
    assert "first call: captured" in pod.log(), netra.log("netra-node")
    kubelet.delete("later", 0)


def test_it_is_small(netra: Pod, web: Pod) -> None:
    del web
    pid = netra.node.cri.container_pid(netra.containers["netra-node"])
    rollup = Path(netra.node.outside(f"/proc/{pid}/smaps_rollup")).read_text()
    pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    print(f"PSS {pss / 1024:.1f} MiB with one captured pod")

    assert pss / 1024 < 45


def test_stopped_and_started_again_requests_flow_on(
    kubelet: Kubelet, netra: Pod, web: Pod, client: Pod
) -> None:
    assert until(lambda: fate(client, (web.ipv4, PORT)) is Fate.CAPTURED)
    container = netra.containers["netra-node"]
    with Traffic(client, (web.ipv4, PORT)) as traffic:
        assert until(lambda: Fate.CAPTURED in traffic.fates())
        began = time.monotonic()
        netra.node.cri.stop_container(container, 30)
        assert until(lambda: traffic.visits[-1].fate is Fate.DIRECT)
        first = next(visit for visit in traffic.visits if visit.fate is Fate.DIRECT)
        print(f"direct {first.began - began:.2f} s after the pod was told to end")
        assert netra.node.cri.container_exit_code(container) == 0
        began = time.monotonic()
        kubelet.restart_container(netra.name, "netra-node")
        assert until(lambda: traffic.visits[-1].fate is Fate.CAPTURED)
        print(f"captured {time.monotonic() - began:.2f} s after the container was made anew")

    assert traffic.fates() == {Fate.CAPTURED, Fate.DIRECT}
