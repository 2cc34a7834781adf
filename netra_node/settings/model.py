"""The settings as the parts that the app hands out. Belongs here: what variables mean together, and who gets what.

Does not belong here: formats (`formats`), names and defaults (`variables`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from netra_node.core.desired import InboundMode, PodOptions
from netra_node.discovery.kubelet_api import KubeletAccess
from netra_node.discovery.service_name import ServiceTemplate
from netra_node.settings import variables as v
from netra_node.settings.environment import Environment, Problem
from netra_node.settings.exporting import ExporterSettings, exporters
from netra_node.settings.formats import PathRules, TagMap
from netra_node.settings.routing import RoutingSettings, routing
from netra_node.settings.sampling import OFF, SamplingSettings, sampling
from netra_node.settings.variables import Variable
from netra_node.telemetry.plugins import installed_exporters
from netra_node.telemetry.schemas import KEYS, SpanOptions
from netra_node.telemetry.statsd import StatsdServer

T = TypeVar("T")

#: OpenTelemetry's way of naming one service; here every pod is one.
_SERVICE_NAME = "service.name"


class SettingsError(Exception):
    """Settings that cannot be used; `problems` are all of them, the message has one per line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Keep the list."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class KubeletSettings:
    """How the kubelet is asked, and where its pods' namespaces are."""

    access: KubeletAccess
    cni_results: tuple[Path, ...]
    netns_directory: Path


@dataclass(frozen=True, slots=True)
class PodSettings:
    """Which pods, and what they are called."""

    #: A file, or the kubelet.
    source: Path | KubeletSettings
    opt_in: tuple[str, str]
    service_labels: tuple[str, ...]
    service_template: ServiceTemplate | None
    node_name: str
    own_uid: str
    #: Attributes of every pod's resource, weaker than what discovery finds.
    resource: tuple[tuple[str, str], ...]
    #: How pods are captured that say nothing about it.
    options: PodOptions


@dataclass(frozen=True, slots=True)
class PortSettings:
    """Where we listen: two ports inside each pod, two on the node (0 = any free one)."""

    outbound: int
    inbound: int
    prometheus: int
    pprof: int
    pprof_address: str


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """What traces are made of. No propagators: trace headers pass untouched."""

    propagators: tuple[str, ...]
    sampling: SamplingSettings
    #: Of the ids of new traces.
    trace_id_bits: int
    request_id_header: str
    x_source_header: str
    #: None: the pod's service name.
    x_source_value: str | None
    x_source_force: bool
    ignored_paths: PathRules
    ignored_patterns: tuple[re.Pattern[str], ...]
    #: Headers and cookies with the tags they become.
    header_tags: tuple[tuple[str, str], ...]
    cookie_tags: tuple[tuple[str, str], ...]
    #: None: never.
    context_expiration_ms: int | None


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one connection, and one pod, may cost."""

    head: int
    headers: int
    pipelined: int
    #: For each connection and each way.
    buffered: int
    #: For each pod.
    connections: int


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the operator decided. Read by `cli` and `app`, which hand each component its part."""

    pods: PodSettings
    ports: PortSettings
    tracing: TracingSettings
    #: None: no request is routed.
    routing: RoutingSettings | None
    limits: LimitSettings
    spans: SpanOptions
    #: None of them: spans stay in memory.
    exporters: tuple[ExporterSettings, ...]
    #: None: StatsD is told nothing.
    statsd: StatsdServer | None
    #: Where the node's /proc is.
    proc: Path
    heartbeat_ms: int
    watchdog_ms: int
    drain_ms: int
    log_level: int
    #: `text` or `json`.
    log_format: str
    #: What is odd and not wrong, in words for the log.
    warnings: tuple[str, ...]

    @classmethod
    def from_env(
        cls,
        mapping: Mapping[str, str],
        installed: Callable[[], tuple[str, ...]] = installed_exporters,
    ) -> "Settings":
        """Read `mapping`, usually `os.environ`. Raises SettingsError with every problem there is.

        `installed` tells the names of exporters that the OpenTelemetry SDK would find.
        """
        env = Environment(mapping)
        settings = cls(
            pods=_pods(env),
            ports=_ports(env),
            tracing=_tracing(env),
            routing=routing(env),
            limits=_limits(env),
            spans=_spans(env),
            exporters=_exporters(env, installed),
            statsd=_statsd(env),
            proc=env.value(v.PROC),
            heartbeat_ms=env.value(v.HEARTBEAT),
            watchdog_ms=env.value(v.WATCHDOG),
            drain_ms=env.value(v.DRAIN),
            log_level=env.value(v.LOGGER_LEVEL),
            log_format=env.value(v.LOGGER_FORMAT),
            warnings=(),
        )
        env.warn_of_unknown(v.VARIABLES)
        if env.problems:
            raise SettingsError(tuple(env.problems))
        return replace(settings, warnings=tuple(env.warnings))


def _pods(env: Environment) -> PodSettings:
    template = env.optional(v.SERVICE_NAME)
    if template is not None and template.is_constant:
        env.warnings.append(f"{v.SERVICE_NAME.name} has no {{field}}: all pods are one service")
    return PodSettings(
        source=_pod_source(env),
        opt_in=env.value(v.OPT_IN_LABEL),
        service_labels=env.value(v.SERVICE_NAME_LABELS),
        service_template=template,
        node_name=env.optional(v.NODE_NAME) or "",
        own_uid=env.optional(v.POD_UID) or "",
        resource=_resource(env),
        options=_options(env),
    )


def _pod_source(env: Environment) -> Path | KubeletSettings:
    # read all of it, so that a problem is told also where pods come from a file
    kubelet = _kubelet(env)
    source = env.optional(v.POD_SOURCE)
    if isinstance(source, Path):
        return source
    if not env.is_set(v.POD_SOURCE) and not env.in_cluster:
        env.complain(v.POD_SOURCE.name, f" is not set; it takes {v.POD_SOURCE.format.takes}")
    return kubelet


def _kubelet(env: Environment) -> KubeletSettings:
    url = env.value(v.KUBELET_URL)
    access = KubeletAccess(
        host=url.host,
        port=url.port,
        secure=url.tls,
        authorities=env.optional(v.KUBELET_CA),
        insecure=env.value(v.KUBELET_INSECURE),
        token=env.value(v.KUBELET_TOKEN_FILE),
    )
    if access.secure and access.verifies and access.authorities is None:
        env.complain(
            v.KUBELET_URL.name,
            f"={access.url!r} is another host, which could be anybody; "
            f"it takes {v.KUBELET_CA.name}, or {v.KUBELET_INSECURE.name}=true",
        )
    return KubeletSettings(
        access=access,
        cni_results=env.value(v.CNI_RESULTS),
        netns_directory=env.value(v.NETNS_DIRECTORY),
    )


def _options(env: Environment) -> PodOptions:
    return PodOptions(
        http_ports=env.optional(v.HTTP_PORTS),
        inbound_ports=env.value(v.INBOUND_PORTS),
        outbound_ports=env.value(v.OUTBOUND_PORTS),
        inbound_probability=env.value(v.INBOUND_PROBABILITY),
        outbound_probability=env.value(v.OUTBOUND_PROBABILITY),
        inbound_mode=InboundMode(env.value(v.INBOUND_MODE)),
        exempt_user=env.optional(v.EXEMPT_USER),
        exempt_group=env.optional(v.EXEMPT_GROUP),
    )


def _resource(env: Environment) -> tuple[tuple[str, str], ...]:
    attributes = env.optional(v.OTEL_RESOURCE_ATTRIBUTES) or ()
    if _SERVICE_NAME in dict(attributes):
        env.warnings.append(
            f"{_SERVICE_NAME} in {v.OTEL_RESOURCE_ATTRIBUTES.name} is ignored: every pod has its own; "
            f"{v.SERVICE_NAME.name} is the template for all"
        )
    return tuple(pair for pair in attributes if pair[0] != _SERVICE_NAME)


def _ports(env: Environment) -> PortSettings:
    ports = PortSettings(
        outbound=env.value(v.PORT),
        inbound=env.value(v.INBOUND_PORT),
        prometheus=env.value(v.PROMETHEUS_PORT),
        pprof=env.value(v.PPROF_PORT),
        pprof_address=env.value(v.PPROF_ADDRESS),
    )
    if ports.outbound == ports.inbound:
        _complain_of_sharing(env, v.PORT, v.INBOUND_PORT, ports.inbound)
    if ports.prometheus == ports.pprof != 0:
        _complain_of_sharing(env, v.PROMETHEUS_PORT, v.PPROF_PORT, ports.pprof)
    if not ip_address(ports.pprof_address).is_loopback:
        env.warnings.append(
            f"{v.PPROF_ADDRESS.name}={ports.pprof_address} shows status and traces to the network"
        )
    return ports


def _complain_of_sharing(env: Environment, a: Variable[int], b: Variable[int], port: int) -> None:
    env.complain(f"{a.name} and {b.name}", f" are both {port}; they take two different ports")


def _tracing(env: Environment) -> TracingSettings:
    expiration = env.value(v.CONTEXT_EXPIRATION)
    propagators, sampler = _propagators(env), sampling(env)
    if _is_disabled(env):
        propagators, sampler = (), SamplingSettings(OFF, 0)
    tracing = TracingSettings(
        propagators=propagators,
        sampling=sampler,
        trace_id_bits=128 if env.value(v.JAEGER_TRACEID_128BIT) else 64,
        request_id_header=env.value(v.REQUEST_ID_HEADER),
        x_source_header=env.value(v.X_SOURCE_HEADER),
        x_source_value=env.optional(v.X_SOURCE_VALUE),
        x_source_force=env.value(v.X_SOURCE_FORCE),
        ignored_paths=env.optional(v.IGNORED_PATHS) or PathRules(),
        ignored_patterns=env.optional(v.IGNORED_PATTERNS) or (),
        header_tags=_tags(env, v.HEADER_TAGS),
        cookie_tags=_tags(env, v.COOKIE_TAGS),
        context_expiration_ms=expiration if expiration > 0 else None,
    )
    if tracing.request_id_header.lower() == tracing.x_source_header.lower():
        names = f"{v.REQUEST_ID_HEADER.name} and {v.X_SOURCE_HEADER.name}"
        env.complain(names, f" are both {tracing.x_source_header!r}; they take two different names")
    if env.value(v.JAEGER_RPC_METRICS):
        env.warnings.append(f"{v.JAEGER_RPC_METRICS.name} has no effect: requests are counted")
    return tracing


def _tags(env: Environment, variable: Variable[TagMap]) -> tuple[tuple[str, str], ...]:
    mapped = env.optional(variable)
    if mapped is None:
        return ()
    pairs = tuple((name, tag) for name, tag in mapped.pairs if tag not in KEYS)
    skipped = [*mapped.skipped]
    skipped += (f"{tag!r} is a tag of every span" for _, tag in mapped.pairs if tag in KEYS)
    env.warnings += (f"{variable.name}: {why}; it is skipped" for why in skipped)
    return pairs


def _is_disabled(env: Environment) -> bool:
    """Tell whether either of the two names of this says so; both are checked."""
    return any([env.value(v.OTEL_SDK_DISABLED), env.value(v.JAEGER_DISABLED)])


def _propagators(env: Environment) -> tuple[str, ...]:
    names = env.value(v.OTEL_PROPAGATORS)
    _check_none_is_alone(env, v.OTEL_PROPAGATORS, names)
    return tuple(name for name in names if name in v.PROPAGATORS)


def _check_none_is_alone(
    env: Environment, variable: Variable[tuple[str, ...]], names: tuple[str, ...]
) -> None:
    if "none" in names and len(names) > 1:
        env.complain(variable.name, f"={','.join(names)!r} says none and more; it takes none alone")


def _limits(env: Environment) -> LimitSettings:
    return LimitSettings(
        head=env.value(v.MAX_HEAD_BYTES),
        headers=env.value(v.MAX_HEADERS),
        pipelined=env.value(v.MAX_PIPELINED),
        buffered=env.value(v.MAX_BUFFERED_BYTES),
        connections=env.value(v.MAX_CONNECTIONS),
    )


def _spans(env: Environment) -> SpanOptions:
    return SpanOptions(
        schema=env.optional(v.SPAN_SCHEMA),
        path_templates=env.optional(v.PATH_TEMPLATES) or (),
        path_collapse=env.optional(v.PATH_COLLAPSE),
    )


def _exporters(
    env: Environment, installed: Callable[[], tuple[str, ...]]
) -> tuple[ExporterSettings, ...]:
    names = env.optional(v.OTEL_TRACES_EXPORTER)
    if names is not None:
        _check_none_is_alone(env, v.OTEL_TRACES_EXPORTER, names)
    found = exporters(env, installed)
    return () if _is_disabled(env) else found


def _statsd(env: Environment) -> StatsdServer | None:
    """Read all of it, so that a problem is told also where nothing is sent."""
    address = env.optional(v.STATSD_ADDRESS)
    prefix = env.optional(v.STATSD_PREFIX) or ""
    if not env.value(v.STATSD_ENABLED):
        return None
    if not env.is_set(v.STATSD_ADDRESS):
        env.complain(
            v.STATSD_ADDRESS.name,
            f" is not set, and {v.STATSD_ENABLED.name} is; it takes {v.STATSD_ADDRESS.format.takes}",
        )
    return None if address is None else StatsdServer(*address, prefix)
