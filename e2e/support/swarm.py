"""Many short connections beside many live ones, from processes of their own: `python -m e2e.support.swarm serve|visit`.

Belongs here: the server that keeps up with them, the clients, and how they are started in a pod. Does not belong here: what
became of one connection (`load`), what is too slow.

Threads of the tests' own process would measure its interpreter lock.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Any, cast

import uvloop

from e2e.support.load import ANSWER_SIZE, Fate, Visit, answer_to, closes_after, fate_of, visit
from e2e.support.node import read
from netra_node.proxy.transports import cork
from netra_node.testbed import BedPod, Testbed

#: A connection beginning so is no HTTP; it is answered with `BYE` and closed.
BYE = b"\0bye\n"
_KEEP = b"GET /live HTTP/1.1\r\nHost: b\r\n\r\n"
_BACKLOG = 4096
_PROCESSES = 32
_PATIENCE = 10.0
#: Between two exchanges on live connections.
_PAUSE = 0.003
_CHECKOUT = Path(__file__).parents[2]

Address = tuple[str, int]


@dataclass(frozen=True)
class Outcome:
    """What became of a swarm."""

    fates: Counter[Fate]
    #: Seconds that each of the slowest took, and when it began, counted from the first.
    slowest: list[tuple[float, float]]
    #: Exchanges on the live connections, and how many of those connections answered the last one.
    live_exchanges: int
    live: int
    seconds: float

    @property
    def average(self) -> float:
        """Seconds that a short one took on average: each process makes one after the other."""
        return self.seconds * _PROCESSES / self.fates.total()

    def __str__(self) -> str:
        fates = ", ".join(f"{count} {fate.name.lower()}" for fate, count in self.fates.items())
        return (
            f"{fates} in {self.seconds:.1f} s, slowest {self.slowest[0][0] * 1e3:.0f} ms; "
            f"{self.live} live ones after {self.live_exchanges} exchanges"
        )


# ---- in the tests' process


def serve_in(bed: Testbed, pod: str, ports: Sequence[int]) -> None:
    """Start the server in a pod; it ends with the bed."""
    child = _start(bed, pod, ["serve", *map(str, ports)])
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"


def visit_from(
    bed: Testbed, pod: str, targets: Sequence[Address], *, short: int, live: int
) -> "subprocess.Popen[str]":
    """Start the clients in a pod. They spread over all targets."""
    where = [f"{host}:{port}" for host, port in targets]
    return _start(bed, pod, ["visit", f"--short={short}", f"--live={live}", *where])


def outcome_of(child: "subprocess.Popen[str]") -> Outcome:
    """Wait for the clients."""
    out, _ = child.communicate()
    found = json.loads(out)
    found["fates"] = Counter({Fate[name]: count for name, count in found["fates"].items()})
    found["slowest"] = [tuple(times) for times in found["slowest"]]
    return Outcome(**found)


def set_client_ports(bed: Testbed, pod: BedPod, ports: range) -> None:
    """Have the pod's kernel take source ports from `ports`."""
    setting = Path("/proc/sys/net/ipv4/ip_local_port_range")
    bed.run_inside(pod.name, lambda: setting.write_text(f"{ports[0]} {ports[-1]}"))


def _start(bed: Testbed, pod: str, arguments: list[str]) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-m", "e2e.support.swarm", *arguments]
    return bed.spawn(pod, argv, cwd=_CHECKOUT, stdout=subprocess.PIPE, text=True)


# ---- in the server's process


class _Server(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._head = b""

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self._head.startswith(BYE):
            self._close_with(BYE)
        elif self._head.endswith(b"\r\n\r\n"):
            head, self._head = self._head, b""
            if closes_after(head):
                self._close_with(answer_to(head))
            else:
                self._transport.write(answer_to(head))

    def _close_with(self, answer: bytes) -> None:
        """In one packet: else a fast client may be the first to close, with us or without."""
        cork(self._transport)
        self._transport.write(answer)
        self._transport.close()


async def _serve(ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(_Server, "0.0.0.0", port, backlog=_BACKLOG)
    print("ready", flush=True)
    await asyncio.Event().wait()


# ---- in the clients' processes


def _visit_all(targets: list[Address]) -> list[Visit]:
    return [visit(socket.socket, target, _PATIENCE) for target in targets]


class _Live:
    """Connections that stay open, and are asked now and then."""

    def __init__(self, targets: list[Address], count: int) -> None:
        self._sockets = [
            socket.create_connection(targets[number % len(targets)], _PATIENCE)
            for number in range(count)
        ]
        self.exchanges = 0

    def ask(self, sock: socket.socket) -> bool:
        with contextlib.suppress(OSError):
            sock.sendall(_KEEP)
            self.exchanges += 1
            return fate_of(read(sock, ANSWER_SIZE)) is not Fate.CUT
        return False

    def ask_all(self) -> int:
        """How many answer."""
        return sum(self.ask(sock) for sock in self._sockets)

    def ask_until(self, done: "AsyncResult[Any]") -> None:
        """One after another, as long as the short ones come and go."""
        number = 0
        while not done.ready():
            if self._sockets:
                self.ask(self._sockets[number % len(self._sockets)])
            number += 1
            done.wait(_PAUSE)


def _visit(targets: list[Address], short: int, live: int) -> dict[str, Any]:
    shares = [
        [targets[number % len(targets)] for number in range(first, short, _PROCESSES)]
        for first in range(_PROCESSES)
    ]
    with multiprocessing.get_context("fork").Pool(_PROCESSES) as pool:
        kept = _Live(targets, live)
        kept.ask_all()
        began = time.monotonic()
        running = pool.map_async(_visit_all, shares, chunksize=1)
        kept.ask_until(running)
        visits = [seen for share in running.get() for seen in share]
        seconds = time.monotonic() - began
        slowest = sorted(((v.took, v.began - began) for v in visits), reverse=True)
        return {
            "fates": Counter(v.fate.name for v in visits),
            "slowest": slowest[:10],
            "live": kept.ask_all(),
            "live_exchanges": kept.exchanges,
            "seconds": seconds,
        }


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    roles = parser.add_subparsers(dest="role", required=True)
    server = roles.add_parser("serve")
    server.add_argument("ports", nargs="+", type=int)
    clients = roles.add_parser("visit")
    clients.add_argument("--short", type=int)
    clients.add_argument("--live", type=int)
    clients.add_argument("targets", nargs="+", type=_address)
    args = parser.parse_args()
    if args.role == "serve":
        uvloop.run(_serve(args.ports))
    else:
        print(json.dumps(_visit(args.targets, args.short, args.live)))


if __name__ == "__main__":
    main()
