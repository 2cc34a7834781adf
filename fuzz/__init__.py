"""Coverage-guided fuzzing of the core: one connection, two byte streams, everything that can happen to them.

Belongs here: inputs as scripts, the planted faults that show what is found, the runs, the inputs kept, the cost of hostile
reads. Does not belong here: what must hold (`tests/core/watched.py`), how other readers cut a stream (`tests/core/readers.py`).

`make fuzz` finds every planted fault first and then runs the real code for FUZZ_SECONDS (600). atheris is in fuzz/.venv, from
its own lock. What it finds is written to fuzz/results/; once mended, an input belongs into fuzz/corpus/crashes/, where
`test_corpus` replays it for ever. `python -m fuzz.script FILE` replays one by hand; `python -m fuzz.worst_cases` prints which
reads hold the loop longest.
"""
