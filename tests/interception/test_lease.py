"""What a lease does to connections: each rule by its effect in the running kernel."""

import contextlib
import ctypes
import errno
import math
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

import pytest
from pyroute2.netlink.nfnetlink import nftsocket as nft

from netra_node.core.desired import InboundMode
from netra_node.core.ports import PortSet
from netra_node.interception import encode, netlink
from netra_node.interception.lease import Lease
from netra_node.interception.netlink import RefusedError
from netra_node.interception.ruleset import (
    CAPTURE_CHAINS,
    INBOUND_MARK,
    OUTBOUND_MARK,
    Replies,
    RuleSet,
)
from netra_node.interception.slots import Slots
from netra_node.proxy.sockets import accept_by_nat
from tests.interception import pods
from tests.interception.pods import (
    TABLE,
    Capture,
    Family,
    Pod,
    accepted_by,
    arrival,
    comes_to,
    lasting,
    nobody_waits_at,
)
from tests.unprivileged import unprivileged

pytestmark = [pytest.mark.netns, pytest.mark.timeout(20)]

T = TypeVar("T")

IN, OUT = 14955, 14956
NO_PORTS = PortSet(())


@dataclass
class Place:
    """The captured pod and the one beside it, an application in each, and our two listeners."""

    web: Pod
    orders: Pod
    family: Family
    #: An application in the pod beside.
    server: socket.socket
    #: One in the captured pod, on every address.
    app: socket.socket
    #: Our listener for what the pod sends, and for what it gets.
    outbound: socket.socket
    inbound: socket.socket
    #: Where inbound connections arrive that are redirected.
    redirected: socket.socket

    @property
    def app_target(self) -> tuple[str, int]:
        return self.family.address(self.web), target(self.app)[1]

    def connect_out(self, *, mark: int = 0) -> socket.socket:
        """From the captured pod to the one beside."""
        return self.web.connect(self.family, target(self.server), mark=mark)

    def connect_in(self) -> socket.socket:
        """The other way."""
        return self.orders.connect(self.family, self.app_target)

    def without_listeners(self) -> None:
        for ours in (self.outbound, self.inbound, self.redirected):
            ours.close()


@pytest.fixture
def place(web: Pod, orders: Pod, family: Family) -> Place:
    redirected = web.ours(family.anyip, IN, transparent=True)
    accept_by_nat(redirected)
    return Place(
        web,
        orders,
        family,
        server=orders.server(family.address(orders)),
        app=web.server(family.everywhere),
        outbound=web.ours(family.loopback, OUT),
        inbound=web.ours(family.loopback, IN, transparent=True),
        redirected=redirected,
    )


def target(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return str(host), int(port)


def talk(one: socket.socket, other: socket.socket) -> bool:
    """Both ways."""
    one.sendall(b"ping")
    there = other.recv(4)
    other.sendall(b"pong")
    return (there, one.recv(4)) == (b"ping", b"pong")


def beating(lease: Lease, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        lease.beat()
        time.sleep(0.02)


def writable(client: socket.socket, seconds: float) -> bool:
    return bool(select.select([], [client], [], seconds)[1])


# ---- outbound ---------------------------------------------------------------------------------------------------------


def test_a_new_outbound_connection_comes_to_us_with_its_destination(
    capture: Capture, place: Place
) -> None:
    capture(lasting())

    client = place.connect_out()
    accepted = accepted_by(place.outbound, place.web)

    assert place.family.original_destination(accepted) == target(place.server)
    assert accepted.getpeername()[:2] == client.getsockname()[:2]
    assert nobody_waits_at(place.server)


def test_an_outbound_port_that_is_not_named_goes_direct(capture: Capture, place: Place) -> None:
    port = target(place.server)[1]
    capture(lasting(outbound_ports=PortSet(((0, port - 1), (port + 1, 65535)))))

    place.connect_out()

    assert comes_to(place.server)
    assert nobody_waits_at(place.outbound)


def test_a_skipped_network_is_reached_direct(capture: Capture, place: Place) -> None:
    capture(lasting(outbound_skip=(ip_network("10.88.0.0/24"), ip_network("fd88::/112"))))

    place.connect_out()

    assert comes_to(place.server)
    assert nobody_waits_at(place.outbound)


def test_a_network_beside_the_skipped_one_is_captured(capture: Capture, place: Place) -> None:
    capture(lasting(outbound_skip=(ip_network("10.88.1.0/24"), ip_network("fd88:1::/32"))))

    place.connect_out()

    assert comes_to(place.outbound)


def test_our_own_connections_to_the_network_go_direct(capture: Capture, place: Place) -> None:
    capture(lasting())

    place.connect_out(mark=OUTBOUND_MARK)

    assert comes_to(place.server)
    assert nobody_waits_at(place.outbound)


def test_our_own_connections_to_the_application_never_leave_the_pod(
    capture: Capture, place: Place
) -> None:
    """The mark routes them to loopback, where nobody has that address."""
    capture(lasting())

    with pytest.raises(OSError, match=r"refused|unreachable"):
        place.connect_out(mark=INBOUND_MARK)

    assert nobody_waits_at(place.outbound)
    assert nobody_waits_at(place.server)


@pytest.mark.parametrize("own", ["loopback", "address"])
def test_connections_inside_the_pod_are_not_captured(
    capture: Capture, place: Place, own: str
) -> None:
    host, port = place.app_target
    capture(lasting())

    place.web.connect(place.family, (place.family.loopback if own == "loopback" else host, port))

    assert comes_to(place.app)
    assert nobody_waits_at(place.outbound)
    assert nobody_waits_at(place.inbound)


def test_our_own_connections_to_the_network_are_not_tracked(capture: Capture, place: Place) -> None:
    capture(lasting())

    client = place.connect_out(mark=OUTBOUND_MARK)
    accepted = accepted_by(place.server, place.orders)

    assert talk(client, accepted)
    assert pods.tracked(place.web, client) == []


def test_a_captured_connections_entry_carries_our_mark(capture: Capture, place: Place) -> None:
    capture(lasting())

    client = place.connect_out()

    assert pods.tracked(place.web, client) == [OUTBOUND_MARK]


def test_what_an_earlier_lease_left_in_conntrack_is_forgotten(
    capture: Capture, place: Place
) -> None:
    lease = capture(lasting())
    client = place.connect_out()
    # Its last packet is through then; later that would make a new entry.
    accepted_by(place.outbound, place.web)
    lease.release()
    before = pods.tracked(place.web, client)

    capture(lasting())

    assert before == [OUTBOUND_MARK]
    assert pods.tracked(place.web, client) == []


def test_a_syn_without_our_listener_is_dropped_and_its_retransmission_goes_direct(
    capture: Capture, place: Place
) -> None:
    place.without_listeners()
    lease = capture(lasting())
    client = place.web.client(place.family)
    client.setblocking(False)
    client.connect_ex(target(place.server))
    answered_before = writable(client, 0.2)

    lease.release()

    assert not answered_before  # neither refused nor accepted
    assert writable(client, 10)
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert comes_to(place.server)


def test_a_source_port_that_comes_round_for_another_destination_is_not_kept_waiting(
    capture: Capture, place: Place
) -> None:
    """Our end is in TIME_WAIT, and the timestamps of another destination may lie behind those it has seen."""
    lease = capture(lasting())
    sources = [closed_by_us_first(place) for _ in range(16)]
    lease.release()
    capture(lasting())  # NAT has forgotten, so the ports are not exchanged for others
    another = place.orders.server(place.family.address(place.orders))
    before = place.web.namespace.run(sent_again)

    for source in sources:
        client = place.web.client(place.family)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(source)
        client.connect(target(another))
        assert accepted_by(place.outbound, place.web).getpeername()[:2] == source

    assert place.web.namespace.run(sent_again) == before


def closed_by_us_first(place: Place) -> tuple[str, int]:
    """Play one captured connection; the client's address."""
    client = place.connect_out()
    source = target(client)
    accepted_by(place.outbound, place.web).close()
    assert client.recv(1) == b""
    client.close()
    return source


def sent_again() -> int:
    """How many SYNs this namespace has sent a second time."""
    names, values = Path("/proc/thread-self/net/netstat").read_text().splitlines()[:2]
    return int(dict(zip(names.split(), values.split(), strict=True))["TCPSynRetrans"])


# ---- inbound ----------------------------------------------------------------------------------------------------------


def test_a_new_inbound_connection_comes_to_us_with_both_its_addresses(
    capture: Capture, place: Place
) -> None:
    capture(lasting())

    client = place.connect_in()
    accepted = accepted_by(place.inbound, place.web)

    assert accepted.getsockname()[:2] == place.app_target
    assert accepted.getpeername()[:2] == client.getsockname()[:2]
    assert nobody_waits_at(place.app)


def test_an_inbound_port_that_is_not_named_goes_to_the_application(
    capture: Capture, place: Place
) -> None:
    capture(lasting(inbound_ports=NO_PORTS))

    place.connect_in()

    assert comes_to(place.app)
    assert nobody_waits_at(place.inbound)


def test_a_closed_port_refuses(capture: Capture, place: Place) -> None:
    capture(lasting())

    with pytest.raises(ConnectionRefusedError):
        place.orders.connect(place.family, (place.family.address(place.web), 9))

    assert nobody_waits_at(place.inbound)


def test_an_application_on_loopback_only_refuses(capture: Capture, place: Place) -> None:
    private = place.web.server(place.family.loopback)
    capture(lasting())

    with pytest.raises(ConnectionRefusedError):
        place.orders.connect(place.family, (place.family.address(place.web), target(private)[1]))

    assert nobody_waits_at(place.inbound)


@pytest.mark.parametrize("port", [IN, OUT])
def test_our_own_ports_are_closed_from_outside(capture: Capture, place: Place, port: int) -> None:
    capture(lasting())

    with pytest.raises(ConnectionRefusedError):
        place.orders.connect(place.family, (place.family.address(place.web), port))

    assert nobody_waits_at(place.inbound)
    assert nobody_waits_at(place.outbound)


@pytest.mark.parametrize("source", [IN, OUT])
def test_a_client_may_have_our_ports_numbers(capture: Capture, place: Place, source: int) -> None:
    capture(lasting())
    client = place.orders.client(place.family)
    client.bind((place.family.address(place.orders), source))

    client.connect(place.app_target)

    assert accepted_by(place.inbound, place.web).getpeername()[1] == source


def test_a_client_port_in_time_wait_is_captured_again(capture: Capture, place: Place) -> None:
    """`socket wildcard` would not hold here, and the connection would slip by."""
    first = place.connect_in()
    source = first.getsockname()[:2]
    accepted_by(place.app, place.web).close()  # closes first: TIME_WAIT is in the captured pod
    first.recv(1)
    first.close()
    capture(lasting())
    again = place.orders.client(place.family)
    again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    again.bind(source)

    again.connect(place.app_target)

    assert accepted_by(place.inbound, place.web).getpeername()[:2] == source
    assert nobody_waits_at(place.app)


def test_without_our_listener_an_inbound_connection_goes_to_the_application(
    capture: Capture, place: Place
) -> None:
    place.without_listeners()
    capture(lasting())

    place.connect_in()

    assert comes_to(place.app)


def dial_as(place: Place, source: tuple[str, int], port: int) -> socket.socket:
    """Dial the application as the proxy does: from the client's own address and port, towards AnyIP."""
    dialled = place.web.client(place.family, mark=INBOUND_MARK)
    dialled.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    dialled.setsockopt(*place.family.transparent, 1)
    dialled.bind(source)
    dialled.connect((place.family.anyip, port))
    return dialled


def vanish(ours: socket.socket) -> None:
    """End without a word, as after a reset that was lost (TCP_REPAIR is 19)."""
    ours.setsockopt(socket.IPPROTO_TCP, 19, 1)
    ours.close()


@pytest.mark.parametrize("replies", list(Replies))
def test_the_application_is_told_that_our_end_is_gone_when_it_writes_to_it(
    capture: Capture, place: Place, replies: Replies
) -> None:
    capture(lasting(replies=replies))
    client = place.connect_in()
    upstream = dial_as(place, client.getsockname()[:2], place.app_target[1])
    app_side = accepted_by(place.app, place.web)

    vanish(upstream)
    app_side.sendall(b"anybody there?")

    with pytest.raises(ConnectionResetError):
        app_side.recv(1)


def answer_by_cookies(pod: Pod, *, always: bool) -> None:
    """Have the kernel keep no socket for a handshake under way, as it does when many come at once."""
    switch = Path("/proc/sys/net/ipv4/tcp_syncookies")  # of both families
    pod.namespace.run(lambda: switch.write_text("2" if always else "1"))


def test_an_application_that_answers_by_syn_cookies_is_reached(
    capture: Capture, place: Place
) -> None:
    capture(lasting())
    client = place.connect_in()
    answer_by_cookies(place.web, always=True)
    try:
        upstream = dial_as(place, client.getsockname()[:2], place.app_target[1])
        app_side = accepted_by(place.app, place.web)
        assert talk(upstream, app_side)
    finally:
        answer_by_cookies(place.web, always=False)


@pytest.mark.parametrize("replies", list(Replies))
def test_we_are_told_that_the_applications_end_is_gone_when_we_write_to_it(
    capture: Capture, place: Place, replies: Replies
) -> None:
    capture(lasting(replies=replies))
    client = place.connect_in()
    upstream = dial_as(place, client.getsockname()[:2], place.app_target[1])

    vanish(accepted_by(place.app, place.web))
    upstream.sendall(b"anybody there?")

    with pytest.raises(ConnectionResetError):
        upstream.recv(1)


@pytest.mark.parametrize("replies", list(Replies))
def test_the_application_sees_its_clients_address_and_port(
    capture: Capture, place: Place, replies: Replies
) -> None:
    capture(lasting(replies=replies))
    client = place.connect_in()
    accepted = accepted_by(place.inbound, place.web)

    upstream = dial_as(place, accepted.getpeername()[:2], place.app_target[1])
    app_side = accepted_by(place.app, place.web)

    assert app_side.getpeername()[:2] == client.getsockname()[:2]
    assert talk(upstream, app_side)
    assert talk(client, accepted)


@pytest.mark.parametrize("replies", list(Replies))
def test_a_port_that_closed_meanwhile_refuses_us_at_once(
    capture: Capture, place: Place, replies: Replies
) -> None:
    capture(lasting(replies=replies))

    with pytest.raises(ConnectionRefusedError):
        dial_as(place, (place.family.address(place.orders), 40000), 9)


def test_our_connection_to_the_application_is_not_tracked_where_switches_route_it(
    capture: Capture, place: Place
) -> None:
    capture(lasting(replies=Replies.SYSCTL))

    upstream = dial_as(place, (place.family.address(place.orders), 40001), place.app_target[1])

    assert talk(upstream, accepted_by(place.app, place.web))
    assert pods.tracked(place.web, upstream) == []


# ---- inbound by redirection ---------------------------------------------------------------------------------------------

REDIRECT = lasting(inbound_mode=InboundMode.REDIRECT)


def test_a_redirected_connection_comes_to_us_with_both_its_addresses(
    capture: Capture, place: Place
) -> None:
    capture(REDIRECT)

    client = place.connect_in()
    accepted = accepted_by(place.redirected, place.web)

    assert place.family.original_destination(accepted) == place.app_target
    assert accepted.getpeername()[:2] == client.getsockname()[:2]
    assert talk(client, accepted)
    assert nobody_waits_at(place.app)
    assert nobody_waits_at(place.inbound)


def dial_in_place(place: Place, source: tuple[str, int]) -> socket.socket:
    """Dial the application as the proxy does in this mode: from the client's own address and port, to the pod's own."""
    dialled = place.web.client(place.family, mark=INBOUND_MARK)
    dialled.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    dialled.setsockopt(*place.family.transparent, 1)
    dialled.bind(source)
    dialled.connect(place.app_target)
    return dialled


def test_the_application_of_a_redirected_connection_sees_its_client_and_itself(
    capture: Capture, place: Place
) -> None:
    capture(REDIRECT)
    client = place.connect_in()
    accepted = accepted_by(place.redirected, place.web)

    upstream = dial_in_place(place, accepted.getpeername()[:2])
    app_side = accepted_by(place.app, place.web)

    assert app_side.getpeername()[:2] == client.getsockname()[:2]
    assert app_side.getsockname()[:2] == place.app_target
    assert talk(upstream, app_side)
    assert talk(client, accepted)


@pytest.mark.parametrize("first", ["client", "app"])
def test_a_redirected_clients_port_can_be_used_again_at_once(
    capture: Capture, place: Place, first: str
) -> None:
    capture(REDIRECT)
    source = None
    for _ in range(3):
        client = place.orders.client(place.family)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if source is not None:
            client.bind(source)
        client.connect(place.app_target)
        source = client.getsockname()[:2]
        accepted = accepted_by(place.redirected, place.web)
        if first == "client":
            client.close()
            assert accepted.recv(1) == b""
            accepted.close()
        else:
            accepted.close()
            assert client.recv(1) == b""
            client.close()


def test_a_redirected_client_may_use_one_port_towards_two_of_the_pods(
    capture: Capture, place: Place
) -> None:
    """Where both arrive they would be one: NAT has to change the second one's source port."""
    capture(REDIRECT)
    other_app = place.web.server(place.family.everywhere)
    first, second = (place.orders.client(place.family) for _ in range(2))
    for client in (first, second):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((place.family.address(place.orders), 40002))
    first.connect(place.app_target)
    accepted = accepted_by(place.redirected, place.web)

    second.connect((place.app_target[0], target(other_app)[1]))
    other = accepted_by(place.redirected, place.web)

    assert place.family.original_destination(other)[1] == target(other_app)[1]
    assert other.getpeername()[0] == second.getsockname()[0]
    assert talk(first, accepted)
    assert talk(second, other)


@pytest.mark.parametrize("port", [IN, OUT])
def test_our_ports_are_closed_from_outside_also_where_we_redirect(
    capture: Capture, place: Place, port: int
) -> None:
    capture(REDIRECT)

    with pytest.raises(ConnectionRefusedError):
        place.orders.connect(place.family, (place.family.address(place.web), port))

    assert nobody_waits_at(place.redirected)


def test_a_closed_port_refuses_also_where_we_redirect(capture: Capture, place: Place) -> None:
    capture(REDIRECT)

    with pytest.raises(ConnectionRefusedError):
        place.orders.connect(place.family, (place.family.address(place.web), 9))


def test_an_inbound_port_that_is_not_named_is_not_redirected(
    capture: Capture, place: Place
) -> None:
    capture(replace(REDIRECT, inbound_ports=NO_PORTS))

    place.connect_in()

    assert comes_to(place.app)
    assert nobody_waits_at(place.redirected)


def test_connections_inside_the_pod_are_not_redirected(capture: Capture, place: Place) -> None:
    capture(REDIRECT)

    place.web.connect(place.family, place.app_target)

    assert nobody_waits_at(place.redirected)


def test_without_a_heartbeat_nothing_is_redirected(capture: Capture, place: Place) -> None:
    capture(replace(REDIRECT, heartbeat_milliseconds=100))
    time.sleep(0.25)

    place.connect_in()

    assert comes_to(place.app)
    assert nobody_waits_at(place.redirected)


def test_a_redirected_syn_without_our_listener_is_dropped_and_its_retransmission_goes_direct(
    capture: Capture, place: Place
) -> None:
    place.without_listeners()
    lease = capture(REDIRECT)
    client = place.orders.client(place.family)
    client.setblocking(False)
    client.connect_ex(place.app_target)
    answered_before = writable(client, 0.2)

    lease.release()

    assert not answered_before
    assert writable(client, 10)
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert comes_to(place.app)


def test_flushed_rules_leave_redirected_inbound_connections_alone(
    capture: Capture, place: Place
) -> None:
    lease = capture(REDIRECT)
    client = place.connect_in()
    accepted = accepted_by(place.redirected, place.web)

    lease.flush()
    time.sleep(0.2)

    assert talk(client, accepted)


# ---- connections that were there before ---------------------------------------------------------------------------------


def test_a_connection_opened_before_survives_a_whole_lease(capture: Capture, place: Place) -> None:
    out = place.connect_out(), accepted_by(place.server, place.orders)
    into = place.connect_in(), accepted_by(place.app, place.web)

    def alive() -> bool:
        return talk(*out) and talk(*into)

    seen = [alive()]
    lease = capture(lasting())
    seen.append(alive())
    lease.flush()
    seen.append(alive())
    lease.replace(lasting())
    seen.append(alive())
    lease.release()
    seen.append(alive())

    assert seen == [True] * 5


# ---- the lease itself ---------------------------------------------------------------------------------------------------


@pytest.fixture
def captured(place: Place) -> Callable[[], tuple[bool, bool]]:
    """Opens a connection each way and tells which were captured: (outbound, inbound)."""

    def probe() -> tuple[bool, bool]:
        place.connect_out()
        place.connect_in()
        out, into = arrival(place.outbound, place.server), arrival(place.inbound, place.app)
        for listener in (out, into):
            assert listener is not None
            accepted_by(listener, place.web)
        return out is place.outbound, into is place.inbound

    return probe


Probe = Callable[[], tuple[bool, bool]]
BOTH, NEITHER = (True, True), (False, False)


def test_nothing_is_captured_before_it_is_installed(open_lease: Capture, captured: Probe) -> None:
    open_lease(lasting())

    assert captured() == NEITHER


def test_both_directions_are_captured_once_it_is(capture: Capture, captured: Probe) -> None:
    capture(lasting())

    assert captured() == BOTH


def test_without_a_heartbeat_connections_go_direct(capture: Capture, captured: Probe) -> None:
    capture(RuleSet(heartbeat_milliseconds=100))
    time.sleep(0.25)

    assert captured() == NEITHER


def test_a_heartbeat_that_comes_back_captures_again(capture: Capture, captured: Probe) -> None:
    lease = capture(RuleSet(heartbeat_milliseconds=500))
    time.sleep(0.6)

    lease.beat()

    assert captured() == BOTH


def test_a_beating_lease_lasts(capture: Capture, captured: Probe) -> None:
    lease = capture(RuleSet(heartbeat_milliseconds=500))

    beating(lease, 1.0)

    assert captured() == BOTH


def test_a_heartbeat_leaves_no_packet_anywhere(capture: Capture, web: Pod) -> None:
    lease = capture(lasting())
    with web.namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as discard:
        discard.bind(("127.0.0.1", 9))

        lease.beat()

        assert nobody_waits_at(discard)


def test_somebody_elses_datagram_to_the_same_port_is_no_heartbeat(
    capture: Capture, captured: Probe, web: Pod
) -> None:
    capture(RuleSet(heartbeat_milliseconds=100))
    time.sleep(0.25)
    with web.namespace.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.sendto(b"", ("127.0.0.1", 9))

    assert captured() == NEITHER


def test_flushed_rules_capture_nothing_new(capture: Capture, captured: Probe) -> None:
    lease = capture(lasting())

    lease.flush()

    assert captured() == NEITHER


def test_flushed_rules_leave_captured_connections_alone(capture: Capture, place: Place) -> None:
    lease = capture(lasting())
    client = place.connect_out()
    accepted = accepted_by(place.outbound, place.web)

    lease.flush()
    time.sleep(0.2)  # conntrack's hooks would go a grace period after the last rule that needs them

    assert talk(client, accepted)


def test_flushed_rules_leave_captured_inbound_connections_alone(
    capture: Capture, place: Place
) -> None:
    lease = capture(lasting())
    client = place.connect_in()
    accepted = accepted_by(place.inbound, place.web)

    lease.flush()
    time.sleep(0.2)

    assert talk(client, accepted)


def test_rules_put_in_place_of_flushed_ones_capture_again(
    capture: Capture, captured: Probe
) -> None:
    lease = capture(lasting())
    lease.flush()

    lease.replace(lasting())

    assert captured() == BOTH


def test_replacing_rules_by_themselves_changes_nothing(capture: Capture, web: Pod) -> None:
    lease = capture(lasting())
    before = [chain for chain, _ in pods.rules(web)]

    lease.replace(lasting())

    assert sorted(chain for chain, _ in pods.rules(web)) == sorted(before)


# ---- who is exempt ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "exempt"),
    [
        (lasting(exempt_user=0), True),
        (lasting(exempt_group=0), True),
        (lasting(exempt_user=0, exempt_group=1337), True),
        (lasting(exempt_user=1337, exempt_group=1337), False),
    ],
)
def test_an_exempt_users_or_groups_connections_go_direct(
    capture: Capture, place: Place, rules: RuleSet, exempt: bool
) -> None:
    """Ours are root's; inside a user namespace there may be nobody else to be."""
    capture(rules)

    place.connect_out()

    there, elsewhere = place.outbound, place.server
    if exempt:
        there, elsewhere = elsewhere, there
    assert comes_to(there)
    assert nobody_waits_at(elsewhere)


def test_connections_to_an_exempt_user_are_captured(capture: Capture, place: Place) -> None:
    capture(lasting(exempt_user=0, exempt_group=0))

    place.connect_in()

    assert comes_to(place.inbound)


# ---- by chance ----------------------------------------------------------------------------------------------------------


def taken_at(*listeners: socket.socket) -> socket.socket | None:
    """Accept and close the next connection that comes to one of them; which one that was."""
    listener = arrival(*listeners)
    if listener is not None:
        listener.accept()[0].close()
    return listener


@pytest.mark.parametrize("mode", InboundMode)
@pytest.mark.parametrize(("chance", "tries"), [(0.0, 200), (0.3, 2000), (1.0, 200)])
def test_as_many_inbound_connections_are_captured_as_the_chance_says(
    capture: Capture, place: Place, mode: InboundMode, chance: float, tries: int
) -> None:
    capture(lasting(inbound_mode=mode, inbound_probability=chance))
    ours, theirs = 0, 0
    for _ in range(tries):
        place.connect_in().close()
        came = taken_at(place.inbound, place.redirected, place.app)
        ours += came in (place.inbound, place.redirected)
        theirs += came is place.app

    assert ours + theirs == tries
    assert abs(ours - tries * chance) <= 6 * math.sqrt(tries * chance * (1 - chance))


@pytest.mark.parametrize(("chance", "tries"), [(0.0, 200), (0.3, 2000), (1.0, 200)])
def test_as_many_outbound_connections_are_captured_as_the_chance_says(
    capture: Capture, place: Place, chance: float, tries: int
) -> None:
    capture(lasting(outbound_probability=chance))
    ours, theirs = 0, 0
    for _ in range(tries):
        place.connect_out().close()
        came = taken_at(place.outbound, place.server)
        ours += came is place.outbound
        theirs += came is place.server

    assert ours + theirs == tries
    assert abs(ours - tries * chance) <= 6 * math.sqrt(tries * chance * (1 - chance))


#: linux/filter.h: a program that lets nothing through, `BPF_RET | BPF_K 0`; asm-generic/socket.h.
DEAF = struct.pack("HBBI", 6, 0, 0, 0)
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27


def deafen(client: socket.socket) -> None:
    """No answer reaches the client, so that it sends its SYN again."""
    code = ctypes.create_string_buffer(DEAF)
    client.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", 1, ctypes.addressof(code))
    )


def hear(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


def syns_captured(place: Place) -> int:
    """What the counters of the capture chains say."""
    return sum(
        int.from_bytes(data[_PACKETS], "big")
        for chain, raw in pods.rules(place.web)
        if chain in CAPTURE_CHAINS
        for name, data in pods.expressions(raw)
        if name == "counter"
    )


#: linux/netfilter/nf_tables.h: NFTA_COUNTER_PACKETS.
_PACKETS = 2


@pytest.mark.parametrize(
    "direction", ["out", "tproxy", pytest.param("redirect", marks=pytest.mark.long)]
)
def test_a_syn_that_is_sent_again_does_not_draw_again(
    capture: Capture, place: Place, direction: str
) -> None:
    tries = 40
    mode = InboundMode.REDIRECT if direction == "redirect" else InboundMode.TPROXY
    capture(lasting(inbound_mode=mode, inbound_probability=0.5, outbound_probability=0.5))
    source = place.web if direction == "out" else place.orders
    aim = target(place.server) if direction == "out" else place.app_target
    clients = [source.client(place.family) for _ in range(tries)]
    for client in clients:
        deafen(client)
        client.setblocking(False)
        client.connect_ex(aim)
    first = syns_captured(place)
    time.sleep(0.5)
    unheard = [client for client in clients if not writable(client, 0)]
    for client in clients:
        hear(client)

    assert len(unheard) == tries
    # SYNs are sent again after 1 s, and again where that was not heard.
    assert all(writable(client, 10) for client in clients)
    assert all(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 for client in clients)
    ours = (place.outbound, place.inbound, place.redirected)
    came = [taken_at(*ours, place.server, place.app) for _ in clients]
    assert None not in came
    assert sum(listener in ours for listener in came) == first


# ---- replacing rules ----------------------------------------------------------------------------------------------------


def test_replaced_rules_hold_for_new_connections(capture: Capture, captured: Probe) -> None:
    lease = capture(lasting())
    seen = [captured()]

    for ports in (NO_PORTS, PortSet(((0, 65535),))):
        lease.replace(lasting(inbound_ports=ports, outbound_ports=ports))
        seen.append(captured())

    assert seen == [BOTH, NEITHER, BOTH]


@pytest.mark.parametrize(
    "rules",
    [
        lasting(inbound_ports=NO_PORTS, outbound_ports=NO_PORTS),
        lasting(inbound_probability=0, outbound_probability=0),
        lasting(outbound_skip=(ip_network("0.0.0.0/0"), ip_network("::/0"))),
        lasting(exempt_user=0, inbound_mode=InboundMode.REDIRECT),
    ],
    ids=["ports", "chance", "networks", "mode"],
)
@pytest.mark.parametrize("before", InboundMode)
def test_replacing_rules_leaves_captured_connections_alone(
    capture: Capture, place: Place, rules: RuleSet, before: InboundMode
) -> None:
    lease = capture(lasting(inbound_mode=before))
    arrived = place.inbound if before is InboundMode.TPROXY else place.redirected
    out = place.connect_out(), accepted_by(place.outbound, place.web)
    into = place.connect_in(), accepted_by(arrived, place.web)

    lease.replace(rules)
    time.sleep(0.2)

    assert talk(*out)
    assert talk(*into)


def test_the_inbound_mode_can_be_replaced(capture: Capture, place: Place) -> None:
    lease = capture(lasting())

    came = []
    for rules in (REDIRECT, lasting()):
        lease.replace(rules)
        place.connect_in()
        came.append(taken_at(place.inbound, place.redirected, place.app))

    assert came == [place.redirected, place.inbound]


def test_rules_the_kernel_refuses_leave_the_old_ones(capture: Capture, captured: Probe) -> None:
    lease = capture(lasting())
    broken = lasting(inbound_ports=PortSet(((80, 90), (85, 95))))

    with pytest.raises(RefusedError, match="elements of set in_ports"):
        lease.replace(broken)

    assert captured() == BOTH


# ---- its end -----------------------------------------------------------------------------------------------------------


def test_a_released_lease_leaves_no_table(capture: Capture, web: Pod, captured: Probe) -> None:
    lease = capture(lasting())

    lease.release()

    assert pods.tables(web) == set()
    assert captured() == NEITHER


def test_releasing_twice_is_releasing_once(capture: Capture, slots: Slots, web: Pod) -> None:
    lease = capture(lasting())
    lease.release()
    with web.namespace.run(netlink.netfilter_socket) as other:
        slot = slots.fill(other.fileno())

    lease.release()

    with socket.socket(fileno=slot) as kept:
        assert kept.family == socket.AF_NETLINK
        kept.detach()
    slots.empty(slot)


def test_a_lease_is_not_released_under_a_thread_that_uses_it(capture: Capture) -> None:
    lease = capture(lasting())
    slot = lease._link.fileno()
    releasing = threading.Thread(target=lease.release)
    with lease._turn:
        releasing.start()
        releasing.join(0.05)
        held = lease._link.fileno()

    releasing.join()

    assert held == slot
    assert lease._link.fileno() == -1


def test_a_lease_that_was_never_installed_can_be_released(open_lease: Capture) -> None:
    open_lease(lasting(owner=False)).release()


def test_a_released_lease_may_still_be_asked_to_beat(capture: Capture) -> None:
    lease = capture(lasting())
    lease.release()

    lease.beat()


def test_a_table_that_exists_is_refused_by_name_and_kept(
    capture: Capture, open_lease: Capture, web: Pod
) -> None:
    capture(lasting())
    second = open_lease(lasting())

    with pytest.raises(RefusedError, match=f"refuses table {TABLE}"):
        second.install(lasting())

    assert pods.tables(web) == {TABLE}


def test_a_refused_batch_leaves_nothing_behind(web: Pod, open_lease: Capture) -> None:
    """Its last message is refused: no set can hold an element twice."""
    lease = open_lease(lasting())
    whole = encode.install(lasting(), TABLE)
    broken = encode.Batch(whole.frames.replace(b"capture_in\0", b"capture_no\0", 1), whole.about)

    with pytest.raises(RefusedError, match="rule"):
        netlink.commit(lease._link, broken)

    assert pods.tables(web) == set()


def flush_ruleset(pod: Pod, name: str | None) -> int:
    """`nft flush ruleset`, or `nft delete table`, by somebody else; the kernel's error number, or 0."""
    attributes = [] if name is None else [("NFTA_TABLE_NAME", name)]
    message = encode._nftables("", nft.NFT_MSG_DELTABLE, 0, nft.nft_table_msg, attributes)
    with pod.namespace.run(netlink.netfilter_socket) as other:
        try:
            netlink.commit(other, encode._batch([message]))
        except RefusedError as refusal:
            return refusal.errno or -1
    return 0


def test_somebody_elses_flush_of_all_rules_leaves_ours(
    capture: Capture, web: Pod, captured: Probe
) -> None:
    capture(lasting())

    assert flush_ruleset(web, None) == 0

    assert pods.tables(web) == {TABLE}
    assert captured() == BOTH


def test_nobody_else_can_delete_our_table(capture: Capture, web: Pod) -> None:
    capture(lasting())

    assert flush_ruleset(web, TABLE) == errno.EPERM


def test_the_socket_that_holds_a_lease_is_below_all_others(capture: Capture, place: Place) -> None:
    lease = capture(lasting())

    others = (place.outbound, place.inbound, lease._beacon)
    assert lease._link.fileno() < min(other.fileno() for other in others)


def test_a_released_leases_slot_is_used_again(capture: Capture) -> None:
    lease = capture(lasting())
    slot = lease._link.fileno()
    lease.release()

    assert capture(lasting())._link.fileno() == slot


class Here:
    """The namespace the test is in."""

    def run(self, function: Callable[[], T]) -> T:
        return function()


def test_a_lease_that_may_not_mark_packets_takes_no_slot() -> None:
    slots = Slots(1)
    # SO_MARK needs CAP_NET_ADMIN
    with unprivileged(), pytest.raises(PermissionError):
        Lease.open(Here(), lasting(), table=TABLE, slots=slots)

    with socket.socket() as other:
        slots.empty(slots.fill(other.fileno()))
    slots.close()


def test_a_released_lease_leaves_no_descriptor_open(open_lease: Capture) -> None:
    before = {path.name for path in Path("/proc/self/fd").iterdir()}

    open_lease(lasting()).release()

    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before


def test_one_lease_more_than_there_are_slots_is_refused(web: Pod) -> None:
    slots = Slots(0)

    with pytest.raises(OSError, match="no descriptor left"):
        Lease.open(web.namespace, lasting(), table=TABLE, slots=slots)

    slots.close()


# ---- a kernel without the owner flag ---------------------------------------------------------------------------------------


def test_an_unowned_table_captures_and_is_removed_by_release(
    capture: Capture, web: Pod, captured: Probe
) -> None:
    lease = capture(lasting(owner=False))
    seen = captured()

    lease.release()

    assert seen == BOTH
    assert pods.tables(web) == set()


def test_an_unowned_table_outlives_us_and_the_heartbeat_ends_it(
    capture: Capture, web: Pod, captured: Probe
) -> None:
    lease = capture(RuleSet(owner=False, heartbeat_milliseconds=100))
    for held in (lease._link, lease._beacon):  # as our death would
        held.close()
    time.sleep(0.25)

    seen = captured()

    assert pods.tables(web) == {TABLE}
    assert seen == NEITHER
    flush_ruleset(web, TABLE)


# ---- death ----------------------------------------------------------------------------------------------------------------

HOLDER = """
import signal, socket, sys
from netra_node.interception.lease import Lease
from netra_node.interception.ruleset import RuleSet
from netra_node.interception.slots import Slots
from netra_node.netns import InPodSockets, Namespace
slots = Slots(1)
namespace = Namespace.open(sys.argv[1])
listener = InPodSockets(namespace).listener("127.0.0.1", 14956, transparent=False, backlog=8)
rules = RuleSet(heartbeat_milliseconds=60000)
lease = Lease.open(namespace, rules, table="netra-dead", slots=slots)
lease.install(rules)
print("installed", flush=True)
listener.setblocking(True)
accepted, _ = listener.accept()
print("captured", flush=True)
signal.pause()
"""


@pytest.fixture
def holder(web: Pod) -> Iterator[subprocess.Popen[bytes]]:
    """Another process with a lease on the pod and one captured connection."""
    argv = [sys.executable, "-c", HOLDER, web.namespace.path]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def connect_captured(
    pod: Pod, there: tuple[str, int], holder: subprocess.Popen[bytes]
) -> socket.socket:
    """A connection that the holder has accepted."""
    assert holder.stdout is not None
    # Not as soon as there is a table: its rules match from the first heartbeat on.
    assert holder.stdout.readline() == b"installed\n"
    client = pod.connect(pods.V4, there)
    assert holder.stdout.readline() == b"captured\n"
    return client


def test_a_killed_process_leaves_no_table_and_connections_go_direct(
    web: Pod, orders: Pod, holder: subprocess.Popen[bytes]
) -> None:
    server = orders.server(pods.V4.address(orders))
    connect_captured(web, target(server), holder)

    holder.send_signal(signal.SIGKILL)
    holder.wait()

    assert pods.tables(web) == set()
    web.connect(pods.V4, target(server))
    assert comes_to(server)


def test_the_clients_of_a_killed_process_are_told(
    web: Pod, orders: Pod, holder: subprocess.Popen[bytes]
) -> None:
    """The table goes last, so their FIN or RST is still translated."""
    server = orders.server(pods.V4.address(orders))
    client = connect_captured(web, target(server), holder)

    holder.send_signal(signal.SIGKILL)

    told = b"nothing"
    with contextlib.suppress(ConnectionResetError):
        told = client.recv(1)
    assert told in (b"", b"nothing")
    holder.wait()


# ---- other daemons ------------------------------------------------------------------------------------------------------

OTHER = "netra-0badcafe"


@pytest.fixture
def other(web: Pod, slots: Slots) -> Iterator[Callable[[RuleSet], Lease]]:
    """A lease of another daemon on the same pod."""
    with contextlib.ExitStack() as stack:

        def install(rules: RuleSet) -> Lease:
            lease = Lease.open(web.namespace, rules, table=OTHER, slots=slots)
            stack.callback(lease.release)
            lease.install(rules)
            return lease

        yield install


@pytest.mark.parametrize("owner", [True, False])
def test_a_living_neighbour_is_noticed_and_left_alone(
    capture: Capture, other: Capture, web: Pod, owner: bool
) -> None:
    older = other(lasting(owner=owner))
    lease = capture(lasting(owner=owner))

    assert lease.has_neighbours()
    assert pods.tables(web) == {TABLE, OTHER}
    older.release()
    assert not lease.has_neighbours()


def test_the_heartbeat_of_one_daemon_keeps_no_other_alive(
    capture: Capture, other: Capture, place: Place
) -> None:
    """Else the rules of one that hangs, or died without an owner, would lead connections to nobody."""
    other(RuleSet(heartbeat_milliseconds=100, heartbeat_port=7))
    lease = capture(lasting(inbound_ports=NO_PORTS, outbound_ports=NO_PORTS))
    beating(lease, 0.3)
    place.connect_out()
    place.connect_in()

    assert nobody_waits_at(place.outbound)
    assert nobody_waits_at(place.inbound)


def test_each_of_two_daemons_keeps_its_own_rules_alive(
    capture: Capture, other: Capture, place: Place
) -> None:
    older = other(RuleSet(heartbeat_milliseconds=500, heartbeat_port=7))
    capture(lasting(inbound_ports=NO_PORTS, outbound_ports=NO_PORTS))
    beating(older, 1.0)
    place.connect_out()

    assert comes_to(place.outbound)


@pytest.mark.parametrize("owner", [True, False])
def test_what_a_neighbour_captured_goes_on_after_we_came(
    other: Capture, capture: Capture, place: Place, owner: bool
) -> None:
    """Without its conntrack entry it would hang: nobody would translate it any more."""
    other(lasting(owner=owner))
    client = place.connect_out()
    accepted = accepted_by(place.outbound, place.web)
    capture(lasting(owner=owner))

    assert talk(client, accepted)


def test_a_table_without_an_owner_whose_heart_beats_no_more_is_removed(
    capture: Capture, other: Capture, web: Pod
) -> None:
    other(RuleSet(owner=False, heartbeat_milliseconds=100))
    time.sleep(0.3)
    lease = capture(lasting(owner=False))

    assert pods.tables(web) == {TABLE}
    assert not lease.has_neighbours()


def test_where_tables_have_owners_one_without_is_nobodys(
    capture: Capture, other: Capture, web: Pod
) -> None:
    other(lasting(owner=False))
    capture(lasting())

    assert pods.tables(web) == {TABLE}


def test_somebody_elses_table_is_no_neighbour(capture: Capture, web: Pod, slots: Slots) -> None:
    theirs = Lease.open(web.namespace, lasting(owner=False), table="netra-mesh", slots=slots)
    theirs.install(lasting(owner=False))
    lease = capture(lasting())

    assert not lease.has_neighbours()
    assert pods.tables(web) == {TABLE, "netra-mesh"}
    theirs.release()


def test_without_an_owner_new_connections_go_direct_when_the_heart_stops(
    capture: Capture, place: Place
) -> None:
    """Also while the dead one's table is still there, with nobody at its ports."""
    capture(RuleSet(owner=False, heartbeat_milliseconds=100))
    place.without_listeners()
    time.sleep(0.3)
    place.connect_out()
    place.connect_in()

    assert comes_to(place.server)
    assert comes_to(place.app)
