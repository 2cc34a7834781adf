"""In real namespaces: `web` is captured, `orders` is its neighbour."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

import pytest
from pyroute2.iproute.linux import IPRoute

from netra_node import netns
from netra_node.capacity import Descriptors
from netra_node.core.addresses import PodUid
from netra_node.core.desired import DesiredPod, InboundMode, PodOptions
from netra_node.core.identity import PodIdentity
from netra_node.core.ports import PortSet
from netra_node.core.records import Observer
from netra_node.interception import encode, routes
from netra_node.interception.slots import Slots
from netra_node.netns import Namespace
from netra_node.proxy.sockets import reset_on_close
from netra_node.testbed import Testbed
from netra_node.workload import (
    CaptureError,
    Ground,
    NetworkUnfinishedError,
    Reading,
    State,
    Workload,
    rehearse,
)
from tests.interception.pods import TABLE, V4, Pod, tables
from tests.proxy.support import (
    GET,
    OK,
    TLS,
    RecordingObserver,
    is_reset,
    open_descriptors,
    read,
    read_all,
    rules,
    send,
    until,
)

pytestmark = pytest.mark.netns

INBOUND, OUTBOUND = 14955, 14956
ANYIP_IS_LOCAL = ("192.0.0.8", 0)


@pytest.fixture(scope="module")
def bed() -> Iterator[Testbed]:
    with Testbed("workload") as bed:
        bed.add_pod("web")
        bed.add_pod("orders")
        yield bed


def open_pod(bed: Testbed, name: str) -> Iterator[Pod]:
    about = next(pod for pod in bed.pods if pod.name == name)
    with Namespace.open(about.path) as namespace:
        pod = Pod(namespace, about.ipv4, about.ipv6)
        with pod.sockets:
            yield pod


@pytest.fixture
def web(bed: Testbed) -> Iterator[Pod]:
    yield from open_pod(bed, "web")


@pytest.fixture
def orders(bed: Testbed) -> Iterator[Pod]:
    yield from open_pod(bed, "orders")


@pytest.fixture
def short(bed: Testbed) -> Iterator[DesiredPod]:
    """A pod whose namespace the test removes."""
    about = bed.add_pod("short")
    who = PodIdentity(PodUid("uid-short"), "default", "short", "short")
    yield DesiredPod(who, about.path)
    if about in bed.pods:
        bed.remove_pod("short")


@pytest.fixture
def ground() -> Iterator[Ground]:
    slots = Slots(4)
    yield Ground(
        slots,
        TABLE,
        netns.off_limits(),
        INBOUND,
        OUTBOUND,
        60_000,  # nobody beats here, and a busy machine may take its time
        Descriptors(1 << 20, lambda: None),
    )
    slots.close()


@pytest.fixture
def observer() -> RecordingObserver:
    return RecordingObserver()


@pytest.fixture
def reading(observer: RecordingObserver) -> Reading:
    return Reading(rules(), cast("Observer", observer))


def desired(pod: Pod, **different: object) -> DesiredPod:
    who = PodIdentity(PodUid("uid-web"), "default", "web", "web")
    return replace(DesiredPod(who, pod.namespace.path), **different)  # type: ignore[arg-type]


@pytest.fixture
async def workload(web: Pod, ground: Ground, reading: Reading) -> AsyncIterator[Workload]:
    """`web`, not started; let go of at the end."""
    workload = Workload(desired(web), ground, reading)
    yield workload
    await workload.abandon()


def nonblocking(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    return sock


async def accept(listener: socket.socket, pod: Pod) -> socket.socket:
    accepted, _ = await asyncio.wait_for(
        asyncio.get_running_loop().sock_accept(nonblocking(listener)), 2
    )
    pod.sockets.enter_context(accepted)
    return nonblocking(accepted)


async def connect(source: Pod, target: tuple[str, int]) -> socket.socket:
    client = nonblocking(source.client(V4))
    await asyncio.wait_for(asyncio.get_running_loop().sock_connect(client, target), 2)
    return client


async def inbound(web: Pod, orders: Pod) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection to the captured pod."""
    app = web.server("0.0.0.0")
    client = await connect(orders, (web.ipv4, app.getsockname()[1]))
    return client, await accept(app, web)


def anyip_is_local(pod: Pod) -> bool:
    """Tell whether the routes that bring an application's answers back to us are there."""
    with pod.client(V4) as probe, contextlib.suppress(OSError):
        probe.bind(ANYIP_IS_LOCAL)
        return True
    return False


# ---- entering


async def test_started_it_is_running_and_holds_a_lease(workload: Workload, web: Pod) -> None:
    assert workload.state is State.STARTING
    await workload.start()

    assert workload.state is State.RUNNING
    assert tables(web) == {TABLE}
    assert workload.captured_seconds > 0


async def test_it_tells_where_it_listens(workload: Workload) -> None:
    assert workload.ports == (0, 0)
    await workload.start()

    assert workload.ports == (INBOUND, OUTBOUND)


async def test_where_an_application_holds_our_port_it_tells_the_one_used_instead(
    workload: Workload, web: Pod
) -> None:
    web.server("127.0.0.1", OUTBOUND)
    await workload.start()

    assert workload.ports[0] == INBOUND
    assert workload.ports[1] not in (0, OUTBOUND)


async def test_it_knows_the_addresses_of_its_namespace(workload: Workload, web: Pod) -> None:
    await workload.start()

    assert web.ipv4 in workload.addresses


async def test_network_switches_are_written_where_the_nodes_proc_is(
    web: Pod, ground: Ground, reading: Reading, tmp_path: Path
) -> None:
    switches = [
        tmp_path / "sys/net" / name
        for name in ("ipv4/tcp_fwmark_accept", "ipv4/fwmark_reflect", "ipv6/fwmark_reflect")
    ]
    for switch in switches:
        switch.parent.mkdir(parents=True, exist_ok=True)
        switch.write_text("0")
    workload = Workload(desired(web), replace(ground, proc=tmp_path), reading)
    await workload.start()
    await workload.abandon()

    assert [switch.read_text() for switch in switches] == ["1"] * 3


async def test_a_connection_to_the_pod_passes_through_us_as_the_clients(
    workload: Workload, web: Pod, orders: Pod, observer: RecordingObserver
) -> None:
    await workload.start()
    client, server = await inbound(web, orders)
    await send(client, GET)
    assert await read(server, len(GET)) == GET
    await send(server, OK)

    assert await read(client, len(OK)) == OK
    assert server.getpeername() == client.getsockname()
    assert observer.events == ["opened", "exchange ok"]


async def test_a_connection_from_the_pod_passes_through_us(
    workload: Workload, web: Pod, orders: Pod, observer: RecordingObserver
) -> None:
    await workload.start()
    app = orders.server("0.0.0.0")
    client = await connect(web, (orders.ipv4, app.getsockname()[1]))
    server = await accept(app, orders)
    await send(client, GET)
    assert await read(server, len(GET)) == GET
    await send(server, OK)

    assert await read(client, len(OK)) == OK
    assert server.getpeername()[0] == web.ipv4
    assert observer.events == ["opened", "exchange ok"]


async def test_a_closed_port_of_the_pod_refuses_as_without_us(
    workload: Workload, web: Pod, orders: Pod, observer: RecordingObserver
) -> None:
    await workload.start()

    with pytest.raises(ConnectionRefusedError):
        await connect(orders, (web.ipv4, 9))
    assert observer.events == []


async def test_where_an_application_has_our_ports_we_take_others(
    workload: Workload, web: Pod, orders: Pod, observer: RecordingObserver
) -> None:
    web.server("0.0.0.0", INBOUND)
    web.server("0.0.0.0", OUTBOUND)
    await workload.start()
    client, server = await inbound(web, orders)
    await send(client, TLS)

    assert await read(server, len(TLS)) == TLS
    assert observer.events == ["opened", "opaque tls"]


async def test_a_beat_before_the_start_is_nothing(workload: Workload) -> None:
    workload.beat()


# ---- refused


async def refusal(pod: DesiredPod, ground: Ground, reading: Reading) -> str:
    workload = Workload(pod, ground, reading)
    with pytest.raises(CaptureError) as refused:
        await workload.start()
    assert workload.state is State.STOPPED
    return str(refused.value)


async def test_a_missing_namespace_is_named(ground: Ground, reading: Reading, web: Pod) -> None:
    pod = desired(web, netns="/run/netns/nt-missing")

    assert await refusal(pod, ground, reading) == "no network namespace at /run/netns/nt-missing"


async def test_our_own_namespace_is_refused(ground: Ground, reading: Reading, web: Pod) -> None:
    reason = await refusal(desired(web, netns="/proc/self/ns/net"), ground, reading)

    assert reason == "its network namespace is the host's or the daemon's own"


async def test_what_was_rehearsed_is_not_encoded_for_the_first_pod(
    workload: Workload, ground: Ground
) -> None:
    rehearse(ground, PodOptions())
    before = encode.install.cache_info().misses
    await workload.start()

    assert encode.install.cache_info().misses == before


async def test_a_namespace_without_the_pods_address_is_refused(
    ground: Ground, reading: Reading, web: Pod
) -> None:
    reason = await refusal(desired(web, addresses=("10.1.2.3",)), ground, reading)

    assert reason == "its network namespace does not have the pod's address 10.1.2.3"


async def test_another_pods_namespace_is_left_as_it_is(
    web: Pod, ground: Ground, reading: Reading
) -> None:
    switch = Path("/proc/sys/net/ipv4/tcp_fwmark_accept")
    web.namespace.run(lambda: switch.write_text("0"))

    await refusal(desired(web, addresses=("10.1.2.3",)), ground, reading)

    assert web.namespace.run(switch.read_text) == "0\n"
    assert not anyip_is_local(web)
    assert tables(web) == set()


async def test_routes_that_another_daemon_made_in_another_pods_namespace_stay(
    web: Pod, ground: Ground, reading: Reading
) -> None:
    """It makes them before its table, by which we would know it."""
    web.namespace.run(routes.add)

    await refusal(desired(web, addresses=("10.1.2.3",)), ground, reading)
    stay = anyip_is_local(web)
    web.namespace.run(routes.remove)

    assert stay


def take_loopback_down(pod: DesiredPod, *, flush: bool) -> None:
    with Namespace.open(pod.netns) as namespace, namespace.run(IPRoute) as links:
        links.link("set", index=1, state="down")
        if flush:
            links.flush_addr(index=1)


def bring_loopback_up(pod: DesiredPod) -> None:
    with Namespace.open(pod.netns) as namespace, namespace.run(IPRoute) as links:
        links.link("set", index=1, state="up")


@pytest.mark.parametrize("never_up", [True, False])
async def test_a_network_is_unfinished_until_its_loopback_is_up(
    short: DesiredPod, ground: Ground, reading: Reading, never_up: bool
) -> None:
    # in threads: pyroute2 wants one without a loop
    await asyncio.to_thread(take_loopback_down, short, flush=never_up)
    with pytest.raises(NetworkUnfinishedError):
        await Workload(short, ground, reading).start()
    assert not ground.held
    await asyncio.to_thread(bring_loopback_up, short)

    workload = Workload(short, ground, reading)
    await workload.start()
    await workload.abandon()


async def test_one_of_the_pods_addresses_is_enough(
    web: Pod, ground: Ground, reading: Reading
) -> None:
    workload = Workload(desired(web, addresses=("10.1.2.3", web.ipv4)), ground, reading)
    await workload.start()
    await workload.abandon()


async def test_a_namespace_that_another_pod_has_is_refused(
    workload: Workload, web: Pod, ground: Ground, reading: Reading
) -> None:
    await workload.start()

    reason = await refusal(desired(web), ground, reading)

    assert reason == "its network namespace is captured already, for another pod"


@pytest.mark.parametrize("addresses", [(), ("10.1.2.3",)])
async def test_a_refused_pod_takes_nothing_from_the_one_that_has_the_namespace(
    workload: Workload, web: Pod, ground: Ground, reading: Reading, addresses: tuple[str, ...]
) -> None:
    await workload.start()
    await refusal(desired(web, addresses=addresses), ground, reading)

    assert anyip_is_local(web)
    assert tables(web) == {TABLE}


async def test_a_start_that_fails_half_way_leaves_nothing(
    web: Pod, ground: Ground, reading: Reading
) -> None:
    before = open_descriptors()
    none_free = Slots(0)

    reason = await refusal(desired(web), replace(ground, slots=none_free), reading)
    none_free.close()

    assert reason == "no descriptor left for another pod"
    assert not anyip_is_local(web)
    assert tables(web) == set()
    assert not ground.held
    await until(lambda: open_descriptors() == before)


async def test_a_start_that_is_given_up_while_a_thread_is_inside_leaves_nothing(
    web: Pod, ground: Ground, reading: Reading, tmp_path: Path
) -> None:
    before = open_descriptors()
    switch = tmp_path / "sys/net/ipv4/tcp_fwmark_accept"
    switch.parent.mkdir(parents=True)
    os.mkfifo(switch)  # who reads it waits until it was written
    workload = Workload(desired(web), replace(ground, proc=tmp_path), reading)
    starting = asyncio.gather(workload.start())
    thread = await written_when_read(switch)
    lease = workload._lease
    assert lease is not None
    lease.has_neighbours = slowly(lease.has_neighbours)  # type: ignore[method-assign]
    starting.cancel()
    await until(lambda: workload._lease is None)  # what it did is being undone
    thread.close()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await until(lambda: open_descriptors() == before)

    assert not anyip_is_local(web)
    assert tables(web) == set()
    assert not ground.held


def slowly(function: Callable[[], bool]) -> Callable[[], bool]:
    def slow() -> bool:
        time.sleep(0.1)
        return function()

    return slow


async def written_when_read(fifo: Path) -> IO[str]:
    """Say "1" to whoever reads `fifo`, once somebody does; it is held until what is returned is closed."""
    while True:
        with contextlib.suppress(OSError):  # nobody yet
            writer = os.fdopen(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK), "w")
            writer.write("1")
            return writer
        await asyncio.sleep(0.001)


def without_switches(directory: Path) -> Path:
    """Return a /proc whose switches nobody can write, not even root."""
    (directory / "sys/net/ipv4/tcp_fwmark_accept").mkdir(parents=True)
    return directory


async def test_mode_redirect_is_refused_where_no_switch_can_be_written(
    web: Pod, ground: Ground, reading: Reading, tmp_path: Path
) -> None:
    before = open_descriptors()
    options = PodOptions(inbound_mode=InboundMode.REDIRECT)
    sealed = replace(ground, proc=without_switches(tmp_path))

    reason = await refusal(desired(web, options=options), sealed, reading)

    assert reason == "inbound mode redirect needs a writable /proc/sys/net; tproxy does not"
    assert not anyip_is_local(web)
    assert tables(web) == set()
    assert not ground.held
    await until(lambda: open_descriptors() == before)


async def test_a_pod_that_could_not_be_captured_can_be_captured_later(
    web: Pod, ground: Ground, reading: Reading, workload: Workload
) -> None:
    none_free = Slots(0)
    await refusal(desired(web), replace(ground, slots=none_free), reading)
    none_free.close()

    await workload.start()


# ---- changing


async def test_a_change_holds_for_new_connections(
    workload: Workload, web: Pod, orders: Pod, reading: Reading, observer: RecordingObserver
) -> None:
    await workload.start()
    await inbound(web, orders)
    none = PodOptions(http_ports=PortSet(((1, 1),)))
    changed = desired(web, options=none)
    await workload.change(changed, reading)
    await inbound(web, orders)

    assert workload.pod is changed
    assert observer.events == ["opened", "opened", "opaque port"]


async def test_changed_ports_hold_for_new_connections(
    workload: Workload, web: Pod, orders: Pod, reading: Reading, observer: RecordingObserver
) -> None:
    await workload.start()
    client, server = await inbound(web, orders)

    await workload.change(desired(web, options=PodOptions(inbound_ports=PortSet(()))), reading)
    await inbound(web, orders)

    assert observer.events == ["opened"]
    await send(client, GET)
    assert await read(server, 16)


async def test_mode_redirect_shows_the_application_its_own_address(
    workload: Workload, web: Pod, orders: Pod, reading: Reading
) -> None:
    await workload.start()
    own = [(await inbound(web, orders))[1].getsockname()[0]]

    for mode in (InboundMode.REDIRECT, InboundMode.TPROXY, InboundMode.REDIRECT):
        await workload.change(desired(web, options=PodOptions(inbound_mode=mode)), reading)
        own.append((await inbound(web, orders))[1].getsockname()[0])

    assert own == [ANYIP_IS_LOCAL[0], web.ipv4, ANYIP_IS_LOCAL[0], web.ipv4]


async def test_a_pod_may_start_in_mode_redirect(
    web: Pod, orders: Pod, ground: Ground, reading: Reading
) -> None:
    options = PodOptions(inbound_mode=InboundMode.REDIRECT)
    workload = Workload(desired(web, options=options), ground, reading)
    await workload.start()
    client, server = await inbound(web, orders)

    assert server.getsockname()[0] == web.ipv4
    assert server.getpeername() == client.getsockname()
    await workload.abandon()


async def test_a_listener_of_the_application_on_our_port_does_not_forbid_mode_redirect(
    workload: Workload, web: Pod, orders: Pod, reading: Reading
) -> None:
    web.server("0.0.0.0", INBOUND)
    options = PodOptions(inbound_mode=InboundMode.REDIRECT)
    await workload.start()

    await workload.change(desired(web, options=options), reading)

    assert (await inbound(web, orders))[1].getsockname()[0] == web.ipv4


async def test_a_change_to_mode_redirect_is_refused_where_no_switch_can_be_written(
    web: Pod, orders: Pod, ground: Ground, reading: Reading, tmp_path: Path
) -> None:
    options = PodOptions(inbound_mode=InboundMode.REDIRECT)
    workload = Workload(desired(web), replace(ground, proc=without_switches(tmp_path)), reading)
    await workload.start()
    with pytest.raises(CaptureError, match="needs a writable /proc/sys/net"):
        await workload.change(desired(web, options=options), reading)

    assert (await inbound(web, orders))[1].getsockname()[0] == ANYIP_IS_LOCAL[0]
    await workload.abandon()


async def test_a_change_the_kernel_refuses_leaves_everything_as_it_was(
    workload: Workload, web: Pod, orders: Pod, reading: Reading, observer: RecordingObserver
) -> None:
    await workload.start()
    before = workload.pod
    overlapping = PodOptions(inbound_ports=PortSet(((80, 90), (85, 95))), http_ports=PortSet(()))

    with pytest.raises(CaptureError, match="refuses"):
        await workload.change(desired(web, options=overlapping), reading)

    await inbound(web, orders)
    assert workload.pod is before
    assert observer.events == ["opened"]


# ---- as long as there is room


REDIRECT = PodOptions(inbound_mode=InboundMode.REDIRECT)


class Scarcity:
    """Descriptors as the test wishes."""

    scarce = False
    exhausted = False

    def connections_changed(self) -> None:
        pass


@pytest.fixture
def scarcity() -> Scarcity:
    return Scarcity()


@pytest.fixture
async def capped(
    web: Pod, ground: Ground, reading: Reading, scarcity: Scarcity
) -> AsyncIterator[Workload]:
    """`web`, captured, with room for two connections."""
    small = replace(ground, max_connections=2, descriptors=cast("Descriptors", scarcity))
    workload = Workload(desired(web), small, reading)
    await workload.start()
    yield workload
    await workload.abandon()


async def fill(web: Pod, orders: Pod, capped: Workload) -> socket.socket:
    """Open as many as there is room for, and have that seen to; one of the clients."""
    client, _ = await inbound(web, orders)
    await inbound(web, orders)
    await until(lambda: not capped.is_settled)
    await capped.settle()
    return client


async def make_room(client: socket.socket, capped: Workload) -> None:
    reset_on_close(client)
    client.close()
    await until(lambda: not capped.is_settled)
    await capped.settle()


async def test_at_its_cap_new_connections_go_direct_and_open_ones_go_on(
    capped: Workload, web: Pod, orders: Pod, observer: RecordingObserver
) -> None:
    client, server = await inbound(web, orders)
    await inbound(web, orders)
    await until(lambda: not capped.is_settled)
    await capped.settle()
    direct, at_server = await inbound(web, orders)

    for one, other in ((client, server), (direct, at_server)):
        await send(one, TLS)
        assert await read(other, len(TLS)) == TLS
    assert observer.events == ["opened", "opened", "opaque tls"]


async def test_below_its_cap_new_connections_are_captured_again(
    capped: Workload, web: Pod, orders: Pod, observer: RecordingObserver
) -> None:
    await make_room(await fill(web, orders, capped), capped)
    await inbound(web, orders)

    await until(lambda: observer.events.count("opened") == 3)


async def test_it_says_when_it_has_to_be_settled(
    web: Pod, orders: Pod, ground: Ground, reading: Reading
) -> None:
    calls: list[str] = []
    small = replace(ground, max_connections=2)
    workload = Workload(desired(web), small, reading, lambda: calls.append("unsettled"))
    await workload.start()
    await inbound(web, orders)
    client, _ = await inbound(web, orders)
    await until(lambda: calls == ["unsettled"])
    client.close()
    await workload.abandon()

    assert calls == ["unsettled", "unsettled"]


async def test_what_is_used_up_is_told_and_counted(
    capped: Workload, web: Pod, orders: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    client = await fill(web, orders, capped)
    await capped.settle()
    assert capped.suspended == "there were 2 (NETRA_MAX_CONNECTIONS_PER_POD)"
    await make_room(client, capped)
    await capped.settle()

    assert capped.suspended == ""
    assert capped._ground.suspensions == {"connections": 1, "descriptors": 0}
    assert [record.getMessage() for record in caplog.records] == [
        "default/web: new connections go direct: there were 2 (NETRA_MAX_CONNECTIONS_PER_POD)",
        "default/web: new connections are captured again",
    ]


async def test_a_change_while_new_connections_go_direct_holds_for_those_captured_later(
    capped: Workload, web: Pod, orders: Pod, reading: Reading, observer: RecordingObserver
) -> None:
    client = await fill(web, orders, capped)
    await capped.change(desired(web, options=REDIRECT), reading)
    await inbound(web, orders)
    assert observer.events.count("opened") == 2
    await make_room(client, capped)
    _, server = await inbound(web, orders)

    await until(lambda: observer.events.count("opened") == 3)
    assert server.getsockname()[0] == web.ipv4


async def test_recalled_without_room_new_connections_still_go_direct(
    capped: Workload, web: Pod, orders: Pod, observer: RecordingObserver
) -> None:
    client = await fill(web, orders, capped)
    leaving = asyncio.gather(capped.leave(None))
    await asyncio.sleep(0.1)
    capped.recall()
    assert await asyncio.wait_for(leaving, 5) == [False]
    await inbound(web, orders)
    assert observer.events.count("opened") == 2
    await make_room(client, capped)
    await inbound(web, orders)

    await until(lambda: observer.events.count("opened") == 3)


async def test_where_the_rules_cannot_be_changed_it_says_so_once_and_stays_unsettled(
    capped: Workload, web: Pod, orders: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    lease = capped._lease
    assert lease is not None
    flush = lease.flush
    lease.flush = refuse  # type: ignore[method-assign]
    await fill(web, orders, capped)
    await capped.settle()
    assert caplog.text.count("the rules cannot be changed") == 1
    assert not capped.is_settled
    lease.flush = flush  # type: ignore[method-assign]
    await capped.settle()

    assert capped.is_settled


async def test_with_hardly_any_descriptors_new_connections_go_direct(
    capped: Workload, web: Pod, orders: Pod, scarcity: Scarcity, observer: RecordingObserver
) -> None:
    scarcity.scarce = True
    assert not capped.is_settled
    await capped.settle()
    await inbound(web, orders)
    assert observer.events == []
    assert capped.suspended == "the daemon has hardly any file descriptors left"
    scarcity.scarce = False
    await capped.settle()
    await inbound(web, orders)

    await until(lambda: observer.events == ["opened"])


async def test_with_hardly_any_descriptors_no_pod_is_entered(
    web: Pod, ground: Ground, reading: Reading, scarcity: Scarcity
) -> None:
    scarcity.scarce = True
    scarce = replace(ground, descriptors=cast("Descriptors", scarcity))

    with pytest.raises(CaptureError, match="hardly any file descriptors"):
        await Workload(desired(web), scarce, reading).start()


async def test_without_descriptors_captured_connections_wait_to_be_accepted(
    capped: Workload, web: Pod, orders: Pod, scarcity: Scarcity, observer: RecordingObserver
) -> None:
    app = web.server("0.0.0.0")
    scarcity.exhausted = True
    capped.mind_descriptors()
    client = await connect(orders, (web.ipv4, app.getsockname()[1]))
    await send(client, TLS)
    await asyncio.sleep(0.05)
    assert observer.events == []
    scarcity.exhausted = False
    capped.mind_descriptors()

    assert await read(await accept(app, web), len(TLS)) == TLS


# ---- leaving


async def test_what_it_left_is_as_it_was(
    web: Pod, orders: Pod, ground: Ground, reading: Reading
) -> None:
    before = open_descriptors()
    workload = Workload(desired(web), ground, reading)
    await workload.start()
    assert anyip_is_local(web)
    await workload.leave(1)

    assert workload.state is State.STOPPED
    assert tables(web) == set()
    assert not anyip_is_local(web)
    assert not ground.held
    await until(lambda: open_descriptors() == before)


async def test_left_it_can_be_entered_again(
    workload: Workload, web: Pod, ground: Ground, reading: Reading
) -> None:
    await workload.start()
    await workload.leave(1)
    again = Workload(desired(web), ground, reading)
    await again.start()
    await again.abandon()


async def test_while_it_leaves_new_connections_go_direct(
    workload: Workload, web: Pod, orders: Pod, observer: RecordingObserver
) -> None:
    await workload.start()
    await inbound(web, orders)
    leaving = asyncio.gather(workload.leave(None))
    await until(lambda: workload._flushed)
    client, server = await inbound(web, orders)
    await send(client, TLS)

    assert await read(server, len(TLS)) == TLS
    assert observer.events == ["opened"]
    workload.hurry(0)
    await leaving


async def test_without_a_limit_it_waits_for_the_last_connection(
    workload: Workload, web: Pod, orders: Pod, observer: RecordingObserver
) -> None:
    await workload.start()
    client, server = await inbound(web, orders)
    leaving = asyncio.gather(workload.leave(None))
    await asyncio.sleep(0.5)
    assert (workload.state, workload.connections) == (State.DRAINING, 1)
    await send(client, TLS)
    assert await read(server, len(TLS)) == TLS
    client.close()
    server.close()
    await asyncio.wait_for(leaving, 5)

    assert observer.events[-1] == "ended ok"


async def test_recalled_it_captures_again_and_the_old_connections_go_on(
    workload: Workload, web: Pod, orders: Pod, observer: RecordingObserver
) -> None:
    await workload.start()
    client, server = await inbound(web, orders)
    leaving = asyncio.gather(workload.leave(None))
    await asyncio.sleep(0.4)
    workload.recall()
    assert await asyncio.wait_for(leaving, 5) == [False]
    await inbound(web, orders)

    assert (workload.state, workload.connections) == (State.RUNNING, 2)
    assert observer.events == ["opened", "opened"]
    await send(client, TLS)
    assert await read(server, len(TLS)) == TLS


async def test_recalled_it_can_leave_again(workload: Workload, web: Pod) -> None:
    await workload.start()
    leaving = asyncio.gather(workload.leave(None))
    await asyncio.sleep(0.1)
    workload.recall()
    await leaving

    assert await workload.leave(None)
    assert tables(web) == set()


async def test_recalled_to_a_namespace_that_is_gone_it_leaves(
    bed: Testbed, short: DesiredPod, ground: Ground, reading: Reading
) -> None:
    workload = Workload(short, ground, reading)
    await workload.start()
    leaving = asyncio.gather(workload.leave(None))
    await asyncio.sleep(0.1)
    workload.recall()
    bed.remove_pod("short")  # not in a thread: before the loop can come to the recall

    assert await leaving == [True]
    assert workload.state is State.STOPPED


async def test_rules_that_cannot_be_filled_again_are_given_up(
    workload: Workload, web: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    await workload.start()
    lease = workload._lease
    assert lease is not None
    lease.replace = lambda _rules: refuse()  # type: ignore[method-assign]
    leaving = asyncio.gather(workload.leave(None))
    await asyncio.sleep(0.1)
    workload.recall()

    assert await leaving == [True]
    assert tables(web) == set()
    assert "planted" in caplog.text


async def test_with_a_limit_idle_connections_end_with_fin(
    workload: Workload, web: Pod, orders: Pod
) -> None:
    await workload.start()
    client, server = await inbound(web, orders)
    await asyncio.wait_for(workload.leave(9), 5)

    assert await read_all(client) == b""
    assert await read_all(server) == b""


async def test_at_the_limit_what_is_left_is_reset_while_the_rules_still_translate(
    workload: Workload, web: Pod, orders: Pod, observer: RecordingObserver
) -> None:
    await workload.start()
    app = orders.server("0.0.0.0")
    client = await connect(web, (orders.ipv4, app.getsockname()[1]))
    server = await accept(app, orders)
    await send(client, GET)
    await read(server, len(GET))
    await workload.leave(0)

    assert await is_reset(client)
    assert await is_reset(server)
    assert observer.events[1:] == ["exchange drained", "reset drain", "ended drained"]


async def test_hurried_it_waits_no_longer_than_told(
    workload: Workload, web: Pod, orders: Pod
) -> None:
    await workload.start()
    client, server = await inbound(web, orders)
    await send(client, TLS)
    await read(server, len(TLS))
    leaving = asyncio.gather(workload.leave(None))
    await asyncio.sleep(0.05)  # while the handshakes under way are waited for
    workload.hurry(0.1)
    await asyncio.wait_for(leaving, 5)

    assert await is_reset(client)


async def test_a_flush_that_is_refused_does_not_keep_it(
    workload: Workload, web: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    await workload.start()
    lease = workload._lease
    assert lease is not None
    lease.flush = refuse  # type: ignore[method-assign]
    await workload.leave(1)

    assert tables(web) == set()
    assert "planted" in caplog.text


def refuse() -> None:
    raise OSError(1, "planted")


# ---- another daemon in the same namespace


@pytest.fixture
async def successor(web: Pod, ground: Ground, reading: Reading) -> AsyncIterator[Workload]:
    """The same pod's, of another daemon."""
    theirs = replace(ground, table="netra-0badcafe", held=set())
    workload = Workload(desired(web), theirs, reading)
    yield workload
    await workload.abandon()


async def test_routes_stay_while_another_daemon_needs_them(
    workload: Workload, successor: Workload, web: Pod
) -> None:
    await workload.start()
    await successor.start()
    await workload.leave(0)

    assert tables(web) == {"netra-0badcafe"}
    assert anyip_is_local(web)
    await successor.leave(0)
    assert not anyip_is_local(web)


async def test_a_predecessor_that_leaves_meanwhile_takes_no_routes_along(
    workload: Workload, successor: Workload, web: Pod
) -> None:
    await workload.start()
    await asyncio.gather(workload.leave(0), successor.start())

    assert anyip_is_local(web)


async def test_on_a_kernel_without_owners_a_pod_is_captured_and_left_too(
    web: Pod, orders: Pod, ground: Ground, reading: Reading, observer: RecordingObserver
) -> None:
    workload = Workload(desired(web), replace(ground, owner=False), reading)
    await workload.start()
    await inbound(web, orders)
    await workload.leave(0)

    assert observer.events[0] == "opened"
    assert tables(web) == set()


# ---- a namespace that goes


async def test_a_namespace_whose_name_goes_has_vanished(
    bed: Testbed, short: DesiredPod, ground: Ground, reading: Reading
) -> None:
    workload = Workload(short, ground, reading)
    assert not workload.vanished
    await workload.start()
    assert not workload.vanished
    await asyncio.to_thread(bed.remove_pod, "short")

    assert workload.vanished
    await workload.abandon()


async def test_abandoned_it_holds_the_namespace_no_longer(
    bed: Testbed, short: DesiredPod, ground: Ground, reading: Reading
) -> None:
    before = open_descriptors() - 2  # the bed's own, closed as it removes the pod
    workload = Workload(short, ground, reading)
    await workload.start()
    await asyncio.to_thread(bed.remove_pod, "short")
    await workload.abandon()

    assert workload.state is State.STOPPED
    assert not ground.held
    await until(lambda: open_descriptors() == before)


async def test_leaving_ends_with_the_namespace(
    bed: Testbed, short: DesiredPod, ground: Ground, reading: Reading
) -> None:
    address = next(pod.ipv4 for pod in bed.pods if pod.name == "short")
    workload = Workload(short, ground, reading)
    await workload.start()
    with bed.run_inside("short", lambda: socket.create_server(("0.0.0.0", 0))) as app:
        client = nonblocking(bed.run_inside("web", socket.socket))
        with client:
            there = (address, app.getsockname()[1])
            await asyncio.get_running_loop().sock_connect(client, there)
            await until(lambda: workload.connections == 1)
            leaving = asyncio.gather(workload.leave(None))
            await asyncio.sleep(0.4)
            assert workload.connections == 1
            await asyncio.to_thread(bed.remove_pod, "short")
            await asyncio.wait_for(leaving, 5)

    assert workload.state is State.STOPPED


async def test_a_path_that_cannot_be_looked_at_has_not_vanished(
    workload: Workload, tmp_path: Path
) -> None:
    await workload.start()
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert workload._namespace is not None
    path, workload._namespace.path = workload._namespace.path, str(loop)

    assert not workload.vanished
    workload._namespace.path = path
