"""The `process_*` metrics every Prometheus client has: CPU, memory and descriptors of this process, read from /proc.

Belongs here: their names, help and values, as prometheus_client's ProcessCollector gives them. Does not belong here: any
other metric. The library itself, of which only this would be used, brings an HTTP server and an e-mail parser: 2 MiB of
a budget of 45 (measured). Tests hold this against it.

Fields of /proc/self/stat: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit

from netra_node.telemetry.render import Family, sample

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_DESCRIPTORS = Path("/proc/self/fd")


@dataclass(frozen=True, slots=True)
class ProcessTimes:
    """What /proc/self/stat says: seconds (`started` since boot) and bytes."""

    cpu: float
    started: float
    virtual: int
    resident: int


def parse_stat(stat: bytes) -> ProcessTimes:
    """Read a /proc/PID/stat."""
    # The second field is the program's name in brackets, which may hold brackets and spaces of its own.
    fields = stat.rpartition(b")")[2].split()
    user, system, started, virtual, pages = (int(fields[index]) for index in (11, 12, 19, 20, 21))
    return ProcessTimes((user + system) / _TICKS, started / _TICKS, virtual, pages * _PAGE)


class ProcessFamilies:
    """CPU, memory and descriptors of this process at each scrape."""

    __slots__ = ("_booted",)

    def __init__(self) -> None:
        """Asks when the system booted. Raises OSError where there is no /proc."""
        lines = Path("/proc/stat").read_bytes().splitlines()
        self._booted = next(int(line.split()[1]) for line in lines if line.startswith(b"btime "))

    def families(self) -> Iterator[Family]:
        """Yield one family per metric; none where no descriptor is left to look with: the rest of a scrape matters more."""
        try:
            times = parse_stat(Path("/proc/self/stat").read_bytes())
            descriptors = _open_descriptors()
        except OSError:
            return
        name = "process_cpu_seconds_total"
        text = "Total user and system CPU time spent in seconds."
        yield Family(name, "counter", text, [sample(name, "", times.cpu)])
        started = self._booted + times.started
        yield _gauge("virtual_memory_bytes", "Virtual memory size in bytes.", times.virtual)
        yield _gauge("resident_memory_bytes", "Resident memory size in bytes.", times.resident)
        yield _gauge(
            "start_time_seconds", "Start time of the process since unix epoch in seconds.", started
        )
        yield _gauge("open_fds", "Number of open file descriptors.", descriptors)
        limit = getrlimit(RLIMIT_NOFILE)[0]
        yield _gauge("max_fds", "Maximum number of open file descriptors.", limit)


def _gauge(name: str, text: str, value: float) -> Family:
    name = f"process_{name}"
    return Family(name, "gauge", text, [sample(name, "", value)])


def _open_descriptors() -> int:
    """Count them. Since Linux 6.2 the directory's size tells; before, it is 0 and they are listed."""
    return _DESCRIPTORS.stat().st_size or sum(1 for _ in _DESCRIPTORS.iterdir())
