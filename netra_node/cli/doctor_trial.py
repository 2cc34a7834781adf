"""Tries on this kernel what the daemon will ask of it, in a network namespace that ends with this process.

Belongs here: trying, and what was refused. Does not belong here: what that means (`doctor_checks`). It is a program of its own,
`python -m netra_node.cli.doctor_trial PROC`, as a process that enters a namespace does not come back; it prints one JSON object.
"""

import ctypes
import errno
import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

from netra_node import netns, rootless
from netra_node.cli.capabilities import missing_capabilities
from netra_node.interception import leftovers, routes
from netra_node.interception.lease import Lease
from netra_node.interception.ruleset import Replies, RuleSet
from netra_node.interception.slots import Slots

T = TypeVar("T")

_CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
_IP_TRANSPARENT: Final = 19  # linux/in.h
_TABLE: Final = "netra-00d0c704"
_NO_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


@dataclass(frozen=True, slots=True)
class Trial:
    """What happened. A text is what was refused, in words; empty: nothing."""

    #: Where it was tried as an ordinary user: what follows is true of root in this place, too.
    ordinary: bool = False
    namespace: str = ""
    rules: str = ""
    owner: str = ""
    routes: str = ""
    transparent: str = ""
    cookie: bool = True
    switches: bool = True
    ipv6: bool = True


def main(proc: Path) -> int:
    """Try everything and print it; `proc` is the /proc that the daemon would write to."""
    slots = Slots(1)
    json.dump(asdict(_trial(slots, proc)), sys.stdout)
    return 0


def _trial(slots: Slots, proc: Path) -> Trial:
    ordinary = bool(missing_capabilities(Path("/proc/self/status").read_text()))
    try:
        rootless.enter() if ordinary else _leave_home()
    except (rootless.RootlessError, OSError) as error:
        return Trial(ordinary, namespace=str(error))
    return Trial(
        ordinary,
        rules=_refusal(lambda: _try_rules(slots)),
        owner=_refusal(lambda: _try_owner(slots)),
        routes=_refusal(routes.add),
        transparent=_refusal(_try_transparent),
        cookie=netns.home().cookie != 0,
        switches=routes.prepare_replies(proc) is Replies.SYSCTL,
        ipv6=_has_ipv6(),
    )


def _leave_home() -> None:
    """Python 3.11 has no unshare."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    rootless.bring_loopback_up()


def _refusal(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return error.strerror or str(error)
    return ""


class _Here:
    """The namespace we are in."""

    def run(self, function: Callable[[], T]) -> T:
        """Call `function`."""
        return function()


def _try_rules(slots: Slots) -> None:
    """The real rules, in both variants: every expression and every chain type the daemon may need."""
    for replies in Replies:
        _installed(RuleSet(replies=replies, owner=False), slots)


def _try_owner(slots: Slots) -> None:
    """The table has to have an owner, and to go with it."""
    owners = [table.owner for table in _installed(RuleSet(), slots).tables]
    if not all(owners) or leftovers.find().tables:
        raise OSError(errno.ENOTSUP, "a table outlives its owner")


def _installed(rules: RuleSet, slots: Slots) -> leftovers.Leftovers:
    lease = Lease.open(_Here(), rules, table=_TABLE, slots=slots)
    try:
        lease.install(rules)
        return leftovers.find()
    finally:
        lease.release()


def _try_transparent() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
    except OSError as error:
        if error.errno in _NO_IPV6:
            return False
        raise
    return True


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
