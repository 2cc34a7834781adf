"""What a demo could leave behind: temporary files, namespaces, processes; all known by name or environment."""

import os
import uuid
from pathlib import Path

_MARK = "DEMO_UNDER_TEST"


class Leftovers:
    """To be asked after a demo that ran with `environ`; its temporary files go to `tmp`."""

    def __init__(self, tmp: Path) -> None:
        self._tmp = tmp
        self._mark = uuid.uuid4().hex
        self.environ = {**os.environ, "TMPDIR": str(tmp), _MARK: self._mark}

    def found(self) -> list[str]:
        namespaces = [str(path) for path in Path("/run/netns").glob("nt-demo-*")]
        files = [str(path) for path in self._tmp.iterdir()]
        return [*files, *self._processes(), *self._of_living_demos(namespaces)]

    def _processes(self) -> list[str]:
        wanted = f"{_MARK}={self._mark}".encode()
        return [
            path.parent.name
            for path in Path("/proc").glob("[0-9]*/environ")
            if wanted in _read(path)
        ]

    def _of_living_demos(self, namespaces: list[str]) -> list[str]:
        """Another demo may be running on this machine: its namespaces carry its own pid."""
        return [n for n in namespaces if not Path("/proc", n.split("-")[2]).exists()]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
