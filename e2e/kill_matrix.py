"""The kill matrix: `python -m e2e.kill_matrix [PAGE]` plays every cell and writes the table, to docs/reliability.md.

Belongs here: one cell, what is measured in it, the page. Does not belong here: what is good enough (`test_kill_matrix`).
"""

import argparse
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import product
from pathlib import Path

from e2e.support import carried, kernel
from e2e.support.carried import Client, End
from e2e.support.daemon import Daemon, until
from e2e.support.load import Fate, Load, Server, Visit
from e2e.support.node import Node
from netra_node import rootless
from netra_node.cli.capabilities import missing_capabilities
from netra_node.testbed import Testbed

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
PORT = 8080
#: Seconds: of load before the signal and after it; from SIGSTOP to SIGCONT.
BEFORE, AFTER, STOPPED = 0.6, 3.0, 2.0
#: Clients with a connection through the daemon, in each direction.
CARRIED = 10
#: Nothing that began so shortly before the signal counts as undisturbed: it may have been under way.
UNDER_WAY = 0.2


class Work(Enum):
    """What the carried clients do."""

    IDLE = "idle"
    KEEP_ALIVE = "keep-alive"
    NEW = "new connections"
    UPLOAD = "upload"


_CLIENTS: dict[Work, Client] = {
    Work.IDLE: carried.idle,
    Work.KEEP_ALIVE: carried.keep_alive,
    Work.UPLOAD: carried.upload,
}
SIGNALS = (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP)


@dataclass(frozen=True)
class Case:
    """Both directions of it are played at once."""

    signal: signal.Signals
    work: Work
    pods: int


@dataclass(frozen=True)
class Cell:
    """What was seen in one direction of one case."""

    case: Case
    direction: str
    #: New connections, all of them; `began` counts from the signal.
    visits: tuple[Visit, ...] = field(repr=False)
    #: What the carried clients got.
    ends: Counter[End]
    tables: int
    routing: frozenset[str]

    @property
    def failed(self) -> list[Visit]:
        return [v for v in self.visits if v.fate not in (Fate.DIRECT, Fate.CAPTURED)]

    @property
    def last_failed(self) -> float:
        """When the last that failed began; 0 where none failed after the signal."""
        return max((v.began for v in self.failed), default=0.0)

    @property
    def longest(self) -> float:
        return max(v.took for v in self.visits if v.began + v.took > 0)

    @property
    def undisturbed(self) -> Counter[Fate]:
        return Counter(v.fate for v in self.visits if v.began < -UNDER_WAY)

    def later(self, seconds: float) -> set[Fate]:
        """What became of those begun later than so long after the signal."""
        return {v.fate for v in self.visits if v.began > seconds}


@contextmanager
def stage(pods: int) -> Iterator[Node]:
    """`pods` pods to be captured, and `x` and `y` beside them, with a server in each that is called."""
    with tempfile.TemporaryDirectory() as directory, Testbed("kill") as bed:
        for name in ("x", "y", *_captured(pods)):
            bed.add_pod(name)
        with Node(bed, Path(directory) / "pods.json") as node:
            for name in {"y", *_ends(pods)}:
                Server(node.listen(name, port=PORT))
            yield node


def _captured(pods: int) -> list[str]:
    return [f"p{number}" for number in range(pods)]


def _ends(pods: int) -> tuple[str, str]:
    """The pod that was captured first, and the one that was last."""
    return "p0", f"p{pods - 1}"


def _ways(pods: int) -> dict[str, list[tuple[str, str]]]:
    """Who calls whom, by direction."""
    return {
        "in": [("x", pod) for pod in _ends(pods)],
        "out": [(pod, "y") for pod in _ends(pods)],
    }


def play(node: Node, case: Case) -> list[Cell]:
    """Play one case with a daemon of its own on a stage of as many pods."""
    names = _captured(case.pods)
    node.enrol(*names)
    with Daemon(node.file, node.file.parent) as daemon, ExitStack() as stack:
        daemon.wait_for(*names)
        over = threading.Event()
        clients = ThreadPoolExecutor(2 * CARRIED)
        ways = _ways(case.pods)
        loads = {way: _load(node, case, pairs, stack) for way, pairs in ways.items()}
        ends = {way: _carry(node, case, pairs, clients, over) for way, pairs in ways.items()}
        time.sleep(BEFORE)
        moment = time.monotonic()
        os.kill(daemon.pid, case.signal)
        if case.signal is signal.SIGSTOP:
            time.sleep(STOPPED)
            _see_it_go_on(daemon, loads.values())
        else:
            time.sleep(AFTER)
            assert until(lambda: daemon.exit_code is not None), daemon.last_words()
        over.set()
        stack.close()
        got = {way: Counter(end.result() for end in these) for way, these in ends.items()}
        clients.shutdown()
        left = [node.pod(name) for name in names]
        tables = sum(len(kernel.tables(pod)) for pod in left)
        routing = frozenset(what for pod in left for what in kernel.routing_of_ours(pod))
    return [
        Cell(case, way, _seen_from(moment, loads[way]), got[way], tables, routing) for way in ways
    ]


def _load(node: Node, case: Case, pairs: list[tuple[str, str]], stack: ExitStack) -> list[Load]:
    """A client for each pair, so that every case is asked by new connections; four where those are the work."""
    each = 4 if case.work is Work.NEW else 1
    return [
        stack.enter_context(Load(node, (caller,) * each, (node.pod(called).ipv4, PORT)))
        for caller, called in pairs
    ]


def _carry(
    node: Node,
    case: Case,
    pairs: list[tuple[str, str]],
    pool: ThreadPoolExecutor,
    over: threading.Event,
) -> list[Future[End]]:
    if case.work is Work.NEW:
        return []
    return [
        pool.submit(_CLIENTS[case.work], _connect(node, *pairs[number % 2]), over)
        for number in range(CARRIED)
    ]


def _connect(node: Node, caller: str, called: str) -> socket.socket:
    sock = node.connect(caller, (node.pod(called).ipv4, PORT))
    sock.settimeout(carried.PATIENCE)
    return sock


def _see_it_go_on(daemon: Daemon, ways: Iterable[list[Load]]) -> None:
    moment = time.monotonic()
    os.kill(daemon.pid, signal.SIGCONT)
    time.sleep(BEFORE)

    def captures(way: list[Load]) -> bool:
        visits = [visit for load in way for visit in list(load.visits)]
        return any(visit.began > moment and visit.fate is Fate.CAPTURED for visit in visits)

    until(lambda: all(map(captures, ways)))


def _seen_from(moment: float, loads: Iterable[Load]) -> tuple[Visit, ...]:
    return tuple(
        Visit(v.began - moment, v.took, v.fate) for load in loads for v in list(load.visits)
    )


def play_all(signals: Iterable[signal.Signals], works: Iterable[Work], pods: int) -> Iterator[Cell]:
    with stage(pods) as node:
        for number, work in product(signals, works):
            yield from play(node, Case(number, work, pods))


# ---- the page


_TITLES = (
    "signal",
    "load",
    "direction",
    "pods",
    "new connections",
    "refused",
    "cut off",
    "last of these begun after",
    "longest wait",
    "carried clients got",
    "left behind",
)
_NAMES = {
    signal.SIGTERM: "SIGTERM",
    signal.SIGKILL: "SIGKILL",
    signal.SIGSTOP: "SIGSTOP, SIGCONT",
}


def row(cell: Cell) -> tuple[str, ...]:
    case = cell.case
    fates = Counter(v.fate for v in cell.visits)
    return (
        _NAMES[case.signal],
        case.work.value,
        cell.direction,
        str(case.pods),
        str(len(cell.visits)),
        str(fates[Fate.REFUSED]),
        str(fates[Fate.CUT] + fates[Fate.HUNG]),
        f"{cell.last_failed * 1e3:.0f} ms" if cell.failed else "",
        f"{cell.longest:.2f} s",
        ", ".join(f"{count} {end.value}" for end, count in cell.ends.items()),
        _left(cell),
    )


def _left(cell: Cell) -> str:
    if cell.case.signal is signal.SIGSTOP:
        return "it runs on"
    tables = f"{cell.tables} tables" if cell.tables else ""
    return ", ".join(filter(None, (tables, "rules, routes" if cell.routing else ""))) or "nothing"


def table(cells: Iterable[Cell]) -> str:
    rows = [_TITLES, ("---",) * len(_TITLES), *map(row, cells)]
    return "\n".join("| " + " | ".join(each) + " |" for each in rows) + "\n"


_TEXT = """\
# Reliability: what becomes of connections when the daemon ends or hangs

Written by `make reliability`, which plays every line below with a daemon of its own and takes about {minutes} minutes. Measured
{when} at commit {commit}, on Linux {kernel}, {cores} cores, Python {python}.

How to read it: pods are network namespaces with an HTTP server each; 1, 2 or 30 of them are captured. Connections go *in*,
from outside into a captured pod, and *out* of one; with 30 pods into and out of the pod captured first and the one captured
last. Each line has new connections all the time, one after another, each with a request and its answer; where they are
the load, four times as many. {carried} clients in each direction hold a connection through the daemon when it gets the signal: *idle*, or
*keep-alive* with one request after another, or in the middle of an *upload* of 2 s.

* **refused**, **cut off**: new connections that failed; cut off are those that the daemon had accepted and not yet answered.
  The next column tells how long after the signal the last of these began (negative: before it).
* **longest wait**: of a new connection, from its first packet to the last byte of the answer. A second is a SYN that was
  dropped while the daemon died and sent again by the kernel. With SIGSTOP ({stopped} s until SIGCONT) who was accepted in the last second of the lease
  waits until the daemon goes on; all others went direct.
* **carried clients got**: FIN or RST when the daemon ended, an answer, or nothing at all: silence, which must not be. After SIGTERM a
  request under way is answered first.
* **left behind** in the pods' namespaces: after SIGKILL a policy rule and routes that nothing uses without our tables; the next
  start adopts them, `netra-node cleanup` removes them.

`make test` plays a few of these with two pods, `make long` all of them; both hold the promises with a tenfold margin: nobody is refused or
cut off who begins later than 50 ms after the signal (2 pods; 15 ms for each of 30), nobody waits longer than 2.5 s, nobody is left in silence,
nothing is left behind by SIGTERM.

{table}"""


def page(cells: list[Cell], seconds: float) -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, cwd=PAGE.parent, capture_output=True, text=True, check=False)
    return _TEXT.format(
        minutes=round(seconds / 60),
        when=time.strftime("%Y-%m-%d", time.gmtime()),
        commit=commit.stdout.strip() or "unknown",
        kernel=platform.release(),
        cores=os.cpu_count(),
        python=platform.python_version(),
        carried=CARRIED,
        stopped=STOPPED,
        table=table(cells),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", nargs="?", type=Path, default=PAGE)
    args = parser.parse_args()
    if missing_capabilities(Path("/proc/self/status").read_text()):
        rootless.enter()
    began = time.monotonic()
    cells = []
    for pods in (1, 2, 30):
        for cell in play_all(SIGNALS, Work, pods):
            print(" | ".join(row(cell)), file=sys.stderr)
            cells.append(cell)
    args.page.write_text(page(cells, time.monotonic() - began))


if __name__ == "__main__":
    main()
