"""The wall clock's offset."""

from collections.abc import Callable, Iterator

from netra_node.telemetry.clock import WallClock

MILLISECOND = 1_000_000


def clock_of(values: list[int]) -> Callable[[], int]:
    rest: Iterator[int] = iter(values)
    return lambda: next(rest)


class Hands:
    """Two clocks that a test sets."""

    def __init__(self) -> None:
        self.monotonic = 5_000
        self.wall = 1_700_000_000_000_000_000


def make(hands: Hands) -> WallClock:
    return WallClock(lambda: hands.monotonic, lambda: hands.wall)


def test_a_monotonic_time_becomes_the_wall_time_of_that_moment() -> None:
    hands = Hands()
    clock = make(hands)

    assert clock.unix_nanoseconds(5_007) == 1_700_000_000_000_000_007


def test_jitter_below_a_millisecond_does_not_move_the_offset() -> None:
    hands = Hands()
    clock = make(hands)
    before = clock.offset
    hands.wall += MILLISECOND

    assert clock.refresh() == before


def test_a_wall_clock_that_was_set_is_noticed() -> None:
    hands = Hands()
    clock = make(hands)
    before = clock.offset
    hands.wall -= 3600 * 1000 * MILLISECOND

    assert clock.refresh() == before - 3600 * 1000 * MILLISECOND


def test_a_reading_during_which_we_were_preempted_does_not_count() -> None:
    monotonic = clock_of([0, 50 * MILLISECOND, 100, 102, 200, 204])
    wall = clock_of([1_000, 1_101, 1_202])

    assert WallClock(monotonic, wall).offset == 1_101 - 101
