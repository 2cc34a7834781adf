"""Lifetimes as those of links: while the exchange is open, and so long after its end."""

from hypothesis import given
from hypothesis import strategies as st

from netra_node.core.route_memory import RouteMemory

LIFE = 100


def test_a_route_is_found_while_its_exchange_is_open_however_long() -> None:
    memory = RouteMemory(LIFE)
    memory.opened("x", b"id", b"a=b")

    assert memory.find(b"id", 10**15) == b"a=b"
    assert memory.find(b"other", 0) == b""


def test_it_is_found_for_its_lifetime_after_the_end_and_use_does_not_extend_it() -> None:
    memory = RouteMemory(LIFE)
    memory.opened("x", b"id", b"a=b")
    memory.ended("x", 1000)

    assert memory.find(b"id", 1099) == b"a=b"
    assert memory.find(b"id", 1100) == b""


def test_without_a_lifetime_it_never_ends() -> None:
    memory = RouteMemory(0)
    memory.opened("x", b"id", b"a=b")
    memory.ended("x", 0)
    memory.expire(10**18)

    assert memory.find(b"id", 10**18) == b"a=b"


def test_the_route_that_came_last_with_an_id_holds() -> None:
    memory = RouteMemory(LIFE)
    memory.opened("x", b"id", b"a=b")
    memory.opened("y", b"id", b"a=c")
    memory.ended("y", 1)

    assert memory.find(b"id", 500) == b"a=c"
    memory.ended("x", 500)
    assert memory.find(b"id", 599) == b"a=c"
    assert memory.find(b"id", 600) == b""


def test_an_id_that_comes_again_begins_anew() -> None:
    memory = RouteMemory(LIFE)
    memory.opened("x", b"id", b"a=b")
    memory.ended("x", 0)
    memory.opened("y", b"id", b"a=c")

    assert memory.find(b"id", 10_000) == b"a=c"
    assert len(memory) == 1


def test_what_ended_is_removed_when_its_time_is_over() -> None:
    memory = RouteMemory(LIFE)
    for number in range(4):
        memory.opened(number, b"%d" % number, b"a=b")
        memory.ended(number, number)

    memory.expire(LIFE + 9)
    assert len(memory) == 2
    memory.expire(LIFE + 9)
    assert (len(memory), memory.used) == (0, 0)


def test_at_the_limit_the_oldest_that_ended_goes_first_then_the_longest_open() -> None:
    memory = RouteMemory(LIFE, limit=2)
    memory.opened("open", b"1", b"a=b")
    memory.opened("ended", b"2", b"a=b")
    memory.ended("ended", 0)
    memory.opened("new", b"3", b"a=b")

    assert [memory.find(key, 0) for key in (b"1", b"2", b"3")] == [b"a=b", b"", b"a=b"]
    memory.opened("newer", b"4", b"a=b")
    assert [memory.find(key, 0) for key in (b"1", b"3", b"4")] == [b"", b"a=b", b"a=b"]


def test_the_end_of_an_exchange_whose_entry_went_touches_no_other() -> None:
    memory = RouteMemory(LIFE, limit=1)
    memory.opened("x", b"id", b"a=b")
    memory.opened("y", b"other", b"a=b")
    memory.opened("z", b"id", b"a=c")
    memory.ended("x", 0)

    assert memory.find(b"id", 10_000) == b"a=c"


def test_a_long_id_costs_no_more_than_a_short_one() -> None:
    memory = RouteMemory(LIFE)
    memory.opened("x", b"i" * 60_000, b"a=b")

    assert memory.find(b"i" * 60_000, 0) == b"a=b"
    assert memory.used < 100


def test_an_exchange_that_brought_no_route_ends_without_a_word() -> None:
    RouteMemory(LIFE).ended("x", 0)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("oe"), st.integers(0, 5), st.binary(max_size=3), st.binary(max_size=9)),
        max_size=60,
    )
)  # fmt: skip
def test_whatever_happens_its_size_is_bounded_and_true(
    steps: list[tuple[str, int, bytes, bytes]],
) -> None:
    memory = RouteMemory(LIFE, limit=3, size=20)
    for now, (step, exchange, key, value) in enumerate(steps):
        if step == "o":
            memory.opened((exchange, now), key, value)
        else:
            memory.ended((exchange, now - 1), now)
        entries = [*memory._open.items(), *memory._ended.items()]
        assert memory.used == sum(len(key) + len(entry.value) for key, entry in entries) <= 20
        assert len(memory) <= 3
