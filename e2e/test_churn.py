"""Pods are enrolled and let go again and again under load, both directions: nobody notices.

Soft: connections stay open, so each time the pod is wanted again while it drains. Full: nothing keeps it, so each time
everything of ours is taken away and made anew. Either way no byte is lost, no connection refused, cut or slow.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self

import pytest

from e2e.support import kernel
from e2e.support.daemon import Daemon, until
from e2e.support.load import Fate, Load, Server
from e2e.support.node import Node, read

pytestmark = [pytest.mark.netns]

#: In seconds: a SYN that is lost twice would take three.
SLOW = 2.5
ROUNDS = [2, pytest.param(20, marks=pytest.mark.long)]
#: Into the captured pod, out of it, and between two captured ones.
ROUTES = (("x", "b"), ("a", "y"), ("a", "b"))
SIZE = 3000
REQUEST = b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n" % SIZE
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE


def echo(listener: socket.socket) -> None:
    """Answer each request with its own body; what is no request comes back as it is."""
    with contextlib.suppress(OSError):  # closed: the test is over
        while True:
            accepted, _ = listener.accept()
            threading.Thread(target=_answer, args=(accepted,), daemon=True).start()


def _answer(sock: socket.socket) -> None:
    with sock, contextlib.suppress(OSError):
        sock.settimeout(60)
        while first := sock.recv(1):
            if first == b"P":
                _skip_head(sock)
                first = ANSWER
            sock.sendall(first + read(sock, SIZE))


def _skip_head(sock: socket.socket) -> None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read(sock, 1)


@dataclass
class Talk:
    """One connection that stays open; it asks and compares the answer, over and over."""

    sock: socket.socket
    #: HTTP, or bytes that are none.
    http: bool
    rounds: int = 0
    slowest: float = 0.0
    problems: list[str] = field(default_factory=list)

    def once(self) -> None:
        body = os.urandom(SIZE)
        self.sock.sendall((REQUEST if self.http else b"\0") + body)
        answer = ANSWER if self.http else b"\0"
        if read(self.sock, len(answer) + SIZE) != answer + body:
            self.problems.append(f"another answer in round {self.rounds}")

    def go_on(self, stop: threading.Event) -> None:
        while not stop.is_set() and not self.problems:
            began = time.monotonic()
            try:
                self.once()
            except OSError as error:
                self.problems.append(f"{error!r} in round {self.rounds}")
            self.rounds += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            time.sleep(0.005)


class Talks:
    """Several of them at once, until the end of the `with` block."""

    def __init__(self, talks: list[Talk]) -> None:
        self.all = talks
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=t.go_on, args=(self._stop,)) for t in talks]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


OpenTalks = Callable[[], list[Talk]]


@pytest.fixture
def open_talks(node: Node) -> OpenTalks:
    """Opens one connection of each kind on each route."""
    ports = {}
    for pod in ("b", "y"):
        listener = node.listen(pod)
        listener.settimeout(None)
        threading.Thread(target=echo, args=(listener,), daemon=True).start()
        ports[pod] = listener.getsockname()[1]

    def open_all() -> list[Talk]:
        talks = [
            Talk(node.connect(caller, (node.pod(called).ipv4, ports[called])), http)
            for caller, called in ROUTES
            for http in (True, False)
        ]
        for talk in talks:
            talk.once()
        return talks

    return open_all


def new_connections(node: Node) -> list[Load]:
    targets = {}
    for pod in ("b", "y"):
        listener = node.listen(pod)
        Server(listener)
        targets[pod] = (node.pod(pod).ipv4, listener.getsockname()[1])
    return [Load(node, (caller,), targets[called]) for caller, called in ROUTES]


@pytest.fixture(autouse=True)
def only_a_and_b(node: Node, daemon: Daemon) -> Iterator[None]:
    yield
    node.enrol("a", "b")
    daemon.wait_for("a", "b")


def judge(name: str, talks: Talks, loads: list[Load], daemon: Daemon) -> None:
    visits = [visit for load in loads for visit in load.visits]
    slowest = max(visit.took for visit in visits)
    rounds = sum(talk.rounds for talk in talks.all)
    wait = max(talk.slowest for talk in talks.all)
    print(
        f"{name}: {len(visits)} new connections, the slowest {slowest:.2f} s; "
        f"{rounds} exchanges on old ones, the slowest {wait:.2f} s"
    )

    assert [problem for talk in talks.all for problem in talk.problems] == []
    for load in loads:
        assert load.fates() == {Fate.DIRECT, Fate.CAPTURED}
    assert max(slowest, wait) < SLOW
    assert daemon.total("netra_connections_reset_total") == 0


def open_connections(daemon: Daemon) -> list[int]:
    return [daemon.pod(name)["connections"] for name in ("a", "b")]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("rounds", ROUNDS)
def test_released_and_recalled_under_load_nobody_notices(
    node: Node, daemon: Daemon, open_talks: OpenTalks, rounds: int
) -> None:
    loads = new_connections(node)
    with Talks(open_talks()) as talks, contextlib.ExitStack() as running:
        for load in loads:
            running.enter_context(load)
        for _ in range(rounds):
            node.enrol()
            daemon.wait_for("a", "b", state="draining")
            time.sleep(0.5)
            # one of the new ones may still be open that came before
            assert until(lambda: open_connections(daemon) == [4, 4]), open_connections(daemon)
            node.enrol("a", "b")
            daemon.wait_for("a", "b")
            time.sleep(0.3)

    judge("soft", talks, loads, daemon)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("rounds", ROUNDS)
def test_enrolled_anew_and_left_under_load_nobody_notices(
    node: Node, daemon: Daemon, open_talks: OpenTalks, rounds: int
) -> None:
    node.enrol()
    daemon.wait_for("a", "b", state="")
    loads = new_connections(node)
    with Talks(open_talks()) as talks, contextlib.ExitStack() as running:
        for load in loads:
            running.enter_context(load)
        for _ in range(rounds):
            node.enrol("a", "b")
            daemon.wait_for("a", "b")
            time.sleep(0.3)
            node.enrol()
            daemon.wait_for("a", "b", state="")
            assert until(lambda: not any(map(kernel.tables, map(node.pod, ("a", "b")))))
            time.sleep(0.1)

    judge("full", talks, loads, daemon)
