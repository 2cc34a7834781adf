import os
import resource
from collections.abc import Iterator

import pytest

from netra_node.capacity import Cap, Descriptors, Told, connections_within, estimate, pods_within
from tests.proxy.support import open_descriptors

#: As many as this process is taken to have, far above what it holds already.
LIMIT = 1024


class Holder:
    """Holds descriptors as anybody in the process might, and hears of it when there are too few."""

    def __init__(self) -> None:
        self._held: list[int] = []
        self.heard: list[tuple[bool, bool]] = []
        self.descriptors = Descriptors(LIMIT, self._changed)

    def _changed(self) -> None:
        self.heard.append((self.descriptors.scarce, self.descriptors.exhausted))

    def hold(self, number: int) -> None:
        """Hold as many as it takes for the process to have `number`."""
        missing = number - open_descriptors() + 1  # one is for counting
        self._held += (os.open(os.devnull, os.O_RDONLY) for _ in range(missing))
        while self._held and missing < 0:
            os.close(self._held.pop())
            missing += 1

    def look(self, number: int) -> None:
        self.hold(number)
        self.descriptors.look()


@pytest.fixture
def holder() -> Iterator[Holder]:
    made = Holder()
    yield made
    made.hold(0)


# ---- a count against its cap


def reached(limit: int, *counts: int) -> list[bool]:
    cap = Cap(limit)
    seen = []
    for count in counts:
        cap.count(count)
        seen.append(cap.reached)
    return seen


def test_a_cap_is_reached_at_its_limit_and_until_a_tenth_below() -> None:
    assert reached(100, 99, 100, 101, 91, 90, 99, 100) == [
        False,
        True,
        True,
        True,
        False,
        False,
        True,
    ]


def test_a_small_cap_is_left_one_below() -> None:
    assert reached(1, 0, 1, 0) == [False, True, False]
    assert reached(4, 4, 3) == [True, False]


def test_a_cap_tells_of_changes_alone() -> None:
    cap = Cap(10)

    assert [cap.count(number) for number in (9, 10, 11, 10, 9, 8)] == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]


# ---- what is news


def test_the_same_is_news_again_after_ten_seconds() -> None:
    seconds = iter((0.0, 1.0, 9.9, 10.0, 11.0))
    told = Told(lambda: next(seconds))

    assert [told.is_news("full") for _ in range(5)] == [True, False, False, True, False]


def test_something_else_is_news_at_once() -> None:
    told = Told(lambda: 0.0)

    assert [told.is_news(what) for what in ("full", "room", "full")] == [True, True, False]


# ---- descriptors


def test_with_few_held_nothing_is_said(holder: Holder) -> None:
    holder.descriptors.look()

    assert not holder.descriptors.scarce
    assert holder.heard == []


def test_they_are_scarce_an_eighth_before_they_are_exhausted(holder: Holder) -> None:
    # 128 of 1024 are the reserve, and an eighth of the others is 112
    for number in (783, 784, 895, 896):
        holder.look(number)

    assert holder.heard == [(True, False), (True, True)]


def test_they_are_so_until_a_tenth_is_free_again(holder: Holder) -> None:
    for number in (896, 808, 807, 707, 706):
        holder.look(number)

    assert holder.heard == [(True, True), (True, False), (False, False)]


def test_connections_that_come_have_it_looked_at(holder: Holder) -> None:
    holder.hold(784)
    for _ in range(16):
        holder.descriptors.connections_changed()

    assert holder.heard == [(True, False)]


def test_it_can_be_found_out_without_any_left(holder: Holder) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    holder.hold(LIMIT)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, hard))
    try:
        holder.descriptors.look()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert holder.heard == [(True, True)]


@pytest.mark.parametrize("held", [100, 500, 1000])
def test_where_the_kernel_does_not_count_it_is_estimated(holder: Holder, held: int) -> None:
    holder.hold(held)

    assert held - 20 <= estimate(LIMIT) <= held + 20


@pytest.mark.parametrize(("limit", "pods"), [(256, 32), (4096, 512), (1 << 20, 512)])
def test_low_descriptors_for_leases_are_at_most_an_eighth(limit: int, pods: int) -> None:
    assert pods_within(limit) == pods


def test_a_limit_has_room_for_less_than_half_as_many_connections() -> None:
    assert connections_within(100) == 0
    assert 8000 < connections_within(20_000) < 10_000
