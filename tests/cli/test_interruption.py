"""Signals that wait until they are asked for."""

import os
import signal
import threading
import time

import pytest

from netra_node.cli.interruption import Interrupted, Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_only_a_note_until_it_is_asked_for(number: signal.Signals) -> None:
    with Interruption() as stop:
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted) as caught:
            stop.check()

    assert caught.value.exit_code == 128 + number


def test_without_a_signal_a_check_does_nothing() -> None:
    with Interruption() as stop:
        stop.check()


def test_the_first_signal_is_the_one_that_counts() -> None:
    with Interruption() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted, match="SIGTERM"):
            stop.check()


def test_a_signal_ends_a_pause_soon() -> None:
    with Interruption() as stop:
        began = time.monotonic()
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(Interrupted):
            stop.pause(5)
        timer.join()

    assert time.monotonic() - began < 1


def test_an_undisturbed_pause_lasts_as_long_as_it_should() -> None:
    with Interruption() as stop:
        began = time.monotonic()
        stop.pause(0.1)

    assert time.monotonic() - began >= 0.1


def test_waiting_ends_when_the_condition_is_true() -> None:
    answers = iter([False, False, True])

    with Interruption() as stop:
        assert stop.wait_until(lambda: next(answers), 5)


def test_waiting_ends_when_time_is_up() -> None:
    with Interruption() as stop:
        assert not stop.wait_until(lambda: False, 0.05)


def test_the_handlers_from_before_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)

    with Interruption():
        assert signal.getsignal(signal.SIGINT) != before

    assert signal.getsignal(signal.SIGINT) == before


def test_a_hangup_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            stop.check()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_that_a_script_s_background_ignores_is_heeded() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(Interrupted):
                stop.check()
    finally:
        signal.signal(signal.SIGINT, before)
