"""`netra-node doctor`: whether pods can be captured on this machine, and how to mend what stands in the way.

Belongs here: finding the facts and their order. Does not belong here: what the kernel is asked (`doctor_trial`), judging
(`doctor_checks`), layout (`doctor_report`).
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from netra_node.admin.listener import ListenError, open_listener
from netra_node.app import enrolment_policy, pod_source
from netra_node.cli import cluster_doctor
from netra_node.cli import doctor_checks as checks
from netra_node.cli.capabilities import missing_capabilities
from netra_node.cli.cluster_options import add_options, misused
from netra_node.cli.daemon_client import NoDaemonError, ask, where
from netra_node.cli.doctor_checks import Check
from netra_node.cli.doctor_report import document, passed, render_checks
from netra_node.cli.doctor_trial import Trial
from netra_node.cli.style import style_for
from netra_node.core.desired import DesiredPod, RefusedPod
from netra_node.discovery.enrolment import EnrolmentPolicy, decide_all
from netra_node.discovery.source import Entry, Source, SourceError
from netra_node.settings import variables as v
from netra_node.settings.environment import Environment
from netra_node.settings.exporting import (
    AgentSettings,
    ExporterSettings,
    JaegerSettings,
    OtlpSettings,
)
from netra_node.settings.formats import Endpoint
from netra_node.settings.model import Settings, SettingsError

_FAILED: Final = 1
_USAGE: Final = 2
_TRIAL_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 1.0
_NETNS: Final = Path("/run/netns")
#: Stands in where no source is set, so that everything else can be checked.
_NO_SOURCE: Final = {v.POD_SOURCE.name: "file:///dev/null"}


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="check whether pods can be captured here, and say how to mend what cannot",
        description="Tries on this kernel what the daemon will ask of it, in a network namespace of its own that ends with the "
        "trial, and looks at privileges, settings, ports, the pods file or the kubelet, and the collector. It changes nothing, and runs as an "
        "ordinary user too. Exit code 0: pods can be captured; 1: something that is needed is missing.",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one object: passed, and each check with what, verdict, found, why and mend",
    )
    add_options(
        parser,
        "check every node: the DaemonSet, its rights, kernels, kubelets, and what each node says",
    )


def main(args: argparse.Namespace) -> int:
    """Check everything and return the exit code."""
    if wrong := misused(args):
        print(f"netra-node: {wrong}", file=sys.stderr)
        return _USAGE
    return cluster_doctor.main(args) if args.cluster else _this_machine(args)


def _this_machine(args: argparse.Namespace) -> int:
    found = [*_machine(os.environ), *configuration(os.environ)]
    if args.json:
        print(json.dumps(document(found), indent=2))
    else:
        print("\n".join(render_checks(found, style_for(sys.stdout, os.environ))))
    return 0 if passed(found) else _FAILED


def _machine(environ: Mapping[str, str]) -> Iterator[Check]:
    # A bad value is told with the settings.
    trial = _try_kernel(Environment(environ).value(v.PROC))
    yield checks.kernel(platform.release())
    yield checks.capabilities(missing_capabilities(Path("/proc/self/status").read_text()))
    yield from checks.kernel_trial(trial)
    yield checks.user_namespaces(trial)
    names = sorted(entry.name for entry in _NETNS.iterdir()) if _NETNS.is_dir() else None
    yield checks.namespaces_directory(names, Path("/proc/self/mountinfo").read_text())
    yield checks.descriptors(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _try_kernel(proc: Path) -> Trial:
    """Run the trial in a process of its own; one that does not end well is a refusal."""
    argv = [sys.executable, "-m", "netra_node.cli.doctor_trial", str(proc)]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=_TRIAL_SECONDS, check=True
        )
        return Trial(**json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return Trial(namespace=f"the trial did not end within {_TRIAL_SECONDS:.0f} s")
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no word"])[-1]
        return Trial(namespace=f"the trial failed: {last}")
    except OSError as error:
        return Trial(namespace=f"the trial cannot be started: {error}")


def configuration(environ: Mapping[str, str]) -> Iterator[Check]:
    """Check the settings, and what they name: ports, the source of pods, the collector."""
    env = Environment(environ)
    has_source = env.is_set(v.POD_SOURCE) or env.in_cluster
    settings: Settings | None = None
    problems: list[str] = []
    try:
        settings = Settings.from_env({**environ, **({} if has_source else _NO_SOURCE)})
    except SettingsError as error:
        problems = [str(problem) for problem in error.problems]
    warnings = settings.warnings if settings is not None else ()
    yield checks.settings(problems, warnings, has_source=has_source)
    if settings is not None:
        yield from _ports(settings, environ)
        if has_source:
            yield from _pods(settings)
        yield from map(_exporter, settings.exporters)


def _ports(settings: Settings, environ: Mapping[str, str]) -> Iterator[Check]:
    pid, captured, address = _daemon(environ)
    ports = settings.ports
    yield checks.daemon(address, pid, captured)
    for variable, host, number in (
        (v.PROMETHEUS_PORT, None, ports.prometheus),
        (v.PPROF_PORT, ports.pprof_address, ports.pprof),
    ):
        yield checks.port(variable.name, number, _listening(host, number), pid)


def _daemon(environ: Mapping[str, str]) -> tuple[int, int, str]:
    """Return the pid of the daemon that runs (0: none), how many pods it captures, and where it was looked for."""
    try:
        at = where(environ)
    except SettingsError:
        return 0, 0, "any port: NETRA_PPROF_PORT=0"
    try:
        status = ask(at, "/status", _ANSWER_SECONDS)
        captured = sum(pod["state"] == "running" for pod in status["pods"])
        return int(status["pid"]), captured, str(at)
    except (NoDaemonError, KeyError, TypeError):
        return 0, 0, str(at)


def _listening(host: str | None, number: int) -> str:
    """Return why we could not listen there; empty: we could."""
    try:
        open_listener(host, number).close()
    except ListenError as error:
        return str(error)
    return ""


def _pods(settings: Settings) -> Iterator[Check]:
    policy = enrolment_policy(settings)
    problem, pods = _known_pods(settings, policy)
    wanted, refused = _decided(pods, policy)
    if isinstance(settings.pods.source, Path):
        yield checks.pods_file(problem, wanted, refused)
    else:
        yield checks.kubelet(problem, wanted, refused)
        yield checks.cni_results([str(p) for p in settings.pods.source.cni_results if p.is_dir()])


def _known_pods(settings: Settings, policy: EnrolmentPolicy) -> tuple[str, tuple[Entry, ...]]:
    """Return why the source of pods cannot be used (empty: it can), and what it knows."""
    try:
        source = pod_source(settings, policy)
        asyncio.run(_look_once(source))
    except SourceError as error:
        return str(error), ()
    return source.problem or "", source.pods


async def _look_once(source: Source) -> None:
    try:
        await source.look()
    finally:
        await source.stop()


def _decided(pods: Iterable[Entry], policy: EnrolmentPolicy) -> tuple[int, list[str]]:
    """Return how many pods would be captured, and why others that opted in would not."""
    decided = decide_all(pods, policy)
    refused = [
        f"{pod.namespace}/{pod.name}: {pod.reason}"
        for pod in decided
        if isinstance(pod, RefusedPod)
    ]
    return sum(isinstance(pod, DesiredPod) for pod in decided), refused


def _exporter(exporter: ExporterSettings) -> Check:
    match exporter:
        case OtlpSettings(endpoint):
            return _collector(endpoint, v.OTLP_ENDPOINT.name)
        case JaegerSettings(endpoint):
            return _collector(endpoint, v.JAEGER_ENDPOINT.name)
        case AgentSettings(host, port):
            return checks.agent(str(exporter), _unknown(host, port))
        case _:
            return checks.plugin(exporter.name)


def _collector(endpoint: Endpoint, variable: str) -> Check:
    address = f"{endpoint.host}:{endpoint.port}"
    try:
        socket.create_connection((endpoint.host, endpoint.port), _CONNECT_SECONDS).close()
    except OSError as error:
        return checks.collector(address, variable, (error.strerror or str(error)).lower())
    return checks.collector(address, variable, "")


def _unknown(host: str, port: int) -> str:
    """Return why a name has no address; empty: it has one. Nothing is sent, as an agent would take it for spans."""
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        return (getattr(error, "strerror", None) or str(error)).lower()
    return ""
