"""Apache takes the offer to go on in HTTP/2 (`Upgrade: h2c`): curl gets it through the daemon as they do directly."""

import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from e2e.support.daemon import Daemon
from e2e.support.node import Node
from e2e.support.route import ROUTES, Route
from e2e.support.software import Client, Log, Seen, Verdict, compare, observe, start
from netra_node.testbed import Testbed

pytestmark = [pytest.mark.netns, pytest.mark.long, pytest.mark.timeout(60)]

_MODULES = Path("/usr/lib/apache2/modules")
#: It refuses to serve as root.
_CONFIGURATION = """
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule http2_module {modules}/mod_http2.so
ServerName server
Listen 0.0.0.0:80
User www-data
Group www-data
PidFile {log}.pid
ErrorLog {log}.error
DocumentRoot {files}
LogFormat "{{\\"from\\":\\"%a\\",\\"asked\\":\\"%r\\",\\"host\\":\\"%{{Host}}i\\",\\"offered\\":\\"%{{Upgrade}}i\\",\\"status\\":%>s,\\"http\\":\\"%H\\"}}" all
CustomLog {log} all
Protocols h2c http/1.1
H2Upgrade on
"""
#: Fits the first window. More fails by chance, directly too: curl 7.88 where over 32 KiB have come behind the 101 when it
#: looks, Apache 2.4 where it has filled the window and the client's preface takes a millisecond longer.
TEXT = b"".join(b"line %d\n" % n for n in range(2000))


@dataclass(frozen=True)
class Case:
    """Who asks, what the daemon makes of it, how many requests Apache logs, and what the client prints."""

    argv: tuple[str, ...]
    verdict: Verdict
    logged: int
    holds: bytes
    given: bytes = b""


CURL = ("curl", "-q", "-sS", "--no-progress-meter", "-i", "--max-time", "15")
#: The daemon understands the request that offers and its 101, and passes on what follows.
SWITCHED = Verdict({"ok": 1}, {"upgrade": 1})
CASES = {
    "curl": Case((*CURL, "--http2", "http://SERVER/text"), SWITCHED, 2, TEXT),
    "curl_with_a_body": Case(
        (*CURL, "--http2", "-H", "Expect:", "--data-binary", "@-", "http://SERVER/text"),
        Verdict.traced(1),
        1,
        TEXT,
        given=b"a body " * 1000,
    ),
    "curl_without_an_offer": Case(
        (*CURL, "http://SERVER/text", "http://SERVER/none"), Verdict.traced(2), 2, TEXT
    ),
}


@pytest.fixture(scope="module")
def logs(bed: Testbed) -> Iterator[dict[str, Log]]:
    # What pytest makes is open to root alone.
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "text").write_bytes(TEXT)
        os.utime(directory / "text", (0, 0))
        logs = {pod: Log(directory / f"{pod}.log") for pod in ("y", "b")}
        servers = [_start(bed, pod, log.path, directory) for pod, log in logs.items()]
        yield logs
        for pid in servers:
            os.kill(pid, signal.SIGTERM)


def _start(bed: Testbed, pod: str, log: Path, files: Path) -> int:
    file = log.with_suffix(".conf")
    file.write_text(_CONFIGURATION.format(modules=_MODULES, log=log, files=files))
    argv = ("apache2", "-f", str(file), "-D", "FOREGROUND")
    return start(bed, pod, argv, 80, log.with_suffix(".out"))


@pytest.mark.parametrize("name", CASES)
@ROUTES
def test_an_offer_of_http_2_is_taken_as_it_is_directly(
    node: Node, daemon: Daemon, logs: dict[str, Log], route: Route, name: str
) -> None:
    case = CASES[name]

    def operation(way: Route) -> Seen:
        address = node.pod(way.server).ipv4
        argv = (word.replace("SERVER", address) for word in case.argv)
        seen = observe(node, way, Client(tuple(argv), case.logged, case.given), logs[way.server])
        # It logs the 101 and the answer behind it in either order.
        return replace(seen, logged=tuple(sorted(seen.logged)))

    seen = compare(daemon, route, operation, case.verdict)

    assert seen.exit_code == 0, seen.complaints
    assert case.holds in seen.output
    assert len(seen.logged) == case.logged
