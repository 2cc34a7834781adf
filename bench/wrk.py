"""The load: what wrk is told, and what it says afterwards. Starts nothing by itself."""

import json
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).with_name("summary.lua")
_ERROR_KINDS = ("connect", "read", "write", "status", "timeout")


@dataclass(frozen=True, slots=True)
class Load:
    """A closed loop of `connections` clients asking for `path`, for `seconds`.

    wrk knows whole seconds only.
    """

    connections: int
    seconds: int
    path: str = "/"
    keep_alive: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What wrk counted. Latencies in microseconds; `errors` = non-2xx/3xx and socket errors."""

    requests: int
    received: int
    seconds: float
    p50: float
    p99: float
    errors: int


def command(load: Load, origin: str) -> list[str]:
    """Return the wrk command line that puts `load` on `origin` (`http://host:port`)."""
    close = [] if load.keep_alive else ["-H", "Connection: close"]
    return [
        *("wrk", "--threads", "1", "--connections", str(load.connections)),
        *("--duration", f"{load.seconds}s", "--timeout", "10s"),
        *("--script", str(_SCRIPT), *close, origin + load.path),
    ]


def parse(output: str) -> Outcome:
    """Read the line of JSON that summary.lua prints. Raises ValueError where it is missing."""
    line = next((line for line in output.splitlines() if line.startswith("{")), None)
    if line is None:
        message = f"wrk printed no summary: {output[-500:]!r}"
        raise ValueError(message)
    said = json.loads(line)
    return Outcome(
        requests=said["requests"],
        received=said["bytes"],
        seconds=said["microseconds"] / 1e6,
        p50=said["p50"],
        p99=said["p99"],
        errors=sum(said[kind] for kind in _ERROR_KINDS),
    )
