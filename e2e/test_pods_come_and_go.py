"""Pods enter and leave the file, their namespaces come and go, while the daemon runs and the others are served."""

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.support import kernel
from e2e.support.daemon import Daemon, until
from e2e.support.load import Fate, Server, visit
from e2e.support.node import Node, manifest, read, read_head
from netra_node.netns import Namespace
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def guest(bed: Testbed) -> Iterator[str]:
    """A pod of this test alone, not in the file yet."""
    bed.add_pod("guest")
    yield "guest"
    if any(pod.name == "guest" for pod in bed.pods):
        bed.remove_pod("guest")


@pytest.fixture(autouse=True)
def only_a_and_b(node: Node, daemon: Daemon) -> Iterator[None]:
    """However a test ends, the next finds the file as the first did."""
    yield
    node.enrol("a", "b")
    daemon.wait_for("a", "b")
    daemon.wait_for("guest", state="")
    assert until(lambda: daemon.status()["source"]["problem"] is None)


def is_captured(node: Node, pod: str) -> bool:
    """Whether a connection into the pod passes through the daemon."""
    listener = node.listen(pod)
    Server(listener)
    target = (node.pod(pod).ipv4, listener.getsockname()[1])
    fate = visit(lambda: node.bed.run_inside("x", socket.socket), target).fate
    assert fate in (Fate.CAPTURED, Fate.DIRECT)
    return fate is Fate.CAPTURED


def exchange(client: socket.socket, server: socket.socket) -> bytes:
    """One request and its answer; the head as it arrived."""
    client.sendall(GET)
    head = read_head(server)
    server.sendall(OK)
    assert read(client, len(OK)) == OK
    return head


def test_a_pod_added_to_the_file_is_captured(node: Node, daemon: Daemon, guest: str) -> None:
    assert not is_captured(node, guest)

    node.enrol("a", "b", guest)

    daemon.wait_for(guest)
    assert is_captured(node, guest)


def test_a_pod_taken_out_of_the_file_is_released(node: Node, daemon: Daemon, guest: str) -> None:
    node.enrol("a", "b", guest)
    daemon.wait_for(guest)

    node.enrol("a", "b")

    daemon.wait_for(guest, state="")
    assert not is_captured(node, guest)
    assert kernel.tables(node.pod(guest)) == set()
    assert kernel.routing_of_ours(node.pod(guest)) == []


def test_a_pod_that_loses_its_label_is_released(node: Node, daemon: Daemon, guest: str) -> None:
    node.enrol("a", "b", guest)
    daemon.wait_for(guest)
    without = manifest(node.pod(guest))
    del without["metadata"]["labels"]["netra.io/enabled"]

    node.write([manifest(node.pod("a")), manifest(node.pod("b")), without])

    daemon.wait_for(guest, state="")
    assert kernel.tables(node.pod(guest)) == set()


@pytest.mark.parametrize(("caller", "called"), [("x", "guest"), ("guest", "y")])
def test_connections_of_a_released_pod_go_on_until_their_end(
    node: Node, daemon: Daemon, guest: str, caller: str, called: str
) -> None:
    node.enrol("a", "b", guest)
    daemon.wait_for(guest)
    client, server = node.pair(caller, called)
    assert b"traceparent" in exchange(client, server)

    node.enrol("a", "b")
    daemon.wait_for(guest, state="draining")
    assert until(lambda: not is_captured(node, guest), 2)

    assert b"traceparent" in exchange(client, server)
    assert len(kernel.tables(node.pod(guest))) == 1
    client.close()
    assert server.recv(1) == b""
    server.close()
    daemon.wait_for(guest, state="")
    assert kernel.tables(node.pod(guest)) == set()


def test_a_pod_that_comes_back_while_it_drains_is_captured_again(
    node: Node, daemon: Daemon, guest: str
) -> None:
    node.enrol("a", "b", guest)
    daemon.wait_for(guest)
    client, server = node.pair("x", guest)
    exchange(client, server)
    node.enrol("a", "b")
    daemon.wait_for(guest, state="draining")

    node.enrol("a", "b", guest)
    client.close()
    server.close()

    daemon.wait_for(guest)
    assert is_captured(node, guest)


def test_other_pods_do_not_notice(node: Node, daemon: Daemon, guest: str) -> None:
    client, server = node.pair("a", "b")
    exchange(client, server)

    for names in (("a", "b", guest), ("a", "b")):
        node.enrol(*names)
        daemon.wait_for(guest, state="running" if guest in names else "")
        exchange(client, server)

    assert daemon.total("netra_connections_reset_total", cause="drain") == 0


def test_the_namespace_of_a_deleted_pod_is_let_go(node: Node, daemon: Daemon, guest: str) -> None:
    node.enrol("a", "b", guest)
    daemon.wait_for(guest)
    listener = node.listen(guest)
    client = node.connect("x", (node.pod(guest).ipv4, listener.getsockname()[1]))
    server = node.accept(listener)
    exchange(client, server)
    # From here on only the daemon's sockets, both ends of that connection among them, are inside.
    listener.close()
    server.close()
    namespaces = len(bridge_ports(node))

    node.bed.remove_pod(guest)

    daemon.wait_for(guest, state="pending")
    assert until(lambda: len(bridge_ports(node)) == namespaces - 1)
    assert until(lambda: "no network namespace" in daemon.pod(guest)["reason"])


def bridge_ports(node: Node) -> list[str]:
    """The links of the bed's bridge: one for each pod's namespace that the kernel still has.

    The kernel removes a namespace, and the other end of its link, with the last socket in it.
    """
    path = Path(node.pod("a").path)
    bridge = path.with_name(path.name.removesuffix("-a") + "-bridge")
    with Namespace.open(str(bridge)) as namespace:
        return [name for _, name in namespace.run(socket.if_nameindex) if name.startswith("pod")]


def test_a_namespace_that_appears_later_is_captured_then(
    node: Node, daemon: Daemon, guest: str, directory: Path
) -> None:
    later = directory / "later"
    node.write(
        [*map(manifest, (node.pod("a"), node.pod("b"))), manifest(node.pod(guest), path=str(later))]
    )
    reason = f"no network namespace at {later}"
    assert until(lambda: daemon.pod(guest).get("reason") == reason, 5)
    assert daemon.state(guest) == "pending"

    later.symlink_to(node.pod(guest).path)

    daemon.wait_for(guest)
    assert is_captured(node, guest)
    later.unlink()


def test_a_name_without_a_namespace_on_it_is_waited_for(
    node: Node, daemon: Daemon, guest: str, directory: Path
) -> None:
    """As while a runtime has made the file and not yet mounted the namespace on it; a FIFO would block whoever opens it."""
    for kind, make in (("file", os.mknod), ("fifo", os.mkfifo)):
        place = directory / kind
        make(place, 0o600 | (stat.S_IFREG if kind == "file" else 0))
        node.write([manifest(node.pod("a")), manifest(node.pod(guest), path=str(place))])
        reason = f"no network namespace at {place}"
        assert until(lambda: daemon.pod(guest).get("reason") == reason, 5)  # noqa: B023


def test_a_namespace_that_vanishes_mid_set_up_costs_nobody_else_anything(
    node: Node, daemon: Daemon
) -> None:
    """Twenty pods are enrolled at once, and deleted at different moments of that."""
    namespaces = len(bridge_ports(node))
    names = [f"brief{number}" for number in range(20)]
    for name in names:
        node.bed.add_pod(name)
    client, server = node.pair("a", "b")

    node.enrol("a", "b", *names)
    vanish = [
        threading.Timer(0.015 * n, node.bed.remove_pod, (name,)) for n, name in enumerate(names)
    ]
    for timer in vanish:
        timer.start()
    for timer in vanish:
        timer.join()

    daemon.wait_for(*names, state="pending")
    assert until(lambda: len(bridge_ports(node)) == namespaces)
    exchange(client, server)
    assert (daemon.state("a"), daemon.state("b")) == ("running", "running")
    node.enrol("a", "b")
    daemon.wait_for(*names, state="")


def test_the_daemons_own_namespace_is_never_captured(
    node: Node, daemon: Daemon, guest: str
) -> None:
    place = "/proc/self/ns/net"
    node.write(
        [manifest(node.pod("a")), manifest(node.pod("b")), manifest(node.pod(guest), path=place)]
    )

    reason = "its network namespace is the host's or the daemon's own"
    assert until(lambda: daemon.pod(guest).get("reason") == reason, 5)
    assert daemon.state(guest) == "pending"


def test_a_pod_whose_address_is_not_in_the_namespace_is_not_captured(
    node: Node, daemon: Daemon, guest: str
) -> None:
    wrong = manifest(node.pod(guest))
    wrong["status"] = {"podIP": node.pod("x").ipv4, "podIPs": [{"ip": node.pod("x").ipv4}]}

    node.write([manifest(node.pod("a")), manifest(node.pod("b")), wrong])

    # pending it is from the start, the reason is known once it was tried
    assert until(lambda: node.pod("x").ipv4 in daemon.pod(guest).get("reason", ""))
    assert daemon.state(guest) == "pending"
    assert kernel.tables(node.pod(guest)) == set()


# ---- a file that is not as it should be


def test_a_bad_file_leaves_the_last_good_list_in_force(node: Node, daemon: Daemon) -> None:
    node.write_text('{"kind": "PodList", "items": [')

    assert until(lambda: daemon.status()["source"]["problem"])

    problem = daemon.status()["source"]["problem"]
    assert problem.startswith(f"pods file {node.file}: not JSON: ")
    assert problem.endswith("it takes a PodList, a list of Pods, or Pod manifests, in JSON or YAML")
    assert is_captured(node, "b")
    assert any(problem in line for line in daemon.last_words())


def test_a_file_that_is_gone_leaves_the_last_good_list_in_force(node: Node, daemon: Daemon) -> None:
    node.file.unlink()

    assert until(lambda: daemon.status()["source"]["problem"])

    assert daemon.status()["source"]["problem"] == (
        f"pods file {node.file} cannot be read: no such file or directory"
    )
    assert is_captured(node, "b")


def test_a_good_file_ends_the_problem(node: Node, daemon: Daemon) -> None:
    node.write_text("]")
    assert until(lambda: daemon.status()["source"]["problem"])

    node.enrol("a", "b")

    assert until(lambda: daemon.status()["source"]["problem"] is None)


def test_a_pod_with_a_malformed_annotation_is_refused_with_the_reason(
    node: Node, daemon: Daemon, guest: str
) -> None:
    bad = manifest(node.pod(guest), http_ports="8080,many")

    node.write([manifest(node.pod("a")), manifest(node.pod("b")), bad])

    daemon.wait_for(guest, state="refused")
    assert "annotation netra.io/http-ports='8080,many': " in daemon.pod(guest)["reason"]
    assert kernel.tables(node.pod(guest)) == set()
    assert is_captured(node, "b")


def test_a_changed_annotation_holds_for_new_connections(node: Node, daemon: Daemon) -> None:
    """No port is HTTP any more: what is new is passed on as bytes, what is open is read on."""
    client, server = node.pair("x", "b")
    exchange(client, server)

    node.write([manifest(node.pod("a")), manifest(node.pod("b"), http_ports="1")])

    assert until(lambda: not is_captured(node, "b"))
    assert b"traceparent" in exchange(client, server)
    assert daemon.opaque()["port"] >= 1


def test_manifests_in_yaml_are_read_too(node: Node, daemon: Daemon, guest: str) -> None:
    pods = [
        f"""
metadata:
  name: {name}
  namespace: e2e
  labels: {{netra.io/enabled: "true"}}
  annotations: {{netra.io/netns: {node.pod(name).path}}}
spec: {{containers: [{{name: app}}]}}
"""
        for name in ("a", "b", guest)
    ]

    node.write_text("---".join(pods))

    daemon.wait_for(guest)
    assert daemon.status()["source"]["problem"] is None
