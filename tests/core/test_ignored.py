"""Which targets are ignored."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.ignored import PATTERN_LIMIT, IgnoredPaths
from tests.cost import least_seconds


@pytest.fixture
def exact() -> IgnoredPaths:
    return IgnoredPaths([b"/health", b"/a b", b"/", b"*"])


@pytest.mark.parametrize(
    "target",
    [
        b"/health",
        b"/health?deep=1",
        b"/%68ealth",
        b"/%68%65%61%6c%74%68",
        b"/a%20b",
        b"http://orders:80/health?x",
        b"http://orders",
        b"http://orders?x=/",
        b"*",
    ],
)
def test_a_path_is_known_in_every_form_of_target(exact, target) -> None:
    assert exact.has(target)


@pytest.mark.parametrize(
    "target",
    [b"/health/", b"/healthy", b"/Health", b"/x?/health", b"/x/health", b"orders:80", b"/%zz", b""],
)
def test_any_other_path_is_not_ignored(exact, target) -> None:
    assert not exact.has(target)


@pytest.mark.parametrize(
    ("target", "ignored"),
    [
        (b"/static/", True),
        (b"/static/a/b.css?v=1", True),
        (b"/%73tatic%2fa", True),
        (b"/static", False),
        (b"/x/static/", False),
        (b"/static/" + b"x" * 60_000, True),
        (b"/%73%74%61%74%69%63%2F" + b"%61" * 20_000, True),
    ],
)
def test_a_beginning_stands_for_all_that_begin_so(target, ignored) -> None:
    assert IgnoredPaths(prefixes=[b"/static/"]).has(target) is ignored


@pytest.mark.parametrize(
    ("target", "ignored"),
    [
        (b"/v1/ready", True),
        (b"/v1/ready?x", True),
        (b"/v1/%72eady", True),
        (b"/v12/ready", False),
        (b"/v1/ready/", False),
        (b"/caf%C3%A9", True),
        (b"/\xff", False),
    ],
)
def test_a_pattern_matches_a_whole_decoded_path(target, ignored) -> None:
    patterns = [re.compile(r"/v\d/ready"), re.compile("/caf\u00e9")]

    assert IgnoredPaths(patterns=patterns).has(target) is ignored


def test_a_pattern_sees_512_bytes() -> None:
    paths = IgnoredPaths(patterns=[re.compile("/a{511}")])

    assert paths.has(b"/" + b"a" * (PATTERN_LIMIT - 1))
    assert paths.has(b"/" + b"a" * 5000)
    assert paths.has(b"/" + b"%61" * 5000)
    assert not paths.has(b"/" + b"a" * (PATTERN_LIMIT - 2))


def test_any_rule_suffices() -> None:
    paths = IgnoredPaths([b"/a"], [b"/b/"], [re.compile("/c+")])

    assert [paths.has(target) for target in (b"/a", b"/b/x", b"/cc", b"/d")] == [True] * 3 + [False]


def test_without_rules_nothing_is_ignored() -> None:
    assert not IgnoredPaths()
    assert not IgnoredPaths().has(b"/")
    assert IgnoredPaths([b"/"])
    assert IgnoredPaths(patterns=[re.compile(".")])


def test_what_is_remembered_is_bounded_and_stays_true() -> None:
    paths = IgnoredPaths(patterns=[re.compile(r"/\d*7")])
    answers = [paths.has(b"/%d" % number) for number in range(3000)]

    assert answers == [number % 10 == 7 for number in range(3000)]
    assert len(paths._answers) <= 1024
    assert [paths.has(b"/2997"), paths.has(b"/2998")] == [True, False]


def test_a_path_of_64_kib_takes_a_moment() -> None:
    # Each target is another: what was asked before is remembered.
    targets = (b"/" + b"%61" * (21_000 + number) for number in itertools.count())
    paths = IgnoredPaths([b"/health"], [b"/static/"], [re.compile("/a")])

    assert not paths.has(next(targets))
    assert least_seconds(lambda: paths.has(next(targets))) < 0.01


@given(st.binary(max_size=60))
def test_any_target_is_ignored_or_not_without_an_exception(target) -> None:
    paths = IgnoredPaths([b"/health"], [b"/static/"], [re.compile(r"/v\d/.*")])

    assert paths.has(target) in (True, False)
