"""The processes of pods, and which network namespace each is in. Belongs here: going through /proc.

Does not belong here: how a cgroup's path reads (`cgroups`), which process counts (`sandboxes`). It takes the host's /proc (hostPID, or
the host's /proc mounted) and CAP_SYS_PTRACE; 500 processes are some 10 ms, in turns.
"""

import os
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

from netra_node.discovery.cgroups import owner
from netra_node.discovery.namespaces import Mount, mount_of
from netra_node.discovery.turns import Turns


class Process(NamedTuple):
    """One process of a pod."""

    path: str
    container_id: str
    #: None: we may not look.
    netns: Mount | None


async def processes_of(proc: Path, uids: Container[str]) -> dict[str, list[Process]]:
    """Return the processes of the pods `uids`, by uid, lowest number first. Raises nothing: a process may end at any moment."""
    turns = Turns()
    found: dict[str, list[Process]] = {}
    for number in _numbers(proc):
        process = f"{proc}/{number}"
        whose = owner(_cgroup(process))
        if whose is not None and whose.pod_uid in uids:
            path = f"{process}/ns/net"
            found.setdefault(whose.pod_uid, []).append(
                Process(path, whose.container_id, mount_of(path))
            )
        await turns.pause()
    return found


def _numbers(proc: Path) -> list[int]:
    try:
        names = os.listdir(proc)  # noqa: PTH208 - names, no objects
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isdecimal())


def _cgroup(process: str) -> str:
    try:
        with open(f"{process}/cgroup", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""
