"""Colour, where there is a terminal that wants it."""

import pytest

from netra_node.cli.style import PLAIN, Style, style_for


class FakeStream:
    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_a_terminal_gets_colour() -> None:
    assert style_for(FakeStream(terminal=True), {}).red("x") == "\x1b[31mx\x1b[0m"


def test_a_pipe_gets_none() -> None:
    assert style_for(FakeStream(terminal=False), {}).red("x") == "x"


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_refuses_colour_gets_none(environment: dict[str, str]) -> None:
    assert style_for(FakeStream(terminal=True), environment).bold("x") == "x"


def test_an_empty_no_color_refuses_nothing() -> None:
    assert style_for(FakeStream(terminal=True), {"NO_COLOR": ""}).dim("x") == "\x1b[2mx\x1b[0m"


def test_nothing_is_painted_where_there_is_no_text() -> None:
    assert Style(colour=True).cyan("") == ""


def test_plain_leaves_text_alone() -> None:
    assert PLAIN.bold("x") == "x"
