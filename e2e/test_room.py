"""No more room: a pod at its cap, a process at its descriptors. New connections go direct, open ones go on, nobody is refused.

Belongs here: what a full daemon does, and that it recovers. Does not belong here: limits of one connection (`test_limits`).
"""

import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.support import declared
from e2e.support.daemon import RUN, Daemon, until
from e2e.support.node import Node, manifest, read, read_head

pytestmark = [pytest.mark.netns, pytest.mark.timeout(120)]

GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CAP = 20
#: Descriptors of the daemon that has few, and the most connections it may keep captured: two descriptors for each.
FEW = 256
MOST = FEW // 2
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def captured(node: Node, directory: Path, *pods: str, **settings: str) -> Iterator[Daemon]:
    """A daemon of its own for one test."""
    node.enrol(*pods)
    with Daemon(node.file, directory, NETRA_DRAIN_MILLISECONDS="200", **settings) as daemon:
        daemon.wait_for(*pods)
        yield daemon
        assert daemon.mishaps() == []


@contextmanager
def with_few_descriptors(
    node: Node, directory: Path, *pods: str, **settings: str
) -> Iterator[Daemon]:
    node.enrol(*pods)
    limited = ("sh", "-c", f'ulimit -n {FEW} && exec "$@"', "sh", *RUN)
    settings = {"NETRA_DRAIN_MILLISECONDS": "200", **settings}
    with Daemon(node.file, directory, limited, **settings) as daemon:
        daemon.wait_for(*pods)
        yield daemon
        assert daemon.mishaps() == []


@dataclass(frozen=True)
class Pair:
    """Both applications' ends of a connection, and whether it was captured."""

    client: socket.socket
    server: socket.socket
    captured: bool

    def close(self) -> None:
        self.client.close()
        self.server.close()


class Service:
    """An application in a pod."""

    def __init__(self, node: Node, pod: str) -> None:
        self._node = node
        make = lambda: socket.create_server(("0.0.0.0", 0), backlog=1024)  # noqa: E731
        self.listener = node.keep(node.bed.run_inside(pod, make))
        self.address = (node.pod(pod).ipv4, self.listener.getsockname()[1])

    def call(self, caller: str) -> Pair:
        """One exchange on a connection that stays open."""
        client = self._node.connect(caller, self.address)
        server = self._node.accept(self.listener)
        return Pair(client, server, exchange(client, server))

    def is_captured(self, caller: str) -> bool:
        pair = self.call(caller)
        pair.close()
        return pair.captured

    def fill(self, caller: str, most: int) -> list[Pair]:
        """Call until a connection goes direct; those that were captured."""
        made = []
        while (pair := self.call(caller)).captured:
            made.append(pair)
            assert len(made) <= most
        pair.close()
        return made


def exchange(client: socket.socket, server: socket.socket) -> bool:
    """One request and its answer; whether headers were declared in it."""
    client.sendall(GET)
    head = read_head(server)
    assert declared.without(head) == GET
    server.sendall(OK)
    assert read(client, len(OK)) == OK
    return declared.count(head) == 1


def suspended(daemon: Daemon, pod: str) -> str:
    """Why new connections of a pod go direct, as status says it a moment after they do."""
    return str(until(lambda: daemon.pod(pod)["suspended"], 2))


def suspensions(daemon: Daemon, reason: str) -> float:
    return daemon.total("netra_pod_capture_suspended_total", reason=reason)


def cpu_share(daemon: Daemon, seconds: float) -> float:
    """The share of a core that the daemon takes."""
    before = cpu_seconds(daemon)
    time.sleep(seconds)
    return (cpu_seconds(daemon) - before) / seconds


def cpu_seconds(daemon: Daemon) -> float:
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


# ---- connections of one pod


def test_at_its_cap_a_pods_new_connections_go_direct_and_another_pods_do_not(
    node: Node, directory: Path
) -> None:
    with captured(node, directory, "a", "b", NETRA_MAX_CONNECTIONS_PER_POD=str(CAP)) as daemon:
        pairs = Service(node, "b").fill("x", CAP * 2)

        assert len(pairs) >= CAP
        assert suspended(daemon, "b") == f"there were {CAP} (NETRA_MAX_CONNECTIONS_PER_POD)"
        assert suspensions(daemon, "connections") == 1
        assert Service(node, "a").is_captured("x")


def test_a_tenth_below_its_cap_they_are_captured_again(node: Node, directory: Path) -> None:
    with captured(node, directory, "b", NETRA_MAX_CONNECTIONS_PER_POD=str(CAP)) as daemon:
        service = Service(node, "b")
        pairs = service.fill("x", CAP * 2)
        while len(pairs) > CAP - CAP // 10 + 1:
            pairs.pop().close()
        assert until(lambda: daemon.pod("b")["connections"] == len(pairs))
        assert not service.is_captured("x")
        pairs.pop().close()
        began = time.monotonic()
        assert until(lambda: service.is_captured("x"))
        took = time.monotonic() - began

        print(f"captured again {took * 1e3:.0f} ms after the last that was too many had ended")
        assert took < 1
        assert until(lambda: daemon.pod("b")["suspended"] == "", 2)


def test_open_connections_are_read_on_while_new_ones_go_direct(node: Node, directory: Path) -> None:
    with captured(node, directory, "b", NETRA_MAX_CONNECTIONS_PER_POD="1"):
        service = Service(node, "b")
        first = service.call("x")
        assert until(lambda: not service.is_captured("x"))

        assert first.captured
        assert exchange(first.client, first.server)


def test_a_change_of_a_full_pods_options_captures_nothing(node: Node, directory: Path) -> None:
    with captured(node, directory, "b", NETRA_MAX_CONNECTIONS_PER_POD="1") as daemon:
        service = Service(node, "b")
        first = service.call("x")
        assert suspended(daemon, "b")
        node.write([manifest(node.pod("b"), inbound_mode="redirect")])
        time.sleep(0.6)  # two looks at the file
        assert not service.is_captured("x")
        first.close()
        assert until(lambda: service.is_captured("x"))


# ---- descriptors


def test_short_of_descriptors_new_connections_go_direct_and_nobody_is_refused(
    node: Node, directory: Path
) -> None:
    with with_few_descriptors(node, directory, "a", "b") as daemon:
        service = Service(node, "b")
        pairs = service.fill("x", MOST)
        held, share = daemon.descriptors(), cpu_share(daemon, 1)

        print(f"{len(pairs)} captured with {held} of {FEW} descriptors, {share:.1%} of a core")
        assert len(pairs) > 20
        assert share < 0.05
        for pod in ("a", "b"):
            assert suspended(daemon, pod) == "the daemon has hardly any file descriptors left"
        assert suspensions(daemon, "descriptors") == 2
        assert daemon.total("process_open_fds") > 0  # the scrape has one to look with

        for pair in pairs:
            pair.close()
        began = time.monotonic()
        assert until(lambda: service.is_captured("x"))
        took = time.monotonic() - began
        print(f"captured again {took:.2f} s after they were closed")
        assert took < 10


def burst(node: Node, caller: str, target: tuple[str, int], size: int) -> list[socket.socket]:
    """All at once, so that nobody gets a chance to flush rules in between."""
    clients = [node.endpoint(caller, target) for _ in range(size)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(target)
    for client in clients:
        client.settimeout(20)
    return clients


def test_of_a_burst_beyond_its_descriptors_none_is_refused_reset_or_lost(
    node: Node, directory: Path
) -> None:
    """Those for which nothing is left wait in the kernel's queue until others have ended."""
    # the daemon sees none before all are there, however fast it is: it stands still for less than its lease
    with with_few_descriptors(node, directory, "b", NETRA_HEARTBEAT_MILLISECONDS="30000") as daemon:
        service = Service(node, "b")
        service.listener.settimeout(20)
        os.kill(daemon.pid, signal.SIGSTOP)
        made = burst(node, "x", service.address, FEW * 3 // 2)
        os.kill(daemon.pid, signal.SIGCONT)
        clients = {client.getsockname()[1]: client for client in made}
        for client in clients.values():
            client.sendall(GET)
        most, direct = 0, 0
        for _ in clients:
            server, (_, port) = service.listener.accept()
            with server, clients[port] as client:
                server.settimeout(20)
                head = read_head(server)
                assert declared.without(head) == GET
                direct += head == GET
                server.sendall(OK)
                assert read(client, len(OK)) == OK
            most = max(most, daemon.descriptors())

        log = daemon.log.read_text()
        print(f"{len(clients)} answered, {direct} direct; {most} of {FEW} descriptors at most")
        assert most < FEW
        assert "nothing is accepted" in log
        assert until(lambda: daemon.pod("b")["suspended"] == "")


def test_without_any_descriptor_left_it_neither_spins_nor_ends_and_recovers(
    node: Node, directory: Path
) -> None:
    """Its limit is lowered under it to what it holds: nothing it counts with, so accepting fails."""
    with captured(node, directory, "b") as daemon:
        service = Service(node, "b")
        before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (daemon.descriptors(), before[1]))
        clients = burst(node, "x", service.address, 20)
        share = cpu_share(daemon, 1)
        ended = sum(map(has_ended, clients))
        for client in clients:
            client.close()
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
        began = time.monotonic()
        assert until(lambda: service.is_captured("x"))

        print(f"{share:.1%} of a core while nothing could be accepted; libuv closed {ended} of 20")
        assert ended
        print(f"captured again {time.monotonic() - began:.2f} s after")
        assert share < 0.05


def has_ended(client: socket.socket) -> bool:
    client.settimeout(0.05)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True
