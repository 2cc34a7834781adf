"""The real daemon, in a process of its own, with what tests ask it and measure of it.

Belongs here: starting, waiting until pods are captured, its answers as values, what /proc says about it.
"""

import os
import re
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from netra_node.cli.daemon_process import DaemonProcess

T = TypeVar("T")

#: Ten times what start-up may take, for a machine that is busy with something else.
PATIENCE = 20.0
_SAMPLE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_MISHAP = re.compile("Traceback|Error|Exception|Warning|never awaited|internal")
#: For a daemon that many tests share: a machine that stands still for a second costs no capture, and what one of them leaves open
#: does not hold up the end.
UNDISTURBED: Final = {
    "NETRA_HEARTBEAT_MILLISECONDS": "10000",
    "NETRA_DRAIN_MILLISECONDS": "200",
}
RUN = (sys.executable, "-m", "netra_node", "run")


def until(look: Callable[[], T], patience: float = PATIENCE) -> T:
    """What `look` returns as soon as it is true; its last answer at the end of patience, for the test to fail on."""
    end = time.monotonic() + patience
    while True:
        seen = look()
        if seen or time.monotonic() > end:
            return seen
        time.sleep(0.01)


class Daemon(DaemonProcess):
    """`netra-node run` on a pods file."""

    def __init__(
        self,
        pods_file: Path,
        directory: Path,
        argv: tuple[str, ...] = RUN,
        **settings: str,
    ) -> None:
        self.log = directory / f"daemon-{time.monotonic_ns()}.log"
        self.started = time.monotonic()
        super().__init__(
            argv, {"NETRA_POD_SOURCE": f"file://{pods_file}", **settings}, self.log, os.environ
        )

    # ---- pods

    def pod(self, name: str) -> dict[str, Any]:
        """One pod of /status; empty when it is not known."""
        return next((pod for pod in self.status()["pods"] if pod["name"] == name), {})

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("/status") or {"pods": [], "source": {}}
        return found

    def state(self, name: str) -> str:
        return str(self.pod(name).get("state", ""))

    def wait_for(self, *names: str, state: str = "running", patience: float = PATIENCE) -> float:
        """Wait until the pods are in `state` ("": not known); the seconds since the daemon was started."""
        reached = until(lambda: all(self.state(name) == state for name in names), patience)
        assert reached, (self.status(), self.last_words())
        return time.monotonic() - self.started

    # ---- what it says it saw

    def traces(self) -> list[dict[str, Any]]:
        return list((self.ask("/traces") or {"spans": []})["spans"])

    def metrics(self) -> list[tuple[str, Mapping[str, str], float]]:
        """Every sample: name, labels, value."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        found = (_SAMPLE.fullmatch(line) for line in lines if not line.startswith("#"))
        return [
            (m["name"], dict(_LABEL.findall(m["labels"] or "")), float(m["value"]))
            for m in found
            if m is not None
        ]

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric over the samples that have these labels."""
        return sum(
            value
            for found, has, value in self.metrics()
            if found == name and labels.items() <= has.items()
        )

    def opaque(self) -> Counter[str]:
        """How many connections became opaque, by reason."""
        name = "netra_opaque_connections_total"
        return Counter({has["reason"]: int(v) for n, has, v in self.metrics() if n == name and v})

    def requests(self) -> Counter[str]:
        """How many exchanges ended, by outcome."""
        found: Counter[str] = Counter()
        for name, labels, value in self.metrics():
            if name == "netra_http_requests_total":
                found[labels["outcome"]] += int(value)
        return found

    def mishaps(self) -> list[str]:
        """Lines of its log that tell of an error of its own."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if _MISHAP.search(line)]

    # ---- what /proc says

    def pss(self) -> float:
        """Proportional set size in MiB. The daemon has no children."""
        return self._rolled_up("Pss")

    def own_memory(self) -> float:
        """What nobody shares with it, in MiB: its PSS grows when others end that map the same files, this does not."""
        return self._rolled_up("Anonymous")

    def _rolled_up(self, name: str) -> float:
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        match = re.search(rf"^{name}: +(\d+) kB", rollup, re.MULTILINE)
        assert match is not None
        return int(match[1]) / 1024

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    # ---- endings

    def kill(self) -> float:
        """End it without a chance to say anything; the moment it was done, by time.monotonic()."""
        os.kill(self.pid, signal.SIGKILL)
        return time.monotonic()

    def ask_to_stop(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def terminate(self, patience: float = PATIENCE) -> float:
        """SIGTERM, and wait; the seconds it took. Fails when the exit code is not 0."""
        began = time.monotonic()
        self.ask_to_stop()
        until(lambda: self.exit_code is not None, patience)
        assert self.exit_code == 0, self.last_words()
        return time.monotonic() - began
