"""`python inside.py PID COMMAND…`: runs a command on the node whose first process has that pid, and ends with it.

Belongs here: entering the namespaces, passing SIGTERM on, the exit code. nsenter(1) enters as well, but a signal sent to it
does not reach the command.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_SPACES = ("ipc", "net", "pid", "mnt")

_libc = ctypes.CDLL(None, use_errno=True)


def main(node: str, argv: list[str]) -> int:
    """Run `argv` as a child: a PID namespace is entered only by those born after. Return its exit code."""
    _enter(node)
    child = os.fork()
    if not child:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.execvp(argv[0], argv)
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _enter(node: str) -> None:
    directory = Path.cwd()
    # All are opened first: behind the mount namespace there is another /proc.
    spaces = [os.open(f"/proc/{node}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in _SPACES]
    for space in spaces:
        if _libc.setns(space, 0):
            raise OSError(ctypes.get_errno(), "setns")
    os.chdir(directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
