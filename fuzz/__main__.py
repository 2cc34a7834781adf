"""The command: `python -m fuzz [--seconds N] [--find N]`, or `make fuzz` with FUZZ_SECONDS.

First every planted fault has to be found within `--find` seconds, from seeds that none of them breaks alone; then the real
code has to run clean. Exit code 0, or 1 where either fails.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from fuzz.faults import FAULTS, Fault, plant

_HERE = Path(__file__).parent
_ROOT = _HERE.parent
_SEEDS = _HERE / "corpus" / "seeds"
_RESULTS = _HERE / "results"
_RUNS = re.compile(r"stat::number_of_executed_units: +(\d+)")
_SAYS = re.compile(r"^(\w*(?:Error|Exception).*|.*ERROR: libFuzzer.*)$", re.MULTILINE)


class _Run(NamedTuple):
    """What one fuzzer came to."""

    found: bool
    says: str
    runs: int
    seconds: float


def _fuzz(artifacts: Path, corpus: Path, seconds: int, core: Path | None = None) -> _Run:
    """Run the target; `core` is a directory whose core stands before the real one."""
    options = [
        f"-dict={_HERE / 'http.dict'}",
        f"-artifact_prefix={artifacts}/",
        f"-max_total_time={seconds}",
        "-max_len=2048",
        "-len_control=0",
        "-timeout=10",
        "-rss_limit_mb=512",
        "-print_final_stats=1",
    ]
    path = os.pathsep.join(str(place) for place in (core, _ROOT) if place is not None)
    command = [sys.executable, "-P", "-m", "fuzz.target", *options, str(corpus), str(_SEEDS)]
    started = time.monotonic()
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    log = done.stdout.decode(errors="replace")
    runs, says = _RUNS.search(log), _SAYS.search(log)
    return _Run(
        done.returncode != 0,
        says[1] if says else log[-2000:],
        int(runs[1]) if runs else 0,
        time.monotonic() - started,
    )


def _finds(fault: Fault, seconds: int) -> bool:
    """Look for a fault; what is found counts only if the real code passes it."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        plant(fault, place)
        (place / "corpus").mkdir()
        run = _fuzz(place, place / "corpus", seconds, place)
        inputs = sorted(map(str, place.glob("crash-*")))
        replay = [sys.executable, "-m", "fuzz.script", *inputs]
        alone = (
            bool(inputs)
            and not subprocess.run(
                replay, cwd=_ROOT, stdout=subprocess.DEVNULL, check=False
            ).returncode
        )
    verdict = "found" if alone else "NOT FOUND"
    print(
        f"{fault.name}: {verdict} after {run.seconds:.1f} s, {run.runs} runs: {run.says}",
        flush=True,
    )
    return alone


def _clean(seconds: int) -> bool:
    corpus = _RESULTS / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    run = _fuzz(_RESULTS, corpus, seconds)
    verdict = f"FAILED: {run.says}; the input is in {_RESULTS}" if run.found else "clean"
    print(f"the real code, {run.seconds:.0f} s, {run.runs} runs: {verdict}")
    return not run.found


def main() -> int:
    """Run it all."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for the real code")
    parser.add_argument("--find", type=int, default=120, help="at most, for each planted fault")
    options = parser.parse_args()
    print(f"{len(FAULTS)} planted faults", flush=True)
    found = [_finds(fault, options.find) for fault in FAULTS]
    return 0 if all(found) and _clean(options.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
