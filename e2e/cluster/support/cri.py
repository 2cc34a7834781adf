"""containerd's CRI as a kubelet speaks it: pods and containers made, looked at, ended.

Belongs here: messages and calls. Does not belong here: what a pod's manifest means (`kubelet`).
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, Self

# Its handlers for fork() hold up the child that is about to become a daemon. It is read at the import.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc
from grpc_tools import protoc

CriError = grpc.RpcError

_PROTO = Path(__file__).with_name("cri.proto")
_SECONDS = 60.0


def _compile(directory: Path) -> tuple[Any, Any]:
    """Make the messages' and the service's modules from the description; they are found by name, so by a path of sys.path."""
    argv = [
        "protoc",
        f"-I{_PROTO.parent}",
        f"--python_out={directory}",
        f"--grpc_python_out={directory}",
    ]
    assert protoc.main([*argv, str(_PROTO)]) == 0
    sys.path.insert(0, str(directory))
    try:
        import cri_pb2  # type: ignore[import-not-found]  # noqa: PLC0415 - made a line ago
        import cri_pb2_grpc  # type: ignore[import-not-found]  # noqa: PLC0415
    finally:
        sys.path.remove(str(directory))
    return cri_pb2, cri_pb2_grpc


class Cri:
    """One containerd, by its socket, for as long as the `with` block lasts."""

    def __init__(self, address: Path, scratch: Path) -> None:
        self.messages, self._services = _compile(scratch)
        self._channel = grpc.insecure_channel(f"unix://{address}")
        self._calls = self._services.RuntimeServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._channel.close()

    def _call(self, name: str, request: Any) -> Any:
        return getattr(self._calls, name)(request, timeout=_SECONDS)

    def version(self) -> str:
        answer = self._call("Version", self.messages.VersionRequest())
        return f"{answer.runtime_name} {answer.runtime_version}"

    # ---- sandboxes

    def run_sandbox(self, config: Any) -> str:
        request = self.messages.RunPodSandboxRequest(config=config)
        return str(self._call("RunPodSandbox", request).pod_sandbox_id)

    def remove_sandbox(self, sandbox: str) -> None:
        """Stop it with all its containers, and forget it."""
        request = self.messages.PodSandboxId(pod_sandbox_id=sandbox)
        self._call("StopPodSandbox", request)
        self._call("RemovePodSandbox", request)

    def sandbox_addresses(self, sandbox: str) -> list[str]:
        """The pod's addresses, the first family's first; none while it has none, or shares the node's."""
        network = self._sandbox(sandbox).status.network
        return [ip for ip in (network.ip, *(more.ip for more in network.additional_ips)) if ip]

    def sandbox_ready(self, sandbox: str) -> bool:
        return bool(self._sandbox(sandbox).status.state == self.messages.SANDBOX_READY)

    def sandbox_pid(self, sandbox: str) -> int:
        """The pause process, as a pid of the node."""
        return int(json.loads(self._sandbox(sandbox).info["info"])["pid"])

    def sandbox_network(self, sandbox: str) -> str:
        """Where its network namespace is, as a path of the node."""
        spec = json.loads(self._sandbox(sandbox).info["info"])["runtimeSpec"]
        spaces = spec["linux"]["namespaces"]
        return next(str(space["path"]) for space in spaces if space["type"] == "network")

    def _sandbox(self, sandbox: str) -> Any:
        request = self.messages.PodSandboxStatusRequest(pod_sandbox_id=sandbox, verbose=True)
        return self._call("PodSandboxStatus", request)

    # ---- containers

    def start_container(self, sandbox: str, config: Any, sandbox_config: Any) -> str:
        request = self.messages.CreateContainerRequest(
            pod_sandbox_id=sandbox, config=config, sandbox_config=sandbox_config
        )
        container = str(self._call("CreateContainer", request).container_id)
        self._call("StartContainer", self.messages.ContainerId(container_id=container))
        return container

    def stop_container(self, container: str, patience: int) -> None:
        """SIGTERM, and SIGKILL when `patience` seconds are over."""
        request = self.messages.StopContainerRequest(container_id=container, timeout=patience)
        self._call("StopContainer", request)

    def remove_container(self, container: str) -> None:
        self._call("RemoveContainer", self.messages.ContainerId(container_id=container))

    def execute(self, container: str, *argv: str) -> tuple[int, str]:
        """Run a command in it, as `kubectl exec` does; exit code and all it printed."""
        request = self.messages.ExecSyncRequest(
            container_id=container, cmd=argv, timeout=int(_SECONDS)
        )
        done = self._call("ExecSync", request)
        return int(done.exit_code), (done.stdout + done.stderr).decode()

    def container_exit_code(self, container: str) -> int:
        return int(self._container(container).status.exit_code)

    def container_runs(self, container: str) -> bool:
        return bool(self._container(container).status.state == self.messages.CONTAINER_RUNNING)

    def container_started(self, container: str) -> float:
        """When, by time.time()."""
        return float(self._container(container).status.started_at / 1e9)

    def container_pid(self, container: str) -> int:
        """Its first process, as a pid of the node; 0 when it has ended."""
        return int(json.loads(self._container(container).info["info"])["pid"])

    def _container(self, container: str) -> Any:
        request = self.messages.ContainerStatusRequest(container_id=container, verbose=True)
        return self._call("ContainerStatus", request)
