import asyncio
import gc
import logging

import pytest

from netra_node.proxy.tasks import spawn
from tests.proxy.support import until


async def fail() -> None:
    raise LookupError("planted")


async def test_a_task_has_its_name() -> None:
    task = spawn(asyncio.sleep(0), "nap")

    assert task.get_name() == "nap"
    await task


async def test_a_task_nobody_keeps_runs_to_its_end() -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.set()

    _ = spawn(work(), "kept")
    gc.collect()

    await asyncio.wait_for(done.wait(), 1)


async def test_a_task_that_fails_is_logged_by_name(caplog: pytest.LogCaptureFixture) -> None:
    _ = spawn(fail(), "doomed")
    await until(lambda: caplog.records)

    assert [record.getMessage() for record in caplog.records] == ["task doomed failed"]


async def test_a_cancelled_task_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="netra_node")
    task = spawn(asyncio.sleep(10), "stopped")
    task.cancel()
    await asyncio.sleep(0.01)

    assert not caplog.records
