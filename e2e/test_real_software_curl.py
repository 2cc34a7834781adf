"""curl and nginx, with everything curl can ask: both see through the daemon what they see directly."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from e2e.support import nginx
from e2e.support.daemon import Daemon
from e2e.support.nginx import BIG, HELLO, TEXT, Nginx
from e2e.support.node import Node
from e2e.support.route import ROUTES, Route
from e2e.support.software import Client, Seen, Verdict, compare, observe
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.long, pytest.mark.timeout(60)]

U = "http://server"
_SENT = re.compile(rb'"sent": [0-9]+')
TRACED = Verdict.traced
ONE = TRACED(1)


@dataclass(frozen=True)
class Case:
    """What curl is told, what must come of it, and what the daemon makes of it."""

    argv: tuple[str, ...]
    verdict: Verdict = ONE
    given: bytes = b""
    #: How many requests nginx logs, where it is not as many as were understood.
    logged: int | None = None
    exit_code: int = 0
    #: What the output must hold, so that two equal failures do not pass for a success.
    holds: bytes = b"HTTP/1.1 200 OK\r\n"

    @property
    def least(self) -> int:
        return sum(self.verdict.outcomes.values()) if self.logged is None else self.logged


HELLO_URL = f"{U}/hello.txt"
SENT = b"a body that is sent" * 1000

CASES = {
    "get": Case((HELLO_URL,), holds=HELLO),
    "http_1_0": Case(("--http1.0", HELLO_URL), holds=HELLO),
    "http_1_0_keep_alive": Case(
        ("--http1.0", "-H", "Connection: keep-alive", HELLO_URL, HELLO_URL), TRACED(2)
    ),
    "head": Case(
        ("-I", f"{U}/big.bin", HELLO_URL, f"{U}/nowhere"), TRACED(3), holds=b"1048576\r\n"
    ),
    "several_urls_on_one_connection": Case(
        (HELLO_URL, f"{U}/text.txt", f"{U}/nowhere", f"{U}/chunked", HELLO_URL),
        TRACED(5),
        holds=TEXT,
    ),
    "a_new_connection_for_each": Case(
        ("-H", "Connection: close", HELLO_URL, f"{U}/text.txt"), TRACED(2), holds=TEXT
    ),
    "parallel": Case(
        (
            "-o",
            "/dev/null",
            "-o",
            "/dev/null",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}\\n",
            "--parallel",
        )
        + (HELLO_URL,) * 3,
        TRACED(3),
        holds=b"200\n200\n200\n",
    ),
    "large_answer": Case((f"{U}/big.bin",), holds=BIG),
    "answer_paused_by_the_server": Case((f"{U}/chunked",), holds=b"one\ntwo\nthree\n"),
    "chunked_undecoded": Case(("--raw", f"{U}/chunked"), holds=b"\r\n4\r\ntwo\n\r\n"),
    "slow_reader": Case(("--limit-rate", "2M", f"{U}/big.bin"), holds=BIG),
    "slow_server": Case((f"{U}/slowly/big.bin",), holds=BIG),
    "form": Case(("-d", "a=1&b=2", f"{U}/echo"), holds=b"a=1&b=2"),
    "multipart": Case(
        ("-F", "field=value", f"{U}/echo"),
        holds=b"value",
    ),
    "chunked_upload": Case(("-T", "-", f"{U}/echo"), given=SENT, holds=SENT),
    "empty_chunked_upload": Case(("-T", "-", f"{U}/echo")),
    "large_upload_with_expect": Case(
        ("-H", "Expect: 100-continue", "--data-binary", "@-", f"{U}/echo"),
        given=BIG,
        holds=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
    ),
    "length_and_chunked": Case(
        ("-H", "Content-Length: 1048576", "-T", "-", f"{U}/echo"),
        Verdict.passed_on("ambiguous"),
        given=BIG,
        logged=1,
        holds=b"HTTP/1.1 400 ",
    ),
    "expect_refused": Case(
        ("-H", "Expect: 100-continue", "-X", "PUT", "--data-binary", "@-", f"{U}/limited/f"),
        given=BIG,
        holds=b"HTTP/1.1 413 ",
    ),
    "upload_refused_while_under_way": Case(
        ("-H", "Expect:", "-X", "PUT", "--data-binary", "@-", f"{U}/limited/f", HELLO_URL),
        TRACED(2),
        given=SENT,
        holds=b"HTTP/1.1 413 ",
    ),
    "range": Case(("-r", "100-199", f"{U}/big.bin"), holds=BIG[100:200]),
    "several_ranges": Case(
        (
            "-r",
            "0-9,50-59",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{size_download}",
            f"{U}/big.bin",
        ),
        holds=b"206 ",
    ),
    "range_beyond_the_end": Case(("-r", "2000000-", f"{U}/big.bin"), holds=b"HTTP/1.1 416 "),
    "not_modified": Case(
        ("-z", "Wed, 01 Jan 2020 00:00:00 GMT", HELLO_URL, f"{U}/text.txt"),
        TRACED(2),
        holds=b"HTTP/1.1 304 Not Modified",
    ),
    "no_content": Case((f"{U}/nothing", HELLO_URL), TRACED(2), holds=b"HTTP/1.1 204 No Content"),
    "trailers": Case(
        ("--raw", "-H", "TE: trailers", "-H", "Connection: TE", f"{U}/trailers"),
        holds=b"0\r\nX-Sum: abc\r\n",
    ),
    "compressed": Case(("--compressed", f"{U}/compressed/text.txt"), holds=TEXT),
    "compressed_undecoded": Case(
        ("-H", "Accept-Encoding: gzip", f"{U}/compressed/text.txt"),
        holds=b"Content-Encoding: gzip\r\n",
    ),
    "large_header": Case(("-H", f"X-Large: {'l' * 30_000}", HELLO_URL), holds=HELLO),
    "many_headers": Case(
        (*(word for n in range(90) for word in ("-H", f"X-Many-{n}: {n}")), HELLO_URL)
    ),
    "a_header_too_large_to_read": Case(
        (*("-H", f"X-One: {'l' * 40_000}", "-H", f"X-Two: {'l' * 40_000}"), HELLO_URL),
        Verdict.passed_on("too_large"),
        logged=1,
    ),
    "odd_headers": Case(
        ("-H", "x-lOwEr:1", "-H", "X-Empty;", "-H", "X-Latin: \xe9", "-H", "Cookie: a=b", HELLO_URL)
    ),
    "options_star": Case(
        ("-X", "OPTIONS", "--request-target", "*", HELLO_URL), holds=b"HTTP/1.1 400 ", logged=0
    ),
    "absolute_form": Case(("-x", "http://server:80", "http://other.example/hello.txt")),
    "absolute_form_by_hand": Case(("--request-target", "http://server/hello.txt", HELLO_URL)),
    "tunnel_refused": Case(
        ("-p", "-x", "http://server:80", "https://other.example/"),
        logged=0,
        exit_code=56,
        holds=b"HTTP/1.1 400 ",
    ),
    "path_as_is": Case(
        ("--path-as-is", f"{U}//a/../%7Ehello%2ftxt?q=%00&=;#f"), holds=b"HTTP/1.1 404 "
    ),
    "redirect": Case(("-L", f"{U}/moved"), TRACED(2), holds=b"HTTP/1.1 301 "),
    "errors_in_between": Case(
        (f"{U}/nowhere", f"{U}/broken", HELLO_URL), TRACED(3), holds=b"HTTP/1.1 500 "
    ),
    "fails_on_an_error": Case(("-f", f"{U}/nowhere"), exit_code=22, holds=b"HTTP/1.1 404 "),
    "user": Case(("-u", "me:secret", HELLO_URL)),
    "unusual_methods": Case(
        ("-X", "PROPFIND", HELLO_URL, f"{U}/nowhere"),
        TRACED(2),
        holds=b"HTTP/1.1 405 Not Allowed",
    ),
    "a_method_of_its_own": Case(
        ("-X", "BREW", f"{U}/teapot"),
        Verdict.passed_on("method"),
        logged=1,
        holds=b"short and stout",
    ),
    "closed_after_the_answer": Case((f"{U}/closing/hello.txt", HELLO_URL), TRACED(2)),
    "closed_without_an_answer": Case(
        (f"{U}/gone",), Verdict({"upstream_closed": 1}), exit_code=52, holds=b""
    ),
    "retried_after_an_idle_close": Case(
        ("--rate", "5/s", f"{U}/impatient/hello.txt", f"{U}/impatient/text.txt"), TRACED(2)
    ),
    "websocket_refused": Case(
        (
            *("-H", "Connection: Upgrade", "-H", "Upgrade: websocket"),
            *(
                "-H",
                "Sec-WebSocket-Version: 13",
                "-H",
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            ),
            *(HELLO_URL, f"{U}/text.txt"),
        ),
        TRACED(2),
    ),
    "h2c_upgrade_ignored": Case(("--http2", HELLO_URL, f"{U}/text.txt"), TRACED(2)),
    "h2_with_prior_knowledge": Case(
        ("--http2-prior-knowledge", "-d", "a=b", "http://server:82/echo"),
        Verdict.passed_on("h2"),
        logged=1,
        holds=b"a=b",
    ),
    "proxy_line": Case(
        ("--haproxy-protocol", "http://server:81/hello.txt"),
        Verdict.passed_on("not_http"),
        logged=1,
    ),
    "http_0_9_by_hand": Case(
        ("telnet://server:80",),
        Verdict.passed_on("not_http"),
        given=b"GET /hello.txt\r\n",
        logged=1,
        holds=HELLO,
    ),
}


@pytest.fixture(scope="module")
def servers(bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Nginx]]:
    with nginx.running(bed, tmp_path_factory.mktemp("nginx"), "y", "b") as servers:
        yield servers


def curl(node: Node, server: Nginx, way: Route, case: Case) -> Seen:
    """Run curl in the client's pod; `server` is the server's pod."""
    address = node.pod(way.server).ipv4
    to_server = (word for port in nginx.PORTS for word in ("--resolve", f"server:{port}:{address}"))
    options = ("-q", "-sS", "--no-progress-meter", "-i", "--max-time", "15", *to_server)
    return observe(
        node, way, Client(("curl", *options, *case.argv), case.least, case.given), server.log
    )


def given_up(node: Node, server: Nginx, way: Route) -> Seen:
    """What both saw of a download that the client leaves, without how far it had come."""
    quiet = ("-s", "--no-show-error", "-o", "/dev/null", "--max-time", "1")
    case = Case((*quiet, f"{U}/trickle/big.bin"), exit_code=28)
    seen = curl(node, server, way, case)
    return replace(seen, logged=tuple(_SENT.sub(b"", record) for record in seen.logged))


@ROUTES
def test_nginx_stops_when_curl_gives_up(
    node: Node, daemon: Daemon, servers: dict[str, Nginx], route: Route
) -> None:
    # curl closes its socket, which is a FIN, or a RST where bytes had come that it never read.
    verdicts = (Verdict({"client_closed": 1}), Verdict({"client_reset": 1}))

    seen = compare(daemon, route, lambda way: given_up(node, servers[way.server], way), *verdicts)

    assert seen.exit_code == 28
    assert len(seen.logged) == 1  # at once: all of it would have taken ten seconds


@pytest.mark.parametrize("name", CASES)
@ROUTES
def test_curl_and_nginx_see_what_they_would_directly(
    node: Node, daemon: Daemon, servers: dict[str, Nginx], route: Route, name: str
) -> None:
    case = CASES[name]

    seen = compare(
        daemon, route, lambda way: curl(node, servers[way.server], way, case), case.verdict
    )

    assert seen.exit_code == case.exit_code, seen
    assert case.holds in seen.output
    assert len(seen.logged) == case.least
