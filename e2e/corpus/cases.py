"""All cases, theme by theme."""

from e2e.corpus import (
    chunked,
    connection,
    declared,
    framing,
    other_protocols,
    responses,
    smuggling,
    switching,
    syntax,
    targets,
)
from e2e.corpus.case import Case

THEMES: dict[str, tuple[Case, ...]] = {
    "Syntax of a request's head": syntax.CASES,
    "Request targets and Host": targets.CASES,
    "Where a request's body ends": framing.CASES,
    "Chunked bodies": chunked.CASES,
    "Answers": responses.CASES,
    "Connection management": connection.CASES,
    "100-continue, CONNECT, Upgrade": switching.CASES,
    "Request smuggling": smuggling.CASES,
    "Declared headers": declared.CASES,
    "Other protocols": other_protocols.CASES,
}
ALL: tuple[Case, ...] = tuple(case for cases in THEMES.values() for case in cases)
