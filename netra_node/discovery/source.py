"""What every source of pods is to whoever uses one. Belongs here: the shape. Does not belong here: a source."""

from collections.abc import Callable
from typing import Protocol

from netra_node.core.desired import RefusedPod
from netra_node.discovery.pod import Pod

#: A pod, or why one could not be read.
Entry = Pod | RefusedPod


class SourceError(Exception):
    """A source that cannot be used; the message names it and says why."""


class Source(Protocol):
    """Pods that are known, kept up to date from `start` to `stop`."""

    #: Why they cannot be had now, in words; `pods` is what was last known then. None: they can.
    problem: str | None

    @property
    def where(self) -> str:
        """Where they come from, in words that begin a sentence."""

    @property
    def listed(self) -> bool:
        """Whether they have been had at all."""

    @property
    def pods(self) -> tuple[Entry, ...]:
        """Every pod that is known. What has not changed is the same object as before."""

    def start(self, changed: Callable[[], None]) -> None:
        """Begin; needs the loop. `changed` is called on it whenever anything of this is different."""

    async def look(self) -> None:
        """Learn what there is now; for somebody who wants to know once, without a start."""

    async def stop(self) -> None:
        """End; `changed` is not called any more."""
