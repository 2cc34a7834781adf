"""A node with pods, a pods file and sockets inside the pods: what every test here stands on."""

import contextlib
import json
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from netra_node.testbed import BedPod, Testbed

TIMEOUT = 5.0
_RESET = struct.pack("ii", 1, 0)


def manifest(pod: BedPod, *, path: str | None = None, **annotations: str) -> dict[str, Any]:
    """The Pod of a pods file that asks for capture; `path` in place of where its namespace really is."""
    named = {f"netra.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "metadata": {
            "name": pod.name,
            "namespace": "e2e",
            "labels": {"netra.io/enabled": "true", "app": pod.name},
            "annotations": {"netra.io/netns": path or pod.path, **named},
        },
        "spec": {"containers": [{"name": "app"}]},
    }


class Node:
    """Pods of a testbed, by name, and sockets in them, all closed with it."""

    def __init__(self, bed: Testbed, pods_file: Path) -> None:
        self.bed = bed
        self.file = pods_file
        self._sockets = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._sockets.close()

    def pod(self, name: str) -> BedPod:
        return next(pod for pod in self.bed.pods if pod.name == name)

    # ---- the pods file

    def enrol(self, *names: str) -> None:
        """Have the file name exactly these pods."""
        self.write(manifest(self.pod(name)) for name in names)

    def write(self, manifests: Iterable[dict[str, Any]]) -> None:
        self.write_text(json.dumps({"kind": "PodList", "items": list(manifests)}))

    def write_text(self, text: str) -> None:
        """Replace the file at once, as a ConfigMap does."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.file)

    # ---- sockets

    def keep(self, made: socket.socket) -> socket.socket:
        made.settimeout(TIMEOUT)
        return self._sockets.enter_context(made)

    def listen(self, pod: str, host: str = "0.0.0.0", port: int = 0) -> socket.socket:
        """An application's listener."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        make = lambda: socket.create_server((host, port), family=family, backlog=64)  # noqa: E731
        return self.keep(self.bed.run_inside(pod, make))

    def endpoint(self, pod: str, target: tuple[Any, ...]) -> socket.socket:
        """An unconnected client socket of the family of `target`."""
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        made = self.keep(self.bed.run_inside(pod, lambda: socket.socket(family)))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def connect(self, pod: str, target: tuple[Any, ...]) -> socket.socket:
        client = self.endpoint(pod, target)
        client.connect(target)
        return client

    def accept(self, listener: socket.socket) -> socket.socket:
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.keep(accepted)

    def pair(self, pod: str, listener_pod: str) -> tuple[socket.socket, socket.socket]:
        """Both applications' ends of one connection: the client's and the server's."""
        listener = self.listen(listener_pod)
        client = self.connect(pod, (self.pod(listener_pod).ipv4, listener.getsockname()[1]))
        return client, self.accept(listener)


def read(sock: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes; fewer where the sender ended before."""
    got = bytearray()
    while len(got) < size and (data := sock.recv(size - len(got))):
        got += data
    return bytes(got)


def read_head(sock: socket.socket) -> bytes:
    """Everything up to the empty line; what comes behind it must not be there yet."""
    got = bytearray()
    while not got.endswith(b"\r\n\r\n") and (data := sock.recv(65536)):
        got += data
    return bytes(got)


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
