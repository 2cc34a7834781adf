"""What becomes of the daemon's memory while something goes on.

Belongs here: looking at it again and again, and that it must not grow. Does not belong here: what it may take in all, which is
its PSS (`test_budget`).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.support.daemon import Daemon


@contextmanager
def looks(daemon: Daemon) -> Iterator[list[float]]:
    """The daemon's own memory in MiB: at the beginning, ten times a second, and at the end."""
    seen, done = [daemon.own_memory()], threading.Event()

    def look() -> None:
        while not done.wait(0.1):
            seen.append(daemon.own_memory())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        done.set()
        looking.join()
        seen.append(daemon.own_memory())


@contextmanager
def flat(daemon: Daemon, mebibytes: float = 4.0) -> Iterator[None]:
    """Fails where the daemon is larger by this at any moment in between."""
    with looks(daemon) as seen:
        yield
    print(
        f"{seen[0]:.1f} MiB before, {max(seen):.1f} at most in {len(seen)} looks, {seen[-1]:.1f} after"
    )
    assert max(seen) - seen[0] < mebibytes
