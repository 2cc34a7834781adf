"""The eleven bugs of netramesh 0.10, each as its users met it, against the real daemon: none of them is ours.

Belongs here: one scenario or a few for each of B1 to B11, named so. Does not belong here: the whole of the contract those
scenarios touch, which has its own tests.
"""

import re
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.support import declared, memory, swarm
from e2e.support.daemon import Daemon, until
from e2e.support.load import ANSWER_SIZE, Fate, fate_of
from e2e.support.node import Node, read, read_head, reset
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(60), pytest.mark.usefixtures("daemon")]

#: Captured at the client's side, at the server's, at both.
ROUTES = pytest.mark.parametrize(("caller", "called"), [("a", "y"), ("x", "b"), ("a", "b")])
GET = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
MEGABYTE = 1 << 20

KEEP_ALIVE_REQUESTS = 1000
CROWD, EACH = 32, 20
#: The listeners inside each pod.
OWN_PORTS = (14955, 14956)
SELF_CONNECTS = 50
THREADS_CROWD = 2000
HEADER = 200 * MEGABYTE

_PARENT = re.compile(rb"traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]\r\n")
_UBER = re.compile(rb"uber-trace-id: ([0-9a-f]+):([0-9a-f]+):")


def get(path: str) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: b\r\n\r\n" % path.encode()


def span_told_in(head: bytes) -> str:
    """The span that the one trace header of a request names."""
    ((_, span),) = _PARENT.findall(head)
    return str(span, "ascii")


def spans_of(daemon: Daemon, start: str, count: int) -> list[dict[str, Any]]:
    """The spans whose path starts so, once there are as many."""

    def found() -> list[dict[str, Any]]:
        return [s for s in daemon.traces() if s["attributes"]["url.path"].startswith(start)]

    until(lambda: len(found()) >= count, 5)
    return found()


def span_of_each_path(daemon: Daemon, start: str, count: int) -> dict[str, str]:
    spans = spans_of(daemon, start, count)
    assert len(spans) == count
    return {span["attributes"]["url.path"]: span["span_id"] for span in spans}


def has_ended(sock: socket.socket) -> bool:
    """Whether FIN comes, and nothing before it."""
    return sock.recv(65536) == b""


# ---- B1: a crash and spans of the wrong request on ordinary keep-alive


def test_b1_a_keep_alive_client_gets_one_trace_header_and_its_own_span_for_each_request(
    node: Node, daemon: Daemon
) -> None:
    client, server = node.pair("x", "b")
    told = {}
    for number in range(KEEP_ALIVE_REQUESTS):
        client.sendall(get(f"/b1-one/{number}"))
        told[f"/b1-one/{number}"] = span_told_in(read_head(server))
        server.sendall(OK)
        assert read(client, len(OK)) == OK

    assert span_of_each_path(daemon, "/b1-one/", KEEP_ALIVE_REQUESTS) == told
    assert daemon.mishaps() == []


def test_b1_so_do_32_clients_at_once(node: Node, daemon: Daemon) -> None:
    pairs = [node.pair("x", "b") for _ in range(CROWD)]
    told = {}
    for turn in range(EACH):
        for number, (client, _) in enumerate(pairs):
            client.sendall(get(f"/b1-many/{number}/{turn}"))
        for number, (_, server) in enumerate(pairs):
            told[f"/b1-many/{number}/{turn}"] = span_told_in(read_head(server))
            server.sendall(OK)
        for client, _ in pairs:
            assert read(client, len(OK)) == OK

    assert span_of_each_path(daemon, "/b1-many/", CROWD * EACH) == told
    assert daemon.mishaps() == []


def test_b1_pipelined_requests_are_a_span_each_with_its_own_path_and_status(
    node: Node, daemon: Daemon
) -> None:
    client, server = node.pair("x", "b")
    client.sendall(get("/b1-pipelined/1") + get("/b1-pipelined/2"))
    heads = read_head(server)
    while len(_PARENT.findall(heads)) < 2 or not heads.endswith(b"\r\n\r\n"):
        heads += server.recv(65536)
    server.sendall(OK + b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    spans = spans_of(daemon, "/b1-pipelined/", 2)

    assert {span["attributes"]["url.path"]: span["status_code"] for span in spans} == {
        "/b1-pipelined/1": 200,
        "/b1-pipelined/2": 404,
    }


# ---- B2: no half-close


@ROUTES
@pytest.mark.parametrize(
    ("question", "answer"), [(GET, OK), (b"\0question", b"\0answer")], ids=["http", "tcp"]
)
def test_b2_a_client_that_shut_down_its_sending_side_gets_the_response(
    node: Node, caller: str, called: str, question: bytes, answer: bytes
) -> None:
    client, server = node.pair(caller, called)
    client.sendall(question)
    client.shutdown(socket.SHUT_WR)
    got = b""
    while data := server.recv(65536):  # a server that answers when it has heard all
        got += data
    assert declared.without(got) == question

    server.sendall(answer)
    server.close()

    assert read(client, len(answer) + 1) == answer


@ROUTES
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 4\r\n\r\n", OK),
        (b"\0question", b"\0answer"),
    ],
    ids=["http", "tcp"],
)
def test_b2_a_server_that_shut_down_its_sending_side_gets_the_rest(
    node: Node, caller: str, called: str, question: bytes, answer: bytes
) -> None:
    client, server = node.pair(caller, called)
    client.sendall(question)
    server.recv(65536)
    server.sendall(answer)
    server.shutdown(socket.SHUT_WR)
    assert read(client, len(answer) + 1) == answer

    client.sendall(b"rest")
    client.close()

    assert read(server, 5) == b"rest"


# ---- B3: the wrong parent where the application copies only X-Request-Id


def test_b3_the_callee_hangs_under_the_callers_client_span_and_is_told_once(
    node: Node, daemon: Daemon
) -> None:
    x, a_in = node.pair("x", "a")
    a_out, y = node.pair("a", "y")
    x.sendall(b"GET /b3 HTTP/1.1\r\nHost: a\r\nX-Request-Id: b3\r\n\r\n")
    told_to_a = span_told_in(read_head(a_in))
    a_out.sendall(b"GET /b3 HTTP/1.1\r\nHost: y\r\nX-Request-Id: b3\r\n\r\n")
    head = read_head(y)
    for server, client in ((y, a_out), (a_in, x)):
        server.sendall(OK)
        assert read(client, len(OK)) == OK

    spans = {span["kind"]: span for span in spans_of(daemon, "/b3", 2)}
    ((trace, uber_span),) = _UBER.findall(head)
    assert head.lower().count(b"\r\nuber-trace-id:") == 1
    assert span_told_in(head) == spans["client"]["span_id"] == uber_span.decode()
    assert spans["client"]["parent_span_id"] == spans["server"]["span_id"] == told_to_a
    assert spans["client"]["trace_id"] == spans["server"]["trace_id"] == trace.decode()


def test_b3_a_captured_callee_reads_the_callers_client_span_as_its_parent(
    node: Node, daemon: Daemon
) -> None:
    client, server = node.pair("a", "b")
    client.sendall(get("/b3-next"))
    head = read_head(server)
    server.sendall(OK)
    assert read(client, len(OK)) == OK

    spans = {span["kind"]: span for span in spans_of(daemon, "/b3-next", 2)}
    assert spans["server"]["parent_span_id"] == spans["client"]["span_id"]
    assert head.lower().count(b"\r\nuber-trace-id:") == 1


# ---- B4: dialling the proxy's own port makes it dial itself for ever


def fate_of_dialling(node: Node, caller: str, target: tuple[str, int]) -> str:
    client = node.endpoint(caller, target)
    try:
        client.connect(target)
        client.sendall(GET)
        return "ended" if client.recv(1) == b"" else "answered"
    except ConnectionRefusedError:
        return "refused"
    except ConnectionResetError:
        return "reset"
    finally:
        client.close()


def test_b4_dialling_our_own_ports_ends_at_once_and_leaves_nothing(
    node: Node, daemon: Daemon
) -> None:
    address = node.pod("b").ipv4
    assert until(lambda: not open_connections(daemon), 5)
    descriptors, logged = daemon.descriptors(), daemon.log.stat().st_size

    fates = Counter(
        fate_of_dialling(node, caller, (host, port))
        for caller, host in (("x", address), ("b", "127.0.0.1"), ("b", address))
        for port in OWN_PORTS
        for _ in range(SELF_CONNECTS)
    )

    assert set(fates) <= {"refused", "reset"}
    assert fates["refused"] >= 2 * SELF_CONNECTS  # from outside nobody listens there
    assert until(lambda: not open_connections(daemon), 5)
    assert until(lambda: daemon.descriptors() < descriptors + 20, 5)
    assert daemon.log.stat().st_size - logged < 1000


def open_connections(daemon: Daemon) -> int:
    return sum(pod["connections"] for pod in daemon.status()["pods"])


# ---- B5: streams do not stream


STREAMS = {
    "server-sent events": [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        *(b"data: %d\n\n" % number for number in range(3)),
    ],
    "chunks": [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        *(b"1\r\n%d\r\n" % number for number in range(3)),
        b"0\r\n\r\n",
    ],
    "slow body": [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"a", b"b", b"c"],
}


@ROUTES
@pytest.mark.parametrize("name", STREAMS)
def test_b5_the_head_and_every_piece_of_a_stream_arrive_before_the_next_is_sent(
    node: Node, caller: str, called: str, name: str
) -> None:
    client, server = node.pair(caller, called)
    client.sendall(GET)
    read_head(server)

    for piece in STREAMS[name]:
        server.sendall(piece)
        assert read(client, len(piece)) == piece


# ---- B6: after HEAD the connection is corrupt


@ROUTES
@pytest.mark.parametrize("pipelined", [False, True], ids=["one-by-one", "pipelined"])
def test_b6_after_the_answer_to_head_the_next_answer_is_whole(
    node: Node, caller: str, called: str, pipelined: bool, daemon: Daemon
) -> None:
    before = daemon.requests()
    head_answer = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
    client, server = node.pair(caller, called)
    turns = [(b"HEAD /b6 HTTP/1.1\r\nHost: b\r\n\r\n", head_answer), (GET, OK), (GET, OK)]
    if pipelined:
        turns = [(b"".join(q for q, _ in turns), b"".join(a for _, a in turns))]

    for question, answer in turns:
        client.sendall(question)
        got = b""
        while declared.without(got) != question:
            got += server.recv(65536)
        server.sendall(answer)
        assert read(client, len(answer)) == answer

    captures = 2 if (caller, called) == ("a", "b") else 1
    assert until(lambda: daemon.requests() - before == {"ok": 3 * captures}, 5)


# ---- B7: what was read ahead is lost where HTTP ends


@ROUTES
@pytest.mark.parametrize(
    ("behind", "answer"),
    [
        (UPGRADE + b"\x81\x85early frame", SWITCHING + b"\x81\x02hi"),
        (b"\0garbage without a newline", b"\0more"),
        (b"BREW /pot HTTP/1.1\r\nHost: b\r\n\r\n" + GET, OK + OK),
        (GET[:-2] + b"bad header\r\n\r\nbehind it", OK),
    ],
    ids=["upgrade", "garbage", "method", "bad head"],
)
def test_b7_what_comes_behind_a_request_in_the_same_bytes_arrives_whole(
    node: Node, caller: str, called: str, behind: bytes, answer: bytes
) -> None:
    client, server = node.pair(caller, called)

    client.sendall(GET + behind)

    got = b""
    while len(declared.without(got)) < len(GET + behind):
        got += server.recv(65536)
    assert declared.without(got) == GET + behind
    server.sendall(OK + answer)
    assert read(client, len(OK + answer)) == OK + answer


# ---- B8: a thread for each connection


@pytest.fixture
def crowd_target(bed: Testbed, node: Node) -> tuple[str, int]:
    swarm.serve_in(bed, "b", [8300])
    return node.pod("b").ipv4, 8300


def threads(daemon: Daemon) -> int:
    return len(list(Path(f"/proc/{daemon.pid}/task").iterdir()))


def test_b8_with_2000_connections_there_are_as_many_threads_as_with_none(
    node: Node, daemon: Daemon, crowd_target: tuple[str, int]
) -> None:
    before = threads(daemon)

    clients = [node.connect("x", crowd_target) for _ in range(THREADS_CROWD)]
    for client in clients:
        client.sendall(GET)
    fates = Counter(fate_of(read(client, ANSWER_SIZE)) for client in clients)

    assert fates == {Fate.CAPTURED: THREADS_CROWD}
    assert open_connections(daemon) >= THREADS_CROWD
    assert threads(daemon) <= before + 1  # one may be asking the kernel about a pod just now


# ---- B9: in routing mode clients hang. Routing comes later; what made them hang is asked of the data path there is


@ROUTES
@pytest.mark.parametrize("end", [socket.socket.close, reset], ids=["fin", "rst"])
@pytest.mark.parametrize("said", [b"", OK[:-1]], ids=["unanswered", "cut short"])
def test_b9_a_client_whose_upstream_dies_is_told(
    node: Node, caller: str, called: str, end: Any, said: bytes
) -> None:
    client, server = node.pair(caller, called)
    client.sendall(GET)
    read_head(server)
    server.sendall(said)
    assert read(client, len(said)) == said

    end(server)

    if end is reset:
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    else:
        assert has_ended(client)


@ROUTES
def test_b9_a_body_until_close_ends_with_the_servers_fin(
    node: Node, caller: str, called: str
) -> None:
    answer = b"HTTP/1.0 200 OK\r\n\r\nuntil here"
    client, server = node.pair(caller, called)
    client.sendall(GET)
    read_head(server)

    server.sendall(answer)
    server.close()

    assert read(client, len(answer) + 1) == answer


@ROUTES
@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_b9_after_any_interim_answer_comes_the_final_one(
    node: Node, caller: str, called: str, status: int
) -> None:
    interim = b"HTTP/1.1 %d Soon\r\nX-Stage: 1\r\n\r\n" % status
    client, server = node.pair(caller, called)
    client.sendall(GET)
    read_head(server)

    for answer in (interim, interim, OK):
        server.sendall(answer)
        assert read(client, len(answer)) == answer


@ROUTES
def test_b9_a_servers_close_without_http_reaches_the_client(
    node: Node, caller: str, called: str
) -> None:
    client, server = node.pair(caller, called)
    client.sendall(b"\0binary")
    assert read(server, 7) == b"\0binary"

    server.close()

    assert has_ended(client)


@ROUTES
def test_b9_what_cannot_be_parsed_is_relayed_and_not_closed(
    node: Node, caller: str, called: str
) -> None:
    client, server = node.pair(caller, called)

    for said in (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"and on", GET):
        client.sendall(said)
        assert read(server, len(said)) == said
        server.sendall(said)
        assert read(client, len(said)) == said


@ROUTES
def test_b9_a_server_that_speaks_first_is_dialled_and_heard(
    node: Node, caller: str, called: str
) -> None:
    client, server = node.pair(caller, called)

    server.sendall(b"220 ready")  # and no newline, which netramesh would wait for

    assert read(client, 9) == b"220 ready"


# ---- B10: a header costs as much memory as a client likes


@pytest.fixture
def flat(daemon: Daemon) -> Iterator[None]:
    """Nothing within a test may cost the daemon 4 MiB."""
    assert until(lambda: not open_connections(daemon), 5)
    with memory.flat(daemon):
        yield


@pytest.mark.usefixtures("flat")
def test_b10_a_header_of_200_mebibytes_passes_and_is_kept_nowhere(
    node: Node, daemon: Daemon
) -> None:
    client, server = node.pair("x", "b")
    before = daemon.opaque()
    start, block = GET[:-2] + b"X-Long: ", b"x" * MEGABYTE
    client.sendall(start)
    assert read(server, len(start)) == start

    for _ in range(HEADER // MEGABYTE):
        client.sendall(block)
        assert read(server, MEGABYTE) == block
    client.sendall(b"\r\n\r\n")

    assert read(server, 4) == b"\r\n\r\n"
    assert daemon.opaque()["too_large"] - before["too_large"] == 1


@pytest.mark.usefixtures("flat")
def test_b10_heads_that_never_end_are_handed_on_and_kept_nowhere(node: Node) -> None:
    pairs = [node.pair("x", "b") for _ in range(50)]
    started = GET[:-2] + b"X-Slow: 1\r\n"
    for client, _ in pairs:
        client.sendall(started)
    for _, server in pairs:
        assert read(server, len(started)) == started  # after 50 ms, and as it came

    for number, (client, server) in enumerate(pairs):
        field = b"X-%d: 1\r\n" % number
        client.sendall(field)
        assert read(server, len(field)) == field


# ---- B11: a crash by configuration


def test_b11_jaeger_disabled_costs_no_request_and_adds_no_trace(node: Node, tmp_path: Path) -> None:
    with Node(node.bed, tmp_path / "pods.json") as other:
        other.enrol("y")
        with Daemon(other.file, tmp_path, JAEGER_DISABLED="true") as daemon:
            daemon.wait_for("y")
            client, server = other.pair("x", "y")
            client.sendall(GET)
            head = read_head(server)
            server.sendall(OK)

            assert read(client, len(OK)) == OK
            assert declared.count(head) == 0
            assert head.count(b"X-Request-Id: ") == 1
            assert daemon.mishaps() == []
            for sock in (client, server):
                sock.close()
            daemon.terminate()


@pytest.mark.parametrize(
    ("name", "value"),
    [("NETRA_LOGGER_LEVEL", "loud"), ("JAEGER_TAGS", "no equals sign,${X}")],
)
def test_b11_what_crashed_netramesh_is_one_line_that_names_it_and_exit_code_2(
    node: Node, tmp_path: Path, name: str, value: str
) -> None:
    with Daemon(node.file, tmp_path, **{name: value}) as daemon:
        until(lambda: daemon.exit_code is not None)
        assert daemon.exit_code == 2

    (line,) = daemon.log.read_text().splitlines()
    assert f"{name}={value!r}" in line
    assert "takes" in line
