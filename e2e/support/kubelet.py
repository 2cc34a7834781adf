"""A kubelet and a container runtime as the daemon sees them: GET /pods over HTTPS, CNI results, names of namespaces.

Belongs here: what they say and write, and when. What they say is true of a testbed's pods; real ones are in e2e/cluster.
"""

import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

from e2e.support.daemon import RUN, Daemon
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


class Kubelet:
    """Lists `pods`, by name, for as long as the `with` block lasts. A token is needed."""

    def __init__(self, directory: Path) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        #: Listed besides, as they are.
        self.others: list[bytes] = []
        self.status = HTTPStatus.OK
        self.asked = 0
        #: When a list with the pod's label was first handed out, by name.
        self.told: dict[str, float] = {}
        self.token = directory / "token"
        self.token.write_text("a-token\n")
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.kubelet = self  # type: ignore[attr-defined]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_CERTIFICATE)
        # the handshake belongs to the connection's own thread
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def list(self, *pods: dict[str, Any]) -> None:
        """Have these listed, in place of what was."""
        self.pods = {form["metadata"]["name"]: form for form in pods}

    def answer(self, authorization: str) -> tuple[int, bytes]:
        self.asked += 1
        if authorization != f"Bearer {self.token.read_text().strip()}":
            return HTTPStatus.UNAUTHORIZED, b"Unauthorized"
        if self.status is not HTTPStatus.OK:
            return self.status, self.status.phrase.encode()
        listed = dict(self.pods)
        items = [json.dumps(form, separators=(",", ":")).encode() for form in listed.values()]
        for name, form in listed.items():
            if LABEL in form["metadata"]["labels"]:
                self.told.setdefault(name, time.time())
        every = b",".join([*items, *self.others])
        return HTTPStatus.OK, _HEAD + (b"[%b]}\n" % every if every else b"null}\n")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kubelet: Kubelet = self.server.kubelet  # type: ignore[attr-defined]
        status, body = kubelet.answer(self.headers.get("Authorization", ""))
        self.send_response(status)
        # Go sends what it writes in one go as one chunk.
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


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
            "NETRA_KUBELET_TOKEN_FILE": str(kubelet.token),
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
