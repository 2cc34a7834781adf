"""`netra-node demo`: three services in three network namespaces, traced by one process they know nothing of.

Belongs here: the order of events and what is said about them. Does not belong here: scenery (`demo_stage`), the daemon's
process (`daemon_process`), layout of trees and tables.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, TextIO

from netra_node import rootless
from netra_node.cli.capabilities import missing_capabilities
from netra_node.cli.daemon_process import DaemonProcess
from netra_node.cli.demo_stage import (
    ORDINARY,
    ROLES,
    STORIES,
    Client,
    Story,
    build,
    pods_file,
    serving,
)
from netra_node.cli.edges_table import render_edges
from netra_node.cli.interruption import Interrupted, Interruption
from netra_node.cli.style import Style, style_for
from netra_node.cli.trace_tree import group_traces, render_traces
from netra_node.telemetry.graph import GraphEdge
from netra_node.telemetry.memory import ShownSpan
from netra_node.testbed import Testbed

#: The product on this machine, as `netra-node run` starts it.
DAEMON = (sys.executable, "-m", "netra_node", "run")

_START_SECONDS = 15.0
_BETWEEN_REQUESTS_SECONDS = 1.0
_MAX_WIDTH = 100
_FAILED = 1


class DemoError(Exception):
    """The demo cannot go on; the message says why, for a person."""


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "demo",
        help="show it at work: three services, four requests, their traces",
        description="Makes three pods out of network namespaces on this machine, with an HTTP service in each "
        "(web calls orders, orders calls stock), starts the daemon, sends four requests from a client "
        "nobody knows, and prints the traces as trees and the calls as a table. Then it runs on with "
        "light traffic until it is interrupted. It touches nothing outside namespaces of its own and "
        "removes everything at the end. Without root it runs in a user namespace, where the kernel "
        "allows that.",
    )
    parser.add_argument("--once", action="store_true", help="end after printing")
    parser.add_argument(
        "--json",
        action="store_true",
        help='print one object, {"spans": [...], "edges": [...]}, and nothing else on stdout',
    )


def main(args: argparse.Namespace) -> int:
    """Show the demo; 0 when it went as told, 1 when not, 128 + signal when interrupted before its end."""
    demo = Demo(DAEMON, once=args.once, as_json=args.json, out=sys.stdout, progress=sys.stderr)
    try:
        demo.gain_privileges(Path("/proc/self/status").read_text(), rootless.enter)
        demo.run()
    except DemoError as error:
        print(f"netra-node demo: {error}", file=sys.stderr)
        return _FAILED
    except Interrupted as interrupted:
        print("netra-node demo: interrupted, everything is removed", file=sys.stderr)
        return interrupted.exit_code
    return 0


class Demo:
    """One showing."""

    def __init__(
        self,
        daemon: Sequence[str],
        *,
        once: bool,
        as_json: bool,
        out: TextIO,
        progress: TextIO,
        stop: Interruption | None = None,
    ) -> None:
        """`daemon` is the command line that starts it; results go to `out`, everything else to `progress`.

        `stop` waits for whatever takes its time, and hears whoever wants to stop it.
        """
        self._argv = daemon
        self._once = once
        self._as_json = as_json
        self._out = out
        self._progress = progress
        self._style = style_for(out, os.environ)
        self._stop = stop or Interruption()
        self._rootless = False

    def gain_privileges(self, process_status: str, enter: Callable[[], None]) -> None:
        """Call `enter`, which is `rootless.enter`, if the process whose /proc status this is may not make namespaces.

        Raises DemoError where that does not help.
        """
        missing = missing_capabilities(process_status)
        if not missing:
            return
        try:
            enter()
        except rootless.RootlessError as error:
            message = (
                "needs to make network namespaces, as root or in a user namespace\n"
                f"  not as root: this process lacks {' and '.join(missing)}; try `sudo netra-node demo`\n"
                f"  not in a user namespace: {error}"
            )
            raise DemoError(message) from error
        self._rootless = True
        self._say("not root: going on inside a user namespace")

    def run(self) -> None:
        """Show everything and remove everything. Raises DemoError, or Interrupted before the demo's end."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._stop)
            place = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="netra-node-demo-"))
            )
            bed = self._build(stack, place)
            daemon = self._start_daemon(stack, bed, place)
            client = stack.enter_context(contextlib.closing(Client(bed)))
            self._send(client, STORIES)
            self._report(daemon)
            if not self._once:
                self._run_on(daemon, client)

    def _build(self, stack: contextlib.ExitStack, place: Path) -> Testbed:
        self._say("making pods web, orders and stock, and a client: four network namespaces")
        try:
            bed = stack.enter_context(Testbed("demo"))
            self._stop.check()
            build(bed, place)
        except OSError as error:
            message = f"the kernel refuses to make a network namespace: {error}"
            raise DemoError(message) from error
        self._say("starting an HTTP service in each pod; none knows of tracing")
        if not self._stop.wait_until(lambda: serving(bed), _START_SECONDS):
            logs = [(place / f"{role.name}.log").read_text() for role in ROLES]
            message = "a service did not start\n" + "".join(logs)
            raise DemoError(message)
        return bed

    def _start_daemon(
        self, stack: contextlib.ExitStack, bed: Testbed, place: Path
    ) -> DaemonProcess:
        pods = place / "pods.json"
        pods.write_text(json.dumps(pods_file(bed.pods), indent=2))
        settings = {"NETRA_POD_SOURCE": f"file://{pods}"}
        self._stop.check()
        began = time.monotonic()
        daemon = stack.enter_context(
            DaemonProcess(self._argv, settings, place / "daemon.log", os.environ)
        )
        self._say(f"starting netra-node: one process for all three pods, pid {daemon.pid}")
        self._wait(daemon, daemon.blockers)
        self._wait(daemon, lambda: _uncaptured(daemon))
        self._say(f"all three pods captured {time.monotonic() - began:.1f} s later")
        return daemon

    def _wait(self, daemon: DaemonProcess, missing: Callable[[], list[str]]) -> None:
        """Wait until nothing is `missing`. Raises DemoError naming it when it takes too long, or the daemon ends."""
        if not self._stop.wait_until(lambda: _over(daemon) or not missing(), _START_SECONDS):
            message = (
                f"netra-node is not there after {_START_SECONDS:.0f} s: {', '.join(missing())}"
            )
            raise DemoError(_with_last_words(message, daemon))
        _check(daemon)

    def _send(self, client: Client, stories: Sequence[Story]) -> None:
        self._say(f"sending {len(stories)} requests: client > web > orders > stock")
        for story in stories:
            self._stop.check()
            status = client.status_of(story.path)
            if status != story.status:
                message = f"GET {story.path} was answered with {status}, not with {story.status}"
                raise DemoError(message)

    def _report(self, daemon: DaemonProcess) -> None:
        spans, edges = self._collect(daemon)
        if self._as_json:
            print(json.dumps({"spans": spans, "edges": edges}), file=self._out, flush=True)
        else:
            width = min(_MAX_WIDTH, shutil.get_terminal_size((_MAX_WIDTH, 24)).columns)
            lines = report(spans, edges, self._style, width)
            print("\n".join(["", *lines, ""]), file=self._out, flush=True)
        expected = sum(story.spans for story in STORIES)
        if len(spans) != expected:
            message = f"{expected} spans were expected, {len(spans)} came"
            raise DemoError(_with_last_words(message, daemon))

    def _collect(self, daemon: DaemonProcess) -> tuple[list[ShownSpan], list[GraphEdge]]:
        expected = sum(story.spans for story in STORIES)
        spans: list[ShownSpan] = []

        def complete() -> bool:
            spans[:] = (daemon.ask("/traces") or {"spans": []})["spans"]
            return len(spans) >= expected or _over(daemon)

        self._stop.wait_until(complete, _START_SECONDS)
        _check(daemon)
        return spans, daemon.ask("/graph")["edges"]

    def _run_on(self, daemon: DaemonProcess, client: Client) -> None:
        for line in _where_to_look(daemon, inside=self._rootless):
            print(line, file=self._progress, flush=True)
        with contextlib.suppress(Interrupted):  # the way to end it
            for path in cycle(ORDINARY):
                _check(daemon)
                client.status_of(path)
                self._stop.pause(_BETWEEN_REQUESTS_SECONDS)

    def _say(self, text: str) -> None:
        self._stop.check()
        print(f"· {text}", file=self._progress, flush=True)


def _uncaptured(daemon: DaemonProcess) -> list[str]:
    """Say of each service's pod that is not captured how it stands."""
    pods = {pod["name"]: pod for pod in (daemon.ask("/status") or {"pods": []})["pods"]}
    unknown: dict[str, str] = {"state": "unknown"}
    states = {role.name: pods.get(role.name, unknown) for role in ROLES}
    return [
        f"pod {name} is {pod['state']} {pod.get('reason', '')}".rstrip()
        for name, pod in states.items()
        if pod["state"] != "running"
    ]


def _over(daemon: DaemonProcess) -> bool:
    return daemon.exit_code is not None


def _check(daemon: DaemonProcess) -> None:
    if _over(daemon):
        message = f"netra-node run ended (exit code {daemon.exit_code})"
        raise DemoError(_with_last_words(message, daemon))


def _with_last_words(message: str, daemon: DaemonProcess) -> str:
    words = [f"  {line}" for line in daemon.last_words()]
    return "\n".join([f"{message}; its last words:", *words]) if words else message


def report(
    spans: Sequence[ShownSpan], edges: Sequence[GraphEdge], style: Style, width: int
) -> list[str]:
    """Return all that is printed for a person."""
    traces = group_traces(spans)
    captions = [story.caption for story in STORIES] + ["One more"] * len(traces)
    return [
        *render_traces(list(zip(captions, traces, strict=False)), style, width),
        "",
        *(f"   {line}" for line in render_edges(edges, style)),
        "",
        "What happened: the services were not changed, restarted or told anything. One netra-node process",
        "entered their network namespaces, relayed their connections and linked the calls by X-Request-Id.",
        "The client is nobody it knows, so it shows as `external`.",
    ]


def _where_to_look(daemon: DaemonProcess, *, inside: bool) -> list[str]:
    """Return what to type; `inside` a user namespace the ports are on a loopback of its own."""
    debug, metrics = f"http://127.0.0.1:{daemon.debug_port}", daemon.metrics_port
    way_in = f"  nsenter --preserve-credentials --user --net --target {daemon.pid}"
    return [
        "A request a second goes on until Ctrl-C. Look at it meanwhile:",
        *([f"{way_in}    first: a shell inside"] if inside else []),
        f"  curl -s {debug}/traces                    the last spans",
        f"  curl -s {debug}/graph                     who calls whom",
        f"  curl -s {debug}/status                    pods and connections",
        f"  curl -s http://127.0.0.1:{metrics}/metrics | grep _requests_total",
    ]
