"""netra-node's commands as what they are, processes of their own; or in this one, where only their words and code count.

Where this process is measured, so are they: what they do would otherwise count as not tested.
"""

import os
import subprocess
import sys
from pathlib import Path

import coverage
import pytest

from netra_node.cli import main

_ROOT = Path(__file__).resolve().parents[2]
_MEASURED = (
    "coverage",
    "run",
    f"--rcfile={_ROOT}/pyproject.toml",
    f"--data-file={_ROOT}/.coverage",
)


def python(module: str, *arguments: str) -> list[str]:
    """The command line that runs `module`."""
    measured = ("-m", *_MEASURED) if coverage.Coverage.current() is not None else ()
    return [sys.executable, *measured, "-m", module, *arguments]


def netra_node(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """What a command prints and how it ends, with `settings` as all of its environment."""
    return subprocess.run(
        python("netra_node", *arguments),
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )


def here(capsys: pytest.CaptureFixture[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same from this process, with its environment: the Kubernetes client is imported once, in one to three seconds."""
    code = main(list(arguments))
    told = capsys.readouterr()
    return subprocess.CompletedProcess(arguments, code, told.out, told.err)
