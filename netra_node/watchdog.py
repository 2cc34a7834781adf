"""Ends the process when its loop stays stuck, so that nobody waits for an answer from it.

Belongs here: the alarm, and what makes it work when no Python can run. Does not belong here: how the kernel takes a dead
daemon's rules away (`interception.lease`).

New connections go direct as soon as the heartbeat ages; those that we hold would wait for ever. Whatever the loop hangs in, an
endless loop, a lock, a system call, C code that keeps the GIL, no code of ours can be relied on any more. So the kernel does it:
every beat sets the process's alarm clock anew, and SIGALRM, unhandled, ends the process.

A process that somebody stopped (SIGSTOP, a debugger, a frozen cgroup) is not stuck, but its alarm clock runs on, and SIGALRM would
be the first it sees on resuming; all its connections would be cut for nothing. So the first alarm only grants a last respite, and
the second ends the process. However long it was stopped, the alarms of that time are one.
"""

import ctypes
import signal
import struct
from typing import Final

#: Seconds between the first alarm and the second; see `Watchdog`.
RESPITE_SECONDS: Final = int(signal.SIGALRM)

# asm-generic/signal-defs.h
_SA_RESTART, _SA_RESETHAND = 0x10000000, 0x80000000
#: `struct sigaction` of glibc and musl on 64-bit machines: handler, an empty mask, flags, a pointer that is libc's.
_ACTION: Final = struct.Struct("P128xI4xP")

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Watchdog:
    """One for a process: there is one alarm clock. From the first `beat` on the next must come in time, until `stop`.

    The handler of the first alarm is libc's own `alarm`: one of the few functions that a handler may call and, called with
    the number of the signal, it sets the clock to that many seconds. A handler of Python's would run only if Python did.
    """

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long the loop may stand still before the last respite begins."""
        self._seconds = seconds
        # It handles one alarm: the next finds the default action again.
        handler = ctypes.cast(_libc.alarm, ctypes.c_void_p).value
        self._action = _ACTION.pack(handler, _SA_RESETHAND | _SA_RESTART, 0)

    def beat(self) -> None:
        """Wind up the alarm clock, and grant the respite again (2 µs). Raises OSError."""
        if _libc.sigaction(int(signal.SIGALRM), self._action, None):
            raise OSError(ctypes.get_errno(), "no handler for SIGALRM")
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def stop(self) -> None:
        """Let the process take as long as it wants from here on."""
        signal.setitimer(signal.ITIMER_REAL, 0)
