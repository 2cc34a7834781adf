"""The demo's scenery: three pods with an HTTP service each, a client without a name, and the pods file.

Belongs here: what exists before the daemon does, and the client's requests. Does not belong here: the daemon, printing.
"""

import contextlib
import http.client
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from netra_node.cli import demo_services
from netra_node.testbed import BedPod, Testbed

NAMESPACE = "demo"
CLIENT = "client"
PORT = 8080
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Role:
    """One service: its name, what it asks of whom, and for which item it does not do as it should."""

    name: str
    asks: str = ""
    quirks: tuple[str, ...] = ()


#: Callees before callers, as an address is known once its pod exists.
ROLES = (
    Role("stock", "", ("--slow", "2", "--hang-up", "4")),
    Role("orders", "stock", ("--fail", "3")),
    Role("web", "orders"),
)


@dataclass(frozen=True, slots=True)
class Story:
    """One request of the demo: what is asked, what the client gets, how many spans tell it."""

    caption: str
    path: str
    status: int
    spans: int


STORIES = (
    Story("A request that works", "/buy/1", 200, 5),
    Story("A slow one: stock takes 300 ms", "/buy/2", 200, 5),
    Story("A failure: orders answers 500, asking nobody", "/buy/3", 500, 3),
    Story("No answer: stock hangs up on orders", "/buy/4", 502, 5),
)

#: What passes while the demo runs on: mostly the ordinary.
ORDINARY = ("/buy/1", "/buy/1", "/buy/2", "/buy/1", "/buy/3", "/buy/1", "/buy/1", "/buy/4")


def build(bed: Testbed, logs: Path) -> None:
    """Make every pod and start its service; `logs` is a directory for what they write."""
    bed.add_pod(CLIENT)
    for role in ROLES:
        bed.add_pod(role.name)
        _start(bed, role, logs)


def _start(bed: Testbed, role: Role, logs: Path) -> None:
    # -I: the script sees the standard library and nothing of ours.
    argv = [sys.executable, "-I", demo_services.__file__, str(PORT), *role.quirks]
    if role.asks:
        argv += ["--next", f"http://{_address(bed, role.asks)}:{PORT}/{role.asks}/"]
    with (logs / f"{role.name}.log").open("wb") as log:
        bed.spawn(role.name, argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def serving(bed: Testbed) -> bool:
    """Tell whether every service listens. Asked from inside its own pod, so that nothing crosses the wire."""
    return all(_listens(bed, role.name) for role in ROLES)


def _listens(bed: Testbed, name: str) -> bool:
    with contextlib.suppress(OSError):
        bed.run_inside(
            name, lambda: socket.create_connection(("127.0.0.1", PORT), _CONNECT_SECONDS)
        ).close()
        return True
    return False


def _address(bed: Testbed, name: str) -> str:
    return next(pod.ipv4 for pod in bed.pods if pod.name == name)


def pods_file(pods: Iterable[BedPod]) -> dict[str, object]:
    """Describe the services' pods as the kubelet would (v1 PodList); the client is nobody we know."""
    items = [_pod(pod) for pod in pods if pod.name != CLIENT]
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}


def _pod(pod: BedPod) -> dict[str, object]:
    return {
        "metadata": {
            "name": pod.name,
            "namespace": NAMESPACE,
            "labels": {"netra.io/enabled": "true", "app.kubernetes.io/name": pod.name},
            "annotations": {"netra.io/netns": pod.path},
        },
        "spec": {"containers": [{"name": pod.name}]},
        "status": {
            "phase": "Running",
            "podIP": pod.ipv4,
            "podIPs": [{"ip": pod.ipv4}, {"ip": pod.ipv6}],
        },
    }


class Client(http.client.HTTPConnection):
    """A keep-alive client inside the pod that is not in the file."""

    def __init__(self, bed: Testbed) -> None:
        """Opens its connection with the first request, as it must come after the capture."""
        address = _address(bed, "web")
        super().__init__(address, PORT)
        self._open: Callable[[], socket.socket] = lambda: bed.run_inside(
            CLIENT, lambda: socket.create_connection((address, PORT), _CONNECT_SECONDS)
        )

    def connect(self) -> None:
        """Connect from inside the pod; from then on the socket belongs there."""
        self.sock = self._open()

    def status_of(self, path: str) -> int:
        """Send a GET and return the status of its answer, 0 where there is none."""
        try:
            self.request("GET", path)
            response = self.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return 0
        return response.status
