"""Names of paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.telemetry.paths import (
    MAX_NAMES,
    PATH_LIMIT,
    NamesInUse,
    PathNames,
    Template,
    parse_patterns,
    parse_templates,
)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/", "/"),
        ("/orders", "/orders"),
        ("/orders/42", "/orders/{id}"),
        ("/orders/42/items/7", "/orders/{id}/items/{id}"),
        ("/1/2/3", "/{id}/{id}/{id}"),
        ("/orders/42/", "/orders/{id}/"),
        ("/u/7f4df1c0-1f3b-4e6d-9c58-3f0d8a1b2c3d", "/u/{id}"),
        ("/u/7F4DF1C0-1F3B-4E6D-9C58-3F0D8A1B2C3D/x", "/u/{id}/x"),
        ("/o/507f1f77bcf86cd799439011", "/o/{id}"),
        ("/o/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/o/{id}"),
        ("/api/v2/orders", "/api/v2/orders"),
        ("/o/beef", "/o/beef"),
        ("/deadbeefdeadbeefdead", "/deadbeefdeadbeefdead"),
        ("/report-2024", "/report-2024"),
        ("", ""),
    ],
)
def test_ids_are_collapsed_and_words_are_kept(path: str, name: str) -> None:
    assert PathNames().name(path) == name


def test_without_collapsing_a_path_is_its_own_name() -> None:
    assert PathNames(collapse=False).name("/orders/42") == "/orders/42"


def test_templates_apply_in_order_before_ids_are_collapsed() -> None:
    templates = parse_templates(r"^/u/[^/]+=>/u/{user}; /u/(\{user\})/(\w+)=>/\2/\1")

    assert PathNames(templates).name("/u/ann/cart/42") == "/cart/{user}/{id}"


def test_a_rule_may_look_for_the_signs_that_separate_rules() -> None:
    templates = parse_templates(r"/a\x3b\d+=>/a\073{n};/b=\x3e=>/b")

    assert PathNames(templates).name("/a;7/b=>") == "/a;{n}/b"


def test_a_regexp_sees_at_most_512_characters() -> None:
    names = PathNames(parse_templates("b+$=>B"), collapse=False)

    assert names.name("/" + "a" * (PATH_LIMIT - 1) + "b") == "/" + "a" * (PATH_LIMIT - 1)


def test_a_replacement_cannot_make_a_name_longer_than_the_limit() -> None:
    names = PathNames(parse_templates("a=>" + "b" * 100), collapse=False)

    assert len(names.name("/" + "a" * 100)) == PATH_LIMIT


def test_names_remembered_are_bounded() -> None:
    names = PathNames()
    for number in range(5000):
        names.name(f"/orders/{number}")

    assert len(names._names) <= 1024


def test_a_thousand_names_are_in_use_and_not_one_more() -> None:
    names = NamesInUse()

    assert all(names.admit(f"/{number}") for number in range(MAX_NAMES))
    assert not names.admit("/another")
    assert names.admit("/0")


@given(st.text())
def test_any_path_has_a_name_that_stays_the_same(path: str) -> None:
    names = PathNames()

    assert names.name(path) == names.name(path)


@given(st.lists(st.integers(min_value=0), min_size=1))
def test_no_number_survives_as_a_segment(numbers: list[int]) -> None:
    path = "".join(f"/{number}" for number in numbers)[:PATH_LIMIT]

    assert not any(segment.isdigit() for segment in PathNames().name(path).split("/"))


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ("/a", "expected regexp=>replacement"),
        ("=>/a", "expected regexp=>replacement"),
        ("/(=>x", "missing )"),
        (r"/a=>\1", "invalid group reference"),
        (r"/a=>\g<name>", "unknown group name"),
    ],
)
def test_a_malformed_template_is_named(rule: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r"expected|missing|group") as caught:
        parse_templates(f"/ok=>/fine;{rule}")

    assert repr(rule) in str(caught.value)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"^/users/(\w+\s?)*$", r"(.*.*)*x$"])
def test_a_pattern_that_explodes_is_an_error_within_a_moment(pattern: str) -> None:
    with pytest.raises(ValueError, match="takes over 1 ms"):
        parse_templates(f"{pattern}=>x")


def test_a_slow_machine_is_not_taken_for_a_slow_pattern() -> None:
    # One reading in a thousand comes from a process that was preempted for 20 ms.
    readings = iter(i * 1e-6 + (i // 1000) * 0.02 for i in range(10_000_000))

    assert len(parse_templates("/a=>/b", lambda: next(readings))) == 1


def test_no_rule_at_all_is_no_template() -> None:
    assert parse_templates(" ; ") == ()


def test_a_template_is_a_value() -> None:
    assert parse_templates("a=>b") == (Template(parse_templates("a=>c")[0].pattern, "b"),)


def test_patterns_are_compiled_in_their_order() -> None:
    assert [each.pattern for each in parse_patterns(r"/a/\d+; ;.*\.css;")] == [
        r"/a/\d+",
        r".*\.css",
    ]


@pytest.mark.parametrize(
    ("rule", "complaint"), [("/(", r"'/\(': missing \)"), ("/a\nb", r"'/a\\nb': holds control")]
)
def test_a_malformed_pattern_is_named(rule: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_patterns(f"/ok;{rule}")


@pytest.mark.parametrize("pattern", [r"(a+)+", r"/users/(\w+\s?)*", r"(.*.*)*x"])
def test_a_pattern_for_whole_paths_that_explodes_is_an_error(pattern: str) -> None:
    with pytest.raises(ValueError, match="takes over 1 ms"):
        parse_patterns(pattern)
