"""Where every task and thread of the process stands, as text. Belongs here: walking them, and how a place in the code is written.

Does not belong here: paths and answers (`debugging`), samples over time (`profiler`).

Only functions, files and lines are shown, never a value: values are other people's requests.
"""

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType
from typing import Any, Final

#: Tasks looked at before the loop may turn; one takes about 10 µs.
_SLICE: Final = 32
#: A task that waits for more coroutines than this is cut short.
_DEEPEST: Final = 64
#: What asyncio calls a task that nobody named; the number tells nothing.
_UNNAMED: Final = "Task-"
#: The frame of a coroutine, a generator or an asynchronous generator, and what it waits for.
_ATTRIBUTES: Final = (
    ("cr_frame", "cr_await"),
    ("gi_frame", "gi_yieldfrom"),
    ("ag_frame", "ag_await"),
)

#: What a task is called, and where it stands, outermost first.
_Standing = tuple[str, tuple[str, ...]]


def place(code: CodeType, line: int) -> str:
    """Return `Class.method (directory/file.py:line)`."""
    file = "/".join(code.co_filename.split("/")[-2:])
    return f"{code.co_qualname} ({file}:{line})"


def stacks(counts: Mapping[str, int]) -> Iterator[str]:
    """Yield all tasks, equal ones together, and all threads, in pieces; `counts` tell what is neither, as `name: number`.

    To be drawn on the loop: the tasks are those of the running one.
    """
    tasks = list(asyncio.all_tasks())
    yield "".join(f"{name}: {count}\n" for name, count in counts.items())
    standing: Counter[_Standing] = Counter()
    for start in range(0, len(tasks), _SLICE):
        standing.update(_stands(task) for task in tasks[start : start + _SLICE])
        yield ""
    yield f"\n{len(tasks)} tasks\n"
    for (name, lines), count in standing.most_common():
        yield _block(f"{count} {name}", lines)
    frames = sys._current_frames()  # noqa: SLF001 - its documented name
    yield f"\n{len(frames)} threads\n"
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in frames.items():
        yield _block(names.get(ident, "not Python's own"), _below(frame))


def _block(title: str, lines: tuple[str, ...]) -> str:
    return "\n".join((f"\n{title}", *(f"    {line}" for line in lines), ""))


def _stands(task: "asyncio.Task[Any]") -> _Standing:
    name = task.get_name()
    awaited: Any = task.get_coro()
    lines: list[str] = []
    while awaited is not None and len(lines) < _DEEPEST:
        frame, inner = _step(awaited)
        lines.append(f"waits for {type(awaited).__name__}" if frame is None else _at(frame))
        awaited = inner
    return "unnamed" if name.startswith(_UNNAMED) else name, tuple(lines)


def _step(awaited: Any) -> tuple[FrameType | None, Any]:
    for frame, inner in _ATTRIBUTES:
        if hasattr(awaited, frame):
            return getattr(awaited, frame), getattr(awaited, inner)
    return None, None


def _at(frame: FrameType) -> str:
    return place(frame.f_code, frame.f_lineno)


def _below(frame: FrameType | None) -> tuple[str, ...]:
    lines: list[str] = []
    while frame is not None and len(lines) < _DEEPEST:
        lines.append(_at(frame))
        frame = frame.f_back
    return tuple(reversed(lines))
