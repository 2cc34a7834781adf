"""Low file descriptors, kept free for the sockets that must be closed last.

Belongs here: reserving, filling and emptying them. Does not belong here: what is put into them (`lease`).

When a process dies the kernel closes its descriptors from the highest to the lowest. The leases have to go last: as long as a
table is there NAT is, so the clients of our connections get their FIN or RST; and the listeners are gone before, so that no new
connection ends in the queue of a dead one. With the order reversed all clients hang, for ever.
"""

import errno
import fcntl
import os
from typing import Final

# Standard input, output and error stay what they are.
_LOWEST: Final = 3


class Slots:
    """As many descriptors as pods can be captured at once; made before anything else is opened, so they are the lowest."""

    def __init__(self, count: int) -> None:
        """Reserve `count` descriptors. Raises OSError (EMFILE) beyond the process's limit."""
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._free: list[int] = []
        try:
            for _ in range(count):
                self._free.append(fcntl.fcntl(self._null, fcntl.F_DUPFD_CLOEXEC, _LOWEST))
        except OSError:
            self.close()
            raise
        # The lowest is taken first.
        self._free.reverse()

    def fill(self, descriptor: int) -> int:
        """Put what `descriptor` stands for into a free slot, and return the slot. `descriptor` stays the caller's to close.

        Raises OSError (EMFILE) when every slot is taken: capturing without one would break its promise.
        """
        if not self._free:
            raise OSError(errno.EMFILE, "no descriptor left for another pod")
        slot = self._free.pop()
        os.dup2(descriptor, slot, inheritable=False)
        return slot

    def empty(self, slot: int) -> None:
        """Close what is in `slot`, which stays reserved. Blocks as long as closing does."""
        os.dup2(self._null, slot, inheritable=False)
        self._free.append(slot)

    def close(self) -> None:
        """Give the free descriptors back; taken ones stay with who has them."""
        for descriptor in (*self._free, self._null):
            os.close(descriptor)
        self._free.clear()
