"""The Containerfile built without a registry: on the base made here, by buildah, into an archive.

Belongs here: buildah's own store and how it is called, and what an image says about itself.
"""

import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from e2e.cluster.support.containerd import BASE_IMAGE

#: What the manifest's `netra-node:latest` means to containerd.
NETRA_IMAGE: Final = "docker.io/library/netra-node:latest"
_REPOSITORY: Final = Path(__file__).parents[3]
# Steps run in a chroot: nothing of containers is needed for it, and the machine's network is theirs.
_ENVIRONMENT: Final = {"BUILDAH_ISOLATION": "chroot"}
_SECONDS: Final = 500.0


@dataclass(frozen=True)
class Image:
    """A built image: an OCI archive, and its configuration."""

    archive: Path
    config: dict[str, Any]


def build(base: Path, scratch: Path) -> Image:
    """Build the Containerfile of the repository on `base`. The packages come from PyPI, as the lock names them."""
    archive = scratch / "netra-node.tar"
    try:
        _buildah(scratch, "pull", "--quiet", f"oci-archive:{base}")
        _buildah(
            scratch,
            *("build", "--quiet", "--network", "host", "--layers=false", "--pull=never"),
            *("--build-arg", f"BASE={BASE_IMAGE}", "--build-arg", "VERSION=0.0.test"),
            *("--tag", NETRA_IMAGE, str(_REPOSITORY)),
        )
        _buildah(scratch, "push", "--quiet", NETRA_IMAGE, f"oci-archive:{archive}:{NETRA_IMAGE}")
    finally:
        # The store is made of mounts, and goes by its own tool.
        _buildah(scratch, "rmi", "--all", "--force")
    return Image(archive, _configuration(archive))


def _buildah(scratch: Path, *argv: str) -> None:
    store = ("--root", f"{scratch}/store", "--runroot", f"{scratch}/run")
    done = subprocess.run(
        ["buildah", *store, *argv],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
        env={**os.environ, **_ENVIRONMENT},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _configuration(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as tar:

        def blob(name: str) -> dict[str, Any]:
            member = tar.extractfile(name)
            assert member is not None
            found: dict[str, Any] = json.load(member)
            return found

        def by(digest: str) -> str:
            return "blobs/" + digest.replace(":", "/")

        manifest = blob(by(blob("index.json")["manifests"][0]["digest"]))
        config: dict[str, Any] = blob(by(manifest["config"]["digest"]))["config"]
        return config
