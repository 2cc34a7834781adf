"""Short connections by the thousand beside live ones: none fails, none is slow, and TIME_WAIT stays where it is without us."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.support import kernel, swarm
from e2e.support.daemon import Daemon, until
from e2e.support.load import ANSWER_SIZE, REQUEST, Fate
from e2e.support.node import Node, read, reset
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.timeout(120)]

#: Several, as one destination takes no more than there are client ports in a minute: that is TCP's limit, not ours.
PORTS = range(8100, 8108)
DEFAULT, WIDE = range(32768, 61000), range(1024, 65536)
#: Times what one takes on average, which tells how busy the machine is; the slowest takes three to ten times as much.
SLOW = 40
#: One handshake in as many may be repeated after a second, nobody knows why yet: it was seen once in some 600,000 out of a pod.
RARE = 20_000


@pytest.fixture(scope="module", autouse=True)
def servers(bed: Testbed) -> None:
    for pod in ("b", "y"):
        swarm.serve_in(bed, pod, PORTS)


@pytest.fixture(scope="module")
def ports() -> Iterator[int]:
    """For tests that count what is left of their own connections."""
    return iter(range(8200, 8300))


@pytest.fixture
def client_ports(request: pytest.FixtureRequest, bed: Testbed, node: Node) -> Iterator[range]:
    for pod in ("a", "x"):
        swarm.set_client_ports(bed, node.pod(pod), request.param)
    yield request.param
    for pod in ("a", "x"):
        swarm.set_client_ports(bed, node.pod(pod), DEFAULT)


#: Who calls whom: into a captured pod; and out of one, to a stranger and to another captured pod.
IN, OUT = ("x", ("b",)), ("a", ("y", "b"))
WAYS = pytest.mark.parametrize(("caller", "called"), [IN, OUT], ids=["in", "out"])


def run(
    node: Node, caller: str, called: tuple[str, ...], short: int, live: int
) -> tuple[swarm.Outcome, int]:
    """What became of them, and how many handshakes the kernel repeated: one that is lost, it does after a second."""
    targets = [(node.pod(name).ipv4, port) for port in PORTS for name in called]
    pods = [node.pod(name) for name in (caller, *called)]
    before = sum(map(kernel.handshakes_sent_again, pods))
    outcome = swarm.outcome_of(swarm.visit_from(node.bed, caller, targets, short=short, live=live))
    again = sum(map(kernel.handshakes_sent_again, pods)) - before
    at_client = sum(kernel.waiting_out(node.pod(caller), port) for port in PORTS)
    print(
        f"{caller} to {' and '.join(called)}: {outcome}; {again} handshakes repeated;"
        f" {at_client} in TIME_WAIT at the client"
    )
    return outcome, again


def judge(outcome: swarm.Outcome, again: int, short: int, live: int) -> None:
    """None failed, none was slow but those whose handshake was repeated, and these are hardly any."""
    assert outcome.fates == {Fate.CAPTURED: short}
    assert again <= short // RARE
    assert outcome.slowest[again][0] < SLOW * outcome.average
    assert outcome.live == live


@pytest.mark.parametrize(
    ("client_ports", "caller", "called"),
    [
        pytest.param(DEFAULT, *OUT, id="default-ports-out"),
        pytest.param(WIDE, *IN, id="wide-ports-in"),
        pytest.param(DEFAULT, *IN, id="default-ports-in", marks=pytest.mark.long),
        pytest.param(WIDE, *OUT, id="wide-ports-out", marks=pytest.mark.long),
    ],
    indirect=["client_ports"],
)
def test_none_of_2000_fails_or_is_slow(
    node: Node, daemon: Daemon, client_ports: range, caller: str, called: tuple[str, ...]
) -> None:
    del daemon, client_ports
    outcome, again = run(node, caller, called, short=2000, live=100)

    judge(outcome, again, short=2000, live=100)


@pytest.mark.long
@pytest.mark.timeout(300)
@WAYS
@pytest.mark.parametrize(
    "client_ports", [DEFAULT, WIDE], indirect=True, ids=["default-ports", "wide-ports"]
)
def test_none_of_50000_fails_or_is_slow(
    node: Node, daemon: Daemon, client_ports: range, caller: str, called: tuple[str, ...]
) -> None:
    del daemon, client_ports
    outcome, again = run(node, caller, called, short=50_000, live=1000)

    judge(outcome, again, short=50_000, live=1000)


# ---- TIME_WAIT


HTTP, OPAQUE = (REQUEST, ANSWER_SIZE), (swarm.BYE, len(swarm.BYE))
CLOSED = 300


def in_time_wait(
    node: Node, caller: str, called: str, said: tuple[bytes, int], port: int
) -> tuple[int, int]:
    """How many of 300 connections the server closed first are in TIME_WAIT at the caller, and at the called.

    Its FIN leaves with the answer, and the client closes as soon as it has that: where FIN comes later, it is first.
    """
    request, size = said
    for _ in range(CLOSED):
        with node.connect(caller, (node.pod(called).ipv4, port)) as client:
            client.sendall(request)
            assert len(read(client, size)) == size
    return kernel.waiting_out(node.pod(caller), port), kernel.waiting_out(node.pod(called), port)


@pytest.mark.parametrize(("caller", "called"), [("x", "b"), ("a", "y"), ("a", "b")])
@pytest.mark.parametrize("said", [HTTP, OPAQUE], ids=["http", "opaque"])
def test_time_wait_stays_with_the_server_that_closes_first(
    node: Node,
    daemon: Daemon,
    ports: Iterator[int],
    caller: str,
    called: str,
    said: tuple[bytes, int],
) -> None:
    del daemon
    direct, captured = next(ports), next(ports)
    for pod in ("b", "y"):
        swarm.serve_in(node.bed, pod, [direct, captured])

    without = in_time_wait(node, "x", "y", said, direct)
    through = in_time_wait(node, caller, called, said, captured)

    print(f"{CLOSED} from {caller} to {called}: at the client and at the server {through},")
    print(f"from x to y without us {without}")
    assert through[0] <= max(without[0], CLOSED // 10)
    assert through[1] >= CLOSED * 9 // 10


# ---- bursts


BURST = 500


def listen(node: Node, pod: str, port: int) -> socket.socket:
    make = lambda: socket.create_server(("0.0.0.0", port), backlog=BURST)  # noqa: E731
    return node.keep(node.bed.run_inside(pod, make))


def burst(node: Node, caller: str, target: tuple[str, int]) -> list[socket.socket]:
    """All at once: the kernel does not wait for us, and nobody who accepts gets a chance in between."""
    clients = [node.endpoint(caller, target) for _ in range(BURST)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(target)
    return clients


def serve_slowly(listener: socket.socket) -> None:
    for _ in range(BURST):
        accepted, _ = listener.accept()
        with accepted:
            accepted.sendall(b"ok")
        time.sleep(0.002)


@WAYS
def test_none_of_500_at_once_is_lost_on_an_application_that_accepts_slowly(
    node: Node, daemon: Daemon, ports: Iterator[int], caller: str, called: tuple[str, ...]
) -> None:
    """They arrive before anybody can accept: a queue of ours that overflows would answer with SYN cookies, and lose some."""
    del daemon
    port = next(ports)
    listener = listen(node, called[0], port)
    listener.settimeout(30)
    serving = ThreadPoolExecutor(1).submit(serve_slowly, listener)

    began = time.monotonic()
    clients = burst(node, caller, (node.pod(called[0]).ipv4, port))
    waited = []
    for client in clients:
        client.settimeout(30)
        assert read(client, 2) == b"ok"
        waited.append(time.monotonic() - began)
    serving.result()

    print(f"{BURST} at once, 1 s of accepting: the last answer came after {waited[-1]:.2f} s")
    assert max(waited) < 20


@WAYS
def test_clients_that_reset_at_once_are_no_trouble(
    node: Node, daemon: Daemon, ports: Iterator[int], caller: str, called: tuple[str, ...]
) -> None:
    port = next(ports)
    listener = listen(node, called[0], port)
    for client in burst(node, caller, (node.pod(called[0]).ipv4, port)):
        reset(client)

    after = node.connect(caller, (node.pod(called[0]).ipv4, port))
    after.sendall(swarm.BYE)

    assert until(lambda: swarm.BYE in {first_bytes(node, listener) for _ in range(10)})
    after.close()
    assert until(lambda: not any(pod["connections"] for pod in daemon.status()["pods"]))


def first_bytes(node: Node, listener: socket.socket) -> bytes:
    """What the next client says, if there is one."""
    listener.settimeout(0.2)
    try:
        with node.accept(listener) as accepted:
            return accepted.recv(len(swarm.BYE))
    except OSError:
        return b""
