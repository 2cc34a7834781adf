"""Colour and emphasis for a terminal. Belongs here: escape sequences and when to use them, no layout."""

from collections.abc import Mapping
from typing import Protocol


class _Stream(Protocol):
    def isatty(self) -> bool: ...


class Style:
    """Wraps text in SGR sequences (ECMA-48 §8.3.117), or leaves it alone. Pad before painting: the sequences have a length."""

    def __init__(self, *, colour: bool) -> None:
        """`colour` False makes every method return its text unchanged."""
        self._colour = colour

    def bold(self, text: str) -> str:
        """Make a heading stand out."""
        return self._paint("1", text)

    def dim(self, text: str) -> str:
        """Put what helps reading, but is not the message, into the background."""
        return self._paint("2", text)

    def red(self, text: str) -> str:
        """Mark an error."""
        return self._paint("31", text)

    def cyan(self, text: str) -> str:
        """Mark what is measured."""
        return self._paint("36", text)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and text else text


PLAIN = Style(colour=False)


def style_for(stream: _Stream, environment: Mapping[str, str]) -> Style:
    """Colour only a terminal that has it, and whose owner did not refuse it (https://no-color.org)."""
    refused = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
    return Style(colour=stream.isatty() and not refused)
