"""Hypothesis profiles; HYPOTHESIS_PROFILE picks one (`.ci/run`: ci; nightly: deep, with --timeout=0). Bounds for coroutines."""

import asyncio
import functools
import inspect
import os
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import settings

settings.register_profile("fast", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("deep", max_examples=50_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

#: Before pytest's own timeout, which cannot end a test under uvloop: the loop swallows what the signal's handler raises.
_EARLIER = 0.9


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    usual = float(config.getoption("timeout") or config.getini("timeout") or 0)
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            marker = item.get_closest_marker("timeout")
            seconds = float(marker.args[0]) if marker is not None else usual
            item.obj = _bounded(item.obj, seconds * _EARLIER or None)


def _bounded(
    test: Callable[..., Awaitable[None]], seconds: float | None
) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def bounded(*args: object, **kwargs: object) -> None:
        async with asyncio.timeout(seconds):
            await test(*args, **kwargs)

    return bounded
