"""In processes of their own: this one's alarm clock is pytest's."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.support.daemon import until
from netra_node.watchdog import RESPITE_SECONDS

Run = Callable[..., subprocess.Popen[str]]

#: How each kind of hang begins; none of them lets another line of Python run.
HANGS = {
    "a loop of Python's": "while True: pass",
    "a system call": "os.read(os.pipe()[0], 1)",
    "C that keeps the GIL": "re.match('(a+)+$', 'a' * 60 + 'b')",
    "a lock": "threading.Lock().acquire() and (lock := threading.Lock()).acquire() and lock.acquire()",
}
PREAMBLE = """
import asyncio, os, re, signal, threading, time
from netra_node.watchdog import Watchdog
dog = Watchdog({seconds})
dog.beat()
print("beating", flush=True)
"""
BEATING = "while True: time.sleep(0.02); dog.beat()"


@pytest.fixture
def run() -> Iterator[Run]:
    with contextlib.ExitStack() as stack:

        def start(code: str, seconds: float = 0.1) -> subprocess.Popen[str]:
            text = PREAMBLE.format(seconds=seconds) + code
            child = subprocess.Popen(
                [sys.executable, "-c", text], stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(child)
            stack.callback(child.kill)
            assert child.stdout is not None
            assert child.stdout.readline() == "beating\n"
            return child

        yield start


def has_handler(child: subprocess.Popen[str]) -> bool:
    """Whether SIGALRM is caught (proc_pid_status(5), SigCgt)."""
    lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGALRM - 1) & 1)


def lives(child: subprocess.Popen[str]) -> bool:
    """Whether an alarm would be survived; on a busy machine a beat may come late, and the next one mends that."""
    return until(lambda: has_handler(child)) and child.poll() is None


def test_a_process_that_beats_lives(run: Run) -> None:
    child = run(BEATING)
    time.sleep(0.5)

    assert lives(child)


@pytest.mark.parametrize("hang", HANGS.values(), ids=HANGS)
def test_the_first_alarm_is_survived_and_the_second_is_not(run: Run, hang: str) -> None:
    child = run(hang)
    assert until(lambda: not has_handler(child))
    assert child.poll() is None

    os.kill(child.pid, signal.SIGALRM)

    assert child.wait(5) == -signal.SIGALRM


def test_the_second_alarm_comes_after_the_respite(run: Run) -> None:
    child = run(
        "began = time.monotonic(); dog.beat(); time.sleep(0.3)\n"
        "print(*signal.getitimer(signal.ITIMER_REAL), time.monotonic() - began, flush=True)"
    )
    assert child.stdout is not None
    left, interval, passed = map(float, child.stdout.readline().split())

    assert RESPITE_SECONDS - passed < left <= RESPITE_SECONDS
    assert interval == 0


def test_a_process_that_comes_back_within_the_respite_lives(run: Run) -> None:
    child = run("time.sleep(0.3); " + "dog.beat()\n" + BEATING)
    time.sleep(0.6)

    assert lives(child)


def test_a_process_that_was_stopped_goes_on(run: Run) -> None:
    child = run(BEATING)
    for _ in range(3):
        os.kill(child.pid, signal.SIGSTOP)
        time.sleep(0.4)
        os.kill(child.pid, signal.SIGCONT)
        time.sleep(0.2)

    assert lives(child)


def test_stopped_in_order_it_watches_no_longer(run: Run) -> None:
    child = run("dog.stop(); time.sleep(0.4); print('alive', flush=True)")

    assert child.wait(5) == 0


def test_a_loop_that_waits_is_not_disturbed_by_an_alarm(run: Run) -> None:
    """It waits in a system call that the alarm interrupts."""
    child = run(
        "import uvloop\nuvloop.run(asyncio.sleep(0.4))\ndog.stop()\nprint('slept', flush=True)"
    )

    assert child.wait(5) == 0
    assert child.stdout is not None
    assert child.stdout.read() == "slept\n"


@pytest.mark.long
@pytest.mark.timeout(60)
def test_whatever_it_hangs_in_it_ends_by_itself(run: Run) -> None:
    before = time.monotonic()
    children = [run(hang) for hang in HANGS.values()]
    began = time.monotonic()

    assert [child.wait(30) for child in children] == [-signal.SIGALRM] * len(HANGS)
    ended = time.monotonic()
    assert ended - before > RESPITE_SECONDS
    assert ended - began < RESPITE_SECONDS + 5
