"""Finding and doing a command."""

import argparse
import subprocess
import sys
from typing import Any

import pytest

from netra_node import __version__
from netra_node.cli import main
from netra_node.cli.dispatch import dispatch


class FakeCommand:
    """A command that returns its `--code`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def add_parser(self, subparsers: Any, /) -> None:
        parser = subparsers.add_parser(self.name, help=f"help of {self.name}")
        parser.add_argument("--code", type=int, default=0)

    def main(self, args: argparse.Namespace, /) -> int:
        sys.stdout.write(f"{self.name} was done\n")
        return int(args.code)


def run(*argv: str) -> int:
    return dispatch(list(argv), ("first", "second"), FakeCommand)


def test_a_command_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    run("second")

    assert capsys.readouterr().out == "second was done\n"


def test_its_exit_code_is_the_program_s() -> None:
    assert run("first", "--code", "1") == 1


def test_only_the_command_that_is_typed_is_imported() -> None:
    loaded: list[str] = []

    def load(name: str) -> FakeCommand:
        loaded.append(name)
        return FakeCommand(name)

    dispatch(["second"], ("first", "second"), load)

    assert loaded == ["second"]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code = run("--help")

    shown = capsys.readouterr().out
    assert code == 0
    assert "help of first" in shown
    assert "help of second" in shown


def test_no_command_is_a_usage_error_that_shows_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = run()

    assert code == 2
    assert "help of first" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["third"], ["--nonsense"], ["first", "--code", "x"]])
def test_anything_unknown_is_a_usage_error(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(*argv)

    assert code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    code = run("--version")

    assert code == 0
    assert capsys.readouterr().out == f"netra-node {__version__}\n"


def test_a_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["demo", "--help"])

    assert code == 0
    assert "--once" in capsys.readouterr().out


def test_a_reader_who_has_seen_enough_gets_no_traceback() -> None:
    program = (
        "import sys, time\n"
        "from netra_node.cli.dispatch import dispatch\n"
        "class Talker:\n"
        "    def add_parser(self, subparsers): subparsers.add_parser('talk')\n"
        "    def main(self, args):\n"
        "        for _ in range(100000): print('x' * 100)\n"
        "        return 0\n"
        "sys.exit(dispatch(['talk'], ['talk'], lambda name: Talker()))\n"
    )
    talker = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert talker.stdout is not None
    talker.stdout.read(10)
    talker.stdout.close()
    with talker:
        assert talker.stderr is not None
        complaint = talker.stderr.read()

    assert complaint == b""
    assert talker.returncode == 1


def test_a_locale_without_the_characters_is_no_failure() -> None:
    program = "from netra_node.cli import main; main(['demo', '--nonsense']); print('█')"
    shown = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    )

    assert shown.stdout == b"?\n"
