"""nginx as a client of nginx, as in front of an application: what the one fetches and the other serves is as directly.

curl asks the nginx of its own pod on loopback, which nobody captures; that nginx fetches from the other pod's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from e2e.support import nginx
from e2e.support.daemon import Daemon
from e2e.support.nginx import BIG, TEXT, Nginx
from e2e.support.node import Node
from e2e.support.route import ROUTES, Route
from e2e.support.software import Client, Seen, Verdict, compare, observe, run
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.long, pytest.mark.timeout(60)]

TRACED = Verdict.traced
ONE = TRACED(1)
SENT = b"a body that is sent" * 1000
#: `kept` uses one HTTP/1.1 connection for all, `plain` one HTTP/1.0 connection for each, `stream` holds nothing back.
CURL = ("curl", "-q", "-sS", "--no-progress-meter", "-i", "--max-time", "15")


@dataclass(frozen=True)
class Case:
    """What curl asks of its own nginx, what must come of it, and what the daemon makes of the exchanges behind it."""

    argv: tuple[str, ...]
    verdict: Verdict = ONE
    given: bytes = b""
    holds: bytes = b"HTTP/1.1 200 OK\r\n"

    @property
    def least(self) -> int:
        return sum(self.verdict.outcomes.values())


def through(mode: str, *paths: str) -> tuple[str, ...]:
    return tuple(f"http://127.0.0.1/SERVER/{mode}/{path}" for path in paths)


CASES = {
    "http_1_0": Case(through("plain", "hello.txt", "text.txt"), TRACED(2), holds=TEXT),
    "http_1_0_answered_until_close": Case(through("plain", "chunked"), holds=b"three\n"),
    "http_1_0_large": Case(through("plain", "big.bin"), holds=BIG),
    "http_1_0_upload": Case(("-T", "-", *through("plain", "echo")), given=SENT, holds=SENT),
    "kept_alive": Case(
        through("kept", "hello.txt", "chunked", "nothing", "text.txt", "nowhere"),
        TRACED(5),
        holds=TEXT,
    ),
    "kept_alive_with_bodies": Case(
        ("--data-binary", "@-", *through("kept", "echo", "echo", "echo")), TRACED(3), SENT, SENT
    ),
    "kept_alive_head": Case(
        ("-I", *through("kept", "big.bin", "hello.txt")), TRACED(2), holds=b"1048576\r\n"
    ),
    "kept_alive_until_idle_for_too_long": Case(
        ("--rate", "4/s", *through("kept", "impatient/hello.txt", "impatient/text.txt")),
        TRACED(2),
        holds=TEXT,
    ),
    "ranges": Case(("-r", "5-9", *through("kept", "big.bin")), holds=BIG[5:10]),
    "streamed_upload": Case(("-T", "-", *through("stream", "echo")), given=BIG, holds=BIG),
    "streamed_download": Case(through("stream", "slowly/big.bin"), holds=BIG),
    "refused_upload": Case(
        ("-X", "PUT", "--data-binary", "@-", *through("kept", "limited/f")),
        given=SENT,
        holds=b" 413 ",
    ),
    "error_page": Case(through("plain", "broken", "teapot"), TRACED(2), holds=b"short and stout"),
    "closed_without_an_answer": Case(
        through("plain", "gone"), Verdict({"upstream_closed": 1}), holds=b"HTTP/1.1 502 Bad Gateway"
    ),
    "a_file_stored_read_and_deleted": Case(
        (
            *(
                "-T",
                "-",
                *through("kept", "put/file"),
                "--next",
                *CURL[2:],
                *through("kept", "put/file"),
            ),
            *("--next", *CURL[2:], "-X", "DELETE", *through("kept", "put/file")),
        ),
        TRACED(3),
        given=BIG,
        holds=BIG,
    ),
}


@pytest.fixture(scope="module")
def servers(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Nginx]]:
    directory = tmp_path_factory.mktemp("nginx")
    with nginx.running(bed, directory, "a", "b", "x", "y") as servers:
        yield servers


def fetch(node: Node, servers: dict[str, Nginx], way: Route, case: Case) -> Seen:
    argv = (word.replace("SERVER", way.server) for word in case.argv)
    client = Client((*CURL, *argv), case.least, case.given)
    return observe(node, way, client, servers[way.server].log)


@pytest.mark.parametrize("name", CASES)
@ROUTES
def test_nginx_fetches_and_serves_as_it_does_directly(
    node: Node, daemon: Daemon, servers: dict[str, Nginx], route: Route, name: str
) -> None:
    case = CASES[name]

    seen = compare(daemon, route, lambda way: fetch(node, servers, way, case), case.verdict)

    assert seen.exit_code == 0, seen
    assert case.holds in seen.output
    assert len(seen.logged) == case.least


@pytest.mark.usefixtures("daemon")
def test_nginx_sees_the_address_and_port_its_client_has(
    node: Node, servers: dict[str, Nginx]
) -> None:
    assert "b" in servers
    url = f"http://{node.pod('b').ipv4}/whoami"

    seen = run(node.bed, "x", ("curl", "-q", "-sS", "-w", "%{local_ip}:%{local_port}\\n", url))

    by_server, by_client = seen.output.splitlines()
    assert by_server == by_client
    assert by_client.startswith(node.pod("x").ipv4.encode())
