"""Everything that stands when a real cluster stands: node, images, control plane."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from e2e.cluster.support.builder import build
from e2e.cluster.support.containerd import BASE_IMAGE, ClusterNode
from e2e.cluster.support.image import write_base
from e2e.real_kubernetes.control_plane import ControlPlane

#: Where Kubernetes' programs are.
VARIABLE: Final = "NT_KUBERNETES"


@contextlib.contextmanager
def standing(scratch: Path) -> Iterator[ControlPlane]:
    """A cluster with our image on its node. `scratch` is emptied at the end. Raises LookupError without programs."""
    binaries = Path(os.environ.get(VARIABLE, "unset"))
    if not (binaries / "kubelet").is_file():
        message = f"{VARIABLE} names no directory with kubelet in it: e2e/real_kubernetes/README.md"
        raise LookupError(message)
    with ClusterNode(scratch) as node:
        base = scratch / "base.tar"
        write_base(base, BASE_IMAGE)
        node.import_image(base)
        node.import_image(build(base, scratch).archive)
        with ControlPlane(node, binaries.resolve()) as cluster:
            yield cluster
