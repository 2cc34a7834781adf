"""A page of docs/ as its tests and its generator see it: sections, rows, generated parts, the tests it names.

Belongs here: what all pages have in common. Does not belong here: what any of them has to say (`behavior_page`, `migration_page`).
"""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[2]
DOCS: Final = CHECKOUT / "docs"

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TEST = re.compile(r"`((?:tests|e2e)/[\w/]+\.py)::([\w:]+)`")
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


def renewed(page: str, parts: Mapping[str, str]) -> str:
    """The page with its generated parts as they are now. An unknown part is an error."""
    return _PART.sub(lambda found: found[1] + parts[found[2]] + found[3], page)


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
