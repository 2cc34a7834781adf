"""Requests made on the node or inside its pods: single ones, a kubelet's probes, and load.

Belongs here: making them and what became of them. `e2e.support.load` says how one connection is judged.
"""

import http.client
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, Self, TypeVar

from e2e.cluster.support.containerd import ClusterNode
from e2e.support.load import Fate, Visit, visit
from netra_node.netns import Namespace

T = TypeVar("T")
Target = tuple[str, int]

PORT: Final = 8080
_SECONDS: Final = 10.0


class Place(Protocol):
    """Where a request comes from: a pod."""

    def run_inside(self, function: Callable[[], T]) -> T: ...


class Network(Protocol):
    """Where load comes from: a pod, or the node's own namespace."""

    @property
    def path(self) -> str: ...


class OnNode:
    """The node itself, from where a kubelet probes."""

    def __init__(self, node: ClusterNode) -> None:
        self._node = node

    def run_inside(self, function: Callable[[], T]) -> T:
        return self._node.network.run(function)


def ask(place: Place, target: Target, path: str = "/", **headers: str) -> str:
    """Return the body of the answer to one request; `_` in a header's name is `-`. Raises OSError when refused."""

    def exchange() -> str:
        connection = http.client.HTTPConnection(*target, timeout=_SECONDS)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers={"Connection": "close", **named})
        body = connection.getresponse().read().decode()
        connection.close()
        return body

    return place.run_inside(exchange)


def fate(place: Place, target: Target) -> Fate:
    """What becomes of one request on a connection of its own."""
    return place.run_inside(lambda: visit(lambda: _socket(target), target)).fate


def connects(place: Place, target: Target) -> bool:
    """A kubelet's tcpSocket probe: whether the port accepts; not a byte is sent."""

    def attempt() -> bool:
        with _socket(target) as sock:
            sock.settimeout(_SECONDS)
            return sock.connect_ex(target) == 0

    return place.run_inside(attempt)


def _socket(target: Target) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET)


class Traffic:
    """One client that visits `target` without a pause, from the network at `client.path`, for as long as the `with` block lasts."""

    def __init__(self, client: Network, target: Target) -> None:
        self.visits: list[Visit] = []
        self._namespace = Namespace.open(client.path)
        self._target = target
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(2 * _SECONDS)
        self._namespace.close()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self.visits.append(visit(self._make, self._target))
            # The daemon and containerd share this machine's cores with us.
            time.sleep(0.005)

    def _make(self) -> socket.socket:
        made: Any = self._namespace.run(lambda: _socket(self._target))
        return made

    def fates(self) -> set[Fate]:
        return {visit.fate for visit in self.visits}
