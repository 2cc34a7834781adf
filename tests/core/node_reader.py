"""Node's llhttp as a reader: a process that answers a line for a line. It knows the ends that httptools cannot be told of.

Belongs here: the process and what it says. Does not belong here: how it reads (`node_reader.js`).
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.core.readers import Asked, Message, Reading, stop_at

_SCRIPT = Path(__file__).with_suffix(".js")


class NodeReader:
    """A context manager: the process ends with it."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["node", str(_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)

    def read(self, client: bytes, server: bytes, asked: Sequence[Asked]) -> tuple[Reading, Reading]:
        """Return what it reads of both sides, the server's last byte followed by its FIN."""
        methods = [question.method.decode("latin-1") for question in asked]
        line = {"client": client.hex(), "server": server.hex(), "methods": methods}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        requests, answers = json.loads(self._process.stdout.readline())
        return _reading(requests, client), _reading(answers, server)


def _reading(said: dict[str, Any], stream: bytes) -> Reading:
    reading = Reading([Message(**message) for message in said["messages"]])
    if said["stop"]:
        stop_at(reading, said["stop"], stream, said["place"])
    return reading
