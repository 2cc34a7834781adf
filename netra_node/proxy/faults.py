"""Telling of an error of ours without the bytes that caused it.

Belongs here: what such a log line says and how often. Does not belong here: what to do about the error.

An exception's message may quote what was being read, and that may be a cookie: so only its type and its place are logged,
and each place once, for the next request will most likely fail there, too.
"""

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

#: Frames shown, the innermost last.
_DEPTH: Final = 4

#: Places told of already; there are only as many as the program has lines that fail.
_told: set[str] = set()


def report(what: str, error: BaseException) -> None:
    """Log that `what` failed with `error`, the first time that it fails there."""
    place = describe(error)
    if place not in _told:
        _told.add(place)
        _log.error("%s failed: %s (told once)", what, place)


def describe(error: BaseException) -> str:
    """Return the type of `error` and the innermost lines it came through, without its message."""
    frames = traceback.extract_tb(error.__traceback__)[-_DEPTH:]
    way = " > ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames)
    return f"{type(error).__qualname__} at {way}"


def tell(event: Callable[..., None], *what: object) -> None:
    """Call an observer's method. It promised not to raise; should it, the connection does not pay for that."""
    try:
        event(*what)
    except Exception as error:  # noqa: BLE001 - whatever it is, it stays here
        report("an observer", error)
