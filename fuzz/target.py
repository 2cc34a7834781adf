"""What atheris runs: `python -P -m fuzz.target [libFuzzer options] DIRECTORY…`, with the core's bytecode instrumented.

Belongs here: nothing but the entry. The core it imports is the first in PYTHONPATH: a faulty one, or the real one.
"""

import sys

import atheris

with atheris.instrument_imports(include=["netra_node"]):
    from fuzz.script import play


def _one(data: bytes) -> None:
    play(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, _one)
    atheris.Fuzz()
