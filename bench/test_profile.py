"""The summary of collapsed stacks."""

from bench.profile import hottest

_STACKS = "main (a.py:1);relay (a.py:5) 1\nmain (a.py:2);relay (a.py:6);write (libc.so) 3\n"


def test_functions_show_their_own_share_and_that_with_their_callees() -> None:
    assert list(hottest(_STACKS)) == [
        "  0.0% 100.0%  main (a.py)",
        " 25.0% 100.0%  relay (a.py)",
        " 75.0%  75.0%  write (libc.so)",
    ]


def test_a_function_that_calls_itself_is_present_once() -> None:
    assert list(hottest("f (a.py:1);f (a.py:2) 4\n")) == ["100.0% 100.0%  f (a.py)"]


def test_a_thread_that_waits_for_a_lock_has_no_share() -> None:
    stacks = "f (a.py:1) 1\nrun (t.py:3);PyThread_acquire_lock_timed (lib.so);futex 9\n"

    assert list(hottest(stacks)) == ["100.0% 100.0%  f (a.py)"]


def test_only_so_many_functions_are_told() -> None:
    assert len(list(hottest("a;b;c 1\n", count=2))) == 2
