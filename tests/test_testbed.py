"""The bed itself: real namespaces, real processes."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netra_node import netns, testbed
from netra_node.testbed import Testbed
from tests.unprivileged import unprivileged

pytestmark = pytest.mark.netns


class DemoError(Exception):
    """Whatever may go wrong in a demo."""


SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture(scope="module")
def bed() -> Iterator[Testbed]:
    with Testbed("bed") as bed:
        bed.add_pod("web")
        bed.add_pod("orders")
        yield bed


def named(bed: str, pid: int) -> list[str]:
    """What the process `pid` has there of its beds of that name: others may be testing beside us."""
    prefix = f"nt-{bed}-{pid}-"
    return [path.name for path in Path("/run/netns").iterdir() if path.name.startswith(prefix)]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def wait_until_dead(pid: int) -> bool:
    deadline = time.monotonic() + 3
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_pods_reach_each_other_by_both_families(bed: Testbed, family: socket.AddressFamily) -> None:
    web, orders = bed.pods
    there = orders.ipv6 if family == socket.AF_INET6 else orders.ipv4
    server = bed.run_inside("orders", lambda: socket.create_server((there, 0), family=family))
    with server, bed.run_inside("web", lambda: socket.socket(family)) as client:
        client.settimeout(2)
        client.connect(server.getsockname()[:2])

        assert client.getsockname()[0] in {web.ipv4, web.ipv6}


def test_a_pod_knows_its_path_and_its_addresses(bed: Testbed) -> None:
    web = bed.pods[0]

    with netns.Namespace.open(web.path) as namespace:
        assert {web.ipv4, web.ipv6} <= set(netns.addresses(namespace))


@pytest.fixture
def addresses_of(bed: Testbed) -> Iterator[Callable[..., set[str]]]:
    """The addresses of a pod made with the options given, link-local ones left out."""

    def make(**options: bool) -> set[str]:
        with netns.Namespace.open(bed.add_pod("odd", **options).path) as namespace:
            return {one for one in netns.addresses(namespace) if not one.startswith("fe80:")}

    yield make
    bed.remove_pod("odd")


def test_a_pod_can_have_ipv6_alone(addresses_of: Callable[..., set[str]]) -> None:
    (address,) = addresses_of(ipv4=False)

    assert address.startswith("fd88::")


def test_a_pod_can_have_ipv4_alone(addresses_of: Callable[..., set[str]], bed: Testbed) -> None:
    (address,) = addresses_of(ipv6=False)

    assert address.startswith("10.88.")
    with (
        bed.run_inside("odd", lambda: socket.socket(socket.AF_INET6)) as probe,
        pytest.raises(OSError, match="assign requested address"),
    ):
        probe.bind(("::1", 0))


def test_names_say_whose_they_are(bed: Testbed) -> None:
    assert Path(bed.pods[0].path).name.startswith(f"nt-bed-{os.getpid()}-")


def test_a_process_runs_inside_its_pod(bed: Testbed) -> None:
    script = "from netra_node import netns; print(tuple(netns.home()))"
    process = bed.spawn("web", [sys.executable, "-c", script], stdout=subprocess.PIPE)

    inside = bed.run_inside("web", netns.home)

    assert first_line(process).decode().strip() == str(tuple(inside))


def test_two_beds_of_one_name_do_not_meet() -> None:
    with Testbed("twin") as one, Testbed("twin") as other:
        assert one.add_pod("web").path != other.add_pod("web").path


def test_a_removed_pods_name_can_be_taken_again() -> None:
    with Testbed("again") as bed:
        first = bed.add_pod("web")
        bed.remove_pod("web")

        second = bed.add_pod("web")

        assert second.path == first.path
        assert Path(second.path).exists()


def test_removing_a_pod_ends_its_processes() -> None:
    with Testbed("remove") as bed:
        bed.add_pod("web")
        process = bed.spawn("web", SLEEP)

        bed.remove_pod("web")

        assert process.returncode == -signal.SIGKILL


def test_removing_a_pod_frees_its_namespace() -> None:
    with Testbed("free") as bed:
        pod = bed.add_pod("web")
        bed.remove_pod("web")

        assert bed.pods == ()
        assert not Path(pod.path).exists()


def test_nothing_is_left_at_the_end() -> None:
    with Testbed("left") as bed:
        bed.add_pod("web")
        process = bed.spawn("web", SLEEP)

    assert named("left", os.getpid()) == []
    assert not alive(process.pid)


def test_nothing_is_left_after_an_exception() -> None:
    def fail() -> None:
        with Testbed("failed") as bed:
            bed.add_pod("web")
            bed.spawn("web", SLEEP)
            raise DemoError

    with pytest.raises(DemoError):
        fail()

    assert named("failed", os.getpid()) == []


OWNER = """
import subprocess, sys, time
from netra_node.testbed import Testbed
with Testbed(sys.argv[1]) as bed:
    bed.add_pod("web")
    child = bed.spawn("web", [sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    time.sleep(60)
"""


def owner(name: str) -> tuple[subprocess.Popen[bytes], int]:
    """Another process with a bed of one pod, and the pid of the process in it."""
    process = subprocess.Popen([sys.executable, "-c", OWNER, name], stdout=subprocess.PIPE)
    return process, int(first_line(process))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)]
)
def test_nothing_is_left_by_an_owner_that_is_told_to_end(number: int, code: int) -> None:
    process, child = owner("told")
    with process:
        process.send_signal(number)

        assert process.wait(5) == code

    assert named("told", process.pid) == []
    assert wait_until_dead(child)


def test_a_killed_owners_processes_die_with_it() -> None:
    process, child = owner("killed")
    with process:
        process.kill()

    assert wait_until_dead(child)


def test_a_killed_owners_namespaces_are_removed_by_the_next_bed() -> None:
    process, _ = owner("stale")
    with process:
        process.kill()
        # Dead, but not collected, it still counts as living: else any other bed, as of tests beside us, would sweep.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert named("stale", process.pid) != []

    with Testbed("sweep"):
        assert named("stale", process.pid) == []


def test_a_living_owners_namespaces_are_not_removed(bed: Testbed) -> None:
    with Testbed("sweep"):
        assert Path(bed.pods[0].path).exists()


def test_a_name_left_between_touch_and_mount_is_removed() -> None:
    with subprocess.Popen(["true"]) as dead:
        pass
    stale = Path(f"/run/netns/nt-half-{dead.pid}-1-web")
    stale.touch()

    with Testbed("sweep"):
        assert not stale.exists()


@pytest.mark.parametrize("name", ["", "Web", "a-b", "a/b", "x" * 17])
def test_a_bad_bed_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="testbed name"):
        Testbed(name)


@pytest.mark.parametrize("name", ["", "a/b", "web", "bridge"])
def test_a_bad_or_taken_pod_name_is_refused(bed: Testbed, name: str) -> None:
    with pytest.raises(ValueError, match="bad or taken"):
        bed.add_pod(name)


def test_a_bed_of_three_pods_is_up_quickly() -> None:
    started = time.monotonic()
    with Testbed("quick") as bed:
        for name in ("web", "orders", "stock"):
            bed.add_pod(name)
        taken = time.monotonic() - started

    assert taken < 1  # 30 ms on a quiet machine


def test_sigterm_unwinds_the_stack() -> None:
    def wait() -> None:
        with Testbed("term") as bed:
            bed.add_pod("web")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    with pytest.raises(SystemExit) as end:
        wait()

    assert end.value.code == 128 + signal.SIGTERM
    assert named("term", os.getpid()) == []


def test_somebody_elses_sigterm_handler_is_left_alone() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Testbed("handler"):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_the_default_sigterm_is_back_afterwards() -> None:
    with Testbed("handler"):
        assert signal.getsignal(signal.SIGTERM) is testbed._exit_as_terminated

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_namespace_is_never_mounted_over_another(bed: Testbed) -> None:
    taken = Path(bed.pods[0].path)

    with pytest.raises(FileExistsError):
        testbed._bind_new_namespace(taken)

    assert taken.exists()


def test_the_run_directory_becomes_a_shared_mount_once(tmp_path: Path) -> None:
    directory = tmp_path / "netns"
    try:
        testbed._share(directory)
        testbed._share(directory)

        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        (shared,) = [fields for fields in mounts if fields[4] == str(directory)]
        assert any(field.startswith("shared:") for field in shared)
    finally:
        testbed._call("umount2", os.fsencode(directory), 0)


def test_a_namespace_that_cannot_be_made_leaves_no_name() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "nt-refused")
        with unprivileged(), pytest.raises(PermissionError, match="unshare"):
            testbed._bind_new_namespace(path)

        assert not path.exists()


def test_a_refused_system_call_is_named() -> None:
    with pytest.raises(OSError, match="unshare: Invalid argument"):
        testbed._call("unshare", -1)
