"""The specification of `netra_node.discovery.inotify`, on real directories."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from netra_node.discovery.inotify import Inotify

PATIENCE = 5.0
MOST_EVENTS = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


class Heard:
    """What was told, and a way to wait for it."""

    def __init__(self) -> None:
        self.all: list[tuple[Path, str]] = []
        self._more = asyncio.Event()

    def __call__(self, directory: Path, name: str) -> None:
        self.all.append((directory, name))
        self._more.set()

    async def until(self, directory: Path, name: str) -> None:
        async with asyncio.timeout(PATIENCE):
            looked = 0
            while (directory, name) not in self.all[looked:]:
                looked = len(self.all)
                self._more.clear()
                await self._more.wait()


@pytest.fixture
async def heard() -> Heard:
    return Heard()


@pytest.fixture
async def watch(tmp_path: Path, heard: Heard) -> AsyncIterator[Inotify]:
    (tmp_path / "here").mkdir()
    made = Inotify((tmp_path / "here", tmp_path / "later"), heard)
    made.start()
    yield made
    made.stop()


async def test_a_directory_that_is_there_may_hold_anything_already(watch, heard, tmp_path) -> None:
    assert heard.all == [(tmp_path / "here", "")]


async def test_a_file_that_is_written_is_told_when_it_is_closed(watch, heard, tmp_path) -> None:
    with (tmp_path / "here" / "a").open("w") as file:
        await heard.until(tmp_path / "here", "a")
        heard.all.clear()
        file.write("x")
    await heard.until(tmp_path / "here", "a")


async def test_a_file_that_is_renamed_into_place_is_told(watch, heard, tmp_path) -> None:
    (tmp_path / "outside").touch()
    (tmp_path / "outside").rename(tmp_path / "here" / "a")
    await heard.until(tmp_path / "here", "a")


async def test_a_file_that_goes_is_told(watch, heard, tmp_path) -> None:
    (tmp_path / "here" / "a").touch()
    await heard.until(tmp_path / "here", "a")
    heard.all.clear()
    (tmp_path / "here" / "a").unlink()
    await heard.until(tmp_path / "here", "a")


async def test_what_happens_at_once_is_told_of_each(watch, heard, tmp_path) -> None:
    for number in range(200):
        (tmp_path / "here" / str(number)).touch()
    await heard.until(tmp_path / "here", "199")

    assert {name for _, name in heard.all} >= {str(number) for number in range(200)}


async def test_a_directory_that_comes_later_is_watched_from_the_next_look(
    watch, heard, tmp_path
) -> None:
    assert watch.missing == (tmp_path / "later",)
    (tmp_path / "later").mkdir()
    watch.look()
    (tmp_path / "later" / "b").touch()

    await heard.until(tmp_path / "later", "")
    await heard.until(tmp_path / "later", "b")
    assert watch.missing == ()


async def test_a_directory_that_went_is_missing_and_may_come_again(watch, heard, tmp_path) -> None:
    (tmp_path / "here").rmdir()
    heard.all.clear()
    await heard.until(tmp_path / "here", "")
    assert tmp_path / "here" in watch.missing

    (tmp_path / "here").mkdir()
    watch.look()
    (tmp_path / "here" / "a").touch()
    await heard.until(tmp_path / "here", "a")


async def test_when_too_much_happened_to_be_told_anything_may_have_changed(
    watch, heard, tmp_path
) -> None:
    heard.all.clear()
    path = tmp_path / "here" / "a"
    # three events each: made, closed, gone
    for _ in range(MOST_EVENTS // 3 + 1):
        path.touch()
        path.unlink()

    await heard.until(tmp_path / "here", "")


async def test_a_file_is_no_directory(tmp_path, heard) -> None:
    (tmp_path / "file").touch()
    watch = Inotify((tmp_path / "file",), heard)
    watch.start()
    watch.stop()

    assert heard.all == []


async def test_two_names_of_one_directory_are_told_once(tmp_path, heard) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to("here")
    watch = Inotify((tmp_path / "here", tmp_path / "link"), heard)
    watch.start()
    watch.look()
    watch.stop()

    assert heard.all == [(tmp_path / "here", "")]


async def test_after_the_end_nothing_is_told(watch, heard, tmp_path) -> None:
    watch.stop()
    watch.stop()
    heard.all.clear()
    (tmp_path / "here" / "a").touch()
    await asyncio.sleep(0.05)

    assert heard.all == []
