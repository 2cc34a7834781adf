"""The specification of `netra_node.discovery.namespaces`.

Only namespaces lie on the kernel's own file system; in most tests files beside a stand-in for our own are taken for namespaces.
"""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from netra_node.discovery.namespaces import Mount, Namespaces
from netra_node.testbed import Testbed


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "netns"
    made.mkdir()
    return made


@pytest.fixture
def namespaces(tmp_path: Path, directory: Path) -> Namespaces:
    (tmp_path / "own").touch()
    return Namespaces(directory, tmp_path / "proc", tmp_path / "own")


@pytest.mark.parametrize(
    ("path", "here"),
    [
        ("/var/run/netns/cni-1", "netns/cni-1"),
        ("/run/netns/cni-1", "netns/cni-1"),
        ("/proc/17/ns/net", "proc/17/ns/net"),
    ],
)
def test_a_path_of_the_node_is_found_where_we_see_it(namespaces, tmp_path, path, here) -> None:
    assert namespaces.localize(path) == str(tmp_path / here)


def test_another_path_is_taken_as_it_is(namespaces) -> None:
    assert namespaces.localize("/var/run/docker/netns/1") == "/var/run/docker/netns/1"


def test_trap_7_a_name_without_a_mount_is_no_namespace_yet(directory: Path) -> None:
    """The name comes 1 to 2 ms before the mount."""
    (directory / "cni-1").touch()

    assert Namespaces(directory, Path("/proc")).at(str(directory / "cni-1")) is None


def test_nothing_is_no_namespace(namespaces, directory) -> None:
    assert namespaces.at(str(directory / "cni-1")) is None


def test_our_own_namespace_is_known() -> None:
    namespaces = Namespaces(Path("/run/netns"), Path("/proc"))

    assert namespaces.at(f"/proc/{os.getpid()}/ns/net") == namespaces.own


def test_our_own_namespace_is_known_in_a_worker_thread_too() -> None:
    owns: list[Mount] = []
    make = lambda: owns.append(Namespaces(Path("/run/netns"), Path("/proc")).own)  # noqa: E731
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()

    assert owns == [Namespaces(Path("/run/netns"), Path("/proc")).own]


def test_namespaces_with_names_are_listed_without_our_own(namespaces, directory, tmp_path) -> None:
    (directory / "cni-1").touch()
    (directory / "own").hardlink_to(tmp_path / "own")
    path = str(directory / "cni-1")

    assert namespaces.named() == {namespaces.at(path): path}


def test_without_the_directory_none_has_a_name(tmp_path, namespaces, directory) -> None:
    directory.rmdir()

    assert namespaces.named() == {}


async def test_what_cannot_be_entered_has_no_addresses(namespaces, directory) -> None:
    (directory / "cni-1").touch()

    assert await namespaces.addresses() == {str(directory / "cni-1"): ()}


@pytest.mark.netns
def test_the_addresses_inside_are_found() -> None:
    namespaces = Namespaces(Path("/run/netns"), Path("/proc"))
    with Testbed("places") as bed:
        pod, other = bed.add_pod("a"), bed.add_pod("b", ipv6=False)
        found = asyncio.run(namespaces.addresses())

        assert set(found[pod.path]) == {pod.ipv4, pod.ipv6}
        assert found[other.path] == (other.ipv4,)
        assert asyncio.run(namespaces.addresses())[pod.path] is found[pod.path]
        bed.remove_pod("a")
        assert pod.path not in asyncio.run(namespaces.addresses())
