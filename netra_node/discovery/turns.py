"""Long work on the loop, cut into turns. Belongs here: when to pause. Does not belong here: the work."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

#: A third of what anything of ours may hold the loop for: the last piece of a turn is done whole.
_TURN: Final = 0.0003


class Turns:
    """Counts the time of one piece of work; make it where the work begins."""

    __slots__ = ("_began", "_clock")

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Begin the first turn now. `clock` counts seconds."""
        self._clock = clock
        self._began = clock()

    async def pause(self) -> None:
        """Let others run if this turn was long enough; call it between pieces."""
        if self._clock() - self._began >= _TURN:
            await asyncio.sleep(0)
            self._began = self._clock()
