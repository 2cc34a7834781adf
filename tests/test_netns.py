"""Against the running kernel: two namespaces of a bed, and the thread's own."""

import concurrent.futures
import contextlib
import errno
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from netra_node import netns
from netra_node.netns import AddressMissingError, InPodSockets, Namespace, NamespaceGoneError
from netra_node.testbed import BedPod, Testbed
from tests.unprivileged import unprivileged

pytestmark = pytest.mark.netns


class DiedError(Exception):
    """What `die` of these tests does instead of ending the process."""


@pytest.fixture(scope="module")
def bed() -> Iterator[Testbed]:
    with Testbed("netns") as bed:
        bed.add_pod("web")
        bed.add_pod("orders")
        yield bed


@pytest.fixture
def web(bed: Testbed) -> BedPod:
    return bed.pods[0]


@pytest.fixture
def orders(bed: Testbed) -> BedPod:
    return bed.pods[1]


@pytest.fixture
def namespace(web: BedPod) -> Iterator[Namespace]:
    with Namespace.open(web.path) as namespace:
        yield namespace


@pytest.fixture
def sockets(namespace: Namespace) -> InPodSockets:
    return InPodSockets(namespace)


def die(last_words: str) -> NoReturn:
    raise DiedError(last_words)


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@contextlib.contextmanager
def few_descriptors(left: int) -> Iterator[None]:
    """Allow this process at most `left` descriptors more than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    # the limit is not on how many there are, but on their numbers
    limit = lowest_free + left
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_run_calls_the_function_inside_the_namespace(namespace: Namespace) -> None:
    assert namespace.run(netns.home) == namespace.identity


def test_run_returns_what_the_function_returns(namespace: Namespace) -> None:
    assert namespace.run(lambda: "result") == "result"


def test_the_thread_is_home_again_after_run(namespace: Namespace) -> None:
    before = netns.home()

    namespace.run(lambda: None)

    assert netns.home() == before


def test_the_thread_is_home_again_after_the_function_raised(namespace: Namespace) -> None:
    before = netns.home()

    with pytest.raises(ZeroDivisionError):
        namespace.run(lambda: 1 / 0)

    assert netns.home() == before


def test_other_threads_stay_at_home_meanwhile(namespace: Namespace) -> None:
    before = netns.home()

    with concurrent.futures.ThreadPoolExecutor(1) as other:
        other.submit(lambda: None).result()  # started before, not inside
        seen = namespace.run(lambda: other.submit(netns.home).result())

    assert seen == before


def test_not_coming_back_is_fatal_and_says_which_namespace(web: BedPod) -> None:
    def visit() -> None:
        nowhere = os.open(os.devnull, os.O_RDONLY)
        there = os.open(web.path, os.O_RDONLY)
        Namespace(web.path, there, nowhere, die)

    # In a thread of its own: it will be lost inside.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        failure = thread.submit(visit).exception()

    assert isinstance(failure, DiedError)
    assert web.path in str(failure)


def test_dying_says_one_line_and_ends_the_process() -> None:
    script = "from netra_node import netns; netns._die('last words')"

    dead = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, check=False)

    assert (dead.returncode, dead.stderr) == (1, b"netra-node: last words; ending\n")


def test_the_same_namespace_has_the_same_identity_by_another_path(web: BedPod) -> None:
    with (
        Namespace.open(web.path) as one,
        Namespace.open(f"/proc/self/fd/{one.fileno()}") as other,
    ):
        assert other.identity == one.identity


def test_two_namespaces_have_different_identities(web: BedPod, orders: BedPod) -> None:
    with Namespace.open(web.path) as one, Namespace.open(orders.path) as other:
        assert one.identity != other.identity


def test_this_kernels_identity_holds_a_cookie(namespace: Namespace) -> None:
    assert namespace.identity.cookie > 0


def test_our_own_namespace_is_off_limits() -> None:
    assert netns.home() in netns.off_limits()


def test_a_pods_namespace_is_not_off_limits(namespace: Namespace) -> None:
    assert namespace.identity not in netns.off_limits()


def test_the_daemons_namespace_is_off_limits_though_it_is_not_the_hosts(
    namespace: Namespace,
) -> None:
    assert namespace.identity in namespace.run(netns.off_limits)


def test_where_pid_1_may_not_be_looked_at_our_own_is_off_limits() -> None:
    with unprivileged():
        assert netns.off_limits() == {netns.home()}


def test_what_may_not_be_entered_is_refused_and_closed(web: BedPod) -> None:
    before = open_descriptors()
    with unprivileged(), pytest.raises(PermissionError):
        Namespace.open(web.path)

    assert open_descriptors() == before


def test_a_missing_path_is_no_namespace_and_is_not_created() -> None:
    path = "/run/netns/nt-missing"

    with pytest.raises(NamespaceGoneError, match="no such network namespace"):
        Namespace.open(path)

    assert not Path(path).exists()


@pytest.mark.parametrize("path", ["/dev/null", "/proc/self/ns/mnt", "/tmp", "/proc/self/stat"])
def test_what_is_no_network_namespace_is_refused(path: str) -> None:
    with pytest.raises(NamespaceGoneError, match="not a network namespace"):
        Namespace.open(path)


def test_a_pipe_nobody_writes_to_does_not_hold_us() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/pipe"
        os.mkfifo(path)

        with pytest.raises(NamespaceGoneError):
            Namespace.open(path)


def test_a_refused_path_leaves_no_descriptor_open() -> None:
    before = open_descriptors()

    with pytest.raises(NamespaceGoneError):
        Namespace.open("/dev/null")

    assert open_descriptors() == before


@pytest.mark.parametrize("left", [0, 1, 2])
def test_opened_without_enough_descriptors_it_takes_none_along(web: BedPod, left: int) -> None:
    before = open_descriptors()

    with few_descriptors(left), pytest.raises(OSError, match="Too many open files"):
        Namespace.open(web.path)

    assert open_descriptors() == before


def test_closing_waits_for_a_visit_in_another_thread_to_come_back(web: BedPod) -> None:
    namespace = Namespace.open(web.path)
    inside, go_on = threading.Event(), threading.Event()

    def stay() -> bool:
        inside.set()
        return go_on.wait(5)

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        visit = threads.submit(namespace.run, stay)
        assert inside.wait(5)
        closing = threads.submit(namespace.close)
        with pytest.raises(concurrent.futures.TimeoutError):
            closing.result(0.05)
        go_on.set()

        assert visit.result(5)
        closing.result(5)


def test_closing_twice_closes_once(web: BedPod) -> None:
    namespace = Namespace.open(web.path)
    namespace.close()
    reused = os.open(os.devnull, os.O_RDONLY)

    namespace.close()

    os.close(reused)


def test_a_living_namespace_is_not_gone(namespace: Namespace, web: BedPod) -> None:
    assert not netns.gone(web.path, namespace.identity)


def test_a_namespace_whose_name_was_removed_is_gone(bed: Testbed) -> None:
    pod = bed.add_pod("short")
    with Namespace.open(pod.path) as namespace:
        bed.remove_pod("short")

        assert netns.gone(pod.path, namespace.identity)


def test_a_namespace_replaced_under_its_name_is_gone(namespace: Namespace, orders: BedPod) -> None:
    assert netns.gone(orders.path, namespace.identity)


def test_a_name_with_nothing_mounted_any_more_is_gone(namespace: Namespace) -> None:
    with tempfile.NamedTemporaryFile() as file:
        assert netns.gone(file.name, namespace.identity)


def test_addresses_are_the_pods_of_both_families_without_loopback(
    namespace: Namespace, web: BedPod
) -> None:
    found = netns.addresses(namespace)

    assert {web.ipv4, web.ipv6} <= set(found)
    assert not {"127.0.0.1", "::1"} & set(found)


def test_link_local_addresses_are_nobodys_name(bed: Testbed) -> None:
    table = Path("/proc/thread-self/net/if_inet6")
    with Namespace.open(bed.add_pod("local").path) as pod:
        end = time.monotonic() + 5
        # The kernel gives it when it hears that the link is up.
        while "fe80" not in pod.run(table.read_text) and time.monotonic() < end:
            time.sleep(0.01)
        assert "fe80" in pod.run(table.read_text)

        assert not any(address.startswith("fe80:") for address in netns.addresses(pod))
    bed.remove_pod("local")


def test_addresses_that_are_not_told_are_an_error() -> None:
    refusal = struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -errno.EPERM) + bytes(16)

    with pytest.raises(OSError, match="does not list addresses"):
        netns._take_addresses(refusal, {})


def told(family: int, scope: int, *attributes: tuple[int, bytes]) -> tuple[list[str], bool]:
    """What is taken of one message of the kernel's, and whether more will come."""
    body = struct.pack("=BBBBI", family, 24, 0, scope, 2)
    for kind, value in attributes:
        padding = bytes(-len(value) % 4)
        body += struct.pack("=HH", 4 + len(value), kind) + value + padding
    found: dict[str, None] = {}
    more = netns._take_addresses(struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body, found)
    return list(found), more


def test_on_a_point_to_point_link_the_address_is_the_local_one() -> None:
    assert told(socket.AF_INET, 0, (1, b"\x0a\0\0\1"), (3, b"tun0\0"), (2, b"\x0a\0\0\2")) == (
        ["10.0.0.2"],
        True,
    )


@pytest.mark.parametrize(
    ("family", "scope", "value"),
    [
        (socket.AF_INET, 254, b"\x7f\0\0\1"),
        (socket.AF_INET6, 253, b"\xfe\xbf" + bytes(14)),
        (45, 0, b"\1"),
    ],
    ids=["loopback", "link-local", "MCTP"],
)
def test_other_addresses_are_no_pods_name(family: int, scope: int, value: bytes) -> None:
    assert told(family, scope, (1, value)) == ([], True)


def test_a_message_without_an_address_tells_none() -> None:
    assert told(socket.AF_INET6, 0) == ([], True)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_socket_made_inside_dials_from_the_pods_address(
    sockets: InPodSockets, web: BedPod, orders: BedPod, bed: Testbed, family: socket.AddressFamily
) -> None:
    v6 = family == socket.AF_INET6
    target = orders.ipv6 if v6 else orders.ipv4
    server = bed.run_inside("orders", lambda: socket.create_server((target, 0), family=family))

    with server, sockets.tcp(family) as client:
        client.settimeout(2)
        client.connect(server.getsockname()[:2])
        accepted, peer = server.accept()
        accepted.close()

    assert peer[0] == (web.ipv6 if v6 else web.ipv4)


def test_a_socket_made_inside_neither_blocks_nor_survives_exec(sockets: InPodSockets) -> None:
    with sockets.tcp(socket.AF_INET) as made:
        assert (made.getblocking(), made.get_inheritable()) == (False, False)


def test_a_visit_makes_sockets_for_the_dials_to_come(sockets: InPodSockets) -> None:
    sockets.tcp(socket.AF_INET).close()
    before = open_descriptors()

    with sockets.tcp(socket.AF_INET):
        assert len(open_descriptors()) == len(before)


def test_sockets_in_stock_end_with_the_namespace(web: BedPod) -> None:
    before = open_descriptors()
    with Namespace.open(web.path) as namespace:
        sockets = InPodSockets(namespace)
        sockets.tcp(socket.AF_INET).close()
        sockets.tcp(socket.AF_INET6).close()

    assert open_descriptors() == before


def test_with_few_descriptors_left_what_there_is_serves(sockets: InPodSockets) -> None:
    with few_descriptors(2):
        made = sockets.tcp(socket.AF_INET)

    with made:
        assert made.type == socket.SOCK_STREAM


def test_with_no_descriptor_left_that_is_said(sockets: InPodSockets) -> None:
    with few_descriptors(0), pytest.raises(OSError, match="Too many open files"):
        sockets.tcp(socket.AF_INET)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_listener_listens_inside_where_asked(sockets: InPodSockets, address: str) -> None:
    with sockets.listener(address, 0, transparent=False, backlog=8) as listener:
        port = listener.getsockname()[1]
        family = listener.family
        with sockets.tcp(family) as client:
            client.settimeout(2)
            client.connect((address, port))

        assert listener.getsockname()[0] == address


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_listener_is_transparent_when_asked(sockets: InPodSockets, address: str) -> None:
    option = (socket.IPPROTO_IPV6, 75) if ":" in address else (socket.IPPROTO_IP, 19)

    with sockets.listener(address, 0, transparent=True, backlog=8) as listener:
        assert listener.getsockopt(*option) == 1


def test_both_families_share_a_port(sockets: InPodSockets) -> None:
    with sockets.listener("0.0.0.0", 0, transparent=False, backlog=8) as v4:
        port = v4.getsockname()[1]
        with sockets.listener("::", port, transparent=False, backlog=8) as v6:
            assert v6.getsockname()[1] == port


def test_a_taken_port_is_said_as_the_kernel_says_it(sockets: InPodSockets) -> None:
    with sockets.listener("127.0.0.1", 0, transparent=False, backlog=8) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(OSError, match="in use") as refusal:
            sockets.listener("127.0.0.1", port, transparent=False, backlog=8)

    assert refusal.value.errno == errno.EADDRINUSE


def test_an_address_the_namespace_lacks_is_told_apart(bed: Testbed) -> None:
    pod = bed.add_pod("v4only")
    with Namespace.open(pod.path) as namespace:
        # The namespace entered decides which one's value is written.
        switch = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
        namespace.run(lambda: switch.write_text("1"))

        with pytest.raises(AddressMissingError):
            InPodSockets(namespace).listener("::1", 0, transparent=False, backlog=8)
    bed.remove_pod("v4only")
