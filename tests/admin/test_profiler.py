"""The specification of `netra_node.admin.profiler`, on real CPU time."""

import asyncio
import itertools
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator
from types import CodeType, FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.admin.profiler import INTERVAL, Profiler, Sample, Stack, collapsed, stack_of


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGPROF)
    yield
    # a signal that is still on its way would end the process by default
    time.sleep(2 * INTERVAL)
    signal.signal(signal.SIGPROF, signal.SIG_IGN if before is signal.SIG_DFL else before)


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(100))


async def profile_of(work: object, seconds: float = 0.05) -> Collection[Sample]:
    profiler = Profiler()
    asyncio.get_running_loop().call_later(0.001, work)
    return await profiler.take(seconds)


def functions(samples: Collection[Sample]) -> dict[str, int]:
    """Samples by the function that was innermost of ours."""
    found: dict[str, int] = {}
    for stack, count in samples:
        for code in stack:
            if code.co_filename == __file__:
                found[code.co_qualname] = found.get(code.co_qualname, 0) + count
                break
    return found


def total(samples: Collection[Sample]) -> int:
    return sum(count for _, count in samples)


async def test_a_function_has_a_sample_for_every_five_milliseconds_it_took() -> None:
    samples = await profile_of(lambda: burn(0.2))

    # the kernel counts by its own ticks of up to 10 ms
    assert 0.2 / INTERVAL / 4 <= functions(samples)["burn"] <= 0.2 / INTERVAL * 2


async def test_time_in_which_nothing_runs_has_no_samples() -> None:
    assert total(await Profiler().take(0.1)) <= 2


async def test_time_that_the_main_thread_did_not_use_is_nobodys_here() -> None:
    profiler = Profiler(lambda: 0)
    taking = asyncio.get_running_loop().create_task(profiler.take(0.01))
    await asyncio.sleep(0)

    signal.raise_signal(signal.SIGPROF)

    assert [stack for stack, _ in await taking] == [()]


async def test_it_is_busy_while_it_takes_one_and_can_take_another() -> None:
    profiler = Profiler()
    taking = asyncio.get_running_loop().create_task(profiler.take(0.02))
    await asyncio.sleep(0)

    assert profiler.busy
    await taking
    assert not profiler.busy
    assert total(await profiler.take(0.01)) <= 2


async def test_cancelled_it_samples_no_more_and_later_signals_do_nothing() -> None:
    profiler = Profiler()
    taking = asyncio.get_running_loop().create_task(profiler.take(60))
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait({taking})

    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)
    assert not profiler.busy
    signal.raise_signal(signal.SIGPROF)


async def test_a_flood_of_different_stacks_stays_small() -> None:
    profiler = Profiler(itertools.count(0, round(INTERVAL * 1e9)).__next__)
    taking = asyncio.get_running_loop().create_task(profiler.take(0.01))
    await asyncio.sleep(0)
    for _ in range(4100):
        made: dict[str, Callable[[Callable[[], None]], None]] = {}
        exec("def made_anew(call): call()", made)
        made["made_anew"](lambda: signal.raise_signal(signal.SIGPROF))
    samples = await taking

    assert total(samples) >= 4100
    assert 4000 <= len(samples) <= 4010


def frame_here() -> FrameType:
    return sys._getframe()


def test_a_stack_is_told_innermost_first() -> None:
    stack = stack_of(frame_here())

    assert [code.co_name for code in stack[:2]] == [
        "frame_here",
        "test_a_stack_is_told_innermost_first",
    ]


def test_a_function_that_has_not_begun_yet_leaves_the_time_to_its_caller() -> None:
    seen: list[tuple[Stack, str]] = []

    def look(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            seen.append((stack_of(frame), frame.f_code.co_name))

    def called() -> None:
        pass

    sys.setprofile(look)
    called()
    sys.setprofile(None)

    stack, name = seen[0]
    assert name == "called"
    assert (
        stack[0].co_name == "test_a_function_that_has_not_begun_yet_leaves_the_time_to_its_caller"
    )


def test_without_a_frame_there_is_no_stack() -> None:
    assert stack_of(None) == ()


CODES: list[CodeType] = [burn.__code__, frame_here.__code__, functions.__code__]


def test_a_line_has_the_outermost_first_and_the_count_last() -> None:
    (piece,) = collapsed([((burn.__code__, functions.__code__), 7)])

    line = f"functions (admin/test_profiler.py:{functions.__code__.co_firstlineno});"
    assert piece == f"{line}burn (admin/test_profiler.py:{burn.__code__.co_firstlineno}) 7\n"


def test_what_other_threads_did_has_a_line_of_its_own() -> None:
    assert list(collapsed([((), 3)])) == ["other threads 3\n"]


@given(
    st.lists(st.tuples(st.lists(st.sampled_from(CODES)).map(tuple), st.integers(1)), max_size=60)
)
def test_every_sample_has_a_line(samples: list[Sample]) -> None:
    lines = "".join(collapsed(samples)).splitlines()

    assert len(lines) == len(samples)
    for line, (stack, count) in zip(lines, samples, strict=True):
        frames, _, number = line.rpartition(" ")
        assert int(number) == count
        assert len(frames.split(";")) == max(len(stack), 1)


async def test_functions_that_are_written_alike_are_told_apart() -> None:
    profiler = Profiler(itertools.count(0, round(INTERVAL * 1e9)).__next__)
    taking = asyncio.get_running_loop().create_task(profiler.take(0.01))
    await asyncio.sleep(0)
    for file in ("a/one.py", "a/two.py"):
        made: dict[str, Callable[[Callable[[], None]], None]] = {}
        exec(compile("def alike(call): call()", file, "exec"), made)
        made["alike"](lambda: signal.raise_signal(signal.SIGPROF))

    told = "".join(collapsed(await taking))

    assert "alike (a/one.py:1);" in told
    assert "alike (a/two.py:1);" in told


def test_no_semicolon_of_a_file_name_divides_a_line() -> None:
    made = compile("pass", "a;b/c;d.py", "exec")

    assert list(collapsed([((made,), 1)])) == ["<module> (a:b/c:d.py:1) 1\n"]
