"""A bench whose parts do not come up says which, and what they wrote."""

from pathlib import Path

import pytest

from bench.waiting import BenchError, wait_until


def test_a_condition_that_holds_is_not_waited_for(tmp_path: Path) -> None:
    wait_until(lambda: True, "it listens", tmp_path / "log", lambda: 1)


def test_a_program_that_ended_is_an_error_with_its_code_and_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("no such option")

    with pytest.raises(BenchError, match=r"it listens: .* exit code 2\nno such option"):
        wait_until(lambda: False, "it listens", log, lambda: 2)


def test_a_condition_that_never_holds_is_an_error_in_time(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"it listens: not within 0\.05 s"):
        wait_until(lambda: False, "it listens", tmp_path / "log", lambda: None, seconds=0.05)
