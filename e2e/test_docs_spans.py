"""docs/spans.md against the code: its tables have every key there is, and what it says of settings works."""

import re
from pathlib import Path

import pytest

from e2e.golden.cases import CASES
from netra_node.settings.variables import VARIABLES
from netra_node.telemetry import netramesh, spans
from netra_node.telemetry.paths import PathNames, parse_templates

TEXT = (Path(__file__).parents[1] / "docs" / "spans.md").read_text()


def section(heading: str) -> str:
    return re.split(r"^##+ ", TEXT.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[
        0
    ]


def first_column(heading: str) -> list[str]:
    rows = re.findall(r"^\| (`.*?) \|", section(heading), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]*)`", row)]


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("Attributes of the schema `otel`", spans.KEYS),
        ("Tags of the schema `netramesh`", netramesh.KEYS),
    ],
)
def test_the_tables_have_every_key_once(heading: str, keys: set[str]) -> None:
    assert sorted(first_column(heading)) == sorted(keys)


def test_every_variable_it_names_exists() -> None:
    named = set(re.findall(r"\b(?:NETRA|HTTP|OTEL|JAEGER)_[A-Z_]+", TEXT))

    assert len(named) > 5
    assert named - {variable.name for variable in VARIABLES} == set()


def test_the_number_of_golden_conversations_is_right() -> None:
    assert f"the same {len(CASES)} conversations" in TEXT


def test_a_rewritten_rule_does_what_it_did() -> None:
    (value,) = re.findall(r"NETRA_HTTP_PATH_TEMPLATES='([^']*)'", TEXT)
    there, _, here = section("Templates").rpartition("becomes")
    pattern, replacement = re.findall(r"`([^`;]*);([^`]*)`", there)[-1]

    assert (pattern + "=>" + replacement, here.count(value)) == (value, 1)
    assert PathNames(parse_templates(value)).name("/users/42/cart") == "/users/{id}/cart"


@pytest.mark.parametrize(
    ("rule", "path", "name"),
    [
        (r"^/(\w+)/\d+=>/\1/{n}", "/a/1", "/a/{n}"),
        (r"^/(?P<kind>\w+)/\d+=>/\g<kind>/{n}", "/a/1", "/a/{n}"),
        (r"/a\Z=>/b", "/x/a", "/x/b"),
        (r"/a\x3b\w+=>/a", "/a;b", "/a"),
        (r"/a=\x3e\w+=>/a", "/a=>b", "/a"),
        (r"/a=>/b\073c", "/a", "/b;c"),
    ],
)
def test_each_row_of_the_rewriting_works(rule: str, path: str, name: str) -> None:
    assert PathNames(parse_templates(rule), collapse=False).name(path) == name
