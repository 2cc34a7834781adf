"""What this kernel can do, found out by trying.

Belongs here: one trial for each thing that the rules depend on. Does not belong here: what follows from it (`ruleset`), telling
it to a person.
"""

import errno
from collections.abc import Callable
from socket import socket
from typing import Final

from netra_node.interception import encode, netlink
from netra_node.interception.encode import Batch
from netra_node.interception.netlink import RefusedError

_TABLE: Final = "netra-trial"
#: The first below Linux 5.12, which knows one flag of tables; the second from it on for flags it does not know.
_UNKNOWN: Final = (errno.EINVAL, errno.EOPNOTSUPP)


def owner_flag(commit: Callable[[socket, Batch], None] = netlink.commit) -> bool:
    """Tell whether a table can belong to a socket and die with it (Linux 5.12).

    Tried in the current namespace, where nobody sees it. Raises OSError when there is no privilege or no nftables.
    """
    with netlink.netfilter_socket() as link:
        try:
            commit(link, encode.owner_trial(_TABLE))
        except RefusedError as error:
            if error.errno not in _UNKNOWN:
                raise
            return False
    return True
