"""The conversations that are played directly and through the daemon: `e2e/test_differential.py` does it.

Belongs here: raw bytes of both sides, the rule or the family of attacks a case stands for, its verdict. Does not belong here:
how a case is played, or what an answer means.

One file for each theme, each a tuple of cases. `python -m e2e.corpus` writes them as a table, docs/differential-cases.md.
"""
