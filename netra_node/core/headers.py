"""How the rest of the core sees a request head: values by name, and the declared headers to write.

Belongs here: the seam between parsing (`head`) and deciding (`tracing`). Does not belong here: either of them.
"""

from typing import Protocol

#: Set exactly one header `name` to `value`, whatever stood there; None removes every copy. `name` keeps its case when added.
Declared = tuple[bytes, bytes | None]


class HeaderView(Protocol):
    """A complete, validated request head."""

    #: Whether any field may occur more than once, or one of the parser's rare ones be there; where not, `get` tells all that
    #: `get_all` does, and costs less.
    repeats: bool

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of the lower-case `name`, stripped of optional white space, or None."""

    def get_all(self, name: bytes) -> list[bytes]:
        """Return every value of the lower-case `name` in order of appearance."""
