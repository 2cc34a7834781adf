"""The kubelet of a node: runs pods through CRI and answers GET /pods about what containerd really runs.

Belongs here: the life of pods, and when which part of their status becomes known. As measured on a real one: a pod is listed
before its sandbox is made; addresses and states follow once a second; a deleted pod stays in the list until it is gone.
"""

import contextlib
import copy
import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from e2e.cluster.support.containerd import BASE_IMAGE, ClusterNode
from e2e.cluster.support.cri import CriError
from e2e.cluster.support.pod_config import Place, PodConfig
from netra_node.netns import Namespace

T = TypeVar("T")

APP: Final = Path(__file__).with_name("app.py")
#: What a real kubelet lets pass between two looks at the runtime.
_RELIST_SECONDS: Final = 1.0
#: A pod's name stays in the list that long after its namespace went.
_FORGET_SECONDS: Final = 0.5
#: How many pods it works on at once.
_WORKERS: Final = 16


def manifest(name: str, **environment: str) -> dict[str, Any]:
    """A pod that asks for capture and runs the application."""
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"netra.io/enabled": "true", "app": name},
            "annotations": {},
        },
        "spec": {
            "containers": [
                {
                    "name": "app",
                    "image": BASE_IMAGE,
                    "command": ["python3", "-u", "/app.py"],
                    "env": [{"name": key, "value": value} for key, value in environment.items()],
                    "volumeMounts": [{"name": "app", "mountPath": "/app.py", "readOnly": True}],
                }
            ],
            "volumes": [{"name": "app", "hostPath": {"path": str(APP)}}],
        },
    }


@dataclass
class Pod:
    """One pod: what is wanted, and what there is."""

    manifest: dict[str, Any]
    node: ClusterNode
    config: PodConfig
    logs: Path
    uid: str
    sandbox: str = ""
    attempt: int = 0
    containers: dict[str, str] = field(default_factory=dict)
    #: Times of time.time(), by what happened.
    times: dict[str, float] = field(default_factory=dict)
    status: dict[str, Any] = field(
        default_factory=lambda: {"phase": "Pending", "qosClass": "BestEffort"}
    )

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def addresses(self) -> list[str]:
        return self.node.cri.sandbox_addresses(self.sandbox)

    @property
    def ipv4(self) -> str:
        return self.addresses[0]

    @property
    def path(self) -> str:
        """Its network namespace, as it is seen from outside of the node."""
        return self.node.outside(self.node.cri.sandbox_network(self.sandbox))

    def run_inside(self, function: Callable[[], T]) -> T:
        """Call `function` inside its network, on this thread."""
        with Namespace.open(self.path) as namespace:
            return namespace.run(function)

    def log(self, container: str = "app") -> str:
        """What its container said, all starts together."""
        found = sorted(self.logs.glob(f"{container}-*.log"))
        return "".join(path.read_text() for path in found)


class Kubelet:
    """Pods of one node for as long as the `with` block lasts."""

    def __init__(self, node: ClusterNode) -> None:
        self.node = node
        self.pods: dict[str, Pod] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._pleg = threading.Thread(target=self._relist, daemon=True)

    def __enter__(self) -> Self:
        self._pleg.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._pleg.join()
        self.delete_all(self.pods)

    # ---- what an API server would ask for

    def start(self, wanted: Mapping[str, Any], **place: Any) -> Pod:
        """Run a pod; it is listed at once and returned when its containers run."""
        pod = self._admit(wanted, place)
        self._run_sandbox(pod)
        self._start_containers(pod)
        return pod

    def start_all(self, wanted: Iterable[Mapping[str, Any]]) -> list[Pod]:
        """Run pods side by side, as a kubelet does."""
        admitted = [self._admit(one, {}) for one in wanted]

        def run(pod: Pod) -> Pod:
            self._run_sandbox(pod)
            self._start_containers(pod)
            return pod

        with ThreadPoolExecutor(_WORKERS) as workers:
            return list(workers.map(run, admitted))

    def label(self, name: str, **labels: str | None) -> None:
        """Set labels of a pod, or take away those that are None; `netra.io/enabled` is called `enabled`."""
        with self._lock:
            found = self.pods[name].manifest["metadata"]["labels"]
            for key, value in labels.items():
                full = "netra.io/enabled" if key == "enabled" else key
                found.pop(full, None)
                if value is not None:
                    found[full] = value

    def delete(self, name: str, patience: int = 2) -> None:
        """End a pod as an API server's deletion does: it stays listed until it is gone."""
        pod = self.pods[name]
        with self._lock:
            pod.manifest["metadata"]["deletionTimestamp"] = _now()
        for container in pod.containers.values():
            self.node.cri.stop_container(container, patience)
        if pod.sandbox:
            self.node.cri.remove_sandbox(pod.sandbox)
        self._stop.wait(_FORGET_SECONDS)
        with self._lock:
            del self.pods[name]

    def delete_all(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(_WORKERS) as workers:
            list(workers.map(lambda name: self.delete(name, 0), list(names)))

    # ---- accidents

    def restart_container(self, name: str, container: str = "app") -> None:
        """Start the container anew in the sandbox that is there, as after a crash."""
        pod = self.pods[name]
        self.node.cri.remove_container(pod.containers.pop(container))
        pod.attempt += 1
        self._start_containers(pod)

    def recreate_sandbox(self, name: str) -> None:
        """Give the pod another sandbox, as after the end of its pause process: another network, the same UID."""
        pod = self.pods[name]
        self.node.cri.remove_sandbox(pod.sandbox)
        pod.containers.clear()
        pod.attempt += 1
        self._run_sandbox(pod)
        self._start_containers(pod)

    # ---- how a pod is made

    def _admit(self, wanted: Mapping[str, Any], place: Mapping[str, Any]) -> Pod:
        uid = str(uuid.uuid4())
        form = copy.deepcopy(dict(wanted))
        form["metadata"].update(uid=uid, creationTimestamp=_now())
        logs = self.node.scratch / "logs" / uid
        where = Place(uid=uid, cgroup=self.node.cgroup, logs=logs, **place)
        pod = Pod(form, self.node, PodConfig(self.node.cri.messages, form, where), logs, uid)
        with self._lock:
            assert pod.name not in self.pods, pod.name
            self.pods[pod.name] = pod
        pod.times["listed"] = time.time()
        return pod

    def _run_sandbox(self, pod: Pod) -> None:
        pod.sandbox = self.node.cri.run_sandbox(pod.config.sandbox(pod.attempt))
        pod.times["sandbox"] = time.time()

    def _start_containers(self, pod: Pod) -> None:
        sandbox = pod.config.sandbox(pod.attempt)
        for container in pod.manifest["spec"]["containers"]:
            wanted = pod.config.container(container, pod.attempt)
            started = self.node.cri.start_container(pod.sandbox, wanted, sandbox)
            pod.containers[container["name"]] = started
        pod.times["started"] = time.time()

    # ---- what it knows

    def pod_list(self) -> bytes:
        """The answer to GET /pods."""
        with self._lock:
            items = [
                {**copy.deepcopy(pod.manifest), "status": copy.deepcopy(pod.status)}
                for pod in self.pods.values()
            ]
        random.shuffle(items)
        form = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items or None}
        return json.dumps(form, separators=(",", ":")).encode()

    def _relist(self) -> None:
        while not self._stop.wait(_RELIST_SECONDS):
            with self._lock:
                pods = list(self.pods.values())
            for pod in pods:
                # It may be gone in this moment.
                with contextlib.suppress(CriError):
                    self._look_at(pod)

    def _look_at(self, pod: Pod) -> None:
        if not pod.sandbox or set(pod.containers) != {
            container["name"] for container in pod.manifest["spec"]["containers"]
        }:
            return
        # The node's own network has no address of the pod.
        addresses = pod.addresses
        statuses = [self._container_status(name, one) for name, one in list(pod.containers.items())]
        status: dict[str, Any] = {"phase": "Running", "qosClass": "BestEffort"}
        status["containerStatuses"] = statuses
        if addresses:
            status |= {"podIP": addresses[0], "podIPs": [{"ip": one} for one in addresses]}
        with self._lock:
            pod.status = status
        pod.times.setdefault("podIP", time.time())

    def _container_status(self, name: str, container: str) -> dict[str, Any]:
        running = self.node.cri.container_runs(container)
        state = {"running": {"startedAt": _now()}} if running else {"terminated": {"exitCode": 137}}
        identity = f"containerd://{container}"
        return {"name": name, "ready": running, "state": state, "containerID": identity}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
