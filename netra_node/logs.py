"""How the daemon's log looks: one line per event, as text for people or as JSON for machines.

Belongs here: formats, level names, and that a line stays a line. Does not belong here: what is logged (each module says what
happened in its part), when (`settings` has the level). What may never be logged, no module hands over: tokens, cookies,
queries, header values.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

#: netramesh's names, as its users grep for them.
_NAMES: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "fatal",
}
#: A message longer than this is cut: names and reasons come from files that others write.
MAX_MESSAGE: Final = 2000
#: C0, DEL and C1 controls, and the two separators that some viewers break lines at.
_CONTROLS: Final = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - fits two digits
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
}


class TextFormatter(logging.Formatter):
    """`2026-11-20T14:05:56.123Z info    captured shop/web as web`; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or the lines of an error of our own."""
        line = f"{_time(record)} {_level(record):<7} {_message(record)}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One object on one line: `time` (RFC 3339, UTC), `level`, `message`, `module`, and `stack` with an error of our own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        event = {
            "time": _time(record),
            "level": _level(record),
            "message": _message(record),
            "module": record.name,
        }
        if record.exc_info:
            event["stack"] = self.formatException(record.exc_info)
        return json.dumps(event)


def configure(level: int, style: str, stream: TextIO = sys.stderr) -> None:
    """Have everything from `level` on written to `stream`, in the style `text` or `json`. Replaces what was configured before."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def _level(record: logging.LogRecord) -> str:
    return _NAMES.get(record.levelno, record.levelname.lower())


def _message(record: logging.LogRecord) -> str:
    """Return the message in one line: a name with a line end in it must not be able to write a line of its own."""
    text = record.getMessage()
    if len(text) > MAX_MESSAGE:
        text = f"{text[:MAX_MESSAGE]}..."
    return text.translate(_CONTROLS)
