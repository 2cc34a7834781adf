"""On the kernel's clock, under both loops."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from netra_node.loop_lag import LoopLag
from tests.proxy.support import until

MILLISECOND = 1_000_000


def descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@contextlib.asynccontextmanager
async def telling() -> AsyncIterator[list[int]]:
    """What is told from its first line on."""
    told: list[int] = []
    lag = LoopLag(told.append)
    lag.start()
    try:
        yield told
    finally:
        lag.stop()


@pytest.fixture
async def told() -> AsyncIterator[list[int]]:
    async with telling() as told:
        yield told


async def test_an_idle_loop_is_sampled_ten_times_a_second() -> None:
    began = time.monotonic()
    async with telling() as told:
        await until(lambda: len(told) >= 3)

        assert time.monotonic() - began >= 0.3


async def test_an_idle_loop_hardly_lets_anything_wait(told: list[int]) -> None:
    await until(lambda: any(lag < 5 * MILLISECOND for lag in told))

    assert min(told) >= 0


async def test_what_holds_the_loop_is_told_to_its_length() -> None:
    began = time.monotonic_ns()
    async with telling() as told:
        time.sleep(0.2)  # noqa: ASYNC251 - the hold itself
        await until(lambda: told)

    # the first event became ready at 100 ms
    assert 99 * MILLISECOND <= told[0] <= time.monotonic_ns() - began - 100 * MILLISECOND


async def test_after_a_hold_it_is_on_time_again(told: list[int]) -> None:
    time.sleep(0.2)  # noqa: ASYNC251 - the hold itself
    await until(lambda: any(lag < 5 * MILLISECOND for lag in told[1:]))

    assert min(told) >= 0


async def test_stopped_it_tells_nothing_and_keeps_no_descriptor() -> None:
    before = descriptors()
    told: list[int] = []
    lag = LoopLag(told.append)
    lag.start()
    lag.stop()
    lag.stop()
    await asyncio.sleep(0.1)

    assert told == []
    assert descriptors() == before
