"""Who holds a pod and until when: two daemons at once, a namespace that is swapped or deleted, a process that is stopped."""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.support import kernel
from e2e.support.daemon import RUN, Daemon, until
from e2e.support.load import Fate, Load, Server, Visit, visit
from e2e.support.node import Node, manifest, read, read_head
from netra_node.netns import Namespace
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ROUTES = (("x", "b"), ("a", "y"), ("a", "b"))
#: Starts what follows where nobody can write /proc/sys, as in an unprivileged container.
READ_ONLY_PROC_SYS = (
    *("unshare", "--mount", "--propagation", "slave", "sh", "-c"),
    'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$@"',
    "sh",
)

OLD_KERNEL = (sys.executable, "-m", "e2e.support.old_kernel")


@pytest.fixture
def guests(bed: Testbed) -> Iterator[tuple[str, str]]:
    """Two pods of this test alone."""
    names = ("one", "two")
    for name in names:
        bed.add_pod(name)
    yield names
    for pod in bed.pods:
        if pod.name in names:
            bed.remove_pod(pod.name)


def exchange(client: socket.socket, server: socket.socket) -> bytes:
    """One request and its answer; the head as it arrived."""
    client.sendall(GET)
    head = read_head(server)
    server.sendall(OK)
    assert read(client, len(OK)) == OK
    return head


def fate(node: Node, caller: str, called: str) -> Fate:
    listener = node.listen(called)
    Server(listener)
    target = (node.pod(called).ipv4, listener.getsockname()[1])
    return visit(lambda: node.bed.run_inside(caller, socket.socket), target).fate


# ---- two daemons


def test_a_daemon_that_stops_takes_nothing_from_its_successor(node: Node, directory: Path) -> None:
    """They overlap while one replaces the other, under load."""
    node.enrol("a", "b")
    loads = []
    for caller, called in ROUTES:
        listener = node.listen(called)
        Server(listener)
        target = (node.pod(called).ipv4, listener.getsockname()[1])
        loads.append(Load(node, (caller,), target))
    with contextlib.ExitStack() as running:
        older = running.enter_context(Daemon(node.file, directory))
        older.wait_for("a", "b")
        pairs = [node.pair(*route) for route in ROUTES]
        for load in loads:
            running.enter_context(load)
        time.sleep(0.3)
        younger = running.enter_context(Daemon(node.file, directory))
        younger.wait_for("a", "b")
        time.sleep(1.5)
        assert all(b"traceparent" in exchange(*pair) for pair in pairs)
        older.terminate()
        routing = [kernel.routing_of_ours(node.pod(name)) for name in ("a", "b")]
        time.sleep(0.5)
        fates = {fate(node, *route) for route in ROUTES}
        tables = [len(kernel.tables(node.pod(name))) for name in ("a", "b")]
        younger.terminate()

    assert all(routing)
    assert fates == {Fate.CAPTURED}
    assert tables == [1, 1]
    for load in loads:
        assert load.fates() <= {Fate.CAPTURED, Fate.DIRECT}
        assert max(visit.took for visit in load.visits) < 2.5
    assert [kernel.routing_of_ours(node.pod(name)) for name in ("a", "b")] == [[], []]


# ---- the namespace


def test_a_pod_that_gets_another_namespace_is_captured_there_at_once(
    node: Node, daemon: Daemon, guests: tuple[str, str]
) -> None:
    """A connection in the old one goes on until its end."""
    one, two = guests
    node.enrol("a", "b", one)
    daemon.wait_for(one)
    client, server = node.pair("x", one)
    exchange(client, server)

    moved = manifest(node.pod(one), path=node.pod(two).path)
    node.write([*map(manifest, (node.pod("a"), node.pod("b"))), moved])

    assert until(lambda: fate(node, "x", two) is Fate.CAPTURED, 5)
    assert until(lambda: fate(node, "x", one) is Fate.DIRECT, 5)
    assert b"traceparent" in exchange(client, server)
    client.close()
    server.close()
    assert until(lambda: not kernel.tables(node.pod(one)), 5)
    node.enrol("a", "b")
    daemon.wait_for(one, state="")


def test_a_path_that_leads_to_another_namespace_is_followed(
    node: Node, daemon: Daemon, guests: tuple[str, str], directory: Path
) -> None:
    one, two = guests
    path, fresh = directory / "swapped", directory / "swapped.new"
    path.symlink_to(node.pod(one).path)
    node.write([manifest(node.pod("a")), manifest(node.pod(one), path=str(path))])
    daemon.wait_for(one)

    fresh.symlink_to(node.pod(two).path)
    fresh.replace(path)

    assert until(lambda: fate(node, "x", two) is Fate.CAPTURED, 5)
    assert fate(node, "x", one) is Fate.DIRECT
    assert kernel.tables(node.pod(one)) == set()
    node.enrol("a", "b")
    daemon.wait_for(one, state="")
    path.unlink()


def test_a_deleted_namespace_is_let_go_within_a_second(
    node: Node, daemon: Daemon, guests: tuple[str, str]
) -> None:
    """The kernel removes it, and the other end of its link on the bridge, with the last descriptor that somebody has."""
    one, _ = guests
    node.enrol("a", "b", one)
    daemon.wait_for(one)
    listener = node.listen(one)
    client = node.connect("x", (node.pod(one).ipv4, listener.getsockname()[1]))
    server = node.accept(listener)
    exchange(client, server)
    listener.close()
    server.close()
    links = len(bridge_links(node))

    began = time.monotonic()
    node.bed.remove_pod(one)

    assert until(lambda: len(bridge_links(node)) == links - 1, 5)
    took = time.monotonic() - began
    print(f"gone {took:.2f} s after it was deleted; the promise is 1 s")
    assert took < 5
    node.enrol("a", "b")
    daemon.wait_for(one, state="")


def bridge_links(node: Node) -> list[str]:
    path = Path(node.pod("a").path)
    bridge = path.with_name(path.name.removesuffix("-a") + "-bridge")
    with Namespace.open(str(bridge)) as namespace:
        return [name for _, name in namespace.run(socket.if_nameindex) if name.startswith("pod")]


def test_a_namespace_that_comes_late_is_captured_within_two_seconds(
    node: Node, daemon: Daemon, guests: tuple[str, str], directory: Path
) -> None:
    """However long it was waited for. How often it is looked for, `tests/test_manager.py` holds."""
    one, _ = guests
    path = directory / "late"
    node.write([manifest(node.pod("a")), manifest(node.pod(one), path=str(path))])
    daemon.wait_for(one, state="pending")
    time.sleep(3)

    began = time.monotonic()
    path.symlink_to(node.pod(one).path)
    daemon.wait_for(one)

    took = time.monotonic() - began
    print(f"captured {took:.2f} s after it came; the promise is 2 s")
    assert took < 10
    node.enrol("a", "b")
    daemon.wait_for(one, state="")
    path.unlink()


# ---- where /proc/sys cannot be written


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_without_the_switches_connections_remember_the_way_back(
    bed: Testbed, directory: Path, guests: tuple[str, str], family: str
) -> None:
    one, two = guests
    with Node(bed, directory / "other.json") as node:
        node.enrol(one, two)
        with Daemon(node.file, directory, (*READ_ONLY_PROC_SYS, *RUN)) as daemon:
            daemon.wait_for(one, two)
            assert not any(map(switched_on, (node, node), (one, two)))
            for caller, called in (("x", one), (one, "y"), (one, two)):
                client, server = pair(node, caller, called, family)
                assert b"traceparent" in exchange(client, server)
                assert server.getpeername()[0] == getattr(node.pod(caller), family)
            with pytest.raises(ConnectionRefusedError):
                node.connect("x", (getattr(node.pod(one), family), 81))
            client, server = pair(node, "x", one, family)
            daemon.kill()
            assert client.recv(1) == b""
        assert fate(node, "x", one) is Fate.DIRECT
        assert fate(node, one, "y") is Fate.DIRECT


def switched_on(node: Node, pod: str) -> bool:
    switch = Path("/proc/sys/net/ipv4/tcp_fwmark_accept")
    return node.bed.run_inside(pod, switch.read_text) != "0\n"


def pair(node: Node, caller: str, called: str, family: str) -> tuple[socket.socket, socket.socket]:
    listener = node.listen(called, "::" if family == "ipv6" else "0.0.0.0")
    client = node.connect(caller, (getattr(node.pod(called), family), listener.getsockname()[1]))
    return client, node.accept(listener)


# ---- a kernel without owned tables


def test_without_owned_tables_a_kill_costs_a_heartbeat_and_the_successor_tidies_up(
    bed: Testbed, directory: Path, guests: tuple[str, str]
) -> None:
    """Inbound fails open by itself; outbound is refused until the heartbeat ends, and never left waiting."""
    one, two = guests
    with Node(bed, directory / "other.json") as node:
        node.enrol(one, two)
        listener = node.listen(two)
        Server(listener)
        target = (node.pod(two).ipv4, listener.getsockname()[1])
        with Daemon(node.file, directory, OLD_KERNEL) as daemon:
            daemon.wait_for(one, two)
            with Load(node, (one, one), target) as out, Load(node, ("x", "x"), target) as into:
                time.sleep(0.5)
                killed = daemon.kill()
                time.sleep(2)
        assert any("below 5.12" in line for line in daemon.last_words())
        report("in", into.visits, killed)
        report("out", out.visits, killed)
        assert Fate.REFUSED not in into.fates()
        for load in (into, out):
            assert Fate.HUNG not in load.fates()
            late = [visit for visit in load.visits if visit.began > killed + 1.2]
            assert {visit.fate for visit in late} == {Fate.DIRECT}
            assert max(visit.took for visit in load.visits) < 2.5

        (left,) = kernel.tables(node.pod(one)) | kernel.tables(node.pod(two))
        with Daemon(node.file, directory) as daemon:
            daemon.wait_for(one, two)
            assert left not in kernel.tables(node.pod(one)) | kernel.tables(node.pod(two))
            assert {fate(node, *route) for route in (("x", two), (one, "y"))} == {Fate.CAPTURED}
            daemon.terminate()
        assert kernel.tables(node.pod(one)) | kernel.tables(node.pod(two)) == set()


def report(direction: str, visits: list[Visit], killed: float) -> None:
    after = [visit for visit in visits if visit.began > killed]
    bad = [visit for visit in after if visit.fate is not Fate.DIRECT]
    last = max((visit.began - killed for visit in bad), default=0.0)
    print(f"{direction}: {len(bad)} of {len(after)} not direct, the last {last * 1e3:.0f} ms after")


# ---- a process that is stopped


def test_stopped_for_longer_than_the_watchdog_waits_it_goes_on_with_every_connection(
    bed: Testbed, directory: Path
) -> None:
    with Node(bed, directory / "other.json") as node:
        node.enrol("a", "b")
        with Daemon(node.file, directory, NETRA_WATCHDOG_MILLISECONDS="1000") as daemon:
            daemon.wait_for("a", "b")
            pairs = [node.pair(*ROUTES[number % 3]) for number in range(20)]
            os.kill(daemon.pid, signal.SIGSTOP)
            time.sleep(2.5)
            os.kill(daemon.pid, signal.SIGCONT)

            assert all(b"traceparent" in exchange(*pair) for pair in pairs)
            assert until(lambda: fate(node, "x", "b") is Fate.CAPTURED)
            assert daemon.exit_code is None
