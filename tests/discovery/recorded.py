"""What a real kubelet and its node said, unedited: recordings/ has answers of GET /pods (v1.33, containerd 1.6) and /proc/*/cgroup.

They were made when the opt-in label was `netra.io/inject=enabled`.
"""

import gzip
import json
from pathlib import Path
from typing import Any

OPT_IN = ("netra.io/inject", "enabled")
_DIRECTORY = Path(__file__).parent / "recordings"


def recorded(name: str) -> bytes:
    return gzip.decompress((_DIRECTORY / f"{name}.gz").read_bytes())


def listed(name: str) -> bytes:
    """An answer of GET /pods."""
    return recorded(f"{name}.json")


def items(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(listed(name))["items"]
    return found
