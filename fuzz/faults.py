"""Faults planted into a copy of the core, to show that the fuzzer finds their kind. The product has no switch for them.

Belongs here: what is replaced, and the copying. A text that is not there exactly once is an error: the core has moved on.
"""

import shutil
from pathlib import Path
from typing import NamedTuple

import netra_node

CORE = Path(netra_node.__file__).parent


class FaultError(Exception):
    """A fault that cannot be planted."""


class Fault(NamedTuple):
    """One replacement in one module of the core."""

    name: str
    module: str
    old: str
    new: str


FAULTS = (
    Fault(
        "lost byte behind a slow head",
        "conversation",
        "out.append(beginning[self._sent :])",
        "out.append(beginning[self._sent + 1 :])",
    ),
    Fault(
        "body in an answer to HEAD",
        "conversation",
        'bodiless = exchange.method == b"HEAD" or head.status in _BODILESS',
        "bodiless = head.status in _BODILESS",
    ),
    Fault(
        "body that ends before its trailers",
        "framing",
        "self._at = _At.DATA if self._left else _At.TRAILER",
        "self._at, self.done = _At.DATA, not self._left",
    ),
    Fault(
        "request head held without end",
        "conversation",
        "if len(beginning) > limit:\n            return self._give_up(",
        "if not beginning:\n            return self._give_up(",
    ),
    Fault(
        "chunk line kept without end",
        "framing",
        "self.broken = len(line) > self._line_limit or ",
        "self.broken = ",
    ),
)


def plant(fault: Fault, directory: Path) -> None:
    """Copy the core into `directory`, importable from there, with the fault in it."""
    package = directory / "netra_node"
    package.mkdir()
    shutil.copy(CORE / "__init__.py", package)
    shutil.copytree(CORE / "core", package / "core", ignore=shutil.ignore_patterns("__pycache__"))
    module = package / "core" / f"{fault.module}.py"
    sound = module.read_text()
    if sound.count(fault.old) != 1:
        message = f"{fault.name}: {fault.old!r} is not in {module.name} exactly once"
        raise FaultError(message)
    module.write_text(sound.replace(fault.old, fault.new))
