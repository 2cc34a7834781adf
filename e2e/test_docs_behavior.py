"""docs/behavior.md against the code: every promise names a test that exists, and what the code knows is as the code says."""

import pytest

from e2e.support.behavior_page import PAGE, parts
from e2e.support.doc_page import CHECKOUT, known_tests, named_tests, renewed, rows, section
from netra_node.core.records import OpaqueReason, Outcome, ResetCause
from netra_node.core.states import Event, Side
from netra_node.telemetry.metrics import PEER_RESETS, SLOW_HEAD

TEXT = PAGE.read_text()
#: Sections whose every row is a promise: what, and the tests that hold it.
PROMISES = (
    "What is held, changed, read",
    "Declared headers",
    "Requests",
    "Responses",
    "Endings and half-close",
    "Routing",
    "Limits",
    "Links, and what is believed of a client",
    "What is counted",
)


def test_every_test_it_names_exists() -> None:
    named = named_tests(TEXT)

    assert len(named) > 100
    assert [f"{file}::{name}" for file, name in named if name not in known_tests(file)] == []


@pytest.mark.parametrize("heading", PROMISES)
def test_every_promise_names_a_test(heading: str) -> None:
    # settings are no promises
    promises = [cells for cells in rows(section(TEXT, heading)) if "`NETRA_" not in cells[0][:7]]

    assert promises
    assert [cells[0] for cells in promises if not named_tests(cells[-1])] == []


def test_its_generated_parts_are_as_the_code_is_now() -> None:
    again = "run `.venv/bin/python -m e2e.support.behavior_page`"

    assert all(f"<!-- generated: {name} -->" in TEXT for name in parts())
    assert renewed(TEXT, parts()) == TEXT, again


def test_every_state_and_event_of_the_machine_is_in_it() -> None:
    machine = section(TEXT, "The state machine")

    assert [side.name for side in Side if f"**{side.name}**" not in machine] == []
    assert [event.value for event in Event if event.value not in machine] == []


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("Why a connection is opaque", {*(each.value for each in OpaqueReason), SLOW_HEAD}),
        ("Outcomes", {each.value for each in Outcome}),
        ("Resets", {*PEER_RESETS, *(each.value for each in ResetCause)}),
    ],
)
def test_its_lists_of_words_are_complete(heading: str, words: set[str]) -> None:
    first = [cells[0].strip("`") for cells in rows(section(TEXT, heading))]

    assert sorted(first) == sorted(words)


def test_the_readme_leads_to_it() -> None:
    assert "docs/behavior.md" in (CHECKOUT / "README.md").read_text()
