"""Lets a command be interrupted only where it says so, so that nothing is left half made.

Belongs here: signals and the waiting that heeds them. Python's own KeyboardInterrupt comes between any two instructions,
also between making a thing and noting that it must be removed.
"""

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_REACTION_SECONDS = 0.05


class Interrupted(Exception):  # noqa: N818 - not an error: somebody wants to stop
    """SIGINT, SIGTERM or SIGHUP came; `exit_code` is what a shell expects then."""

    def __init__(self, number: int) -> None:
        """Carry the signal's number."""
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Interruption:
    """Inside its `with` block those signals only leave a note, which `check` and `pause` read. Main thread only."""

    def __init__(self) -> None:
        """Nothing came yet."""
        self._came = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take the signals over, SIGINT also where `&` in a script has it ignored, SIGHUP not where `nohup` has."""
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for number, before in self._before.items():
            signal.signal(number, before)

    def check(self) -> None:
        """Raise Interrupted if a signal came."""
        if self._came:
            raise Interrupted(self._came)

    def pause(self, seconds: float) -> None:
        """Sleep, and raise Interrupted soon after a signal comes."""
        until = time.monotonic() + seconds
        self.check()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _REACTION_SECONDS))
            self.check()

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for `condition`, asking every 20 ms for at most `seconds`; tell whether it came true."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                return False
            self.pause(0.02)
        return True

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._came = self._came or number
