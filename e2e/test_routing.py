"""Requests that say where they go, through the real daemon: `netramesh.md` §5, `http.md` Routing, and what B9 was.

Pod `a` calls. `x` is where its connections want to go, `b` and `y` are where routes lead. Names are told by a DNS server in `y`.
"""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.corpus.cases import ALL
from e2e.support.daemon import UNDISTURBED, Daemon, until
from e2e.support.differential import ROUTES, Differential
from e2e.support.node import Node, manifest, read, read_head, reset
from e2e.support.transcript import Delivery
from e2e.test_differential import check
from netra_node.testbed import Testbed
from tests.proxy.dns_server import DnsServer, make_sockets

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60)]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LIMIT = 10.0
#: The budget without routing; with it nothing more is to be loaded.
MEBIBYTES = 45


@pytest.fixture(scope="module")
def dns(bed: Testbed) -> Iterator[DnsServer]:
    pods = {pod.name: pod for pod in bed.pods}
    zone = {
        "b.e2e.svc.cluster.local.": [pods["b"].ipv4],
        "b.other.svc.cluster.local.": [pods["y"].ipv4],
        "alias.e2e.svc.cluster.local.": ["CNAME b.e2e.svc.cluster.local."],
        "inside.e2e.svc.cluster.local.": [pods["b"].ipv4],
        "local.e2e.svc.cluster.local.": ["127.0.0.1", "::1"],
        "metadata.e2e.svc.cluster.local.": ["169.254.169.254"],
    }
    sockets = bed.run_inside("y", lambda: make_sockets("0.0.0.0", 53))
    with DnsServer(zone, sockets) as server:
        yield server


@pytest.fixture(scope="module")
def daemon(bed: Testbed, directory: Path, dns: DnsServer) -> Iterator[Daemon]:
    """Routes all ports of `a` and `b`, and port 1 alone of `p`."""
    del dns
    bed.add_pod("p")
    conf = directory / "resolv.conf"
    with Node(bed, directory / "pods.json") as node:
        conf.write_text(f"nameserver {node.pod('y').ipv4}\noptions timeout:1 attempts:2\n")
        node.write(
            [*(manifest(node.pod(name)) for name in "ab"), manifest(node.pod("p"), http_ports="1")]
        )
        with Daemon(
            node.file,
            directory,
            **UNDISTURBED,
            NETRA_HTTP_PORTS="1-65535",
            NETRA_HTTP_ROUTING_ENABLED="true",
            NETRA_HTTP_ROUTING_COOKIE_ENABLED="true",
            NETRA_HTTP_ROUTING_COOKIE_NAME="Way",
            NETRA_RESOLV_CONF=str(conf),
        ) as daemon:
            daemon.wait_for(*"abp")
            yield daemon
            assert daemon.mishaps() == []


class Call:
    """A client in `a`, connected to a listener in `x` that it may never reach."""

    def __init__(self, node: Node, caller: str = "a") -> None:
        self.node = node
        self.original = node.listen("x")
        self.port = self.original.getsockname()[1]
        self.client = node.connect(caller, (node.pod("x").ipv4, self.port))

    def send(self, route: str = "", *fields: str, host: str = "svc", body: bytes = b"") -> bytes:
        lines = [f"Host: {host}", *([f"X-Route: {route}"] if route else []), *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        head = "GET /path?q=1 HTTP/1.1\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
        self.client.sendall(head.encode() + body)
        return head.encode()

    def answered(self, server: socket.socket) -> bytes:
        """Answer the one request that came there; return its head."""
        got = read_head(server)
        server.sendall(OK)
        assert read(self.client, len(OK)) == OK
        return got

    def refused(self) -> str:
        """Read our own answer, to its end; return the text."""
        got = b""
        while data := self.client.recv(65536):
            got += data
        head, _, body = got.decode().partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 502 Bad Gateway\r\n"), got
        return body.removeprefix("netra-node: the route of this request ").rstrip()

    def original_heard(self) -> bytes:
        """What was said to the original destination; it may have been dialled while the machine paused for 50 ms."""
        self.original.setblocking(False)
        try:
            server = self.node.accept(self.original)
            server.setblocking(False)
            return server.recv(1)
        except BlockingIOError:
            return b""


@pytest.fixture
def call(node: Node, daemon: Daemon) -> Call:
    del daemon
    return Call(node)


@pytest.fixture
def service(node: Node) -> socket.socket:
    """What is called b, at the port that a route leads to without saying one."""
    return node.listen("b", port=80)


# ---- what a route says


def test_a_header_leads_a_request_to_another_host_at_port_80_and_nothing_else_is_changed(
    node: Node, call: Call, service: socket.socket
) -> None:
    sent = call.send("svc=b")
    got = call.answered(node.accept(service))

    assert got.startswith(sent[:-2])
    names = [line.split(b":")[0].lower() for line in got[len(sent) - 2 :].split(b"\r\n")[:-2]]
    assert names == [b"traceparent", b"uber-trace-id", b"x-request-id", b"x-source"]
    assert call.original_heard() == b""


@pytest.mark.parametrize("route", ["svc=b:8081", "svc=alias:8081", "no=no,svc=b:8081,svc=x"])
def test_a_port_may_be_said(node: Node, call: Call, route: str) -> None:
    listener = node.listen("b", port=8081)
    call.send(route)

    call.answered(node.accept(listener))


def test_an_address_may_be_said(node: Node, call: Call) -> None:
    listener = node.listen("y")
    call.send(f"svc={node.pod('y').ipv4}:{listener.getsockname()[1]}")

    call.answered(node.accept(listener))


def test_an_ipv6_address_may_be_said_in_brackets(node: Node, call: Call) -> None:
    listener = node.listen("y", "::")
    call.send(f"svc=[{node.pod('y').ipv6}]:{listener.getsockname()[1]}")

    call.answered(node.accept(listener))


def test_a_name_is_looked_for_in_the_pods_search_list(
    node: Node, call: Call, dns: DnsServer
) -> None:
    listener = node.listen("y", port=80)
    call.send("svc=b.other")

    call.answered(node.accept(listener))
    assert ("b.other.e2e.svc.cluster.local.", "A") in dns.asked


@pytest.mark.parametrize(
    ("route", "host"),
    [
        ("svc=b", "svc:80"),
        ("svc:80=b", "svc"),
        ("svc=b", "SVC"),
        ("junk,svc=b", "svc"),
        ("svc=svc,other=b", "svc"),
        ("svc=b" + "," * 5000, "svc"),
    ],
    ids=["port", "no port", "case", "malformed", "same", "too long"],
)
def test_what_names_another_host_or_cannot_be_read_goes_where_it_wanted_to(
    node: Node, call: Call, route: str, host: str
) -> None:
    call.send(route, host=host)

    call.answered(node.accept(call.original))


def test_the_cookie_comes_before_the_header(node: Node, call: Call, service: socket.socket) -> None:
    call.send("svc=nowhere", "Cookie: x=1; Way=svc=b; y=2")

    call.answered(node.accept(service))


def test_an_inbound_request_is_never_routed_and_leads_those_it_causes(
    node: Node, call: Call, service: socket.socket
) -> None:
    listener = node.listen("a")
    inbound = node.connect("x", (node.pod("a").ipv4, listener.getsockname()[1]))
    inbound.sendall(
        b"GET / HTTP/1.1\r\nHost: svc\r\nX-Request-Id: chain-1\r\nX-Route: svc=b\r\n\r\n"
    )
    application = node.accept(listener)
    assert b"X-Route: svc=b\r\n" in read_head(application)

    call.send("", "X-Request-Id: chain-1")
    got = call.answered(node.accept(service))
    assert got.count(b"\r\nX-Route: svc=b\r\n") == 1
    application.sendall(OK)
    assert read(inbound, len(OK)) == OK


def test_a_route_of_its_own_comes_before_that_of_the_inbound_request(
    node: Node, call: Call, service: socket.socket
) -> None:
    listener = node.listen("a")
    inbound = node.connect("x", (node.pod("a").ipv4, listener.getsockname()[1]))
    inbound.sendall(
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: chain-2\r\nX-Route: svc=nowhere\r\n\r\n"
    )
    read_head(node.accept(listener))

    call.send("svc=b", "X-Request-Id: chain-2")
    got = call.answered(node.accept(service))
    assert got.count(b"X-Route") == 1


def test_other_ports_are_never_routed_nor_kept_waiting(
    node: Node, daemon: Daemon, service: socket.socket
) -> None:
    del daemon, service
    call = Call(node, "p")
    server = node.accept(call.original)
    sent = call.send("svc=b")

    assert read(server, len(sent)) == sent


def test_a_changed_annotation_and_a_new_name_hold_for_new_connections(
    node: Node, daemon: Daemon, service: socket.socket
) -> None:
    before = node.file.read_text()
    others = [manifest(node.pod(name)) for name in "ab"]
    renamed = manifest(node.pod("p"), http_ports="1-65535", service_name="renamed")
    node.write([*others, renamed])
    try:
        assert until(lambda: daemon.pod("p").get("service") == "renamed")
        call = Call(node, "p")
        call.send("svc=b")
        assert b"\r\nX-Source: renamed\r\n" in call.answered(node.accept(service))
    finally:
        node.write_text(before)
    assert until(lambda: daemon.pod("p").get("service") == "p")


def test_names_are_asked_for_from_inside_the_pod(
    node: Node, call: Call, dns: DnsServer, service: socket.socket
) -> None:
    dns.peers.clear()
    call.send("svc=inside")  # a name that no other test has had resolved
    call.answered(node.accept(service))

    assert {peer[0] for peer in dns.peers} == {node.pod("a").ipv4}


def test_the_span_tells_where_it_was_routed_to(
    node: Node, daemon: Daemon, call: Call, service: socket.socket
) -> None:
    call.send("svc=b", "X-Request-Id: told")
    call.answered(node.accept(service))

    spans = until(lambda: [s for s in daemon.traces() if "told" in json.dumps(s)])
    assert node.pod("b").ipv4 in json.dumps(spans)
    assert node.pod("x").ipv4 not in json.dumps(spans)


# ---- one client, several upstreams


def test_keep_alive_requests_may_alternate(node: Node, call: Call, service: socket.socket) -> None:
    call.send("svc=b")
    routed = node.accept(service)
    call.answered(routed)
    call.send()
    original = node.accept(call.original)
    call.answered(original)
    for _ in range(5):
        call.send("svc=b")
        call.answered(routed)
        call.send()
        call.answered(original)


def test_pipelined_requests_are_answered_in_order(
    node: Node, call: Call, service: socket.socket
) -> None:
    for route in ("svc=b", "", "svc=b"):
        call.send(route)
    routed = node.accept(service)
    read_head(routed)
    routed.sendall(OK.replace(b"ok", b"r1"))
    original = node.accept(call.original)
    read_head(original)
    original.sendall(OK.replace(b"ok", b"o2"))
    read_head(routed)
    routed.sendall(OK.replace(b"ok", b"r3"))

    got = read(call.client, 3 * len(OK))
    assert [got[n * len(OK) - 2 : n * len(OK)] for n in (1, 2, 3)] == [b"r1", b"o2", b"r3"]


def test_a_large_upload_arrives_whole_and_costs_no_memory(
    node: Node, daemon: Daemon, call: Call, service: socket.socket
) -> None:
    size = 32 * 1024 * 1024
    before = daemon.own_memory()
    call.send("svc=b", f"Content-Length: {size}")
    server = node.accept(service)
    read_head(server)
    block = bytes(1 << 16)
    got = 0
    for _ in range(size // len(block)):
        call.client.sendall(block)
        got += len(server.recv(1 << 20))
    while got < size:
        got += len(server.recv(1 << 20))
    server.sendall(OK)

    assert read(call.client, len(OK)) == OK
    assert daemon.own_memory() - before < 8


# ---- B9


def test_b9_the_end_of_an_upstream_is_the_clients(
    node: Node, call: Call, service: socket.socket
) -> None:
    call.send("svc=b")
    server = node.accept(service)
    read_head(server)
    reset(server)

    with pytest.raises(ConnectionResetError):
        call.client.recv(1)


def test_b9_a_body_until_close_has_an_end(node: Node, call: Call, service: socket.socket) -> None:
    call.send("svc=b")
    server = node.accept(service)
    read_head(server)
    server.sendall(b"HTTP/1.1 200 OK\r\n\r\nbody")
    server.close()

    assert read(call.client, 100) == b"HTTP/1.1 200 OK\r\n\r\nbody"


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_b9_after_an_interim_answer_comes_the_final_one(
    node: Node, call: Call, service: socket.socket, status: int
) -> None:
    interim = b"HTTP/1.1 %d Interim\r\n\r\n" % status
    call.send("svc=b")
    server = node.accept(service)
    read_head(server)
    server.sendall(interim)
    assert read(call.client, len(interim)) == interim
    server.sendall(OK)

    assert read(call.client, len(OK)) == OK


def test_b9_the_end_of_a_tcp_server_is_the_clients(node: Node, call: Call) -> None:
    call.client.sendall(b"\x01\x02 no http\n")
    server = node.accept(call.original)
    assert read(server, 11) == b"\x01\x02 no http\n"
    server.sendall(b"bye")
    server.close()

    assert read(call.client, 100) == b"bye"


def test_b9_what_cannot_be_read_passes_as_it_is(node: Node, call: Call) -> None:
    odd = b"GET / HTTP/1.1\r\nHost: a\r\nHost: svc\r\nX-Route: svc=b\r\n\r\n"
    call.client.sendall(odd)

    assert read(node.accept(call.original), len(odd)) == odd


def test_b9_a_server_that_speaks_first_is_heard(node: Node, call: Call) -> None:
    server = node.accept(call.original)
    server.sendall(b"220 ready\r\n")

    assert read(call.client, 11) == b"220 ready\r\n"


# ---- routes that lead nowhere, or shall not lead there


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("nowhere", "leads to nowhere:80, which cannot be resolved"),
        ("b:9", "leads to b:9, which cannot be reached"),
        ("", "names no host and port"),
        ("b:http", "names no host and port"),
        ("127.0.0.1:{outbound}", "leads to 127.0.0.1:{outbound}, where routes may not lead"),
        ("[::1]:{outbound}", "leads to ::1:{outbound}, where routes may not lead"),
        ("[::ffff:127.0.0.1]:{outbound}", "leads to ::ffff:127.0.0.1:{outbound}, where routes may not lead"),
        ("192.0.0.8:{inbound}", "leads to 192.0.0.8:{inbound}, where routes may not lead"),
        ("169.254.169.254", "leads to 169.254.169.254:80, where routes may not lead"),
        ("0.0.0.0", "leads to 0.0.0.0:80, where routes may not lead"),
        ("local", "leads to local:80, where routes may not lead"),
        ("metadata", "leads to metadata:80, where routes may not lead"),
        ("2130706433", "leads to 2130706433:80, which cannot be resolved"),
        ("127.1", "leads to 127.1:80, which cannot be resolved"),
        ("{own}:{outbound}", "leads to {own}:{outbound}, which cannot be reached"),
    ],
)  # fmt: skip
def test_a_forged_route_or_one_that_leads_nowhere_is_a_502_that_says_why(
    node: Node, daemon: Daemon, call: Call, target: str, text: str
) -> None:
    ports = daemon.status()["ports"]
    before = daemon.descriptors()
    facts = {"own": node.pod("a").ipv4, **ports}
    call.send("svc=" + target.format(**facts))

    assert call.refused() == text.format(**facts)
    assert daemon.descriptors() < before + 10
    assert call.original_heard() == b""


def test_a_502_is_told_as_an_error_and_counted(node: Node, daemon: Daemon) -> None:
    before = daemon.requests()["upstream_refused"], daemon.total("netra_route_failures_total")
    call = Call(node)
    call.send("svc=nowhere", "X-Request-Id: lost")
    call.refused()

    until(lambda: daemon.requests()["upstream_refused"] > before[0])
    assert daemon.requests()["upstream_refused"] == before[0] + 1
    assert daemon.total("netra_route_failures_total", reason="unresolved") >= 1
    routing = daemon.status()["routing"]
    assert routing["header"] == "X-Route"
    assert routing["results"]["routed"] >= 1
    assert routing["failures"]["unresolved"] >= 1
    (span,) = until(lambda: [s for s in daemon.traces() if "lost" in json.dumps(s)])
    assert "upstream_refused" in json.dumps(span)
    assert "502" in json.dumps(span)


@pytest.mark.long
def test_a_host_that_does_not_answer_is_a_502_when_the_kernel_gives_up(
    node: Node, daemon: Daemon
) -> None:
    del daemon

    def be_impatient() -> None:
        for name, value in (("tcp_syn_retries", "1"), ("tcp_syn_linear_timeouts", "0")):
            switch = Path("/proc/sys/net/ipv4") / name
            if switch.exists():
                switch.write_text(value)

    node.bed.run_inside("a", be_impatient)
    call = Call(node)
    call.send("svc=198.51.100.1")

    assert call.refused().startswith("leads to 198.51.100.1:80, which ")


def test_routes_of_many_forged_names_leave_nothing_behind(node: Node, daemon: Daemon) -> None:
    Call(node).send("svc=nowhere")
    descriptors, memory = daemon.descriptors(), daemon.own_memory()
    for number in range(100):
        call = Call(node)
        call.send(f"svc=nowhere-{number}", f"X-Request-Id: {number}", "X-Big: " + "x" * 4000)
        call.refused()
        call.client.close()
        call.original.close()

    assert until(lambda: daemon.descriptors() <= descriptors + 5)
    assert daemon.own_memory() - memory < 6


def test_connections_that_alternate_leave_nothing_behind(
    node: Node, daemon: Daemon, service: socket.socket
) -> None:
    def alternate() -> None:
        call = Call(node)
        call.send("svc=b")
        routed = node.accept(service)
        call.answered(routed)
        call.send()
        original = node.accept(call.original)
        call.answered(original)
        for sock in (call.client, routed, original, call.original):
            sock.close()

    alternate()
    descriptors = daemon.descriptors()
    for _ in range(50):
        alternate()

    assert until(lambda: daemon.descriptors() <= descriptors + 5)


def test_where_nobody_tells_names_it_is_a_502_in_time_and_the_file_is_read_again(
    node: Node, daemon: Daemon, directory: Path, service: socket.socket
) -> None:
    conf = directory / "resolv.conf"
    was = conf.read_text()
    conf.write_text(f"nameserver {node.pod('x').ipv4}\noptions timeout:1 attempts:1\n")
    try:
        call, begin = Call(node), time.monotonic()
        call.send("svc=other")
        assert call.refused() == "leads to other:80, which nobody resolves in time"
        assert time.monotonic() - begin < LIMIT
    finally:
        conf.write_text(was)
    call = Call(node)
    call.send("svc=b.e2e.svc.cluster.local.")
    call.answered(node.accept(service))
    del daemon


def test_after_all_that_it_fits(daemon: Daemon) -> None:
    print(f"routing three pods: {daemon.pss():.1f} MiB PSS")
    assert daemon.pss() <= MEBIBYTES


# ---- without a route nobody can tell the difference


def unrouted() -> Iterator[object]:
    """Every second case, all but a few of them long; `test_differential` has the rest of the product."""
    for number, case in enumerate([each for each in ALL if not each.other_port][::2]):
        yield pytest.param(case.name, marks=() if number % 30 == 0 else pytest.mark.long)


@pytest.mark.parametrize("name", list(unrouted()))
def test_both_sides_see_what_they_see_without_the_daemon(
    node: Node, daemon: Daemon, name: str
) -> None:
    case = next(case for case in ALL if case.name == name)

    check(node, Differential(daemon), case, ROUTES["both"], Delivery.WHOLE)
