"""Packages from npm for tests marked `long`. Belongs here: installing one. Does not belong here: what it does."""

import subprocess
from pathlib import Path


def install(package: str, directory: Path) -> Path:
    """Install `name@version` into a directory of its own, running none of its scripts; where its modules are then."""
    quiet = ("--silent", "--no-save", "--no-audit", "--no-fund")
    subprocess.run(
        ["npm", "install", *quiet, "--ignore-scripts", "--omit=optional", package],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=120,
    )
    return directory / "node_modules"
