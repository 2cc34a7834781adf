"""Packages from PyPI that cannot live beside ours, for tests marked `long`. Belongs here: a place for them. Does not: what they do."""

import subprocess
import sys
from pathlib import Path


def install(directory: Path, *requirements: str) -> str:
    """Install `name==version`s into an environment of their own; the Python that has them."""
    python = str(directory / "bin" / "python")
    quiet = ("--quiet", "--disable-pip-version-check")
    for argv in (
        (sys.executable, "-m", "venv", str(directory)),
        (python, "-m", "pip", "install", *quiet, *requirements),
    ):
        subprocess.run(argv, stdin=subprocess.DEVNULL, check=True, timeout=120)
    return python
