"""Finds the command that was typed and does it.

Belongs here: the list of commands, the help that spans them, exit codes. A command is a module of its own, named as it is
typed, with `add_parser`, which describes it, and `main`, which does it. Exit codes everywhere: 0 ok, 1 failed, 2 usage or
configuration.
"""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast

from netra_node import __version__

#: In the order in which a newcomer needs them.
COMMANDS = ("demo", "doctor", "config", "run", "status", "graph", "cleanup")

_FAILED, _USAGE = 1, 2

Subparsers = Any  # argparse's own type for it is private


class Command(Protocol):
    """What a command's module offers."""

    def add_parser(self, subparsers: Subparsers, /) -> None:
        """Add the command's parser, under the module's own name."""

    def main(self, args: argparse.Namespace, /) -> int:
        """Do it and return the exit code."""


def load(name: str) -> Command:
    """Import a command's module."""
    return cast("Command", importlib.import_module(f"netra_node.cli.{name}"))


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return its exit code."""
    _tolerate_any_locale()
    return dispatch(sys.argv[1:] if argv is None else argv, COMMANDS, load)


def dispatch(argv: list[str], commands: Sequence[str], load: Callable[[str], Command]) -> int:
    """Find the command that `argv` names, import it and do it."""
    # Only the command that is typed is imported: the daemon shall not carry the others in its memory.
    wanted = argv[:1] if argv and argv[0] in commands else commands
    modules = {name: load(name) for name in wanted}
    parser = _parser(modules.values())
    try:
        args = parser.parse_args(argv)
    except SystemExit as answered:  # argparse printed help, a version or what is wrong
        return int(answered.code or 0)
    if args.command is None:
        parser.print_help(sys.stderr)
        return _USAGE
    return _do(modules[args.command], args)


def _parser(modules: Iterable[Command]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="netra-node",
        description="Traces, metrics and header routing for every opted-in pod of a node, from one process.",
        epilog="`netra-node demo --once` shows what it does, on this machine, without a cluster. "
        "`netra-node COMMAND --help` tells more. Exit codes: 0 ok, 1 failed, 2 usage or configuration.",
    )
    parser.add_argument("--version", action="version", version=f"netra-node {__version__}")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for module in modules:
        module.add_parser(subparsers)
    return parser


def _tolerate_any_locale() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Where the locale lacks a character (bars, branches), a question mark is better than a traceback.
            stream.reconfigure(errors="replace")


def _do(command: Command, args: argparse.Namespace) -> int:
    try:
        code = command.main(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. Python would complain once more while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    return code
