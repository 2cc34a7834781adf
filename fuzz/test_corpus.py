"""The inputs that are kept hold on the real core, and show each planted fault in a faulty one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.faults import FAULTS, Fault, FaultError, plant
from fuzz.script import play
from netra_node.core.records import Outcome

HERE = Path(__file__).parent
ROOT = HERE.parent
CRASHES = HERE / "corpus" / "crashes"
SEEDS = sorted((HERE / "corpus" / "seeds").iterdir())
INPUTS = sorted((HERE / "corpus").glob("*/*"))


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_an_input_that_is_kept_holds(path: Path) -> None:
    play(path.read_bytes())


def test_every_command_of_a_script_is_obeyed() -> None:
    watched = play(
        b"s\xfe<GET / HT\xfer\xfe(TP/1.1\r\n\r\n\xfe>HTTP/1.1 200 OK\r\n\xfe)\r\nok\xfew\xfel\xfeS\xfe>no\xfeC\xfe<no"
    )

    assert watched.upstream == b"GET / HTTP/1.1\r\n\r\n"
    assert watched.served == b"HTTP/1.1 200 OK\r\n\r\nok"
    assert watched.exchanges[0].slow_head is True
    assert watched.exchanges[0].outcome is Outcome.OK
    assert watched.now > 1_000_000_000


def test_an_unknown_command_is_the_clients() -> None:
    assert play(b"\xfe?GET / HTTP/1.1\r\n\r\n").events[0] == "begun GET /"


def replay(core: Path, *inputs: Path) -> str:
    """Play inputs against the core in that directory; return what goes wrong."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "fuzz.script", *map(str, inputs)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(core), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_breaks_on_its_input(fault: Fault, tmp_path: Path) -> None:
    plant(fault, tmp_path)
    kept = CRASHES / re.sub(r"\W", "-", fault.name).lower()

    assert "AssertionError" in replay(tmp_path, kept)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_no_seed_shows_a_planted_fault_by_itself(fault: Fault, tmp_path: Path) -> None:
    plant(fault, tmp_path)

    assert replay(tmp_path, *SEEDS) == ""


def test_a_fault_whose_place_is_gone_cannot_be_planted(tmp_path: Path) -> None:
    with pytest.raises(
        FaultError, match=r"gone: 'no such text' is not in framing\.py exactly once"
    ):
        plant(Fault("gone", "framing", "no such text", ""), tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1000)
def test_the_fuzzer_finds_every_planted_fault_and_nothing_in_the_real_code() -> None:
    done = subprocess.run(
        [HERE / "run", "--seconds", "20", "--find", "180"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": found after") == len(FAULTS)
    assert done.stdout.rstrip().endswith("clean")
