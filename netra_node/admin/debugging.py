"""What `/debug/` answers: stacks, CPU profiles, and what became of Go's pprof, whose port this is in netramesh.

Belongs here: paths, their parameters, sentences. Does not belong here: stacks (`stacks`), samples (`profiler`).
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from netra_node.admin.message import Request, Response, text
from netra_node.admin.profiler import Profiler, collapsed
from netra_node.admin.server import Handler
from netra_node.admin.stacks import stacks

MAX_SECONDS: Final = 60
_USUAL_SECONDS: Final = "10"
_SECONDS: Final = re.compile("[0-9]{1,2}")
#: A parameter is repeated in a complaint up to this length.
_SHOWN: Final = 40
STACKS: Final = "/debug/stacks"
PROFILE: Final = "/debug/profile"
PPROF: Final = "/debug/pprof/"
#: What a person should know of.
PATHS: Final = (STACKS, PROFILE, PPROF)

#: What belongs to no task, by what it is: `open connections`.
Counts = Callable[[], Mapping[str, int]]

_NO_RECORD: Final = "Python keeps no record of allocations; process_resident_memory_bytes at /metrics tells the size"
_NO_LOCKS: Final = f"nothing here waits for locks; {STACKS} has what waits, netra_loop_lag_seconds at /metrics how long"
#: pprof's pages that have no successor of the same kind, and where what one looks for in them is.
_ELSEWHERE: Final = {
    "allocs": _NO_RECORD,
    "block": _NO_LOCKS,
    "cmdline": "the process is netra-node run; /status has its pid and version, netra-node config its settings",
    "heap": _NO_RECORD,
    "mutex": _NO_LOCKS,
    "symbol": "stacks and profiles have names already, and need no symbols",
    "threadcreate": f"{STACKS} has all threads",
    "trace": f"the loop's delays are netra_loop_lag_seconds at /metrics, where its time goes is at {PROFILE}",
}


def debugging(counts: Counts) -> dict[str, Handler]:
    """Return the handlers by path."""
    stacks_page, profile_page = _stacks(counts), _profile(Profiler())
    return {
        STACKS: stacks_page,
        PROFILE: profile_page,
        PPROF: _index,
        PPROF.rstrip("/"): _index,
        f"{PPROF}goroutine": stacks_page,
        f"{PPROF}profile": profile_page,
        **{PPROF + name: _gone(name, sentence) for name, sentence in _ELSEWHERE.items()},
    }


def _stacks(counts: Counts) -> Handler:
    def handle(_request: Request) -> Response:
        return Response(_encoded(stacks(counts())))

    return handle


def _profile(profiler: Profiler) -> Handler:
    async def take(seconds: int) -> Response:
        return Response(_encoded(collapsed(await profiler.take(seconds))))

    def handle(request: Request) -> Response | Awaitable[Response]:
        try:
            seconds = _seconds(request.query)
        except ValueError as error:
            return text(str(error), HTTPStatus.BAD_REQUEST)
        if profiler.busy:
            return text(
                "another profile is being taken; ask again when it is done", HTTPStatus.CONFLICT
            )
        return Response(()) if request.method == "HEAD" else take(seconds)

    return handle


def _seconds(query: str) -> int:
    """Read `seconds=N`. Raises ValueError with a sentence for the one who asks."""
    parameters = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in parameters]
    if set(names) - {"seconds"} or len(names) > 1:
        message = f"the one parameter is seconds, 1 to {MAX_SECONDS}"
        raise ValueError(message)
    value = dict(parameters).get("seconds", _USUAL_SECONDS)
    if not _SECONDS.fullmatch(value) or not 1 <= int(value) <= MAX_SECONDS:
        message = f"seconds={value[:_SHOWN]!a} is not a whole number from 1 to {MAX_SECONDS}"
        raise ValueError(message)
    return int(value)


def _index(_request: Request) -> Response:
    elsewhere = "\n".join(f"  {name:13}{sentence}" for name, sentence in _ELSEWHERE.items())
    return text(
        "netra-node is no Go program; what its pages for pprof were for:\n\n"
        f"  goroutine    {STACKS}: all tasks and threads, as text\n"
        f"  profile      {PROFILE}?seconds=N: CPU time as collapsed stacks, for speedscope or flamegraph.pl\n"
        f"{elsewhere}"
    )


def _gone(name: str, sentence: str) -> Handler:
    def handle(_request: Request) -> Response:
        return text(f"no {name} here: {sentence}", HTTPStatus.NOT_FOUND)

    return handle


def _encoded(pieces: Iterable[str]) -> Iterable[bytes]:
    return (piece.encode() for piece in pieces)
