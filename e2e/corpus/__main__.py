"""The list of cases as a table: `python -m e2e.corpus` writes it to docs/differential-cases.md.

Belongs here: the page. Does not belong here: cases, or what is done with them.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from e2e.corpus.case import Case
from e2e.corpus.cases import ALL, THEMES

PAGE: Final = Path(__file__).parents[2] / "docs" / "differential-cases.md"

_INTRODUCTION: Final = """\
# Differential cases: the same bytes directly and through the daemon

Written by `python -m e2e.corpus` from `e2e/corpus/`; `e2e/test_differential.py` plays them.

Each of these {count} cases is a conversation of raw bytes between a client and a server, played first over a direct connection and
then through the daemon: captured at the client, at the server and at both; whole, byte by byte, and cut after the first
line; and behind another request. What the server receives is the same but for the declared headers, which are looked for exactly
where they belong and in their exact form. What the client receives is the same without exception. So are both endings: FIN, RST,
or a connection that stays open.

The verdict is what the daemon makes of it, told by its metrics: **traced** requests get headers and become spans; others
are **read**, and get none; from some point on a connection may be **opaque**, for the reason named: bytes only. Outcomes are
named where they are not `ok`.
"""


def table(cases: Iterable[Case]) -> str:
    """One line for each case."""
    rows = [f"| {case.rule} | {case.name} | {case.verdict()} |" for case in cases]
    return "\n".join(["| rule or family | case | verdict |", "| --- | --- | --- |", *rows, ""])


def page() -> str:
    """The whole page."""
    sections = (f"\n## {theme}\n\n{table(cases)}" for theme, cases in THEMES.items())
    return _INTRODUCTION.format(count=len(ALL)) + "".join(sections)


if __name__ == "__main__":
    PAGE.write_text(page())
