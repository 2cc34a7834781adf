"""Waiting for a condition, and the error of a bench whose parts do not come up."""

import time
from collections.abc import Callable
from pathlib import Path

_POLL_SECONDS = 0.02
_TAIL_CHARACTERS = 2000


class BenchError(Exception):
    """A part of the bench did not do what the measurement needs; the message says which."""


def wait_until(
    condition: Callable[[], bool],
    what: str,
    log: Path,
    ended: Callable[[], int | None],
    seconds: float = 15,
) -> None:
    """Return once `condition` holds.

    Raises BenchError with the tail of `log` if it does not in time, or if the program that should
    bring it about is over: `ended` gives its exit code, None while it runs.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if (code := ended()) is not None:
            raise BenchError(_complaint(what, f"the program ended with exit code {code}", log))
        if time.monotonic() > deadline:
            raise BenchError(_complaint(what, f"not within {seconds:g} s", log))
        time.sleep(_POLL_SECONDS)


def _complaint(what: str, why: str, log: Path) -> str:
    tail = log.read_text(errors="replace")[-_TAIL_CHARACTERS:] if log.exists() else ""
    return f"{what}: {why}\n{tail}".rstrip()
