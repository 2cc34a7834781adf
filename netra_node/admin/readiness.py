"""What still keeps the daemon from being ready, by name. Belongs here: the set of names; who adds or clears them is `app`'s choice."""

from collections.abc import Iterable


class Readiness:
    """Ready when nothing blocks. Names are sentences for a person: `the first complete pod list`."""

    def __init__(self, blockers: Iterable[str] = ()) -> None:
        """Start blocked by `blockers`."""
        # A dict is an ordered set: what was named first is told first.
        self._blockers = dict.fromkeys(blockers)

    @property
    def blockers(self) -> tuple[str, ...]:
        """What is still awaited, in the order it was named; empty means ready."""
        return tuple(self._blockers)

    def block(self, name: str) -> None:
        """Be unready until `name` is cleared; naming it twice changes nothing."""
        self._blockers[name] = None

    def clear(self, name: str) -> None:
        """Stop waiting for `name`; clearing it twice changes nothing."""
        self._blockers.pop(name, None)
