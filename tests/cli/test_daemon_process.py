"""A daemon as a child process, played by a script."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from netra_node.cli.daemon_process import DaemonProcess, free_ports

FAKE = str(Path(__file__).with_name("fake_daemon.py"))


def fake(mode: str, log: Path, environ: dict[str, str] | None = None) -> DaemonProcess:
    return DaemonProcess(
        [sys.executable, FAKE, mode], {"NETRA_POD_SOURCE": "x"}, log, environ or {}
    )


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


def test_nobody_who_asks_for_any_port_is_given_one_that_a_daemon_is_about_to_take() -> None:
    given = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    first, last = map(int, given.split())

    found = [port for _ in range(50) for port in free_ports(2)]

    assert len(found) == 100
    assert not [port for port in found if first <= port <= last]


def test_it_becomes_ready(log: Path) -> None:
    with fake("ok", log) as daemon:
        assert soon(lambda: not daemon.blockers())


def test_what_blocks_it_is_told_in_its_own_words(log: Path) -> None:
    with fake("blocked", log) as daemon:
        assert soon(lambda: daemon.blockers() == ["null"])


def test_before_it_listens_it_is_not_ready(log: Path) -> None:
    daemon = fake("ok", log)

    assert daemon.blockers() == ["no answer on its metrics port"]


def test_documents_are_read_from_the_debug_port(log: Path) -> None:
    with fake("ok", log) as daemon:
        assert soon(lambda: daemon.ask("/status") is not None)
        assert daemon.ask("/graph")["edges"][0]["source"] == "external"


def test_a_document_that_is_not_there_is_none(log: Path) -> None:
    with fake("ok", log) as daemon:
        assert soon(lambda: daemon.ask("/status") is not None)
        assert daemon.ask("/readme") is None


def test_the_caller_s_own_settings_do_not_reach_it(log: Path) -> None:
    foreign = {"OTEL_SDK_DISABLED": "true", "JAEGER_ENDPOINT": "x", "NETRA_PORT": "1"}

    with fake("ok", log, foreign) as daemon:
        assert soon(lambda: bool(daemon.last_words()))

    given = "NETRA_POD_SOURCE NETRA_PPROF_PORT NETRA_PROMETHEUS_PORT"
    assert daemon.last_words() == [f"its settings: {given}"]


def test_one_that_ends_leaves_its_exit_code_and_its_last_words(log: Path) -> None:
    with fake("dies", log) as daemon:
        assert soon(lambda: daemon.exit_code is not None)

    assert daemon.exit_code == 1
    assert daemon.last_words() == ["NETRA_POD_SOURCE: planted complaint"]


def test_the_end_of_the_block_is_the_end_of_the_daemon(log: Path) -> None:
    with fake("ok", log) as daemon:
        pass

    assert daemon.exit_code == -signal.SIGTERM


def test_one_that_ignores_sigterm_is_killed(log: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); time.sleep(60)"
    )
    daemon = DaemonProcess([sys.executable, "-c", stubborn], {}, log, {}, end_seconds=0.1)

    with daemon:
        assert soon(lambda: daemon.last_words() == ["deaf"])

    assert daemon.exit_code == -signal.SIGKILL


def test_one_that_was_never_started_has_nothing_to_say(log: Path) -> None:
    daemon = fake("ok", log)

    assert (daemon.pid, daemon.exit_code, daemon.last_words()) == (0, None, [])


def test_a_killed_caller_does_not_leave_it_behind(log: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from netra_node.cli.daemon_process import DaemonProcess\n"
        f"with DaemonProcess([sys.executable, {FAKE!r}, 'ok'], {{}}, Path({str(log)!r}), {{}}) as d:\n"
        "    print(d.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        pid = int(caller.stdout.readline())
        caller.kill()

    assert soon(lambda: _gone(pid))


def _gone(pid: int) -> bool:
    """A zombie whose new parent has not collected it yet is gone too."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_its_two_ports_are_free_and_different(log: Path) -> None:
    daemon = fake("ok", log)

    assert daemon.metrics_port != daemon.debug_port
    socket.create_server(("127.0.0.1", daemon.metrics_port)).close()


def test_ctrl_c_at_the_terminal_does_not_reach_it(log: Path) -> None:
    with fake("ok", log) as daemon:
        assert os.getpgid(daemon.pid) != os.getpgid(0)
