"""On the kernel's clock, under both loops."""

import asyncio
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


@pytest.fixture
async def told() -> AsyncIterator[list[int]]:
    told: list[int] = []
    lag = LoopLag(told.append)
    lag.start()
    yield told
    lag.stop()


async def test_an_idle_loop_is_sampled_ten_times_a_second(told: list[int]) -> None:
    began = time.monotonic()
    await until(lambda: len(told) >= 3)

    assert time.monotonic() - began >= 0.25


async def test_an_idle_loop_hardly_lets_anything_wait(told: list[int]) -> None:
    await until(lambda: any(lag < 5 * MILLISECOND for lag in told))

    assert min(told) >= 0


async def test_what_holds_the_loop_is_told_to_its_length(told: list[int]) -> None:
    time.sleep(0.2)  # noqa: ASYNC251 - the hold itself
    await asyncio.sleep(0.02)

    # the first event became ready at 100 ms
    assert 99 * MILLISECOND <= told[0] < 1000 * MILLISECOND


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
