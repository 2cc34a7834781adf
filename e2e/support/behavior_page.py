"""The parts of docs/behavior.md that the code knows better: `python -m e2e.support.behavior_page` writes them anew.

Belongs here: those parts, and what the page names, for its test. Does not belong here: what a person has to say.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from netra_node.core.states import CLIENT_STEPS, SERVER_STEPS, Steps
from netra_node.settings import variables
from netra_node.settings.variables import Variable

CHECKOUT: Final = Path(__file__).parents[2]
PAGE: Final = CHECKOUT / "docs" / "behavior.md"

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TEST = re.compile(r"`((?:tests|e2e)/[\w/]+\.py)::([\w:]+)`")
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_LIMITS: Final[tuple[Variable[int], ...]] = (
    variables.MAX_HEAD_BYTES,
    variables.MAX_HEADERS,
    variables.MAX_PIPELINED,
    variables.MAX_BUFFERED_BYTES,
    variables.MAX_CONNECTIONS,
    variables.DRAIN,
)


def _steps(steps: Steps) -> str:
    rows = [
        f"| {before.name} | {event.value} | {then.name} |"
        for (before, event), then in steps.items()
    ]
    return "\n".join(["| state | what happens | then |", "| --- | --- | --- |", *rows, ""])


def _limits() -> str:
    rows = [f"| `{each.name}` | {each.default} | {each.meaning} |" for each in _LIMITS]
    return "\n".join(["| setting | default | meaning |", "| --- | --- | --- |", *rows, ""])


def parts() -> dict[str, str]:
    """Every generated part by its name."""
    return {"client": _steps(CLIENT_STEPS), "server": _steps(SERVER_STEPS), "limits": _limits()}


def renewed(page: str) -> str:
    """The page with its generated parts as they are now. An unknown part is an error."""
    known = parts()
    return _PART.sub(lambda found: found[1] + known[found[2]] + found[3], page)


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next of its kind."""
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every row of its tables, without their heads."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        for line in table.splitlines()[2:]:
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def named_tests(text: str) -> list[tuple[str, str]]:
    """(file, name) of every test a text names; the name of a method has its class before it."""
    return _TEST.findall(text)


@cache
def known_tests(file: str) -> frozenset[str]:
    """The names of all tests in a file, as `named_tests` gives them; none when there is no such file."""
    path = CHECKOUT / file
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    return frozenset(_tests(tree, ""))


def _tests(tree: ast.Module | ast.ClassDef, prefix: str) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _tests(node, f"{prefix}{node.name}::")
        elif isinstance(node, _FUNCTIONS) and node.name.startswith("test_"):
            yield prefix + node.name


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
