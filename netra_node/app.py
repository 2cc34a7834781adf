"""The composition root: builds every long-lived object of the daemon once, starts them, stops them in order.

Belongs here: who gets which part of the settings, who is joined to whom, the order of start and stop, the loop's own
timers. Does not belong here: anything that decides.
"""

import asyncio
import functools
import gc
import logging
import os
import random
import resource
import signal
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netra_node import __version__, netns
from netra_node.admin.listener import open_listener
from netra_node.admin.pages import Document, debug_server, public_server
from netra_node.admin.readiness import Readiness
from netra_node.admin.server import AdminServer
from netra_node.capacity import Descriptors, Told
from netra_node.core.desired import DesiredPod, RefusedPod
from netra_node.discovery.cni_cache import CniCache
from netra_node.discovery.enrolment import (
    Decisions,
    EnrolmentPolicy,
    may_be_captured,
    unknown_annotations,
)
from netra_node.discovery.file_source import FileSource
from netra_node.discovery.kubelet_api import Kubelet
from netra_node.discovery.kubelet_source import KubeletSource
from netra_node.discovery.namespaces import Namespaces
from netra_node.discovery.pod import Pod
from netra_node.discovery.source import Entry, Source
from netra_node.http_client import Target
from netra_node.interception.features import owner_flag
from netra_node.interception.slots import Slots
from netra_node.loop_lag import LoopLag
from netra_node.manager import Manager
from netra_node.pod_routes import PodRoutes
from netra_node.readings import PodReadings, http_limits
from netra_node.settings.exporting import (
    AgentSettings,
    ExporterSettings,
    JaegerSettings,
    OtlpSettings,
)
from netra_node.settings.formats import Endpoint
from netra_node.settings.model import Settings
from netra_node.telemetry.destinations import (
    Destination,
    JaegerAgent,
    JaegerCollector,
    OtlpCollector,
    SdkPlugin,
)
from netra_node.telemetry.families import Readings as ScrapeReadings
from netra_node.telemetry.hub import Telemetry, TelemetryOptions
from netra_node.telemetry.schemas import schema_for
from netra_node.watchdog import Watchdog
from netra_node.workload import Ground, Workload, rehearse

if TYPE_CHECKING:
    from netra_node.telemetry.strategies import Strategies

_log = logging.getLogger(__name__)

#: How often the pod source and the pods' namespaces are looked at, in seconds.
_LOOK: Final = 0.25
#: How long spans that wait may take to be sent at the end, in seconds.
_FLUSH: Final = 3.0
#: Seconds that a worker thread keeps the interpreter from the loop at a time; Python's own choice is ten times as long.
_SWITCH: Final = 0.0005
_FIRST_LIST: Final = "the first complete pod list"
_LAST_LIST: Final = "the last good list stays in force"
_NO_LIST: Final = "no pod is known until it can be used"
_FIRST_CAPTURE: Final = "the first round of capturing"


class App:
    """The daemon."""

    def __init__(
        self,
        settings: Settings,
        slots: Slots,
        watchdog: Watchdog | None = None,
        has_owner_flag: Callable[[], bool] = owner_flag,
    ) -> None:
        """Build everything; raises SourceError where the source of pods cannot be used. Needs no loop yet.

        `watchdog` ends the whole process; None where that has more to do than to run this. `has_owner_flag` tells whether
        this kernel's tables can have an owner.
        """
        self._settings = settings
        self._watchdog = watchdog
        policy = enrolment_policy(settings)
        self._decisions = Decisions(policy)
        self._source = pod_source(settings, policy, self._decisions.of)
        self._telemetry = Telemetry(
            _telemetry_options(settings),
            ScrapeReadings(
                pods=self._pod_counts,
                lease_age=self._lease_age,
                trace_contexts=self._contexts,
                trace_links=self._link_results,
                routes=self._route_results,
                route_failures=self._route_failures,
                suspensions=self._suspensions,
            ),
        )
        self._strategies = _strategies(settings)
        self._routes = None if settings.routing is None else PodRoutes(settings.routing)
        self._readings = PodReadings(
            settings.tracing, http_limits(settings), self._telemetry, self._strategies, self._routes
        )
        self._descriptor_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._descriptor_news = Told()
        self._descriptors = Descriptors(self._descriptor_limit, self._descriptors_changed)
        self._ground = _ground(settings, slots, self._descriptors, owner=_try_owner(has_owner_flag))
        self._manager = Manager(
            lambda pod, reading, unsettled: Workload(pod, self._ground, reading, unsettled),
            self._readings,
        )
        self._readiness = Readiness((_FIRST_LIST, _FIRST_CAPTURE))
        self._lag = LoopLag(self._telemetry.observe_loop_lag)
        self._stopping = asyncio.Event()
        self._reported: str | None = None
        #: What was told of each pod's annotations.
        self._mistyped: dict[str, tuple[str, ...]] = {}

    # ---- life

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises ListenError where an admin port is taken."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        _log.info("netra-node %s starts: pid %d", __version__, os.getpid())
        _log.info("at most %d file descriptors", self._descriptor_limit)
        await asyncio.to_thread(rehearse, self._ground, self._settings.pods.options)
        admin = await self._start_admin()
        self._telemetry.start()
        if self._strategies is not None:
            self._strategies.start()
        if self._source.listed:
            self._want()
        self._source.start(self._want)
        self._beat()
        self._look()
        self._lag.start()
        _keep_turns_short()
        await self._stopping.wait()
        await self._stop(admin)
        self._lag.stop()
        if self._watchdog is not None:
            self._watchdog.stop()

    async def _start_admin(self) -> list[AdminServer]:
        ports = self._settings.ports
        public = public_server(
            self._readiness, lambda openmetrics: self._telemetry.render(openmetrics=openmetrics)
        )
        debug = debug_server(
            {
                "/status": self.status,
                "/traces": lambda: dict(self._telemetry.traces()),
                "/graph": lambda: dict(self._telemetry.graph()),
                "/api/dependencies": lambda: dict(self._telemetry.dependencies()),
            },
            self._counts,
        )
        listeners = [
            open_listener(None, ports.prometheus),
            open_listener(ports.pprof_address, ports.pprof),
        ]
        servers = [public, debug]
        for server, listener in zip(servers, listeners, strict=True):
            await server.start(listener)
            _log.info("admin on %s port %d", *listener.getsockname()[:2])
        return servers

    async def _stop(self, admin: list[AdminServer]) -> None:
        _log.info("stopping: new connections of %d pods go direct", len(self._manager.pods()))
        await self._source.stop()
        await self._manager.stop(self._settings.drain_ms / 1000)
        if self._strategies is not None:
            await self._strategies.stop()
        await self._telemetry.stop(_FLUSH)
        for server in admin:
            await server.stop()
        _log.info("stopped")

    # ---- the loop's own timers

    def _beat(self) -> None:
        """Prolong every lease, and put off the watchdog."""
        period = min(self._settings.heartbeat_ms, self._settings.watchdog_ms)
        asyncio.get_running_loop().call_later(period / 3000, self._beat)
        if self._watchdog is not None:
            self._watchdog.beat()
        self._manager.beat()

    def _look(self) -> None:
        """Look for changes of namespaces, and take the steps that are due."""
        if self._stopping.is_set():
            return
        # first: an error below must not be the last look
        asyncio.get_running_loop().call_later(_LOOK, self._look)
        self._descriptors.look()
        self._manager.reconcile()
        self._readings.expire(time.monotonic_ns())
        if self._source.listed and self._manager.settled:
            self._readiness.clear(_FIRST_CAPTURE)

    def _descriptors_changed(self) -> None:
        self._manager.mind_descriptors()
        level, sentence = _about(self._descriptors)
        if self._descriptor_news.is_news(sentence):
            _log.log(level, sentence)

    def _want(self) -> None:
        """Take over what the source knows now."""
        if self._stopping.is_set():
            return
        self._report(self._source.problem)
        if not self._source.listed:
            return
        pods = self._source.pods
        self._warn_of_annotations(pods)
        decided = self._decisions.about(pods)
        self._manager.want(
            [pod for pod in decided if isinstance(pod, DesiredPod)],
            [pod for pod in decided if isinstance(pod, RefusedPod)],
        )
        self._readiness.clear(_FIRST_LIST)

    def _warn_of_annotations(self, pods: tuple[Entry, ...]) -> None:
        """Tell once of annotations that nothing reads: they are likely mistyped."""
        before, self._mistyped = self._mistyped, {}
        for pod in pods:
            sentences = unknown_annotations(pod) if isinstance(pod, Pod) else ()
            for sentence in sentences if sentences != before.get(pod.uid) else ():
                _log.warning("%s/%s: %s", pod.namespace, pod.name, sentence)
            if sentences:
                self._mistyped[pod.uid] = sentences

    def _report(self, problem: str | None) -> None:
        if problem is not None and problem != self._reported:
            _log.error("%s; %s", problem, _LAST_LIST if self._source.listed else _NO_LIST)
        elif problem is None and self._reported is not None:
            _log.info("%s can be used again", self._source.where)
        self._reported = problem

    # ---- what is shown; telemetry asks before there is a manager to ask

    def _pod_counts(self) -> dict[str, int]:
        return self._manager.counts()

    def _lease_age(self) -> float:
        return self._manager.lease_age

    def _counts(self) -> dict[str, int]:
        """Return what no task shows: connections are callbacks."""
        pods = self._manager.pods()
        return {
            "pods": len(pods),
            "open connections": sum(pod.connections for pod in pods),
            "trace contexts": self._contexts(),
        }

    def _contexts(self) -> int:
        return self._readings.contexts()

    def _link_results(self) -> dict[str, int]:
        return self._readings.link_results()

    def _route_results(self) -> dict[str, int]:
        return {} if self._routes is None else self._routes.results()

    def _route_failures(self) -> dict[str, int]:
        return {} if self._routes is None else self._routes.failures()

    def _routing(self) -> Document | None:
        """Return what routes requests, and what became of those that had a route; None: it is switched off."""
        routing = self._settings.routing
        if routing is None or self._routes is None:
            return None
        results, failures = self._routes.results(), self._routes.failures()
        return {"header": routing.header, "results": results, "failures": failures}

    def _suspensions(self) -> dict[str, int]:
        return self._ground.suspensions

    def status(self) -> Document:
        """Return what `/status` shows."""
        ports = self._settings.ports
        return {
            "version": __version__,
            "pid": os.getpid(),
            "table": self._ground.table,
            "heartbeat_milliseconds": self._settings.heartbeat_ms,
            "lease_age_seconds": round(self._manager.lease_age, 3),
            "ports": {"inbound": ports.inbound, "outbound": ports.outbound},
            "collector": _where_spans_go(self._settings.exporters),
            "sampler": str(self._settings.tracing.sampling),
            "routing": self._routing(),
            "source": {
                "path": self._source.where,
                "problem": self._source.problem,
            },
            "waiting_for": list(self._readiness.blockers),
            "totals": self._telemetry.totals(),
            "pods": [asdict(pod) for pod in self._manager.pods()],
        }


def _where_spans_go(exporters: Sequence[ExporterSettings]) -> str | None:
    """Return all places, without queries, which may hold tokens; None: spans stay in memory."""
    return ", ".join(map(str, exporters)) or None


def _about(descriptors: Descriptors) -> tuple[int, str]:
    """Return what the log is told, and how loudly."""
    if descriptors.exhausted:
        return logging.WARNING, "nothing is accepted until file descriptors are free again"
    if descriptors.scarce:
        return logging.WARNING, "new connections go direct: hardly any file descriptors are left"
    return logging.INFO, "there are file descriptors again"


def enrolment_policy(settings: Settings) -> EnrolmentPolicy:
    """Return how pods are decided about; for commands that look at pods as the daemon would, too."""
    pods = settings.pods
    return EnrolmentPolicy(
        opt_in=pods.opt_in,
        service_labels=pods.service_labels,
        service_template=pods.service_template,
        node_name=pods.node_name,
        own_uid=pods.own_uid,
        resource=pods.resource,
        options=pods.options,
    )


def pod_source(
    settings: Settings,
    policy: EnrolmentPolicy,
    digest: Callable[[Entry], object] = lambda _entry: None,
) -> Source:
    """Return where pods come from; for `digest` see `KubeletSource`. Raises SourceError where it cannot be used."""
    source = settings.pods.source
    if isinstance(source, Path):
        return FileSource(source)
    return KubeletSource(
        Kubelet(source.access),
        CniCache(source.cni_results),
        Namespaces(source.netns_directory, settings.proc),
        functools.partial(may_be_captured, policy=policy),
        digest,
    )


def _try_owner(has_owner_flag: Callable[[], bool]) -> bool:
    try:
        known = has_owner_flag()
    except OSError:
        # no privilege here or no nftables: each pod that cannot be captured will say so
        return True
    if not known:
        _log.warning(
            "this kernel (below 5.12) keeps our rules after a kill, until the heartbeat ends"
        )
    return known


def _ground(settings: Settings, slots: Slots, descriptors: Descriptors, *, owner: bool) -> Ground:
    return Ground(
        owner=owner,
        slots=slots,
        descriptors=descriptors,
        max_connections=settings.limits.connections,
        # every start has a table of its own, so that a predecessor's never collides
        table=f"netra-{random.SystemRandom().getrandbits(32):08x}",
        off_limits=netns.off_limits(),
        inbound_port=settings.ports.inbound,
        outbound_port=settings.ports.outbound,
        heartbeat_milliseconds=settings.heartbeat_ms,
        buffer=settings.limits.buffered,
        proc=settings.proc,
    )


def _telemetry_options(settings: Settings) -> TelemetryOptions:
    return TelemetryOptions(
        destinations=tuple(map(_destination, settings.exporters)),
        spans=settings.spans,
        statsd=settings.statsd,
    )


def _destination(exporter: ExporterSettings) -> Destination:
    limits = exporter.limits
    match exporter:
        case OtlpSettings(endpoint, headers, timeout_ms, gzip):
            return OtlpCollector(_target(endpoint), headers, timeout_ms / 1000, gzip, limits)
        case JaegerSettings(endpoint, credentials, tags):
            return JaegerCollector(_target(endpoint), credentials, tags, limits)
        case AgentSettings(host, port, interval, tags):
            return JaegerAgent(host, port, interval, tags, limits)
        case _:
            return SdkPlugin(exporter.name, limits)


def _target(endpoint: Endpoint) -> Target:
    tls = ssl.create_default_context() if endpoint.tls else None
    return Target(endpoint.host, endpoint.port, endpoint.target, tls)


def _strategies(settings: Settings) -> "Strategies | None":
    """Return what asks for sampling strategies; None: the sampler is not remote."""
    sampling = settings.tracing.sampling
    remote = sampling.remote
    if remote is None:
        return None
    # few need them
    from netra_node.core.remote_sampling import RemoteSampler  # noqa: PLC0415
    from netra_node.telemetry import strategies  # noqa: PLC0415

    server = strategies.StrategyServer(_target(remote.endpoint), f"netra-node/{__version__}")
    operation = strategies.operation_of(schema_for("otlp", settings.spans))
    make = functools.partial(
        RemoteSampler, initial=sampling.param, operation=operation, most=remote.operations
    )
    return strategies.Strategies(
        server.ask, server.authority, remote.interval_seconds, make, remote.operations
    )


def _keep_turns_short() -> None:
    """Let nothing hold the loop that is not its own work: the garbage collector, a worker thread.

    What was built at start is kept out of every later collection. What a connection leaves behind is freed without one (it has no
    cycles), so the old generations, 1 and 10 to 30 ms, need a look only for what pods leave behind that come and go.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 5, 1000)
    sys.setswitchinterval(_SWITCH)
