"""Ours: one `netra-node run` on the node that enrols both pods, started as a user would."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.topology import Place, Topology
from bench.waiting import wait_until

# The product's default listeners in each pod (design.md, "Interception is a lease").
_INBOUND, _OUTBOUND = 14955, 14956


@contextmanager
def netra_node(
    pods: Topology, otlp: tuple[str, int], directory: Path, prefix: list[str]
) -> Iterator[list[int]]:
    """Capture both pods while the context is open; yield the pid of the one daemon."""
    log = directory / "netra-node.log"
    manifest = directory / "pods.json"
    manifest.write_text(json.dumps(pod_list((pods.client, pods.server))))
    environment = {
        "PATH": os.environ["PATH"],
        "NETRA_POD_SOURCE": f"file://{manifest}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{otlp[0]}:{otlp[1]}",
    }
    command = [*prefix, sys.executable, "-m", "netra_node", "run"]
    with pods.node.running(command, log, environment) as process:
        for pod in (pods.client, pods.server):
            wait_until(
                lambda pod=pod: pod.listens_on(_INBOUND, _OUTBOUND),  # type: ignore[misc]
                f"netra-node enrols {pod.name}",
                log,
                process.poll,
            )
        yield [process.pid]


def pod_list(pods: tuple[Place, ...]) -> dict[str, Any]:
    """Return the v1 PodList that opts `pods` in."""
    return {"apiVersion": "v1", "kind": "PodList", "items": [_pod(pod) for pod in pods]}


def _pod(pod: Place) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.name,
            "namespace": "bench",
            "labels": {"netra.io/enabled": "true", "app": pod.name},
            "annotations": {"netra.io/netns": pod.path},
        },
        "spec": {"containers": [{"name": pod.name}]},
        "status": {"phase": "Running", "podIP": pod.address},
    }
