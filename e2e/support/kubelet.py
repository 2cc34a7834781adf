"""A kubelet and a container runtime as the daemon sees them: GET /pods over HTTPS, CNI results, names of namespaces.

Belongs here: what they say and write, and when. What they say is true of a testbed's pods; real ones are in e2e/cluster.
"""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from e2e.support.daemon import RUN, Daemon
from e2e.support.pods_server import PodsServer
from netra_node.testbed import BedPod

_CERTIFICATE = Path(__file__).parents[2] / "tests" / "discovery" / "tls" / "kubelet.pem"
_HEAD = b'{"kind":"PodList","apiVersion":"v1","metadata":{},"items":'
LABEL = "netra.io/enabled"


def pod(
    name: str, *, enabled: bool = True, phase: str = "Running", **status: Any
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "e2e",
            "uid": uid(name),
            "labels": {"app": name, **({LABEL: "true"} if enabled else {})},
        },
        "spec": {"containers": [{"name": "app"}]},
        "status": {"phase": phase, **status},
    }


def uid(name: str) -> str:
    return f"uid-of-{name}"


class Kubelet(PodsServer):
    """Lists `pods`, by name, for as long as the `with` block lasts."""

    def __init__(self, directory: Path) -> None:
        super().__init__(self._listed, "", (str(_CERTIFICATE),))
        self.pods: dict[str, dict[str, Any]] = {}
        #: Listed besides, as they are.
        self.others: list[bytes] = []
        #: When a list with the pod's label was first handed out, by name.
        self.told: dict[str, float] = {}
        self.token_file = directory / "token"
        self.rotate("a-token")

    def rotate(self, token: str) -> None:
        """From now on this one is needed."""
        self.token = token
        self.token_file.write_text(f"{token}\n")

    def list(self, *pods: dict[str, Any]) -> None:
        """Have these listed, in place of what was."""
        self.pods = {form["metadata"]["name"]: form for form in pods}

    def _listed(self) -> bytes:
        listed = dict(self.pods)
        items = [json.dumps(form, separators=(",", ":")).encode() for form in listed.values()]
        for name, form in listed.items():
            if LABEL in form["metadata"]["labels"]:
                self.told.setdefault(name, time.time())
        every = b",".join([*items, *self.others])
        return _HEAD + (b"[%b]}\n" % every if every else b"null}\n")


class Runtime:
    """Gives a testbed's pods sandboxes: a name under /run/netns first, a CNI result when the network is there."""

    def __init__(self, directory: Path) -> None:
        self.netns, self.results = directory / "netns", directory / "results"
        self.netns.mkdir()
        self.results.mkdir()

    def settings(self, kubelet: Kubelet) -> dict[str, str]:
        return {
            "NETRA_POD_SOURCE": "kubelet",
            "NETRA_KUBELET_URL": kubelet.url,
            "NETRA_KUBELET_TOKEN_FILE": str(kubelet.token_file),
            "NETRA_NETNS_DIRECTORY": str(self.netns),
            "NETRA_CNI_RESULTS": str(self.results),
        }

    def namespace(self, pod: BedPod) -> float:
        """Name the pod's namespace; when that was done."""
        (self.netns / f"cni-{pod.name}").symlink_to(pod.path)
        return time.time()

    def result(self, pod: BedPod, of: str = "") -> float:
        """Write the CNI result of the sandbox of the pod named `of`; when that was done."""
        container = f"{abs(hash((pod.name, of))):064x}"
        form = _result(pod, of or pod.name, container)
        (self.results / f"net-{container}-eth0").write_text(json.dumps(form))
        return time.time()

    def end(self, pod: BedPod, of: str = "") -> None:
        """Take the sandbox away: its result first, its namespace's name last."""
        container = f"{abs(hash((pod.name, of))):064x}"
        (self.results / f"net-{container}-eth0").unlink()
        (self.netns / f"cni-{pod.name}").unlink()

    def sandboxes(self, pods: Iterable[BedPod]) -> None:
        for one in pods:
            self.namespace(one)
            self.result(one)


def _result(pod: BedPod, name: str, container: str) -> dict[str, Any]:
    """As libcni writes it."""
    path = f"/var/run/netns/cni-{pod.name}"
    return {
        "kind": "cniCacheV1",
        "containerId": container,
        "ifName": "eth0",
        "networkName": "net",
        "cniArgs": [
            ["IgnoreUnknown", "1"],
            ["K8S_POD_NAMESPACE", "e2e"],
            ["K8S_POD_NAME", name],
            ["K8S_POD_UID", uid(name)],
            ["K8S_POD_INFRA_CONTAINER_ID", container],
        ],
        "result": {
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "eth0", "sandbox": path}],
            "ips": [{"address": f"{pod.ipv4}/16", "interface": 0}],
        },
    }


def daemon_of(
    kubelet: Kubelet,
    runtime: Runtime,
    directory: Path,
    argv: tuple[str, ...] = RUN,
    **settings: str,
) -> Daemon:
    """The daemon of that node."""
    known = {"NETRA_DRAIN_MILLISECONDS": "200", **runtime.settings(kubelet), **settings}
    return Daemon(directory / "no-pods-file", directory, argv, **known)
