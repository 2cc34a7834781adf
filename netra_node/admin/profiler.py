"""Where the process spends its CPU time, by samples. Belongs here: taking them, and the collapsed form they are told in.

Does not belong here: paths and answers (`debugging`).

A timer of the kernel counts CPU time of the process and interrupts the main thread, which is the loop's, every 5 ms of it: a sample takes
11 µs (measured), so the busiest process loses 0.2 %, an idle one nothing, and nothing else is held. A thread that samples would see idle
waiting too, and would have to take the interpreter from the loop for each look.
"""

import asyncio
import signal
from collections.abc import Callable, Collection, Iterable, Iterator
from opcode import opmap
from time import thread_time_ns
from types import CodeType, FrameType
from typing import Final

from netra_node.admin.stacks import place

#: CPU seconds from one sample to the next.
INTERVAL: Final = 0.005
_HALF: Final = round(INTERVAL * 1e9 / 2)
_DEEPEST: Final = 128
#: Different stacks; beyond, only the innermost function of one is told.
_MOST: Final = 4000
#: The first thing a function does.
_RESUME: Final = opmap["RESUME"]
_LINES_PER_PIECE: Final = 16

#: Innermost first; empty: it was no time of the main thread's.
Stack = tuple[CodeType, ...]
#: How often it was seen.
Sample = tuple[Stack, int]


class Profiler:
    """Takes one profile at a time, of the process it is in. To be used in the main thread."""

    def __init__(self, own_time: Callable[[], int] = thread_time_ns) -> None:
        """Touches nothing of the process yet. `own_time` returns the CPU time of this thread in nanoseconds."""
        self._clock = own_time
        #: By the ids of a stack's functions: two that are written alike are equal, and yet not one.
        self._samples: dict[tuple[int, ...], Sample] | None = None
        self._own_time = 0

    @property
    def busy(self) -> bool:
        """Whether a profile is being taken."""
        return self._samples is not None

    async def take(self, seconds: float) -> Collection[Sample]:
        """Return how often each stack was seen in `seconds` from now. Not to be called while busy."""
        samples: dict[tuple[int, ...], Sample] = {}
        self._samples = samples
        self._own_time = self._clock()
        # It stays: a last signal that comes late would end the process.
        signal.signal(signal.SIGPROF, self._interrupted)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
        try:
            await asyncio.sleep(seconds)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self._samples = None
        return samples.values()

    def _interrupted(self, _signal: int, frame: FrameType | None) -> None:
        samples, before = self._samples, self._own_time
        if samples is None:
            return
        self._own_time = now = self._clock()
        # where the main thread did not use it, other threads did
        stack = stack_of(frame) if now - before > _HALF else ()
        key = tuple(map(id, stack))
        if len(samples) >= _MOST and key not in samples:
            stack, key = stack[:1], key[:1]
        samples[key] = (stack, samples[key][1] + 1 if key in samples else 1)


def stack_of(frame: FrameType | None) -> Stack:
    """Return who is running, innermost first.

    An interrupted call into C is noticed when Python goes on: in its caller, or at the first instruction of what is called next. That one has done
    nothing yet, so the time was its caller's: the loop's, for a callback that follows a read.
    """
    if frame is not None and frame.f_back is not None and _has_not_begun(frame):
        frame = frame.f_back
    stack: list[CodeType] = []
    while frame is not None and len(stack) < _DEEPEST:
        stack.append(frame.f_code)
        frame = frame.f_back
    return tuple(stack)


def _has_not_begun(frame: FrameType) -> bool:
    return frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] == _RESUME


def collapsed(samples: Iterable[Sample]) -> Iterator[str]:
    """Yield `outermost;…;innermost count` lines in pieces: what speedscope and flamegraph.pl read."""
    lines = []
    for stack, count in samples:
        names = [place(code, code.co_firstlineno).replace(";", ":") for code in reversed(stack)]
        lines.append(f"{';'.join(names) or 'other threads'} {count}\n")
        if len(lines) == _LINES_PER_PIECE:
            yield "".join(lines)
            lines = []
    yield "".join(lines)
