"""Runs the daemon as a child process and talks to its admin ports. For commands that bring their own daemon.

Belongs here: starting, asking, ending, and its last words. Does not belong here: what its answers mean.
"""

import contextlib
import ctypes
import functools
import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from netra_node.cli.daemon_client import Where, get

_LOOPBACK: Final = "127.0.0.1"
#: The daemon lets open exchanges end; more is a hang.
_END_SECONDS: Final = 10.0
_TAIL_LINES: Final = 20
#: Settings of the caller's shell belong to the caller's own daemon.
_PREFIXES: Final = ("NETRA_", "OTEL_", "JAEGER_")
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PORTS: Final = range(10_000, 65_536)
_GIVEN: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")

_libc: Final = ctypes.CDLL(None)


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens, for a process that is yet to be started.

    They are none of those that the kernel gives to whoever asks for any, unless it gives them all: else somebody may have one
    before that process has.
    """
    first, last = map(int, _GIVEN.read_text().split())
    candidates = [port for port in _PORTS if not first <= port <= last] or list(_PORTS)
    random.SystemRandom().shuffle(candidates)
    return list(itertools.islice(filter(_is_free, candidates), count))


def _is_free(port: int) -> bool:
    try:
        socket.create_server((_LOOPBACK, port)).close()
    except OSError:
        return False
    return True


class DaemonProcess:
    """The daemon for as long as the `with` block lasts, on ports that are free, with `settings` and no others."""

    def __init__(
        self,
        argv: Sequence[str],
        settings: Mapping[str, str],
        log: Path,
        environ: Mapping[str, str],
        end_seconds: float = _END_SECONDS,
    ) -> None:
        """`argv` starts it, `log` receives what it writes to stderr and stdout, `environ` is the caller's environment.

        `end_seconds` is how long it may take to end by itself.
        """
        self.metrics_port, self.debug_port = free_ports(2)
        self._argv = argv
        self._log = log
        self._end_seconds = end_seconds
        self._environ = {
            **{k: v for k, v in environ.items() if not k.startswith(_PREFIXES)},
            **settings,
            "NETRA_PROMETHEUS_PORT": str(self.metrics_port),
            "NETRA_PPROF_PORT": str(self.debug_port),
        }
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it, without waiting for anything. The kernel ends it with the thread that is here."""
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                list(self._argv),
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for us; we end it when its turn comes.
                start_new_session=True,
                preexec_fn=functools.partial(_end_with, os.getpid()),  # noqa: PLW1509 - one system call
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it as Kubernetes would: SIGTERM, and SIGKILL if that is not heeded."""
        child = self._child
        if child is None:
            return
        child.terminate()
        try:
            child.wait(self._end_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    @property
    def pid(self) -> int:
        """Its process id; 0 before it was started."""
        return self._child.pid if self._child else 0

    @property
    def exit_code(self) -> int | None:
        """How it ended (negative: by that signal); None while it runs."""
        return self._child.poll() if self._child else None

    def last_words(self) -> list[str]:
        """Return the last lines it wrote."""
        with contextlib.suppress(OSError):
            return self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return []

    def blockers(self) -> list[str]:
        """Return what /readyz still waits for; empty means ready."""
        status, body = _get(self.metrics_port, "/readyz")
        if status == HTTPStatus.OK:
            return []
        return body.decode(errors="replace").splitlines() or ["no answer on its metrics port"]

    def ask(self, path: str) -> Any:
        """Return the JSON document at `path` of the debug port, None while there is none."""
        status, body = _get(self.debug_port, path)
        return json.loads(body) if status == HTTPStatus.OK else None


def _get(port: int, path: str) -> tuple[int, bytes]:
    """Return status and body; status 0 means no answer."""
    try:
        return get(Where(_LOOPBACK, port), path)
    except (OSError, http.client.HTTPException):
        return 0, b""


def _end_with(parent: int) -> None:
    """Have the kernel end the daemon in order when we are killed. Runs between fork and exec."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        # It ended before the line above.
        os._exit(1)
