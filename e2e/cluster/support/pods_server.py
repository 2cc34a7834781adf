"""GET /pods on the loopback of a cluster's node, where its kubelet listens, with a certificate of its own making."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from e2e.cluster.support.containerd import ClusterNode
from e2e.support.pods_server import PodsServer

PORT: Final = 10250
TOKEN: Final = "token-of-netra-node"


def pods_server_on(node: ClusterNode, pod_list: Callable[[], bytes]) -> PodsServer:
    certificate = _certificate(node.scratch)
    return PodsServer(pod_list, TOKEN, certificate, port=PORT, inside=node.network.run)


def _certificate(directory: Path) -> tuple[str, str]:
    """Make one as a kubelet does: self-signed, so that no authority of the cluster vouches for it."""
    assert shutil.which("openssl")
    certificate, key = directory / "kubelet.crt", directory / "kubelet.key"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
            ),
            *(
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=nt-node@1",
                "-addext",
                "subjectAltName=DNS:nt-node",
            ),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return str(certificate), str(key)
