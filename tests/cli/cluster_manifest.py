"""What deploy/daemonset.yaml puts on a cluster."""

from pathlib import Path
from typing import Any

import yaml

_PATH = Path(__file__).resolve().parents[2] / "deploy" / "daemonset.yaml"


def documents() -> list[dict[str, Any]]:
    """All of it."""
    return list(yaml.safe_load_all(_PATH.read_text()))


def daemon_set() -> dict[str, Any]:
    """The DaemonSet."""
    (found,) = (one for one in documents() if one["kind"] == "DaemonSet")
    return found


def granted() -> set[str]:
    """What its account may, as "get nodes/pods"."""
    rules = [rule for one in documents() if one["kind"] == "ClusterRole" for rule in one["rules"]]
    return {
        f"{verb} {resource}"
        for rule in rules
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }
