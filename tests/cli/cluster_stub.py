"""A Kubernetes API server on loopback that answers what the cluster's commands ask, in this process.

The paths, queries, shapes and the exec protocol (v4.channel.k8s.io, v5.channel.k8s.io) are the real ones; what it answers is
handed in. It may fail as told, be slow, or hang.
"""

import base64
import contextlib
import hashlib
import http.server
import json
import re
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.cli import http_stub

TOKEN = "stub-token"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


@dataclass
class Exec:
    """How a command in a pod goes."""

    out: str = ""
    err: str = ""
    code: int = 0
    #: Why it could not be started at all.
    not_started: str = ""
    #: The connection ends without a word after the output.
    breaks: bool = False
    hangs: bool = False
    #: The answer to the upgrade, instead of 101.
    refused: tuple[int, str] | None = None


@dataclass
class Cluster:
    """What the API server knows, and how it fails."""

    daemon_sets: list[dict[str, Any]] = field(default_factory=list)
    pods: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    #: By pod, then by command: "status", "doctor".
    execs: dict[tuple[str, str], Exec] = field(default_factory=dict)
    #: What the daemon's account may, and what the user may, as "get nodes/pods".
    rights: set[str] = field(default_factory=set)
    my_rights: set[str] = field(default_factory=lambda: {"get pods/exec", "create pods/exec"})
    #: By the end of the path: status and message, in turn; what is left after them is answered.
    failures: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    protocol: str = "v4.channel.k8s.io"
    page: int | None = None
    asked: list[str] = field(default_factory=list)
    reviewed: list[dict[str, Any]] = field(default_factory=list)
    #: Ends of paths that are never answered.
    hangs: set[str] = field(default_factory=set)
    released: threading.Event = field(default_factory=threading.Event)
    server: str = ""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        if not self._refused(url.path):
            self._answer(url)

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._refused(self.path):
            self.cluster.reviewed.append(review["spec"])
            rights = self.cluster.rights if "user" in review["spec"] else self.cluster.my_rights
            of = review["spec"]["resourceAttributes"]
            allowed = f"{of['verb']} {of['resource']}/{of['subresource']}" in rights
            self._json({"kind": "SubjectAccessReview", "status": {"allowed": allowed}}, 201)

    def _refused(self, path: str) -> bool:
        self.cluster.asked.append(path)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._status(401, "Unauthorized")
            return True
        if path.endswith(tuple(self.cluster.hangs)):
            self.cluster.released.wait(20)
        for end, failures in self.cluster.failures.items():
            if path.endswith(end) and failures:
                self._status(*failures.pop(0))
                return True
        return False

    def _answer(self, url: Any) -> None:
        lists = {
            "/apis/apps/v1/namespaces/netra-system/daemonsets": self.cluster.daemon_sets,
            "/api/v1/namespaces/netra-system/pods": self.cluster.pods,
            "/api/v1/nodes": self.cluster.nodes,
        }
        if url.path in ("/version", "/version/"):
            self._json({"major": "1", "minor": "33", "gitVersion": "v1.33.4"})
        elif url.path in lists:
            self._list(lists[url.path])
        elif re.fullmatch(r"/api/v1/namespaces/[^/]+/(pods|daemonsets)", url.path) or re.fullmatch(
            r"/apis/apps/v1/namespaces/[^/]+/daemonsets", url.path
        ):
            self._list([])  # a namespace that is not there has an empty list, too
        elif match := re.fullmatch(r"/api/v1/namespaces/netra-system/pods/([^/]+)/exec", url.path):
            self._exec(match[1], parse_qs(url.query))
        else:
            self._status(404, "the server could not find the requested resource")

    def _list(self, items: list[dict[str, Any]]) -> None:
        wanted = dict(
            pair.split("=") for pair in self.query.get("labelSelector", "").split(",") if pair
        )
        chosen = [one for one in items if wanted.items() <= one["metadata"]["labels"].items()]
        first = int(self.query.get("continue", 0))
        last = first + min(int(self.query.get("limit", 500)), self.cluster.page or 500)
        metadata = {"continue": str(last)} if last < len(chosen) else {}
        self._json({"kind": "List", "metadata": metadata, "items": chosen[first:last]})

    def _exec(self, pod: str, query: dict[str, list[str]]) -> None:
        name, command, *flags = query["command"]
        assert (name, flags) == ("netra-node", ["--json"])
        # Go's ParseBool takes both, and versions of the client differ
        assert {*query["stdout"], *query["stderr"]} <= {"true", "True"}
        assert query["container"] == ["netra-node"]
        told = self.cluster.execs.get(
            (pod, command), Exec(refused=(404, f'pods "{pod}" not found'))
        )
        if told.refused:
            self._status(*told.refused)
            return
        self._upgrade()
        with contextlib.suppress(OSError):  # nobody waits any longer
            self._speak(told)
        self.close_connection = True

    def _upgrade(self) -> None:
        assert self.cluster.protocol in self.headers["Sec-WebSocket-Protocol"]
        key = self.headers["Sec-WebSocket-Key"] + _GUID
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_header("Sec-WebSocket-Accept", accept)
        self.send_header("Sec-WebSocket-Protocol", self.cluster.protocol)
        self.end_headers()

    def _speak(self, told: Exec) -> None:
        # the kubelet opens each channel with an empty message
        for channel in (1, 2, 3):
            self._frame(2, bytes([channel]))
        if told.hangs:
            self.cluster.released.wait(20)
            return
        for channel, text in ((1, told.out), (2, told.err)):
            data = text.encode()
            for start in range(0, len(data), 1000):  # also in the middle of a character
                self._frame(2, bytes([channel]) + data[start : start + 1000])
        if told.breaks:
            return
        self._frame(2, b"\x03" + json.dumps(_outcome(told)).encode())
        self._frame(8, struct.pack("!H", 1000))

    def _frame(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes([size]) if size < 126 else bytes([126]) + struct.pack("!H", size)
        self.wfile.write(bytes([0x80 | opcode]) + length + payload)

    def _status(self, code: int, message: str) -> None:
        self._json({"kind": "Status", "status": "Failure", "message": message, "code": code}, code)

    def _json(self, document: dict[str, Any], code: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        if code == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _outcome(told: Exec) -> dict[str, Any]:
    if told.not_started:
        return {"status": "Failure", "reason": "InternalError", "message": told.not_started}
    if not told.code:
        return {"metadata": {}, "status": "Success"}
    message = f"command terminated with non-zero exit code: exit status {told.code}"
    cause = {"reason": "ExitCode", "message": str(told.code)}
    details = {"causes": [cause]}
    return {
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": message,
        "details": details,
    }


@contextlib.contextmanager
def serving(cluster: Cluster, *, tls: bool = False) -> Iterator[Cluster]:
    """Yield the cluster with `server` set, as long as its API server answers there."""
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    with http_stub.serving(handler, tls=tls) as cluster.server:
        try:
            yield cluster
        finally:
            cluster.released.set()


def kubeconfig(
    path: Path,
    server: str,
    token: str = TOKEN,
    *,
    contexts: tuple[str, ...] = ("stub",),
    **more: Any,
) -> Path:
    """Write a file with these contexts, of which the first is current; `more` goes to the cluster's entry."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": contexts[0],
        "clusters": [{"name": "c", "cluster": {"server": server, **more}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in contexts],
    }
    path.write_text(json.dumps(document))
    return path


def daemon_set(desired: int, **status: Any) -> dict[str, Any]:
    """As `kubectl apply -f deploy/daemonset.yaml` makes it, rolled out unless `status` says otherwise."""
    labels = {"app.kubernetes.io/name": "netra-node"}
    numbers = dict.fromkeys(
        (
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "numberReady",
            "updatedNumberScheduled",
        ),
        desired,
    )
    return {
        "metadata": {
            "name": "netra-node",
            "namespace": "netra-system",
            "uid": "ds-1",
            "generation": 1,
            "labels": labels,
        },
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"spec": {"serviceAccountName": "netra-node"}},
        },
        "status": {"observedGeneration": 1, **numbers, **status},
    }


def pod(node: str, state: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """A pod of the DaemonSet; it runs unless `state` says otherwise."""
    running = {"running": {"startedAt": "2026-11-21T00:00:00Z"}} if state is None else state
    container = {"name": "netra-node", "state": running}
    return {
        "metadata": {
            "name": f"netra-node-{node}",
            "namespace": "netra-system",
            "labels": {"app.kubernetes.io/name": "netra-node"},
            "ownerReferences": [{"kind": "DaemonSet", "name": "netra-node", "uid": "ds-1"}],
            **metadata,
        },
        "spec": {"nodeName": node, "containers": [{"name": "netra-node"}]},
        "status": {"phase": "Running", "containerStatuses": [container]},
    }


def node(name: str, **info: str) -> dict[str, Any]:
    """A Linux node that is ready; `info` differs from what most report."""
    usual = {
        "kernelVersion": "6.8.0-45-generic",
        "kubeletVersion": "v1.33.4",
        "containerRuntimeVersion": "containerd://2.0.5",
        "operatingSystem": "linux",
    }
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux"}},
        "spec": {},
        "status": {
            "nodeInfo": usual | info,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
