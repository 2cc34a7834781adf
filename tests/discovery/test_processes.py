"""The specification of `netra_node.discovery.processes`, on a /proc made of files."""

import os
from pathlib import Path

import pytest

from netra_node.discovery.namespaces import Mount
from netra_node.discovery.processes import Process, processes_of

WEB, ORDERS = "11111111-90ab-cdef-1234-567890abcdef", "22222222-90ab-cdef-1234-567890abcdef"


def process(proc: Path, number: int, uid: str, container: str, netns: str | None = "one") -> None:
    """One of /proc; `netns` names a namespace, None: we may not look."""
    (proc / str(number) / "ns").mkdir(parents=True)
    (proc / str(number) / "cgroup").write_text(f"0::/kubepods/pod{uid}/{container * 64}\n")
    if netns is not None:
        namespace = proc.parent / netns
        namespace.touch()
        (proc / str(number) / "ns" / "net").symlink_to(namespace)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    made = tmp_path / "proc"
    made.mkdir()
    return made


def mount(path: Path) -> Mount:
    status = path.stat()
    return Mount(status.st_dev, status.st_ino)


async def test_processes_are_found_by_their_pod_lowest_number_first(proc: Path) -> None:
    process(proc, 100, WEB, "b")
    process(proc, 21, WEB, "a")
    process(proc, 30, ORDERS, "c", "two")

    found = await processes_of(proc, {WEB, ORDERS})

    assert found == {
        WEB: [
            Process(f"{proc}/21/ns/net", "a" * 64, mount(proc.parent / "one")),
            Process(f"{proc}/100/ns/net", "b" * 64, mount(proc.parent / "one")),
        ],
        ORDERS: [Process(f"{proc}/30/ns/net", "c" * 64, mount(proc.parent / "two"))],
    }


async def test_those_of_other_pods_are_passed_over(proc: Path) -> None:
    process(proc, 21, WEB, "a")

    assert await processes_of(proc, {ORDERS}) == {}


async def test_a_process_that_may_not_be_looked_at_has_no_namespace(proc: Path) -> None:
    process(proc, 21, WEB, "a", netns=None)

    assert (await processes_of(proc, {WEB}))[WEB][0].netns is None


async def test_a_process_that_ended_meanwhile_is_passed_over(proc: Path) -> None:
    (proc / "21").mkdir()

    assert await processes_of(proc, {WEB}) == {}


async def test_without_a_proc_nothing_is_found(tmp_path: Path) -> None:
    assert await processes_of(tmp_path / "none", {WEB}) == {}


async def test_the_real_proc_has_no_process_of_a_pod_that_is_not_there() -> None:
    assert os.getpid() > 0
    assert await processes_of(Path("/proc"), {WEB}) == {}
