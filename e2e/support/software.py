"""Real programs in pods: one operation on every route from a client to a server, and what its two applications saw.

Belongs here: starting a server and waiting until it listens, running a client to its end, and comparing what was seen
directly with what was seen through the daemon. Does not belong here: any particular program.
"""

import itertools
import json
import os
import re
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from e2e.support import declared
from e2e.support.counted import Counted
from e2e.support.daemon import Daemon, until
from e2e.support.node import Node
from e2e.support.route import DIRECT, Route
from netra_node.testbed import Testbed

#: Ten times what any client here takes on a busy machine.
PATIENCE: Final = 20.0
#: No proxy, no locale, no start-up file of whoever runs the tests.
ENVIRONMENT: Final = {
    "PATH": os.environ["PATH"] + ":/usr/sbin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/nowhere",
    # Debian's packages for Node are where only its own Node looks.
    "NODE_PATH": "/usr/share/nodejs",
}
PROGRAMS: Final = Path(__file__).parents[1] / "programs"
#: Debian's own, which has the libraries of Debian's packages.
PYTHON: Final = ("/usr/bin/python3", "-I")
NODE: Final = ("node",)
#: What differs between any two runs: the time of an answer, keys, the boundary of curl's forms, a process id, a port.
_VARIES: Final = re.compile(
    rb"(?i:(?<=\nDate: )|(?<=\nSec-WebSocket-Key: )|(?<=\nSec-WebSocket-Accept: ))[^\r]+"
    rb"|-{24}[0-9a-f]{16}|(?<=with PID )\d+|(?<='CLIENT', )\d+"
)


@dataclass(frozen=True)
class Seen:
    """What the two applications saw, with nothing in it that differs between two direct runs."""

    exit_code: int
    output: bytes
    complaints: bytes = b""
    #: What the server says it received, a record for each request.
    logged: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What the daemon understood: exchanges by outcome, connections that became opaque by reason; of one capture."""

    outcomes: dict[str, int] = field(default_factory=dict)
    opaque: dict[str, int] = field(default_factory=dict)

    @classmethod
    def traced(cls, ok: int, **others: int) -> "Verdict":
        return cls({"ok": ok, **others})

    @classmethod
    def passed_on(cls, reason: str, connections: int = 1, **outcomes: int) -> "Verdict":
        return cls(outcomes, {reason: connections})


@dataclass(frozen=True)
class Log:
    """What a server says it received: a file with a JSON object in a line for each request or connection.

    Its `head` is the request's as it came, lines ended by CRLF and the empty one last.
    """

    path: Path

    def count(self) -> int:
        return len(self._lines())

    def records(self, skip: int, least: int) -> tuple[bytes, ...]:
        """What is behind the first `skip` records, as soon as there are `least` of them.

        A server logs when the answer's last byte has left, so whoever received that can be here before.
        """
        until(lambda: self.count() >= skip + least, 5)
        return tuple(_record(line) for line in self._lines()[skip:])

    def _lines(self) -> list[bytes]:
        # what is behind the last line end is still being written
        return self.path.read_bytes().rpartition(b"\n")[0].splitlines()


def _record(line: bytes) -> bytes:
    """The record with real line ends in the head, so that headers can be looked for; any other line as it is."""
    if not line.startswith(b"{"):
        return line
    record = json.loads(line.decode("latin-1"))
    head = record.pop("head", "").encode("latin-1")
    return json.dumps(record).encode() + b"\n" + head


class Watch:
    """What the daemon counts from now on."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._before = Counted.by(daemon)

    def since(self) -> Verdict:
        counted = Counted.by(self._daemon).since(self._before)
        return Verdict(dict(counted.outcomes), dict(counted.opaque))

    def expect(self, captures: int, *verdicts: Verdict) -> None:
        """Fail unless each capture came to one of `verdicts`, and nothing else was counted."""
        mixtures = itertools.combinations_with_replacement(verdicts, captures)
        expected = [_sum(mixture) for mixture in mixtures]
        until(lambda: self.since() in expected, 2)
        assert self.since() in expected, f"counted {self.since()}, expected {expected}"


def _sum(verdicts: Iterable[Verdict]) -> Verdict:
    outcomes, opaque = Counter[str](), Counter[str]()
    for verdict in verdicts:
        outcomes.update(verdict.outcomes)
        opaque.update(verdict.opaque)
    return Verdict(dict(outcomes), dict(opaque))


def run(
    bed: Testbed, pod: str, argv: Iterable[str], given: bytes = b"", patience: float = PATIENCE
) -> Seen:
    """Run a client in `pod` to its end."""
    child = bed.spawn(
        pod,
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    try:
        output, complaints = child.communicate(given, patience)
    except subprocess.TimeoutExpired:
        child.kill()
        output, complaints = child.communicate()
        raise AssertionError(f"hung: {argv}\n{output!r}\n{complaints!r}") from None
    return Seen(child.returncode, output, complaints)


def start(bed: Testbed, pod: str, argv: Iterable[str], port: int, log: Path, **popen: Any) -> int:
    """Start a server in `pod`, wait until it listens on `port`, and return its process id; the bed ends it."""
    with log.open("ab") as out:
        child = bed.spawn(
            pod,
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            **{"env": ENVIRONMENT, **popen},
        )
    wait_until_listening(bed, pod, port, lambda: child.poll() is None, log)
    return child.pid


def wait_until_listening(
    bed: Testbed, pod: str, port: int, alive: Callable[[], bool], log: Path
) -> None:
    end = time.monotonic() + PATIENCE
    while bed.run_inside(pod, lambda: _refused(port)):
        assert alive(), log.read_text(errors="replace")
        assert time.monotonic() < end, log.read_text(errors="replace")
        time.sleep(0.02)


def _refused(port: int) -> bool:
    # Only asked on loopback, which nobody captures: the daemon counts nothing of it.
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@dataclass(frozen=True)
class Client:
    """A client to be run to its end, and how many records its server will have written by then."""

    argv: tuple[str, ...]
    least: int = 0
    given: bytes = b""


def observe(node: Node, route: Route, client: Client, log: Log | None = None) -> Seen:
    """Run `client` in its pod and return what it and the server, by its log, saw."""
    skip = log.count() if log else 0
    seen = run(node.bed, route.client, client.argv, client.given)
    logged = log.records(skip, client.least) if log else ()
    return Seen(
        seen.exit_code,
        anonymous(node, route, seen.output),
        anonymous(node, route, seen.complaints),
        tuple(anonymous(node, route, record) for record in logged),
    )


def anonymous(node: Node, route: Route, text: bytes) -> bytes:
    """`text` with roles in place of addresses, none of what varies, and without what the daemon may add."""
    for role in ("client", "server"):
        pod = node.pod(getattr(route, role))
        text = text.replace(pod.ipv4.encode(), role.upper().encode())
    return _VARIES.sub(b"*", declared.without(text))


def different(direct: Seen, through: Seen) -> str:
    """The parts that differ, cut to what a person reads."""
    pairs = ((name, getattr(direct, name), getattr(through, name)) for name in vars(direct))
    return "\n".join(
        f"{name} directly:\n{one!s:.3000}\nthrough:\n{other!s:.3000}"
        for name, one, other in pairs
        if one != other
    )


def compare(
    daemon: Daemon, route: Route, operation: Callable[[Route], Seen], *verdicts: Verdict
) -> Seen:
    """Do it directly, then on `route`: both sides must see the same, and every capture comes to one of `verdicts`.

    Returns what they saw, for what else the test knows of it.
    """
    direct = operation(DIRECT)
    watch = Watch(daemon)
    through = operation(route)
    assert through == direct, different(direct, through)
    watch.expect(route.captures, *verdicts)
    return direct
