"""The specification of `netra_node.admin.stacks`."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from netra_node.admin.stacks import stacks

SECRET = "hunter2"


def text() -> str:
    return "".join(stacks({"open connections": 7}))


def block(title: str) -> list[str]:
    """The lines below a title."""
    found = next(part for part in text().split("\n\n") if part.startswith(f"{title}\n"))
    return [line.strip() for line in found.splitlines()[1:]]


async def outer(event: asyncio.Event, _token: str) -> None:
    await inner(event)


async def inner(event: asyncio.Event) -> None:
    await event.wait()


@pytest.fixture
async def waiting() -> AsyncIterator[None]:
    """Three tasks that wait at one place."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(outer(event, SECRET), name="waiter") for _ in range(3)]
    await asyncio.sleep(0)
    yield
    event.set()
    await asyncio.gather(*tasks)


@pytest.mark.usefixtures("waiting")
async def test_tasks_at_one_place_are_told_together_down_to_what_they_wait_for() -> None:
    lines = block("3 waiter")

    line = inner.__code__.co_firstlineno + 1
    assert lines[0].startswith("outer (admin/test_stacks.py:")
    assert lines[1] == f"inner (admin/test_stacks.py:{line})"
    assert lines[2].startswith("Event.wait (asyncio/locks.py:")
    assert lines[-1] == "waits for FutureIter"


@pytest.mark.usefixtures("waiting")
async def test_no_value_is_told() -> None:
    assert SECRET not in text()


async def test_a_task_that_nobody_named_has_no_number() -> None:
    event = asyncio.Event()
    task = asyncio.get_running_loop().create_task(inner(event))
    await asyncio.sleep(0)

    assert block("1 unnamed")
    task.cancel()


async def test_of_a_generator_what_it_waits_for_is_told() -> None:
    event = asyncio.Event()

    async def numbers() -> AsyncIterator[int]:
        await event.wait()
        yield 1

    async def draw() -> None:
        async for _ in numbers():
            pass

    task = asyncio.get_running_loop().create_task(draw(), name="drawing")
    await asyncio.sleep(0)

    assert "draw" in block("1 drawing")[0]
    task.cancel()


async def test_a_task_without_end_is_cut_short() -> None:
    event = asyncio.Event()

    async def deep(depth: int) -> None:
        await (deep(depth - 1) if depth else event.wait())

    task = asyncio.get_running_loop().create_task(deep(200), name="deep")
    await asyncio.sleep(0)

    assert len(block("1 deep")) == 64
    task.cancel()


async def test_threads_are_told_by_name() -> None:
    done, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        done.wait()

    thread = threading.Thread(target=work, name="worker", daemon=True)
    thread.start()
    begun.wait()
    try:
        assert any("work (admin/test_stacks.py:" in line for line in block("worker"))
        assert any("test_threads_are_told_by_name" in line for line in block("MainThread"))
    finally:
        done.set()
        thread.join()


async def test_what_is_no_task_is_counted() -> None:
    assert text().startswith("open connections: 7\n\n")


async def test_many_tasks_are_looked_at_a_few_at_a_time() -> None:
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(inner(event)) for _ in range(100)]
    await asyncio.sleep(0)

    pieces: Iterator[str] = stacks({})
    silent = [next(pieces) for _ in range(5)][1:]

    assert silent == [""] * 4
    for task in tasks:
        task.cancel()
