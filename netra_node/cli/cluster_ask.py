"""Asks many daemons, some at a time, and none of them for longer than it may take.

Belongs here: threads, patience, telling how far it is. Does not belong here: how one is asked (`cluster_api`), what answers mean.
The threads are daemons: the client cannot be interrupted while it connects, and a node that hangs shall hold up neither the others nor the end.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final

from netra_node.cli.cluster_daemons import Daemon
from netra_node.cli.cluster_terms import Said

#: Each is a process in a daemon's container, and a connection through the API server.
AT_ONCE: Final = 16
_TELL_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one daemon said: a document, or why there is none."""

    daemon: Daemon
    document: dict[str, Any] | None
    problem: str = ""


#: Asks one; returns at any time.
Ask = Callable[[Daemon], Answer]


def read(daemon: Daemon, said: Said) -> Answer:
    """Take what a command with `--json` printed for its answer; that counts, also where the command found fault."""
    try:
        document = json.loads(said.out)
        if not isinstance(document, dict):
            raise ValueError(document)  # noqa: TRY004, TRY301 - one message for all that is not ours
    except ValueError:
        last = (said.err.strip().splitlines() or [""])[-1].removeprefix("netra-node: ")
        problem = (
            last or said.failure or "its netra-node prints something else; is it another version?"
        )
        return Answer(daemon, None, problem)
    return Answer(daemon, document)


def ask_all(
    daemons: Sequence[Daemon],
    ask: Ask,
    patience: float,
    tell: Callable[[str], None],
    at_once: int = AT_ONCE,
) -> list[Answer]:
    """Ask those that can be asked, for at most `patience` seconds each; return an answer for each, in their order."""
    round_ = _Round(ask, patience)
    waiting = [number for number, daemon in enumerate(daemons) if not daemon.problem]
    answers = {n: Answer(d, None, d.problem) for n, d in enumerate(daemons) if d.problem}
    total, told = len(waiting), time.monotonic()
    waiting.reverse()
    while waiting or round_.running:
        while waiting and round_.running < at_once:
            number = waiting.pop()
            round_.start(number, daemons[number])
        answers |= round_.ended()
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            tell(f"{total - len(waiting) - round_.running} of {total} nodes have answered")
    return [answers[number] for number in range(len(daemons))]


class _Round:
    """Those who are asked now."""

    def __init__(self, ask: Ask, patience: float) -> None:
        self._ask = ask
        self._patience = patience
        self._answers: SimpleQueue[tuple[int, Answer]] = SimpleQueue()
        self._started: dict[int, tuple[float, Daemon]] = {}

    @property
    def running(self) -> int:
        return len(self._started)

    def start(self, number: int, daemon: Daemon) -> None:
        self._started[number] = time.monotonic(), daemon
        threading.Thread(target=self._work, args=(number, daemon), daemon=True).start()

    def ended(self) -> dict[int, Answer]:
        """Wait a moment, and return what came, and whom nobody waits for any longer."""
        found = dict(self._came())
        late = time.monotonic() - self._patience
        for number, (started, daemon) in self._started.items():
            if number not in found and started < late:
                problem = f"it did not answer within {self._patience:g} s"
                found[number] = Answer(daemon, None, problem)
        for number in found:
            del self._started[number]
        return found

    def _came(self) -> list[tuple[int, Answer]]:
        try:
            number, answer = self._answers.get(timeout=0.05)
        except Empty:
            return []
        # who was given up may answer yet
        return [(number, answer)] if number in self._started else []

    def _work(self, number: int, daemon: Daemon) -> None:
        self._answers.put((number, self._ask(daemon)))
