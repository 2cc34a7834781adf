"""Measures how long an event that is ready waits for the loop.

Belongs here: the clock that makes such events. Does not belong here: counting what it tells (`telemetry`).

A timer of the loop could not tell: it is late by up to a millisecond of its own accord. So the kernel has a clock become readable,
as a socket does with data: the loop finds both in the same way and at the same time, behind whatever it is doing.
"""

import asyncio
import ctypes
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import Final

#: Ten samples a second cost 0.05 % of a core at rest, where each wakes the process up.
_INTERVAL: Final = 100_000_000
_SECOND: Final = 1_000_000_000
# time.h, sys/timerfd.h; the os module has these calls from Python 3.13 on
_ABSOLUTE: Final = 1
#: `struct itimerspec` on 64-bit machines: the interval, then the first expiration, each seconds and nanoseconds.
_SPEC: Final = struct.Struct("qqqq")

_libc: Final = ctypes.CDLL(None, use_errno=True)


class LoopLag:
    """Tells, from `start` to `stop`, how many nanoseconds each event waited; after a hang, how long the first one did."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        """`tell` is called on the loop."""
        self._tell = tell
        self._clock = -1
        self._due = 0

    def start(self) -> None:
        """Begin, on the running loop. Raises OSError (EMFILE)."""
        self._clock = _check(
            _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        )
        self._due = time.monotonic_ns() + _INTERVAL
        first = divmod(self._due, _SECOND)
        spec = _SPEC.pack(0, _INTERVAL, *first)
        _check(_libc.timerfd_settime(self._clock, _ABSOLUTE, spec, None))
        asyncio.get_running_loop().add_reader(self._clock, self._ready)

    def _ready(self) -> None:
        waited = time.monotonic_ns() - self._due
        expirations = int.from_bytes(os.read(self._clock, 8), sys.byteorder)
        self._due += expirations * _INTERVAL
        self._tell(waited)

    def stop(self) -> None:
        """End; a second time does nothing."""
        if self._clock != -1:
            asyncio.get_running_loop().remove_reader(self._clock)
            os.close(self._clock)
            self._clock = -1


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
