"""One pod's rules as a lease: the kernel ends it when the socket that holds it is closed, by us or by our death.

Belongs here: making, renewing, pausing and ending it. Does not belong here: the rules (`ruleset`), routes (`routes`), listeners.

Nobody has to tidy up after a kill: the table belongs to a netlink socket and goes with it. A process that hangs does not die;
so the rules match only while a heartbeat of the data plane's own loop is younger than `heartbeat_milliseconds`.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Final, Protocol, Self, TypeVar

from netra_node.interception import encode, leftovers, netlink
from netra_node.interception.leftovers import Table
from netra_node.interception.ruleset import (
    HEARTBEAT_HOST,
    INBOUND_MARK,
    OUTBOUND_MARK,
    RuleSet,
)
from netra_node.interception.slots import Slots

T = TypeVar("T")

# asm-generic/socket.h
_SO_MARK: Final = 36


class Place(Protocol):
    """A network namespace."""

    def run(self, function: Callable[[], T]) -> T:
        """Call `function` inside, on this thread, and return what it returns."""


class Lease:
    """The rules of one pod, from `install` to `release`. Only `open` enters the namespace."""

    def __init__(
        self, rules: RuleSet, table: str, slot: int, beacon: socket.socket, slots: Slots
    ) -> None:
        """Own the netlink socket in `slot` of `slots` and the one that beats, both made inside. `open` makes them."""
        self._owner = rules.owner
        self._table = table
        self._link = socket.socket(fileno=slot)
        self._link.settimeout(netlink.PATIENCE_SECONDS)
        self._beacon = beacon
        self._target = (HEARTBEAT_HOST, rules.heartbeat_port)
        self._slots = slots
        # A worker thread cannot be cancelled: the lease may be released while an abandoned `install` still runs, and the
        # slot's number must not be another lease's before that has read its last answer.
        self._turn = threading.Lock()

    @classmethod
    def open(cls, place: Place, rules: RuleSet, *, table: str, slots: Slots) -> Self:
        """Make the sockets; nothing is captured yet. On the loop's thread, 0.1 ms.

        Of `rules` the owner and the heartbeat hold from here on; the rest may be different at `install`. `table` is the same
        for every pod of this daemon, and of no other. Raises OSError (EMFILE: no slot left).
        """
        with place.run(netlink.netfilter_socket) as link:
            slot = slots.fill(link.fileno())
        try:
            beacon = place.run(_beacon)
        except OSError:
            slots.empty(slot)
            raise
        return cls(rules, table, slot, beacon, slots)

    # ---- to be called in a worker thread: the kernel can take 90 ms, a first encoding 15 ms ---------------------------

    def install(self, rules: RuleSet) -> None:
        """Remove what dead daemons left, make the table, and beat: from here on the pod is captured by `rules`.

        Their owner and heartbeat are those of `open`. Raises RefusedError; nothing is captured then.
        """
        with self._turn:
            if not self._clear():
                for mark in (OUTBOUND_MARK, INBOUND_MARK):
                    # NAT entries outlive the table that made them; a handshake half done would be matched by a stale one.
                    netlink.request(self._link, encode.forget_connections(mark))
            netlink.commit(self._link, encode.install(rules, self._table))
        self.beat()

    def has_neighbours(self) -> bool:
        """Tell whether another living daemon holds a lease here, as while one replaces another. Raises OSError."""
        with self._turn:
            return any(map(self._is_held, self._others()))

    def _clear(self) -> bool:
        """Remove tables that nobody holds. Tell whether there are others."""
        held = False
        for table in self._others():
            if self._is_held(table):
                held = True
            else:
                netlink.commit(self._link, encode.delete(table.name))
        return held

    def _others(self) -> list[Table]:
        return [table for table in leftovers.tables(self._link) if table.name != self._table]

    def _is_held(self, table: Table) -> bool:
        if self._owner:
            return bool(table.owner)
        # Below Linux 5.12 only the heartbeat tells.
        return leftovers.is_beating(self._link, table.name)

    def flush(self) -> None:
        """Let new connections go direct; captured ones go on. Raises RefusedError."""
        with self._turn:
            netlink.commit(self._link, encode.flush(self._table))

    def replace(self, rules: RuleSet) -> None:
        """Capture new connections by `rules` from now on, also after `flush`; captured ones go on.

        One atomic batch: each SYN meets either the old rules or the new. Ports, lists, probabilities, exemptions and the
        inbound mode are replaced; heartbeat, replies and owner stay what they were. Raises RefusedError; the old ones
        hold then.
        """
        with self._turn:
            netlink.commit(self._link, encode.replace(rules, self._table))

    def release(self) -> None:
        """End the lease: the table is gone when this returns. Captured outbound connections are cut off.

        Never raises; a second time does nothing.
        """
        with self._turn:
            if self._link.fileno() == -1:
                return
            if not self._owner:
                with contextlib.suppress(OSError):  # never installed, or removed by somebody else
                    netlink.commit(self._link, encode.delete(self._table))
            self._beacon.close()
            self._slots.empty(self._link.detach())

    # ---- to be called on the data plane's loop, and nowhere else: it shall stop when that loop does ---------------------

    def beat(self) -> None:
        """Renew the lease for `heartbeat_milliseconds` by one datagram (3 µs)."""
        # EPERM says that our rule has seen it, and eaten it.
        with contextlib.suppress(OSError):
            self._beacon.sendto(b"", self._target)


def _beacon() -> socket.socket:
    beacon = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        beacon.setsockopt(socket.SOL_SOCKET, _SO_MARK, OUTBOUND_MARK)
    except OSError:
        beacon.close()
        raise
    return beacon
