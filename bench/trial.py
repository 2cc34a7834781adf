"""One contender, measured once: memory at rest, then the loads of the plan one after another."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import sink, wrk
from bench.nginx import nginx
from bench.procfs import Memory, machine_cpu, tree_cpu, tree_memory
from bench.topology import Topology, topology
from bench.waiting import BenchError, wait_until
from bench.wrk import Load, Outcome

# Starts a contender for both pods, its spans going to (host, port); yields its root pids.
# The directory takes its files, the last argument stands before its command line.
Contender = Callable[
    [Topology, tuple[str, int], Path, list[str]], AbstractContextManager[list[int]]
]

SPANS_PER_REQUEST = 2
_COLLECTOR_PORT = 4318
_REST_SECONDS = 1.0
_WARM_UP = Load(connections=8, seconds=1)
# Both exporters flush at least twice a second: quiet for longer means all spans are here.
_QUIET_SECONDS = 0.7
_SETTLE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """The loads of a trial by name; the memory under load is taken during `memory_load`."""

    loads: Mapping[str, Load]
    memory_load: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One load: what wrk counted, CPU seconds (export of all its spans included), spans.

    `foreign_cpu` are the seconds of the machine's CPU that nothing of this bench used.
    """

    load: Load
    outcome: Outcome
    cpu: float
    machine_cpu: float
    foreign_cpu: float
    spans: int

    @property
    def spans_per_request(self) -> float:
        """Exported spans ÷ answered requests; `SPANS_PER_REQUEST` when nothing is lost."""
        return self.spans / max(self.outcome.requests, 1)

    @property
    def spans_complete(self) -> bool:
        """Say whether every request has its spans.

        wrk leaves one request per connection unanswered at its end, and the answer to one of
        the load before may be counted here.
        """
        slack = SPANS_PER_REQUEST * self.load.connections
        return abs(self.spans - SPANS_PER_REQUEST * self.outcome.requests) <= slack


@dataclass(frozen=True, slots=True)
class Trial:
    """All measurements of one contender in one round."""

    samples: Mapping[str, Sample]
    idle: Memory
    loaded: Memory


@contextmanager
def direct(
    _pods: Topology, _otlp: tuple[str, int], _directory: Path, _prefix: list[str]
) -> Iterator[list[int]]:
    """Put nothing between the pods: the contender everything is compared with."""
    yield []


@dataclass(frozen=True, slots=True)
class Stage:
    """A contender in place before a server and a sink, ready for load."""

    pods: Topology
    origin: str
    roots: list[int]
    counters: Path

    def drive(self, load: Load) -> Outcome:
        """Run wrk in the client pod, to its end."""
        output = self.pods.client.run(wrk.command(load, self.origin), timeout=load.seconds + 30)
        return wrk.parse(output)

    def measure(self, load: Load) -> Sample:
        """Run `load`, wait until its spans have arrived, return what it took."""
        spans, cpu = self._spans(), tree_cpu(self.roots)
        bench, machine = tree_cpu([os.getpid()]), machine_cpu()
        outcome = self.drive(load)
        bench, machine = tree_cpu([os.getpid()]) - bench, machine_cpu() - machine
        if self.roots:
            self._settle(spans + SPANS_PER_REQUEST * outcome.requests)
        return Sample(
            load,
            outcome,
            cpu=tree_cpu(self.roots) - cpu,
            machine_cpu=machine,
            foreign_cpu=max(machine - bench, 0),
            spans=self._spans() - spans,
        )

    def check_exports(self) -> None:
        """Raise BenchError if the sink was sent something that is not an OTLP trace export."""
        if unreadable := sink.read_counters(self.counters).unreadable:
            message = f"{unreadable} exports are not protobuf ExportTraceServiceRequests"
            raise BenchError(message)

    def _settle(self, expected: int) -> None:
        deadline = time.monotonic() + _SETTLE_SECONDS
        seen, since = self._spans(), time.monotonic()
        while time.monotonic() < deadline:
            time.sleep(0.05)
            if (now := self._spans()) != seen:
                seen, since = now, time.monotonic()
            elif seen >= expected and time.monotonic() - since > _QUIET_SECONDS:
                return

    def _spans(self) -> int:
        return sink.read_counters(self.counters).spans


def run_trial(contender: Contender, plan: Plan, prefix: list[str]) -> Trial:
    """Measure `contender` once, on fresh namespaces."""
    with staged(contender, prefix) as stage:
        time.sleep(_REST_SECONDS)
        idle = tree_memory(stage.roots)
        stage.measure(_WARM_UP)
        samples, loaded = {}, idle
        for name, load in plan.loads.items():
            if name == plan.memory_load:
                samples[name], loaded = _measure_with_memory(stage, load)
            else:
                samples[name] = stage.measure(load)
        stage.check_exports()
        return Trial(samples, idle, loaded)


@contextmanager
def staged(contender: Contender, prefix: list[str]) -> Iterator[Stage]:
    """Build pods, server and sink, put `contender` between, remove all of it at the end."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="netra-bench-")))
        pods = stack.enter_context(topology())
        origin = stack.enter_context(nginx(pods.server, directory))
        counters = directory / "counters"
        otlp = stack.enter_context(_collector(pods, counters, directory))
        roots = stack.enter_context(contender(pods, otlp, directory, prefix))
        yield Stage(pods, origin, roots, counters)


@contextmanager
def _collector(pods: Topology, counters: Path, directory: Path) -> Iterator[tuple[str, int]]:
    otlp = (pods.node.address, _COLLECTOR_PORT)
    log = directory / "sink.log"
    sink.create_counters(counters)
    command = [sys.executable, "-m", "bench.sink", otlp[0], str(otlp[1]), str(counters)]
    with pods.node.running(command, log) as process:
        wait_until(lambda: pods.node.listens_on(otlp[1]), "the sink listens", log, process.poll)
        yield otlp


def _measure_with_memory(stage: Stage, load: Load) -> tuple[Sample, Memory]:
    """Measure `load`, and the memory late in it."""

    def late() -> Memory:
        time.sleep(load.seconds * 0.8)
        return tree_memory(stage.roots)

    with ThreadPoolExecutor(1) as pool:
        memory = pool.submit(late)
        sample = stage.measure(load)
        return sample, memory.result()
