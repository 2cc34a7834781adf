"""docs/kubernetes.md typed line by line against Kubernetes' own programs. The tests are in the page's order, and each goes on where the last ended."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.support.containerd import BASE_IMAGE
from e2e.cluster.support.kubelet import APP
from e2e.cluster.support.traffic import PORT, OnNode, Traffic, fate
from e2e.real_kubernetes.control_plane import ControlPlane
from e2e.support.daemon import until
from e2e.support.load import Fate

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(400)]

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "kubernetes.md").read_text()
LABEL = "netra.io/enabled=true"
#: A kubelet's lists come once a second, and this machine is busy.
SECONDS = 60.0


def typed(beginning: str) -> str:
    """The page's command that begins like this, as one line for a shell."""
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        for command in re.split(r"\n(?! )", block):
            if command.startswith(beginning):
                return str(re.sub(r"\\\n", " ", command))
    raise AssertionError(beginning)


def shell(cluster: ControlPlane, line: str) -> str:
    """Type a line at the checkout, as the page's reader does."""
    return cluster.run("sh", "-c", f"cd {CHECKOUT} && {line}")


def application(environment: dict[str, str] | None = None) -> dict[str, Any]:
    """A pod's spec."""
    return {
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "app",
                "image": BASE_IMAGE,
                "command": ["python3", "-u", "/app.py"],
                "env": [{"name": k, "value": v} for k, v in (environment or {}).items()],
                "volumeMounts": [{"name": "app", "mountPath": "/app.py", "readOnly": True}],
            }
        ],
        "volumes": [{"name": "app", "hostPath": {"path": str(APP)}}],
    }


def deployment(name: str, replicas: int, spec: dict[str, Any], **labels: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name, **labels}}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template,
        },
    }


def apply(cluster: ControlPlane, form: dict[str, Any]) -> None:
    cluster.node.scratch.joinpath("form.json").write_text(json.dumps(form))
    cluster.kubectl(f"apply --filename {cluster.node.scratch}/form.json")
    cluster.kubectl(f"rollout status deployment {form['metadata']['name']} --timeout=90s")


def pods(cluster: ControlPlane, selector: str, namespace: str = "default") -> list[dict[str, Any]]:
    printed = cluster.kubectl(f"get pods --namespace {namespace} --selector {selector} -o json")
    return [
        pod for pod in json.loads(printed)["items"] if "deletionTimestamp" not in pod["metadata"]
    ]


def netra_node(cluster: ControlPlane, *argv: str) -> str:
    return cluster.run(sys.executable, "-m", "netra_node", *argv)


@pytest.fixture(scope="module")
def web(cluster: ControlPlane) -> dict[str, Any]:
    """A pod that nobody has captured."""
    apply(cluster, deployment("web", 1, application()))
    (pod,) = pods(cluster, "app=web")
    return pod


@pytest.fixture(scope="module")
def address(web: dict[str, Any]) -> tuple[str, int]:
    return web["status"]["podIP"], PORT


def test_the_manifest_rolls_out(cluster: ControlPlane) -> None:
    shell(cluster, typed("kubectl apply -f deploy/daemonset.yaml"))
    printed = shell(cluster, typed("kubectl --namespace netra-system rollout status"))

    assert "successfully rolled out" in printed


def test_the_doctor_in_the_pod_finds_all_it_needs(cluster: ControlPlane) -> None:
    printed = shell(cluster, typed("kubectl --namespace netra-system exec daemonset/netra-node"))

    assert "pods can be captured here" in printed


def test_a_running_pod_gets_the_label_and_is_captured(
    cluster: ControlPlane, web: dict[str, Any], address: tuple[str, int], on_node: OnNode
) -> None:
    assert fate(on_node, address) is Fate.DIRECT
    line = typed("kubectl label pod PODNAME netra.io/enabled=true")
    shell(cluster, line.replace("PODNAME", web["metadata"]["name"]))

    assert until(lambda: fate(on_node, address) is Fate.CAPTURED, SECONDS)


def test_the_cluster_s_commands_see_it(cluster: ControlPlane) -> None:
    status, doctor = (netra_node(cluster, name, "--cluster") for name in ("status", "doctor"))

    assert "1 of 1 node answer: 1 captured, 0 pending, 0 refused" in status
    assert "pods can be captured here" in doctor


def test_a_burst_of_pods_is_captured_from_the_first_call_on(cluster: ControlPlane) -> None:
    apply(cluster, deployment("plain", 1, application()))
    (plain,) = pods(cluster, "app=plain")
    calls = application({"FIRST_CALL": f"{plain['status']['podIP']}:{PORT}"})
    key, _, value = LABEL.partition("=")
    apply(cluster, deployment("burst", 15, calls, **{key: value}))
    names = [pod["metadata"]["name"] for pod in pods(cluster, "app=burst")]

    def said() -> list[str]:
        return [cluster.kubectl(f"logs {name}") for name in names]

    assert len(names) == 15
    assert until(lambda: all("first call:" in log for log in said()), SECONDS)
    assert {log.splitlines()[0] for log in said()} == {"first call: captured"}
    cluster.kubectl("delete deployment burst plain")


def test_a_new_daemon_takes_over_under_load_and_no_request_fails(
    cluster: ControlPlane, address: tuple[str, int]
) -> None:
    with Traffic(cluster.node.network, address) as traffic:
        cluster.kubectl("--namespace netra-system rollout restart daemonset netra-node")
        shell(cluster, typed("kubectl --namespace netra-system rollout status"))
        since = len(traffic.visits)
        assert until(lambda: Fate.CAPTURED in {v.fate for v in traffic.visits[since:]}, SECONDS)

    assert traffic.fates() == {Fate.CAPTURED, Fate.DIRECT}


def test_the_label_off_all_pods_and_their_connections_go_direct(
    cluster: ControlPlane, address: tuple[str, int]
) -> None:
    with Traffic(cluster.node.network, address) as traffic:
        shell(cluster, typed("kubectl get pods --all-namespaces"))
        assert until(lambda: traffic.visits[-1].fate is Fate.DIRECT, SECONDS)

    assert traffic.fates() == {Fate.CAPTURED, Fate.DIRECT}
    assert pods(cluster, LABEL) == []


def test_the_daemon_set_deleted_and_everything_goes_direct(
    cluster: ControlPlane, address: tuple[str, int], on_node: OnNode
) -> None:
    cluster.kubectl(f"label pods --selector app=web {LABEL}")
    assert until(lambda: fate(on_node, address) is Fate.CAPTURED, SECONDS)
    with Traffic(cluster.node.network, address) as traffic:
        shell(cluster, typed("kubectl delete --namespace netra-system daemonset"))
        assert until(lambda: traffic.visits[-1].fate is Fate.DIRECT, SECONDS)

    assert traffic.fates() == {Fate.CAPTURED, Fate.DIRECT}


def test_nothing_of_it_is_left(cluster: ControlPlane) -> None:
    shell(cluster, typed("kubectl apply -f deploy/daemonset.yaml"))
    shell(cluster, typed("kubectl delete --ignore-not-found"))
    left = cluster.kubectl("get namespaces,clusterroles,clusterrolebindings -o name")

    assert "netra" not in left
