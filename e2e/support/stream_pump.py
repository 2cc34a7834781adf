"""Sends or receives bytes by the gigabyte on a socket it was given: `python -m e2e.support.stream_pump send|receive FD UNIT COUNT`.

Belongs here: one repeated unit of bytes, sent as fast as it is taken or received and compared, every byte of it. Does not
belong here: HTTP, which made the unit and opened the socket.

A process of its own, as a thread of the tests' would hand its lock to and fro. Comparing is one memcmp for each read. A
unit's length is odd and nothing in it repeats: what is lost, doubled or moved, in whatever blocks, does not compare.
"""

import argparse
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from netra_node.testbed import Testbed

_CHECKOUT: Final = Path(__file__).parents[2]
_READ: Final = 1 << 18
_PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Moved:
    """What one end did."""

    #: Units that passed whole, each as it should be.
    units: int
    seconds: float


class Pump:
    """One end at work; `begin` lets it go."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child

    def begin(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write("go\n")
        self._child.stdin.flush()

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def result(self) -> Moved:
        out, _ = self._child.communicate()
        assert self._child.returncode == 0, out
        return Moved(**json.loads(out))


def pump(bed: Testbed, pod: str, sock: socket.socket, role: str, unit: Path, count: int) -> Pump:
    """Start one end, `role` send or receive, and wait until it is ready to begin."""
    argv = [sys.executable, "-m", "e2e.support.stream_pump"]
    argv += [role, str(sock.fileno()), str(unit), str(count)]
    child = bed.spawn(
        pod,
        argv,
        cwd=_CHECKOUT,
        pass_fds=(sock.fileno(),),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return Pump(child)


# ---- in the process itself


def _send(sock: socket.socket, unit: bytes, count: int) -> int:
    for _ in range(count):
        sock.sendall(unit)
    return count


def receive(sock: socket.socket, unit: bytes, count: int) -> int:
    """The units received; fewer than `count` where the sender ended or a byte differed."""
    left, position = len(unit) * count, 0
    expected = unit + unit[:_READ]
    buffer = memoryview(bytearray(_READ))
    while left:
        got = sock.recv_into(buffer[: min(left, _READ)])
        # a prefix, so that nothing is copied
        if not got or not expected.startswith(buffer[:got], position):
            break
        position = (position + got) % len(unit)
        left -= got
    return count - -(-left // len(unit))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["send", "receive"])
    parser.add_argument("descriptor", type=int)
    parser.add_argument("unit", type=Path)
    parser.add_argument("count", type=int)
    args = parser.parse_args()
    unit = args.unit.read_bytes()
    with socket.socket(fileno=args.descriptor) as sock:
        sock.settimeout(_PATIENCE)
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.monotonic()
        move = _send if args.role == "send" else receive
        units = move(sock, unit, args.count)
        print(json.dumps({"units": units, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
