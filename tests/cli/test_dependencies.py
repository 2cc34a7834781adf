"""The day's document: its form, and that merging is exact in any order and never makes it smaller."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.cli.dependencies import (
    MAX_STARTS,
    DocumentError,
    Starts,
    contributions,
    document,
    links,
    merged,
    starts_of,
)
from tests.cli.graphs import DAY, call, graph
from tests.cli.test_node_graphs import read

PAIRS = st.tuples(st.text(max_size=3), st.text(max_size=3))
STARTS = st.dictionaries(
    st.sampled_from(["one", "two", "three"]),
    st.dictionaries(PAIRS, st.integers(min_value=1, max_value=2**62), max_size=4),
)


def sums(starts: Starts) -> dict[tuple[str, str], int]:
    return {(link["parent"], link["child"]): link["callCount"] for link in links(starts)}


@given(STARTS)
def test_what_is_stored_is_read_back_whatever_services_are_called(starts: Starts) -> None:
    stored = json.loads(json.dumps(document(DAY, starts)))

    assert starts_of(stored) == starts


@given(STARTS, STARTS, STARTS)
def test_the_order_of_writers_and_their_repetition_do_not_matter(
    a: Starts, b: Starts, c: Starts
) -> None:
    together = merged(merged(a, b), c)

    assert merged(a, merged(c, b)) == together
    assert merged(together, b) == together


@given(STARTS, STARTS)
def test_no_sum_ever_gets_smaller(known: Starts, told: Starts) -> None:
    before, after = sums(known), sums(merged(known, told))

    assert all(after[pair] >= count for pair, count in before.items())


@given(STARTS, STARTS)
def test_what_is_given_stays_as_it_is(known: Starts, told: Starts) -> None:
    before = json.dumps([document(DAY, known), document(DAY, told)])
    merged(known, told)

    assert json.dumps([document(DAY, known), document(DAY, told)]) == before


def test_a_daemon_that_was_restarted_adds_to_what_it_had_counted() -> None:
    before: Starts = {"one": {("web", "orders"): 7}}
    after = merged(before, {"two": {("web", "orders"): 2}})

    assert sums(after) == {("web", "orders"): 9}


def test_of_one_start_the_larger_number_is_the_later() -> None:
    assert merged({"one": {("a", "b"): 7}}, {"one": {("a", "b"): 5}}) == {"one": {("a", "b"): 7}}


def test_the_document_is_jaegers_with_one_member_more() -> None:
    starts: Starts = {"two": {("web", "orders"): 2}, "one": {("web", "orders"): 7, ("a", "b"): 1}}

    assert document("2026-11-21", starts) == {
        "timestamp": "2026-11-21T00:00:00Z",
        "dependencies": [
            {"parent": "a", "child": "b", "callCount": 1},
            {"parent": "web", "child": "orders", "callCount": 9},
        ],
        "netra": {
            "starts": [
                {"start": "one", "calls": [["a", "b", 1], ["web", "orders", 7]]},
                {"start": "two", "calls": [["web", "orders", 2]]},
            ]
        },
    }


def test_graphs_contribute_by_day_and_start_and_services_only() -> None:
    one = graph(("web", "orders"), ("external", "web"), start="1" * 16)
    one["calls"] += [call("web", "orders", 5, day="2026-11-20"), call("a", "b", 0)]
    two = graph(("web", "orders"), start="2" * 16)

    assert contributions([read(one), read(two)]) == {
        DAY: {"1" * 16: {("web", "orders"): 4}, "2" * 16: {("web", "orders"): 4}},
        "2026-11-20": {"1" * 16: {("web", "orders"): 5}},
    }


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {"dependencies": []},
        {"netra": {}},
        {"netra": {"starts": [{}]}},
        {"netra": {"starts": [{"start": "a", "calls": [["a", "b"]]}]}},
        {"netra": {"starts": [{"start": "a", "calls": [["a", "b", "many"]]}]}},
        {"netra": {"starts": [{"start": "a", "calls": [["a", "b", float("inf")]]}]}},
    ],
)
def test_what_others_wrote_is_left_alone(stored: Any) -> None:
    with pytest.raises(DocumentError, match="left as it is"):
        starts_of(stored)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_any_document_is_read_or_refused(stored: Any) -> None:
    for one in (stored, {"netra": stored}, {"netra": {"starts": stored}}):
        try:
            starts_of(one)
        except DocumentError:
            continue


def test_there_is_a_bound() -> None:
    many: Starts = {str(number): {("a", "b"): 1} for number in range(MAX_STARTS)}

    assert len(merged(many, {"0": {("a", "b"): 2}})) == MAX_STARTS
    with pytest.raises(DocumentError, match="10000"):
        merged(many, {"x": {("a", "b"): 1}})
