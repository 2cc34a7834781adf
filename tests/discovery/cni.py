"""What a CNI library writes about a sandbox: the file of /var/lib/cni/results as libcni's `cachedInfo` has it."""

import json
from pathlib import Path
from typing import Any

NETWORK = "k8sbr0"


def result(
    uid: str = "uid-web",
    *,
    name: str = "web",
    container: str = "c" * 64,
    netns: str = "",
    interface_netns: str = "",
    addresses: tuple[str, ...] = ("10.77.0.10/24",),
) -> dict[str, Any]:
    """`netns` is where newer libraries write the path, `interface_netns` where plugins do."""
    arguments = {
        "IgnoreUnknown": "1",
        "K8S_POD_NAMESPACE": "default",
        "K8S_POD_NAME": name,
        "K8S_POD_INFRA_CONTAINER_ID": container,
        **({"K8S_POD_UID": uid} if uid else {}),
    }
    inside = {"sandbox": interface_netns} if interface_netns else {}
    return {
        "kind": "cniCacheV1",
        "containerId": container,
        "config": "ewogICJjbmlWZXJzaW9uIjogIjEuMC4wIgp9",
        "ifName": "eth0",
        "networkName": NETWORK,
        **({"netns": netns} if netns else {}),
        "cniArgs": [[key, value] for key, value in arguments.items()],
        "result": {
            "cniVersion": "1.0.0",
            "dns": {},
            "interfaces": [{"name": "k8sbr0"}, {"name": "eth0", **inside}],
            "ips": [{"address": a, "gateway": "10.77.0.1", "interface": 1} for a in addresses],
        },
    }


def write(directory: Path, form: dict[str, Any], interface: str = "eth0") -> Path:
    """Write as libcni does: in place."""
    path = directory / f"{NETWORK}-{form['containerId']}-{interface}"
    path.write_text(json.dumps(form))
    return path
