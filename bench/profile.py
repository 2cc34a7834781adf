"""Where ours spends its time: one keep-alive load under py-spy, then one under perf if it is there.

One after the other: each slows what the other would see.
"""

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.daemon import netra_node
from bench.trial import Stage, staged
from bench.wrk import Load

_PY_SPY = Path(__file__).with_name(".venv") / "bin" / "py-spy"
_WARM_UP_SECONDS = 1
# The recorder starts and writes while the load still runs.
_MARGIN_SECONDS = 3

_ASLEEP = "PyThread_acquire_lock_timed"
_LINE = re.compile(r":\d+(?=\))")

Recorder = Callable[[Path, int, int], list[str]]


def profile(directory: Path, load: Load) -> Iterator[str]:
    """Record the daemon under `load` into `directory`; yield what there is to tell."""
    directory.mkdir(parents=True, exist_ok=True)
    with staged(netra_node, []) as stage:
        stage.drive(Load(load.connections, _WARM_UP_SECONDS))
        stacks = directory / "py-spy.txt"
        _record(stage, load, _py_spy, stacks)
        yield f"{stacks}: collapsed stacks, for flamegraph.pl or speedscope"
        yield from hottest(stacks.read_text())
        if shutil.which("perf"):
            data = directory / "perf.data"
            _record(stage, load, _perf, data)
            yield f"{data}: perf report -i {data}"


def hottest(stacks: str, count: int = 60) -> Iterator[str]:
    """Yield a line `own with-callees function` for the functions of most samples.

    `stacks` is in collapsed form, `caller:line;callee:line samples`. Ordered by the share of
    samples in which the function is on the stack at all. Threads that wait for a lock are left
    out: py-spy takes them for busy where it sees native frames.
    """
    own: Counter[str] = Counter()
    present: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, samples = line.rpartition(" ")
        if _ASLEEP in stack:
            continue
        functions = [_LINE.sub("", frame) for frame in stack.split(";")]
        own[functions[-1]] += int(samples)
        present.update(dict.fromkeys(functions, int(samples)))
    total = own.total()
    for function, held in present.most_common(count):
        yield f"{own[function] / total:6.1%} {held / total:6.1%}  {function}"


def _record(stage: Stage, load: Load, recorder: Recorder, file: Path) -> None:
    command = recorder(file, stage.roots[0], load.seconds)
    with stage.pods.node.running(command, file.with_suffix(".log")):
        stage.drive(Load(load.connections, load.seconds + _MARGIN_SECONDS))


def _py_spy(file: Path, pid: int, seconds: int) -> list[str]:
    return [
        *(str(_PY_SPY), "record", "--pid", str(pid), "--duration", str(seconds)),
        *("--rate", "500", "--format", "raw", "--native", "--output", str(file)),
    ]


def _perf(file: Path, pid: int, seconds: int) -> list[str]:
    return [
        *("perf", "record", "--call-graph", "fp", "--pid", str(pid)),
        *("--output", str(file), "--", "sleep", str(seconds)),
    ]
