"""Jaeger's remote sampling: asks a server for each service's strategy, now and then, and has samplers follow it.

Belongs here: whom to ask when, and what becomes of no answer. Does not belong here: what an answer means (`core.remote_sampling`).
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final
from urllib.parse import quote
from weakref import WeakSet

from netra_node.core.records import Direction, Exchange
from netra_node.core.remote_sampling import (
    ANSWER_LIMIT,
    RemoteSampler,
    Strategy,
    reading,
)
from netra_node.core.sampling import Operation
from netra_node.http_client import Client, Target, TransportError
from netra_node.telemetry.spans import Schema, path_of

_log = logging.getLogger(__name__)

#: Services asked for at once.
_AT_ONCE: Final = 4
_TIMEOUT_SECONDS: Final = 5.0
_OK: Final = 200

#: Returns the body of the answer for a service; raises TransportError where there is none.
Ask = Callable[[str], Awaitable[bytes]]


class StrategyServer:
    """Whom to ask: `GET <target>?service=NAME`, as Jaeger's agent and collector answer it."""

    def __init__(self, target: Target, agent: str) -> None:
        """`agent` is the User-Agent."""
        self._target = target
        self._fields = (("User-Agent", agent), ("Accept", "application/json"))

    @property
    def authority(self) -> str:
        """Host and port, for a log line."""
        return self._target.authority

    async def ask(self, service: str) -> bytes:
        """Implement `Ask`. Connections are not kept: a minute lies between two questions."""
        path = self._target.path
        mark = "&" if "?" in path else "?"
        target = replace(self._target, path=f"{path}{mark}service={quote(service, safe='')}")
        client = Client(target, self._fields, _TIMEOUT_SECONDS, ANSWER_LIMIT)
        try:
            answer = await client.get()
        finally:
            client.close()
        if answer.status != _OK:
            message = f"status {answer.status}"
            raise TransportError(message)
        return answer.body


def operation_of(schema: Schema) -> Operation:
    """Return how spans of `schema` are called, for a sampler to ask before there is one."""

    def name(direction: Direction, exchange: Exchange) -> str:
        inbound = direction is Direction.INBOUND
        return schema.operation(exchange, path_of(exchange.target), inbound=inbound)

    return name


class Strategies:
    """Makes samplers that follow the strategy of their service. A service is asked for as long as one of its samplers is in use."""

    def __init__(
        self,
        ask: Ask,
        where: str,
        interval: float,
        make: Callable[[str], RemoteSampler],
        most_operations: int,
    ) -> None:
        """Ask every `interval` seconds, and at once for a new service; `where` is for log lines.

        `make` makes the sampler of one pod of a service; of an answer's operations the first `most_operations` are read.
        """
        self._ask = ask
        self._where = where
        self._interval = interval
        self._make = make
        self._most = most_operations
        self._samplers: WeakSet[RemoteSampler] = WeakSet()
        self._known: dict[str, Strategy] = {}
        #: When a service is asked for next, on the loop's clock; those that are not here at once.
        self._next: dict[str, float] = {}
        self._failing: set[str] = set()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def sampler(self, service: str) -> RemoteSampler:
        """Make a sampler for one pod of `service`."""
        made = self._make(service)
        if service in self._known:
            made.follow(self._known[service])
        self._samplers.add(made)
        self._news.set()
        return made

    def start(self) -> None:
        """Begin to ask, on the running loop."""
        # Owned here: `stop` ends it.
        self._task = asyncio.get_running_loop().create_task(self._go_on(), name="strategies")

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _go_on(self) -> None:
        while True:
            self._news.clear()
            services = sorted({sampler.service for sampler in self._samplers})
            self._forget_all_but(services)
            await self._ask_for_due(services)
            await self._pause()

    def _forget_all_but(self, services: list[str]) -> None:
        for service in self._next.keys() - services:
            del self._next[service]
            self._known.pop(service, None)
            self._failing.discard(service)

    async def _ask_for_due(self, services: list[str]) -> None:
        now = asyncio.get_running_loop().time()
        due = iter([service for service in services if self._next.get(service, now) <= now])
        while some := list(itertools.islice(due, _AT_ONCE)):
            await asyncio.gather(*map(self._ask_for, some))

    async def _pause(self) -> None:
        """Wait until a service is due, or a sampler is new."""
        loop = asyncio.get_running_loop()
        at = min(self._next.values(), default=loop.time() + self._interval)
        try:
            async with asyncio.timeout_at(at):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _ask_for(self, service: str) -> None:
        try:
            strategy = await self._read(await self._ask(service))
        except (TransportError, ValueError) as error:
            self._failed(service, str(error))
        else:
            self._told(service, strategy)
        self._next[service] = asyncio.get_running_loop().time() + self._interval

    async def _read(self, body: bytes) -> Strategy:
        steps = reading(body, self._most)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                strategy: Strategy = end.value
                return strategy
            await asyncio.sleep(0)

    def _told(self, service: str, strategy: Strategy) -> None:
        if self._known.get(service) != strategy:
            self._known[service] = strategy
            for sampler in self._samplers:
                if sampler.service == service:
                    sampler.follow(strategy)
        if service in self._failing:
            self._failing.remove(service)
            if not self._failing:
                _log.info("%s tells every service's sampling strategy again", self._where)

    def _failed(self, service: str, why: str) -> None:
        if not self._failing:
            _log.warning(
                "%s does not tell the sampling strategy of %s: %s; it keeps the last",
                self._where,
                service,
                why,
            )
        self._failing.add(service)
