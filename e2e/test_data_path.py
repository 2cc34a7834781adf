"""What the two applications of a captured connection notice of the daemon: addresses, refusals, endings, flow. Nothing else."""

import contextlib
import errno
import hashlib
import itertools
import socket
import threading
import time
from collections.abc import Callable

import pytest

from e2e.support import kernel
from e2e.support.daemon import Daemon, until
from e2e.support.memory import flat
from e2e.support.node import Node, read, read_head, reset

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60), pytest.mark.usefixtures("daemon")]

#: Captured at the client's side, at the server's, at both.
ROUTES = pytest.mark.parametrize(("caller", "called"), [("a", "y"), ("x", "b"), ("a", "b")])
GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MEGABYTE = 1 << 20
SIZE = 50 * MEGABYTE


def is_reset(sock: socket.socket) -> bool:
    """Whether the other side has reset the connection; what it sent before is read on the way."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return False


def is_reset_when_dialled(node: Node, caller: str, target: tuple[str, int]) -> bool:
    """The reset may already be there when connect() looks."""
    try:
        return is_reset(node.connect(caller, target))
    except ConnectionResetError:
        return True


def is_refused(node: Node, caller: str, target: tuple[str, int]) -> bool:
    try:
        node.connect(caller, target)
    except ConnectionRefusedError:
        return True
    return False


def captured(server: socket.socket, client: socket.socket) -> bool:
    """Whether a request gets headers on its way; it is answered."""
    client.sendall(GET)
    head = read_head(server)
    server.sendall(OK)
    assert read(client, len(OK)) == OK
    return b"traceparent" in head


# ---- who is there


@pytest.mark.parametrize("caller", ["x", "a"])
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_the_application_sees_its_clients_own_address(node: Node, caller: str, family: str) -> None:
    host: str = getattr(node.pod("b"), family)
    listener = node.listen("b", "::" if family == "ipv6" else "0.0.0.0")
    client = node.connect(caller, (host, listener.getsockname()[1]))
    server = node.accept(listener)

    assert server.getpeername()[0] == getattr(node.pod(caller), family)
    assert captured(server, client)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_the_application_sees_its_clients_own_port(node: Node, family: str) -> None:
    host: str = getattr(node.pod("b"), family)
    listener = node.listen("b", "::" if family == "ipv6" else "0.0.0.0")
    client = node.connect("x", (host, listener.getsockname()[1]))
    server = node.accept(listener)

    assert server.getpeername()[1] == client.getsockname()[1]
    assert captured(server, client)


def test_an_application_on_the_pods_address_alone_is_reached_too(node: Node) -> None:
    listener = node.listen("b", node.pod("b").ipv4)
    client = node.connect("x", listener.getsockname())
    server = node.accept(listener)

    assert server.getpeername()[0] == node.pod("x").ipv4
    assert server.getsockname() == listener.getsockname()
    assert captured(server, client)


def test_many_connections_from_one_port_after_another_are_all_told_apart(node: Node) -> None:
    listener = node.listen("b")
    target = (node.pod("b").ipv4, listener.getsockname()[1])
    clients = [node.connect(caller, target) for caller in ("x", "y", "a") for _ in range(20)]
    servers = [node.accept(listener) for _ in clients]

    for number, client in enumerate(clients):
        client.sendall(bytes((number,)))

    assert sorted(server.recv(1)[0] for server in servers) == list(range(len(clients)))


def test_a_pod_that_calls_itself_is_left_alone(node: Node) -> None:
    client, server = node.pair("b", "b")

    assert not captured(server, client)


# ---- nobody there


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_closed_port_refuses_from_outside(node: Node, family: str) -> None:
    assert is_refused(node, "x", (getattr(node.pod("b"), family), 81))


@pytest.mark.parametrize("called", ["y", "b"])
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_port_that_was_closed_refuses_a_client_whose_own_port_comes_round(
    node: Node, called: str, family: str
) -> None:
    """The server closed first, so that its end of the earlier connection is in TIME_WAIT; `y` is as without us."""
    host = getattr(node.pod(called), family)
    listener = node.listen(called, "::" if family == "ipv6" else "0.0.0.0")
    target = (host, listener.getsockname()[1])
    client = node.connect("x", target)
    own = client.getsockname()
    server = node.accept(listener)
    assert captured(server, client) is (called == "b")
    server.close()
    assert client.recv(1) == b""
    client.close()
    listener.close()
    assert until(lambda: kernel.waiting_out(node.pod(called), target[1]))

    again = node.endpoint("x", target)
    again.bind(own)
    with pytest.raises(ConnectionRefusedError):
        again.connect(target)


def test_an_application_on_loopback_only_refuses_from_outside(node: Node) -> None:
    listener = node.listen("b", "127.0.0.1")

    assert is_refused(node, "x", (node.pod("b").ipv4, listener.getsockname()[1]))


def test_our_own_listeners_refuse_from_outside(node: Node) -> None:
    assert is_refused(node, "x", (node.pod("b").ipv4, 14955))
    assert is_refused(node, "x", (node.pod("b").ipv4, 14956))


def test_our_own_listeners_reset_whoever_in_the_pod_dials_them(node: Node) -> None:
    for port in (14955, 14956):
        assert is_reset_when_dialled(node, "b", ("127.0.0.1", port))


def test_towards_a_closed_port_a_captured_client_is_reset_after_its_connect(
    node: Node, daemon: Daemon
) -> None:
    refused = "netra_tcp_connections_closed_total"
    before = daemon.total(refused, outcome="upstream_refused")

    assert is_reset_when_dialled(node, "a", (node.pod("y").ipv4, 81))
    assert daemon.total(refused, outcome="upstream_refused") - before == 1


# ---- how it ends


@ROUTES
def test_a_client_that_has_said_all_still_hears_the_answer(
    node: Node, caller: str, called: str
) -> None:
    client, server = node.pair(caller, called)
    client.sendall(GET)
    client.shutdown(socket.SHUT_WR)
    read_head(server)
    assert server.recv(1) == b""

    for piece in (OK[:20], OK[20:]):
        server.sendall(piece)
        assert read(client, len(piece)) == piece
    server.close()
    assert client.recv(1) == b""


@ROUTES
def test_a_server_that_has_said_all_still_hears_the_request(
    node: Node, caller: str, called: str
) -> None:
    client, server = node.pair(caller, called)
    client.sendall(b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 6\r\n\r\n")
    read_head(server)
    server.sendall(OK)
    server.shutdown(socket.SHUT_WR)
    assert read(client, len(OK) + 1) == OK

    for piece in (b"abc", b"def"):
        client.sendall(piece)
        assert read(server, 3) == piece
    client.close()
    assert server.recv(1) == b""


@ROUTES
def test_half_close_is_kept_for_bytes_that_are_no_http(
    node: Node, caller: str, called: str
) -> None:
    client, server = node.pair(caller, called)
    client.sendall(b"\0hello")
    client.shutdown(socket.SHUT_WR)
    assert read(server, 100) == b"\0hello"

    server.sendall(b"\0answer")
    server.close()

    assert read(client, 100) == b"\0answer"


@ROUTES
def test_a_fin_on_an_idle_connection_reaches_the_client(
    node: Node, caller: str, called: str
) -> None:
    client, server = node.pair(caller, called)
    assert captured(server, client)

    server.close()

    assert client.recv(1) == b""


@ROUTES
def test_a_fin_on_an_idle_connection_reaches_the_server(
    node: Node, caller: str, called: str
) -> None:
    client, server = node.pair(caller, called)
    assert captured(server, client)

    client.close()

    assert server.recv(1) == b""


@ROUTES
@pytest.mark.parametrize("opening", [GET, b"\0binary", b""], ids=["http", "opaque", "silent"])
def test_a_reset_by_the_server_reaches_the_client(
    node: Node, caller: str, called: str, opening: bytes
) -> None:
    client, server = node.pair(caller, called)
    if opening:
        client.sendall(opening)
        server.recv(65536)

    reset(server)

    assert is_reset(client)


@ROUTES
@pytest.mark.parametrize("opening", [GET, b"\0binary", b""], ids=["http", "opaque", "silent"])
def test_a_reset_by_the_client_reaches_the_server(
    node: Node, caller: str, called: str, opening: bytes
) -> None:
    client, server = node.pair(caller, called)
    if opening:
        client.sendall(opening)
        server.recv(65536)

    reset(client)

    assert is_reset(server)


def answered(_client: socket.socket, server: socket.socket) -> None:
    server.sendall(OK)


def client_leaves(client: socket.socket, server: socket.socket) -> None:
    # Until the server ends too, it may be a half-close: the answer could still come.
    client.close()
    assert server.recv(1) == b""
    server.close()


def client_resets(client: socket.socket, _server: socket.socket) -> None:
    reset(client)


def server_leaves(_client: socket.socket, server: socket.socket) -> None:
    server.close()


def server_resets(_client: socket.socket, server: socket.socket) -> None:
    reset(server)


@pytest.mark.parametrize(
    ("end", "status", "outcome"),
    [
        (answered, 200, "ok"),
        (client_leaves, 0, "client_closed"),
        (client_resets, 0, "client_reset"),
        (server_leaves, 0, "upstream_closed"),
        (server_resets, 0, "upstream_reset"),
    ],
)
def test_every_request_is_a_span_whatever_became_of_it(
    node: Node,
    daemon: Daemon,
    end: Callable[[socket.socket, socket.socket], None],
    status: int,
    outcome: str,
) -> None:
    client, server = node.pair("x", "b")
    name = f"/{end.__name__.replace('_', '-')}"
    client.sendall(b"GET %b HTTP/1.1\r\nHost: b\r\n\r\n" % name.encode())
    read_head(server)

    end(client, server)

    found = until(lambda: [s for s in daemon.traces() if s["attributes"]["url.path"] == name], 2)
    assert [(span["status_code"], span["outcome"]) for span in found] == [(status, outcome)]
    error = None if outcome == "ok" else outcome
    assert found[0]["attributes"].get("error.type") == error


def test_clients_that_leave_while_the_server_greets_them_upset_nobody(
    node: Node, daemon: Daemon
) -> None:
    listeners = [node.listen(pod) for pod in ("b", "y")]
    for number in range(300):
        listener, pod = listeners[number % 2], ("b", "y")[number % 2]
        client = node.connect(
            "ax"[number // 2 % 2], (node.pod(pod).ipv4, listener.getsockname()[1])
        )
        server, _ = listener.accept()
        server.sendall(b"220 welcome\r\n")
        (reset if number % 3 else socket.socket.close)(client)
        server.close()

    assert until(lambda: not any(pod["connections"] for pod in daemon.status()["pods"]), 5)
    assert daemon.mishaps() == []


def test_resets_of_the_peers_are_never_counted_as_ours(daemon: Daemon) -> None:
    ours = {"drain", "no_original_destination"}

    for cause in ours:
        assert daemon.total("netra_connections_reset_total", cause=cause) == 0


def refuse_upload(listener: socket.socket, answer: bytes) -> None:
    """Answer a request before its body is there and close: what still comes is met by a reset."""
    server, _ = listener.accept()
    with server:
        server.recv(200)
        server.sendall(answer)


@pytest.mark.parametrize(("caller", "called"), [("x", "y"), ("a", "y"), ("x", "b"), ("a", "b")])
def test_an_answer_followed_by_a_reset_reaches_a_client_that_still_sends(
    node: Node, caller: str, called: str
) -> None:
    answer = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig"
    listener = node.listen(called)
    for _ in range(20):
        client = node.connect(caller, (node.pod(called).ipv4, listener.getsockname()[1]))
        server = threading.Thread(target=refuse_upload, args=(listener, answer), daemon=True)
        server.start()
        with contextlib.suppress(ConnectionError):
            client.sendall(b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n" % SIZE)
            pour(client, SIZE)

        assert read(client, len(answer) + 1) == answer  # and then FIN
        server.join()


# ---- how it flows


@ROUTES
def test_a_trickled_answer_begins_before_it_is_complete(
    node: Node, caller: str, called: str
) -> None:
    client, server = node.pair(caller, called)
    client.sendall(GET)
    read_head(server)

    for piece in (b"H", b"TTP/1.1 200 OK\r\nContent-", b"Length: 3\r\n", b"\r\n", b"a", b"bc"):
        server.sendall(piece)
        assert client.recv(100) == piece


def pour(sock: socket.socket, size: int) -> bytes:
    """Send `size` bytes and return their digest."""
    digest = hashlib.sha256()
    block = bytes(range(256)) * 256
    for number in range(size // len(block)):
        piece = number.to_bytes(4, "big") + block[4:]
        digest.update(piece)
        sock.sendall(piece)
    return digest.digest()


def drink(sock: socket.socket, size: int) -> bytes:
    """Receive `size` bytes and return their digest."""
    digest = hashlib.sha256()
    while size and (data := sock.recv(min(size, 1 << 18))):
        digest.update(data)
        size -= len(data)
    assert size == 0
    return digest.digest()


class Task(threading.Thread):
    """A call on a thread of its own, with its result."""

    def __init__(
        self, function: Callable[[socket.socket, int], bytes], sock: socket.socket, size: int
    ) -> None:
        super().__init__(daemon=True)
        self._function, self._sock, self._size = function, sock, size
        self._result = b""
        self.start()

    def run(self) -> None:
        self._result = self._function(self._sock, self._size)

    def result(self) -> bytes:
        self.join(30)
        assert self._result
        return self._result


@ROUTES
def test_fifty_megabytes_up_and_down_arrive_whole(node: Node, caller: str, called: str) -> None:
    client, server = node.pair(caller, called)
    client.sendall(b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n" % SIZE)
    read_head(server)
    receiving = Task(drink, server, SIZE)
    assert pour(client, SIZE) == receiving.result()

    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
    read_head(client)
    receiving = Task(drink, client, SIZE)
    assert pour(server, SIZE) == receiving.result()


def test_both_directions_flow_at_once(node: Node) -> None:
    client, server = node.pair("a", "b")
    client.sendall(b"\0")
    assert read(server, 1) == b"\0"
    receiving = [Task(drink, server, SIZE), Task(drink, client, SIZE)]
    sending = [Task(pour, client, SIZE), Task(pour, server, SIZE)]

    digests = [task.result() for task in itertools.chain(receiving, sending)]

    assert len(set(digests)) == 1


def fill(sock: socket.socket, limit: int) -> int:
    """Send until nobody takes any more, or `limit` bytes."""
    sock.settimeout(0.5)
    sent, block = 0, bytes(1 << 16)
    try:
        while sent < limit:
            sent += sock.send(block)
    except TimeoutError:
        pass
    return sent


@pytest.mark.parametrize("slow", ["client", "server"])
def test_a_reader_that_does_not_read_costs_the_daemon_no_memory(
    node: Node, daemon: Daemon, slow: str
) -> None:
    client, server = node.pair("a", "b")
    length = 100 * MEGABYTE
    client.sendall(b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n" % length)
    read_head(server)
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
    read_head(client)

    with flat(daemon, 3.0):
        sent = fill(server if slow == "client" else client, length)

    print(f"{sent / MEGABYTE:.1f} MB taken by kernel buffers")
    assert sent < length


def answer_each(sock: socket.socket, requests: int) -> bytes:
    """Answer so many pipelined requests with their own first line, one after the other, and return the last."""
    got, line = b"", b""
    for _ in range(requests):
        while b"\r\n\r\n" not in got:
            got += sock.recv(65536)
        head, _, got = got.partition(b"\r\n\r\n")
        line = head.partition(b"\r\n")[0]
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(line), line))
    return line


@ROUTES
def test_more_pipelined_requests_than_may_wait_are_all_answered_in_order(
    node: Node, caller: str, called: str
) -> None:
    requests = 500
    lines = [b"GET /%03d HTTP/1.1" % number for number in range(requests)]
    client, server = node.pair(caller, called)
    answering = Task(answer_each, server, requests)

    client.sendall(b"".join(line + b"\r\nHost: b\r\n\r\n" for line in lines))

    expected = [b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n" + line for line in lines]
    assert read(client, len(b"".join(expected))) == b"".join(expected)
    assert answering.result() == lines[-1]


@ROUTES
def test_a_server_that_closes_first_keeps_the_burden_of_it(
    node: Node, caller: str, called: str
) -> None:
    """TIME_WAIT at the client would cap how many new connections it can open (integration.md, section 2)."""
    listener = node.listen(called)
    port = listener.getsockname()[1]
    for _ in range(50):
        client = node.connect(caller, (node.pod(called).ipv4, port))
        server = node.accept(listener)
        client.sendall(GET)
        read_head(server)
        server.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        server.close()
        while client.recv(65536):
            pass
        client.close()

    at_client = kernel.waiting_out(node.pod(caller), port)
    print(f"{at_client} of 50 in TIME_WAIT at the client")
    assert at_client <= 25
    assert kernel.waiting_out(node.pod(called), port) >= 25


def test_a_client_may_send_before_its_connection_is_accepted(node: Node) -> None:
    listener = node.listen("b")
    client = node.connect("a", (node.pod("b").ipv4, listener.getsockname()[1]))
    client.sendall(GET)
    time.sleep(0.05)

    server = node.accept(listener)

    assert read_head(server).startswith(b"GET / HTTP/1.1\r\nHost: b\r\ntraceparent: ")


def test_a_burst_of_connections_is_accepted_without_a_refusal(node: Node) -> None:
    listener = node.listen("b")
    target = (node.pod("b").ipv4, listener.getsockname()[1])
    clients = [node.endpoint("a", target) for _ in range(60)]
    for client in clients:
        client.setblocking(False)

    codes = {client.connect_ex(target) for client in clients}

    assert codes <= {0, errno.EINPROGRESS}
    for _ in clients:
        node.accept(listener)


# ---- what is linked


def test_three_hops_are_one_trace_by_the_request_id_alone(node: Node, daemon: Daemon) -> None:
    """From x to a, from there to b, and to y; every hop copies only X-Request-Id."""
    (x, a_in), (a_out, b_in), (b_out, y) = (
        node.pair(*hop) for hop in (("x", "a"), ("a", "b"), ("b", "y"))
    )
    x.sendall(b"GET /linked HTTP/1.1\r\nHost: a\r\nX-Request-Id: linked-1\r\n\r\n")
    copied = b"GET /linked HTTP/1.1\r\nHost: b\r\nX-Request-Id: linked-1\r\n\r\n"
    for server, client in ((a_in, a_out), (b_in, b_out)):
        read_head(server)
        client.sendall(copied)
    read_head(y)
    for server, client in ((y, b_out), (b_in, a_out), (a_in, x)):
        server.sendall(OK)
        read(client, len(OK))

    spans = [s for s in daemon.traces() if s["attributes"]["url.path"] == "/linked"]
    by_start = sorted(spans, key=lambda span: int(span["start_unix_nano"]))
    assert [(s["service"], s["kind"]) for s in by_start] == [
        ("a", "server"),
        ("a", "client"),
        ("b", "server"),
        ("b", "client"),
    ]
    assert len({span["trace_id"] for span in spans}) == 1
    assert by_start[0]["parent_span_id"] == ""
    for outer, inner in itertools.pairwise(by_start):
        assert inner["parent_span_id"] == outer["span_id"]
