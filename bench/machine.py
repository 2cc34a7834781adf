"""What was run and on what: versions, kernel, cores. A figure without them is worth nothing."""

import os
import platform
import re
import subprocess
from pathlib import Path

from bench.envoy import BINARY

_VERSION = re.compile(r"\d+\.\d+[\w.-]*")


def describe() -> dict[str, str]:
    """Return the parts of this run by name."""
    return {
        "kernel": platform.release(),
        "cores": f"{os.cpu_count()} x {_cpu_model()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "netra-node": _version(["git", "describe", "--always", "--dirty"], re.compile(r"\S+")),
        "envoy": _version([str(BINARY), "--version"]),
        "nginx": _version(["nginx", "-v"]),
        "wrk": _version(["wrk", "-v"]),
    }


def _cpu_model() -> str:
    text = Path("/proc/cpuinfo").read_text()
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found[1] if found else platform.machine()


def _version(command: list[str], pattern: re.Pattern[str] = _VERSION) -> str:
    """Return what `command` says of itself; wrk says it with exit code 1, nginx on stderr."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        return "absent"
    found = pattern.search(said.stdout + said.stderr)
    return found[0] if found else "unknown"
