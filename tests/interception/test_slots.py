import errno
import fcntl
import os
import resource
from collections.abc import Iterator

import pytest

from netra_node.interception.slots import Slots


@pytest.fixture
def slots() -> Iterator[Slots]:
    slots = Slots(3)
    yield slots
    slots.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def is_null(descriptor: int) -> bool:
    return os.path.samestat(os.fstat(descriptor), os.stat(os.devnull))  # noqa: PTH116


def test_a_slot_is_lower_than_whatever_is_opened_later(slots: Slots, pipe: tuple[int, int]) -> None:
    assert slots.fill(pipe[0]) < min(pipe)


def test_a_slot_holds_what_was_put_into_it(slots: Slots, pipe: tuple[int, int]) -> None:
    slot = slots.fill(pipe[0])
    os.write(pipe[1], b"x")

    assert os.read(slot, 1) == b"x"


def test_a_slot_does_not_survive_exec(slots: Slots, pipe: tuple[int, int]) -> None:
    slot = slots.fill(pipe[0])

    assert fcntl.fcntl(slot, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_emptying_closes_what_was_in_the_slot(slots: Slots) -> None:
    reader, writer = os.pipe()
    slot = slots.fill(writer)
    os.close(writer)

    slots.empty(slot)

    assert os.read(reader, 1) == b""  # the last writing end is gone
    os.close(reader)


def test_an_emptied_slot_stays_reserved(slots: Slots, pipe: tuple[int, int]) -> None:
    slot = slots.fill(pipe[0])

    slots.empty(slot)

    assert is_null(slot)


def test_an_emptied_slot_is_used_again(slots: Slots, pipe: tuple[int, int]) -> None:
    slot = slots.fill(pipe[0])
    slots.empty(slot)

    assert slots.fill(pipe[0]) == slot


def test_one_more_than_there_are_is_refused(slots: Slots, pipe: tuple[int, int]) -> None:
    for _ in range(3):
        slots.fill(pipe[0])

    with pytest.raises(OSError, match="no descriptor left for another pod") as refusal:
        slots.fill(pipe[0])

    assert refusal.value.errno == errno.EMFILE


def test_more_than_the_process_may_have_are_refused_and_given_back() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 5, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            Slots(10)
        again = os.open(os.devnull, os.O_RDONLY)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    os.close(again)

    assert again == free
