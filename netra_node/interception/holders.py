"""Which processes hold leases in a namespace, told from /proc. Belongs here: sockets and who has them, nothing of their content.

A lease is a netfilter socket that was made inside the pod's namespace and belongs to a process outside. An application may
talk to nftables in its own namespace; who does so from outside captures it. Formats: proc(5), net/netlink/af_netlink.c.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_NETLINK_NETFILTER: Final = "12"
_SOCKET: Final = "socket:["


def netfilter_sockets(table: Path = Path("/proc/thread-self/net/netlink")) -> frozenset[int]:
    """Return the inodes of the netfilter sockets made in this namespace, to be called inside it. Raises OSError."""
    # sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode: "Eth" is the protocol, "Pid" the netlink port, 0 the kernel's own end
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    return frozenset(int(row[9]) for row in rows if row[1] == _NETLINK_NETFILTER and row[2] != "0")


def processes(sockets: Iterable[int], proc: Path = _PROC) -> dict[int, set[int]]:
    """Return the ids of the processes that have each of `sockets`. Whom we may not look at, or cannot see, is not found."""
    found: dict[int, set[int]] = {inode: set() for inode in sockets}
    if found:
        for entry in proc.iterdir():
            if entry.name.isdigit():
                for inode in _sockets_of(entry) & found.keys():
                    found[inode].add(int(entry.name))
    return found


def outsiders(
    sockets: Iterable[int], who: Mapping[int, set[int]], namespace: int, proc: Path = _PROC
) -> frozenset[int]:
    """Return those of the processes `who` with one of `sockets` that do not live in the namespace with inode `namespace`.

    0 stands for a process that could not be found.
    """
    having = {pid for inode in sockets for pid in who[inode] or {0}}
    return frozenset(pid for pid in having if not pid or not _lives_in(proc / str(pid), namespace))


def _sockets_of(process: Path) -> set[int]:
    try:
        names = [_target(descriptor) for descriptor in (process / "fd").iterdir()]
    except OSError:  # it ended, or is not ours to look at
        return set()
    return {int(name[len(_SOCKET) : -1]) for name in names if name.startswith(_SOCKET)}


def _target(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)  # noqa: PTH115 - text is what is wanted
    except OSError:
        return ""


def _lives_in(process: Path, namespace: int) -> bool:
    try:
        return (process / "ns/net").stat().st_ino == namespace
    except OSError:
        return False
