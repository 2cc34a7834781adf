"""The data path runs under uvloop; it is written for any loop, so its tests run under both."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from netra_node.proxy import faults


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def _nothing_told_yet() -> None:
    faults._told.clear()
