"""Meters: CPU and memory of a process tree, CPU of the machine, listeners of a namespace.

Everything is read from /proc. The parsers are pure; the functions at the end do the reading.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Stat:
    """The part of /proc/PID/stat that is measured; CPU in seconds, reaped children included."""

    pid: int
    parent: int
    cpu: float


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB of a process tree.

    `pss` is the kernel's proportional size. `unshared` counts each file page once for the tree
    even where processes outside it map the same file (this bench runs the same Python), so it is
    what the tree would cost on a node where nothing else does.
    """

    pss: float
    unshared: float


def parse_stat(text: str) -> Stat:
    """Read one /proc/PID/stat line (proc(5)). The name may hold spaces and parentheses."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    # utime, stime, cutime, cstime are fields 14 to 17; `tail` starts at field 3.
    ticks = sum(int(field) for field in fields[11:15])
    return Stat(int(head.split("(", 1)[0]), int(fields[1]), ticks / _TICKS)


def tree(stats: Iterable[Stat], roots: Iterable[int]) -> list[Stat]:
    """Return the processes of `stats` that are one of `roots` or descend from one."""
    by_pid = {stat.pid: stat for stat in stats}
    members = set(roots) & by_pid.keys()
    while children := {pid for pid, stat in by_pid.items() if stat.parent in members} - members:
        members |= children
    return [by_pid[pid] for pid in sorted(members)]


def parse_rollup(text: str) -> Mapping[str, int]:
    """Read the `Name: N kB` lines of smaps_rollup as {name: kB}."""
    rows = (line.split() for line in text.splitlines())
    return {row[0].rstrip(":"): int(row[1]) for row in rows if row[-1] == "kB"}


def parse_file_pages(smaps: str) -> Mapping[tuple[str, str], int]:
    """Return the kB of file pages of every mapping in smaps, by (offset, path)."""
    pages: dict[tuple[str, str], int] = {}
    key = None
    for line in smaps.splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            key = (words[2], words[5]) if len(words) > 5 and words[4] != "0" else None
        elif key is not None and words[0] == "Rss:":
            pages[key] = pages.get(key, 0) + int(words[1])
        elif key is not None and words[0] == "Anonymous:":
            pages[key] -= int(words[1])
    return pages


def parse_listeners(text: str) -> frozenset[int]:
    """Return the listening ports of a /proc/PID/net/tcp table."""
    rows = (line.split() for line in text.splitlines()[1:])
    return frozenset(int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTEN)


def parse_machine(text: str) -> float:
    """Return the busy CPU seconds of the `cpu` line of /proc/stat: all but idle and iowait."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, text.split()[1:9])
    return (user + nice + system + irq + softirq) / _TICKS


def tree_cpu(roots: Iterable[int]) -> float:
    """Return the CPU seconds that the trees under `roots` have used so far."""
    return sum(stat.cpu for stat in tree(_all_stats(), roots))


def tree_memory(roots: Iterable[int]) -> Memory:
    """Return the present memory of the trees under `roots`."""
    pss = own = 0
    files: dict[tuple[str, str], int] = {}
    for stat in tree(_all_stats(), roots):
        rollup = parse_rollup(_read(stat.pid, "smaps_rollup"))
        pss += rollup.get("Pss", 0)
        own += rollup.get("Pss_Anon", 0) + rollup.get("Pss_Shmem", 0)
        for key, size in parse_file_pages(_read(stat.pid, "smaps")).items():
            files[key] = max(files.get(key, 0), size)
    return Memory(pss / 1024, (own + sum(files.values())) / 1024)


def machine_cpu() -> float:
    """Return the busy CPU seconds of the whole machine since boot."""
    with (_PROC / "stat").open() as file:
        return parse_machine(file.readline())


def listeners() -> frozenset[int]:
    """Return the IPv4 ports listened on in the network namespace the calling thread is in."""
    return parse_listeners((_PROC / "thread-self/net/tcp").read_text())


def _all_stats() -> list[Stat]:
    pids = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
    return [parse_stat(text) for text in (_read(pid, "stat") for pid in pids) if text]


def _read(pid: int, name: str) -> str:
    try:
        return (_PROC / str(pid) / name).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # ended between the listing and the read
