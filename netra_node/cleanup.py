"""Takes away what a dead daemon left in pods' namespaces, and never what a living one needs.

Belongs here: the order: look everywhere first, remove only when nobody holds any of it. Does not belong here: what is ours in a
namespace (`interception.leftovers`), who holds it (`interception.holders`), which namespaces there are (`cli`).

What is left is inert, so there is no hurry, and every doubt ends in leaving it. Switches under /proc/sys stay: they do nothing
without a mark.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from netra_node import netns
from netra_node.interception import holders, leftovers
from netra_node.interception.leftovers import Leftovers
from netra_node.netns import Namespace, NamespaceGoneError

#: Stands for a process that holds a lease and cannot be seen from here.
UNSEEN = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What there is in one namespace."""

    path: str
    #: Why it was not looked into, in words; empty: it was.
    skipped: str = ""
    left: Leftovers = field(default_factory=Leftovers)
    #: Processes outside that have a lease in it, `UNSEEN` among them.
    held_by: frozenset[int] = frozenset()
    inode: int = 0
    #: Inodes of the netfilter sockets in it.
    sockets: frozenset[int] = frozenset()


def look(paths: Iterable[str]) -> list[Found]:
    """Return what there is in each namespace. Raises OSError (PermissionError: none may be entered)."""
    found = [_look_into(path) for path in paths]
    # one walk over all processes serves all namespaces
    who = holders.processes(frozenset().union(*(one.sockets for one in found)))
    return [replace(one, held_by=_holders(one, who)) for one in found]


def _look_into(path: str) -> Found:
    try:
        namespace = Namespace.open(path)
    except NamespaceGoneError as error:
        return Found(path, error.strerror or "no such network namespace")
    with namespace:
        if namespace.identity in netns.off_limits():
            return Found(path, "it is the host's network namespace or our own")
        sockets = namespace.run(holders.netfilter_sockets)
        left = namespace.run(leftovers.find)
        return Found(path, "", left, inode=namespace.identity.inode, sockets=sockets)


def _holders(found: Found, who: dict[int, set[int]]) -> frozenset[int]:
    held_by = holders.outsiders(found.sockets, who, found.inode)
    owned = any(table.owner for table in found.left.tables)
    return held_by or (frozenset({UNSEEN}) if owned else held_by)


def remove(found: Found) -> None:
    """Remove what is left in one namespace that nobody holds. Raises OSError."""
    with Namespace.open(found.path) as namespace:
        if namespace.identity not in netns.off_limits():
            namespace.run(lambda: leftovers.remove(found.left))
