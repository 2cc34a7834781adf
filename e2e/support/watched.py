"""The daemon on a loop that times its callbacks: `python watched.py REPORT`, otherwise as `netra-node run`.

SIGUSR1 makes it forget what it has timed so far; at its end it writes the report, a JSON object of callback and nanoseconds.

Belongs here: how the time of one callback is taken, and the report. Does not belong here: what is too much.

Time is the thread's CPU time, so a machine that is busy with something else does not count, and a garbage collection does.
What the loop calls comes either through its own methods or through a protocol: both are wrapped here, where tests can see
it, and the daemon knows nothing of it.
"""

import asyncio
import functools
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from time import thread_time_ns
from typing import Any

import uvloop

from netra_node import logs
from netra_node.app import App
from netra_node.interception.slots import Slots
from netra_node.settings.model import Settings

#: callback name → nanoseconds, one for each call
Times = dict[str, list[int]]


class WatchedLoop(uvloop.Loop):
    """Times whatever it is given to call. Its own closing of transports is told by their protocols."""

    def __init__(self) -> None:
        super().__init__()
        self.times: Times = defaultdict(list)
        self.add_signal_handler(signal.SIGUSR1, self.forget)

    def forget(self) -> None:
        for times in self.times.values():
            times.clear()

    def _timed(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        record = self.times[_name(callback)].append

        # asyncio asks callbacks of a closed connection for their own name
        @functools.wraps(callback, updated=())
        def timed(*args: Any) -> Any:
            began = thread_time_ns()
            try:
                return callback(*args)
            finally:
                record(thread_time_ns() - began)

        return timed

    def call_soon(self, callback: Any, *args: Any, **context: Any) -> Any:
        return super().call_soon(self._timed(callback), *args, **context)

    def call_later(self, delay: Any, callback: Any, *args: Any, **context: Any) -> Any:
        return super().call_later(delay, self._timed(callback), *args, **context)

    def call_at(self, when: Any, callback: Any, *args: Any, **context: Any) -> Any:
        return super().call_at(when, self._timed(callback), *args, **context)

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        super().add_reader(fd, self._timed(callback), *args)

    def add_writer(self, fd: Any, callback: Any, *args: Any) -> None:
        super().add_writer(fd, self._timed(callback), *args)

    async def create_server(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        return await super().create_server(self._watching(protocol_factory), *args, **kwargs)

    async def create_connection(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        return await super().create_connection(self._watching(protocol_factory), *args, **kwargs)

    def _watching(self, factory: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: _WatchedProtocol(self._timed(factory)(), self._timed)


class _WatchedProtocol(asyncio.Protocol):
    """Stands before a protocol."""

    def __init__(self, protocol: Any, timed: Callable[..., Any]) -> None:
        for event in (
            "connection_made",
            "data_received",
            "eof_received",
            "connection_lost",
            "pause_writing",
            "resume_writing",
        ):
            setattr(self, event, timed(getattr(protocol, event)))


def _name(callback: Any) -> str:
    # a task's step has only its task to be known by
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        return (
            f"task {task.get_name().split('-')[0]} {getattr(task.get_coro(), '__qualname__', '')}"
        )
    return str(getattr(callback, "__qualname__", type(callback).__name__))


def main() -> None:
    report = Path(sys.argv[1])
    slots = Slots(64)
    settings = Settings.from_env(dict(os.environ))
    logs.configure(settings.log_level, settings.log_format)
    loop = WatchedLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(App(settings, slots).run())
    report.write_text(json.dumps(loop.times))


if __name__ == "__main__":
    main()
