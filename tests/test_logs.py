"""The log as a reader sees it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from netra_node import logs

MOMENT = 1_763_647_556.123


def record(
    message: str = "captured %s", *arguments: object, level: int = logging.INFO
) -> logging.LogRecord:
    made = logging.LogRecord("netra_node.manager", level, "", 0, message, arguments, None)
    made.created = MOMENT
    return made


def failing() -> logging.LogRecord:
    made = record("internal error", level=logging.ERROR)
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        made.exc_info = (ZeroDivisionError, error, error.__traceback__)
    return made


def as_text(made: logging.LogRecord) -> str:
    return logs.TextFormatter().format(made)


def as_json(made: logging.LogRecord) -> dict[str, str]:
    line = logs.JsonFormatter().format(made)
    assert "\n" not in line
    found: dict[str, str] = json.loads(line)
    return found


def test_a_line_of_text_has_time_level_and_message() -> None:
    assert as_text(record("captured %s", "shop/web")) == (
        "2025-11-20T14:05:56.123Z info    captured shop/web"
    )


def test_a_line_of_json_has_the_same_and_the_module() -> None:
    assert as_json(record("captured %s", "shop/web")) == {
        "time": "2025-11-20T14:05:56.123Z",
        "level": "info",
        "message": "captured shop/web",
        "module": "netra_node.manager",
    }


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (logging.WARNING, "warning"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "fatal"),
    ],
)
def test_levels_have_netrameshs_names(level: int, name: str) -> None:
    assert as_json(record("x", level=level))["level"] == name


@pytest.mark.parametrize("control", ["\n", "\r", "\x1b", "\x00", "\x7f", "\x85", "\u2028"])
def test_no_name_can_begin_a_line_of_its_own(control: str) -> None:
    line = as_text(record("captured %s", f"web{control}2025 info all is well"))

    assert control not in line
    assert len(line.splitlines()) == 1


def test_an_escaped_control_can_still_be_read() -> None:
    assert as_json(record("captured %s", "a\nb"))["message"] == r"captured a\x0ab"


def test_letters_of_every_language_stay_as_they_are() -> None:
    assert as_text(record("captured %s", "größe")).endswith("captured größe")


def test_a_message_without_end_is_cut() -> None:
    message = as_json(record("x" * 5000))["message"]

    assert message == "x" * logs.MAX_MESSAGE + "..."


def test_an_error_of_our_own_brings_its_traceback_in_text() -> None:
    first, *rest = as_text(failing()).splitlines()

    assert first == "2025-11-20T14:05:56.123Z error   internal error"
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == "ZeroDivisionError: division by zero"


def test_an_error_of_our_own_brings_its_traceback_in_json_on_the_same_line() -> None:
    assert as_json(failing())["stack"].endswith("ZeroDivisionError: division by zero")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield root
    root.handlers = handlers
    root.setLevel(level)


def test_configured_everything_from_the_level_on_is_written(root: logging.Logger) -> None:
    out = io.StringIO()
    logs.configure(logging.WARNING, "text", out)
    root.info("not this")
    root.warning("this")

    assert out.getvalue().split(" ", 1)[1] == "warning this\n"


def test_configured_for_json_each_line_is_an_object(root: logging.Logger) -> None:
    out = io.StringIO()
    logs.configure(logging.INFO, "json", out)
    root.info("one")
    root.info("two")

    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == ["one", "two"]


def test_configured_again_it_is_not_written_twice(root: logging.Logger) -> None:
    out = io.StringIO()
    logs.configure(logging.INFO, "text", out)
    logs.configure(logging.INFO, "text", out)
    root.info("once")

    assert len(out.getvalue().splitlines()) == 1
