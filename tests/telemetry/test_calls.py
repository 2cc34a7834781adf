"""Days, as a clock that is a number tells them."""

from hypothesis import given
from hypothesis import strategies as st

from netra_node.telemetry.calls import KEPT_DAYS, MAX_PAIRS, NO_CALLS, DailyCalls, name_of
from netra_node.telemetry.clock import WallClock

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
#: 2026-11-21T23:00:00Z
BEFORE_MIDNIGHT = 1_795_302_000 * SECOND


class Clocks:
    """A monotonic clock that starts at zero and a wall clock beside it."""

    def __init__(self, wall: int = BEFORE_MIDNIGHT) -> None:
        self.now = 0
        self.wall = wall

    def daily(self) -> DailyCalls:
        return DailyCalls(WallClock(lambda: self.now, lambda: self.wall + self.now))


def count(daily: DailyCalls, source: str, destination: str, now: int) -> None:
    daily.of(source, destination, now).requests += 1


def rows(daily: DailyCalls) -> list[tuple[str, str, str, int]]:
    return [(day, *pair, calls.requests) for day, pair, calls in daily.rows()]


def test_calls_of_two_days_are_kept_apart_by_utc() -> None:
    daily = Clocks().daily()
    count(daily, "web", "orders", 3600 * SECOND - 1)
    count(daily, "web", "orders", 3600 * SECOND)

    assert rows(daily) == [("2026-11-21", "web", "orders", 1), ("2026-11-22", "web", "orders", 1)]
    assert daily.since == "2026-11-21T00:00:00Z"


def test_a_pair_that_comes_again_goes_on_where_it_was() -> None:
    daily = Clocks().daily()
    first = daily.of("web", "orders", 1)

    assert daily.of("web", "orders", 2) is first
    assert daily.of("web", "stock", 2) is not first


def test_an_answer_holds_for_a_minute_and_never_past_midnight() -> None:
    daily = Clocks().daily()

    assert daily.of("web", "orders", 0).until == 60 * SECOND
    assert daily.of("web", "orders", 3590 * SECOND).until == 3600 * SECOND
    assert NO_CALLS.until == 0


def test_a_wall_clock_that_was_set_moves_later_calls_to_its_day() -> None:
    clocks = Clocks()
    daily = clocks.daily()
    count(daily, "web", "orders", 0)
    clocks.wall += DAY
    count(daily, "web", "orders", 60 * SECOND)

    assert [day for day, *_ in rows(daily)] == ["2026-11-21", "2026-11-22"]


def test_of_three_days_the_one_that_began_first_goes() -> None:
    daily = Clocks().daily()
    for day in range(KEPT_DAYS + 1):
        count(daily, "web", "orders", day * DAY)

    assert [day for day, *_ in rows(daily)] == ["2026-11-22", "2026-11-23"]


def test_a_clock_once_set_wrong_leaves_no_day_that_stays() -> None:
    clocks = Clocks(BEFORE_MIDNIGHT + 365 * DAY)
    daily = clocks.daily()
    count(daily, "web", "orders", 0)
    clocks.wall = BEFORE_MIDNIGHT
    for day in range(2):
        count(daily, "web", "orders", day * DAY)

    assert [day for day, *_ in rows(daily)] == ["2026-11-21", "2026-11-22"]


def test_pairs_beyond_the_limit_are_other() -> None:
    daily = Clocks().daily()
    for number in range(MAX_PAIRS + 5):
        count(daily, "web", f"job-{number}", 0)
    count(daily, "web", "job-0", 1)
    found = rows(daily)

    assert len(found) == MAX_PAIRS + 1
    assert found[0][3] == 2
    assert found[-1] == ("2026-11-21", "other", "other", 5)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("ab"), st.integers(0, 1))))
def test_the_sums_are_those_of_the_rows(told: list[tuple[str, str, int]]) -> None:
    daily = Clocks().daily()
    for source, destination, day in told:
        count(daily, source, destination, day * DAY)
    expected: dict[tuple[str, str], int] = {}
    for _, source, destination, requests in rows(daily):
        expected[source, destination] = expected.get((source, destination), 0) + requests
    sums = list(daily.sums())

    assert dict(sums) == expected
    assert len(sums) == len(expected)


def test_what_is_drawn_later_is_not_disturbed_by_new_pairs() -> None:
    daily = Clocks().daily()
    count(daily, "web", "orders", 0)
    drawn, sums = daily.rows(), daily.sums()
    first = next(sums)
    count(daily, "web", "stock", 0)

    assert [pair for _, pair, _ in drawn] == [("web", "orders")]
    assert [first, *sums] == [(("web", "orders"), 1)]


def test_before_the_first_call_there_is_nothing() -> None:
    daily = Clocks().daily()

    assert (rows(daily), list(daily.sums()), daily.since) == ([], [], "")


def test_days_are_named_as_the_calendar_has_them() -> None:
    assert [name_of(day) for day in (0, 19_782, 20_778)] == [
        "1970-01-01",
        "2024-02-29",
        "2026-11-21",
    ]
