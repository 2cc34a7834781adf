"""The specification of `netra_node.discovery.cni_cache`."""

import os
from pathlib import Path

import pytest

from netra_node.discovery.cni_cache import CniCache
from tests.discovery.cni import result, write

WEB = ("uid-web", "default", "web")


@pytest.fixture
def cache(tmp_path: Path) -> CniCache:
    return CniCache((tmp_path, tmp_path / "other"))


def paths(cache: CniCache) -> list[str]:
    return [found.netns for found in cache.of(*WEB)]


def age(path: Path, seconds: int) -> None:
    os.utime(path, ns=(seconds * 10**9, seconds * 10**9))


async def test_what_was_there_before_us_is_found(cache: CniCache, tmp_path: Path) -> None:
    write(tmp_path, result(netns="/run/netns/a"))
    await cache.rescan()

    assert paths(cache) == ["/run/netns/a"]


def test_one_file_is_read_when_it_comes(cache: CniCache, tmp_path: Path) -> None:
    found = cache.read(write(tmp_path, result(netns="/run/netns/a")))

    assert found is not None
    assert cache.of(*WEB) == (found,)


def test_a_file_that_is_still_empty_is_no_result(cache: CniCache, tmp_path: Path) -> None:
    (tmp_path / "net-c-eth0").touch()

    assert cache.read(tmp_path / "net-c-eth0") is None


def test_it_is_one_when_it_is_written(cache: CniCache, tmp_path: Path) -> None:
    cache.read(tmp_path / f"k8sbr0-{'c' * 64}-eth0")
    cache.read(write(tmp_path, result(netns="/run/netns/a")))

    assert paths(cache) == ["/run/netns/a"]


def test_a_file_that_went_is_forgotten(cache: CniCache, tmp_path: Path) -> None:
    path = write(tmp_path, result())
    cache.read(path)
    path.unlink()
    cache.read(path)

    assert cache.of(*WEB) == ()


async def test_a_look_at_all_notices_what_came_changed_and_went(
    cache: CniCache, tmp_path: Path
) -> None:
    changed = write(tmp_path, result(netns="/run/netns/a"))
    gone = write(tmp_path, result("uid-gone", name="gone", container="d" * 64))
    await cache.rescan()
    gone.unlink()
    write(tmp_path, result(netns="/run/netns/b"))
    age(changed, 1)
    (tmp_path / "other").mkdir()
    write(tmp_path / "other", result("uid-new", name="new", container="e" * 64))
    await cache.rescan()

    assert paths(cache) == ["/run/netns/b"]
    assert cache.of("uid-gone", "default", "gone") == ()
    assert len(cache.of("uid-new", "default", "new")) == 1


async def test_other_files_are_passed_over(cache: CniCache, tmp_path: Path) -> None:
    (tmp_path / "last_reserved_ip.0").write_text("10.77.0.9")
    (tmp_path / "directory").mkdir()
    write(tmp_path, result(netns="/run/netns/a"))
    await cache.rescan()

    assert paths(cache) == ["/run/netns/a"]


async def test_trap_3_the_newest_sandbox_of_a_uid_comes_first(
    cache: CniCache, tmp_path: Path
) -> None:
    age(write(tmp_path, result(container="1" * 64, netns="/run/netns/new")), 200)
    age(write(tmp_path, result(container="2" * 64, netns="/run/netns/old")), 100)
    await cache.rescan()

    assert paths(cache) == ["/run/netns/new", "/run/netns/old"]


def test_several_networks_of_a_sandbox_are_one(cache: CniCache, tmp_path: Path) -> None:
    cache.read(write(tmp_path, result(netns="/run/netns/a")))
    cache.read(write(tmp_path, result(addresses=("192.168.7.2/24",)), "net1"))
    cache.read(write(tmp_path, result(addresses=("127.0.0.1/8",)), "lo"))

    (found,) = cache.of(*WEB)
    assert (found.netns, found.addresses) == ("/run/netns/a", ("10.77.0.10", "192.168.7.2"))


def test_without_a_uid_the_pods_name_has_to_do(cache: CniCache, tmp_path: Path) -> None:
    cache.read(write(tmp_path, result(uid="", netns="/run/netns/a")))

    assert paths(cache) == ["/run/netns/a"]


def test_a_result_of_another_uid_with_the_same_name_is_not_the_pods(
    cache: CniCache, tmp_path: Path
) -> None:
    cache.read(write(tmp_path, result(uid="uid-former", netns="/run/netns/a")))

    assert paths(cache) == []
