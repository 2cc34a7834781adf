"""What something costs, whatever else the machine does meanwhile."""

import time
from collections.abc import Callable


def least_seconds(work: Callable[[], object], times: int = 10) -> float:
    """Return the least CPU time of this thread that `work` took: any one time may hold a collection of garbage, or an interrupt."""
    return min(_seconds(work) for _ in range(times))


def _seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began
