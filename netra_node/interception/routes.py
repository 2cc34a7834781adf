"""What a pod needs outside the nftables table, so that the application's answers to its clients come back to us.

Belongs here: the rule for the mark, the local routes, the switches under /proc/sys. Does not belong here: nftables (`lease`).

These have no owner and outlive a kill. They are inert then: nobody else's packets carry the mark. Ours are known by their
`proto`; a successor adopts what it finds. The switches are left as they are set: they do nothing to unmarked packets.

Every function here is to be called inside the pod's namespace.
"""

import errno
import socket
from pathlib import Path
from typing import Final

from netra_node.interception import encode, netlink
from netra_node.interception.ruleset import Replies

# The accepted socket takes the mark of the SYN; an answer the kernel gives by itself, as the RST of a closed port, takes the
# mark of the packet it answers.
_SWITCHES: Final = ("ipv4/tcp_fwmark_accept", "ipv4/fwmark_reflect", "ipv6/fwmark_reflect")
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
# A kernel without IPv6, and a namespace where it is switched off (the route is refused with EACCES).
_NO_FAMILY: Final = (errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EACCES, errno.ENODEV)


def prepare_replies(proc: Path = Path("/proc")) -> Replies:
    """Switch on that answers inherit the mark, and return the variant of the rules that is possible here.

    `proc` is any mount of procfs: which namespace's values are written depends on the writer's, not on the mount. Where none
    is writable, as in an unprivileged container, connections have to remember the mark instead.
    """
    try:
        for switch in _SWITCHES:
            _switch_on(proc / "sys/net" / switch)
    except OSError:
        return Replies.CONNTRACK
    return Replies.SYSCTL


def _switch_on(path: Path) -> None:
    # Often it is on already: a read-only mount is no obstacle then.
    if path.exists() and path.read_text().strip() != "1":
        path.write_text("1")


def add() -> None:
    """Add rules and routes of both families; those there already are adopted. Raises RefusedError."""
    with netlink.route_socket() as link:
        for family in _FAMILIES:
            absent = _NO_FAMILY if family == socket.AF_INET6 else ()
            netlink.request(link, *encode.add_routes(family), tolerate=(errno.EEXIST, *absent))


def remove() -> None:
    """Remove what `add` added; what is not there needs no removal. Raises RefusedError."""
    missing = (errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EAFNOSUPPORT, errno.EOPNOTSUPP)
    with netlink.route_socket() as link:
        for family in _FAMILIES:
            netlink.request(link, *encode.remove_routes(family), tolerate=missing)
