"""Where the settings send spans: OpenTelemetry's variables, Jaeger's, or both.

Belongs here: what the variables of export mean together. Does not belong here: formats (`formats`), sending (`telemetry`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from netra_node.core.addresses import authority
from netra_node.settings import formats
from netra_node.settings import variables as v
from netra_node.settings.environment import Environment
from netra_node.settings.formats import Endpoint, Reference
from netra_node.settings.variables import Variable
from netra_node.telemetry.export import ExportLimits

T = TypeVar("T")

OTLP: Final = "otlp"
JAEGER: Final = "jaeger"
NONE: Final = "none"

_OTLP_ENDPOINTS: Final = (v.OTLP_ENDPOINT, v.OTLP_TRACES_ENDPOINT)
_AGENT: Final = (v.JAEGER_AGENT_HOST, v.JAEGER_AGENT_PORT)
_JAEGER_ENDPOINTS: Final = (v.JAEGER_ENDPOINT, *_AGENT)
_CREDENTIALS: Final = (v.JAEGER_USER, v.JAEGER_PASSWORD)
_OF_JAEGER: Final = (
    v.JAEGER_REPORTER_MAX_QUEUE_SIZE,
    v.JAEGER_REPORTER_FLUSH_INTERVAL,
    v.JAEGER_TAGS,
)


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """OTLP over HTTP."""

    endpoint: Endpoint
    #: May hold secrets, so they are not part of what is printed.
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    timeout_ms: int
    gzip: bool
    limits: ExportLimits

    def __str__(self) -> str:
        """Return where to, without secrets."""
        return str(self.endpoint)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Jaeger's agent, by UDP. `interval` in seconds is the time between two looks at its name; None: one look is enough."""

    host: str
    port: int
    interval: float | None
    tags: tuple[tuple[str, str], ...]
    limits: ExportLimits

    def __str__(self) -> str:
        """Return where to."""
        return f"udp://{authority(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class JaegerSettings:
    """Jaeger's collector, by HTTP."""

    endpoint: Endpoint
    #: User and password.
    credentials: tuple[str, str] | None = field(repr=False)
    tags: tuple[tuple[str, str], ...]
    limits: ExportLimits

    def __str__(self) -> str:
        """Return where to, without secrets."""
        return str(self.endpoint)


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """An exporter of the OpenTelemetry SDK, by its entry point."""

    name: str
    limits: ExportLimits

    def __str__(self) -> str:
        """Return what it is."""
        return f"SDK exporter {self.name}"


ExporterSettings = OtlpSettings | AgentSettings | JaegerSettings | PluginSettings


def exporters(
    env: Environment, installed: Callable[[], tuple[str, ...]]
) -> tuple[ExporterSettings, ...]:
    """Read all of it, so that a problem is told also where it is not in force. What is set decides (`design.md` §5).

    `installed` tells the names of SDK exporters; it is asked only where one is wanted.
    """
    limits = _limits(env)
    known: dict[str, ExporterSettings] = {OTLP: _otlp(env, limits), JAEGER: _jaeger(env, limits)}
    names = _names(env)
    _check_installed(env, [name for name in names if name not in {*known, NONE}], installed)
    if JAEGER not in names:
        idle = (v.JAEGER_ENDPOINT, *_idle_agent(env), *_OF_JAEGER)
        _warn(env, idle, f"means nothing without exporter {JAEGER}")
    return tuple(known.get(name) or PluginSettings(name, limits) for name in names if name != NONE)


def _names(env: Environment) -> tuple[str, ...]:
    names = env.optional(v.OTEL_TRACES_EXPORTER)
    if names is not None:
        return names
    otlp = [variable.name for variable in _OTLP_ENDPOINTS if env.is_set(variable)]
    jaeger = [variable.name for variable in _JAEGER_ENDPOINTS if env.is_set(variable)]
    if otlp and jaeger:
        env.complain(
            f"{otlp[0]} and {jaeger[0]}",
            f" are both set; {v.OTEL_TRACES_EXPORTER.name} says which counts, or {OTLP},{JAEGER}",
        )
    return (*([OTLP] if otlp else []), *([JAEGER] if jaeger else []))


def _check_installed(
    env: Environment, names: list[str], installed: Callable[[], tuple[str, ...]]
) -> None:
    there = installed() if names else ()
    for name in names:
        if name not in there:
            env.complain(
                v.OTEL_TRACES_EXPORTER.name,
                f"={name!r}: no such exporter is installed; it takes {OTLP}, {JAEGER}, {NONE}, "
                f"{', '.join(there)}",
            )


def _limits(env: Environment) -> ExportLimits:
    limits = ExportLimits(
        queue=env.value(v.BSP_MAX_QUEUE_SIZE),
        batch=env.value(v.BSP_MAX_EXPORT_BATCH_SIZE),
        delay=env.value(v.BSP_SCHEDULE_DELAY) / 1000,
    )
    if limits.batch > limits.queue:
        names = f"{v.BSP_MAX_EXPORT_BATCH_SIZE.name} and {v.BSP_MAX_QUEUE_SIZE.name}"
        env.complain(names, f" are {limits.batch} and {limits.queue}; a batch fits the queue")
    return limits


def _otlp(env: Environment, limits: ExportLimits) -> OtlpSettings:
    for variable in (v.OTLP_PROTOCOL, v.OTLP_TRACES_PROTOCOL):
        env.optional(variable)
    base = env.value(v.OTLP_ENDPOINT)
    return OtlpSettings(
        endpoint=env.optional(v.OTLP_TRACES_ENDPOINT) or base,
        headers=_either(env, v.OTLP_TRACES_HEADERS, v.OTLP_HEADERS) or (),
        timeout_ms=_either(env, v.OTLP_TRACES_TIMEOUT, v.OTLP_TIMEOUT) or env.value(v.OTLP_TIMEOUT),
        gzip=_either(env, v.OTLP_TRACES_COMPRESSION, v.OTLP_COMPRESSION) == "gzip",
        limits=limits,
    )


def _either(env: Environment, special: Variable[T], general: Variable[T]) -> T | None:
    """Return the value of the variable for traces, else that for all signals; both are checked."""
    values = (env.optional(special), env.optional(general))
    return next((value for value in values if value is not None), None)


def _jaeger(env: Environment, limits: ExportLimits) -> AgentSettings | JaegerSettings:
    endpoint, credentials = env.optional(v.JAEGER_ENDPOINT), _credentials(env)
    agent = AgentSettings(
        host=env.value(v.JAEGER_AGENT_HOST),
        port=env.value(v.JAEGER_AGENT_PORT),
        interval=_reconnecting(env),
        tags=_tags(env),
        limits=_jaeger_limits(env, limits),
    )
    if env.value(v.JAEGER_REPORTER_LOG_SPANS):
        env.warnings.append(f"{v.JAEGER_REPORTER_LOG_SPANS.name} has no effect: spans are sent")
    if endpoint is None:
        _warn(env, _CREDENTIALS, f"means nothing without {v.JAEGER_ENDPOINT.name}")
        return agent
    _warn(env, _idle_agent(env), f"means nothing beside {v.JAEGER_ENDPOINT.name}")
    return JaegerSettings(endpoint[0], credentials or endpoint[1], agent.tags, agent.limits)


def _idle_agent(env: Environment) -> tuple[Variable[Any], ...]:
    """Return what means nothing where spans do not go to the agent: it tells the sampler `remote` its strategies, too."""
    is_asked = env.optional(v.JAEGER_SAMPLER_TYPE) == "remote"
    return (v.JAEGER_AGENT_PORT,) if is_asked else _AGENT


def _credentials(env: Environment) -> tuple[str, str] | None:
    user, password = (env.optional(variable) for variable in _CREDENTIALS)
    if user is not None and password is not None:
        return user, password
    if (user, password) != (None, None) and not all(map(env.is_set, _CREDENTIALS)):
        names = " and ".join(variable.name for variable in _CREDENTIALS)
        env.complain(names, ": one of them is set; they take both or neither")
    return None


def _reconnecting(env: Environment) -> float | None:
    interval = env.value(v.JAEGER_RECONNECT_INTERVAL)
    return None if env.value(v.JAEGER_RECONNECTING_DISABLED) else interval


def _jaeger_limits(env: Environment, limits: ExportLimits) -> ExportLimits:
    """Jaeger's own variables win over OpenTelemetry's, as one may want both exporters."""
    queue = env.optional(v.JAEGER_REPORTER_MAX_QUEUE_SIZE) or limits.queue
    delay = env.optional(v.JAEGER_REPORTER_FLUSH_INTERVAL) or limits.delay
    return ExportLimits(queue=queue, batch=min(limits.batch, queue), delay=delay)


def _tags(env: Environment) -> tuple[tuple[str, str], ...]:
    tags = env.optional(v.JAEGER_TAGS) or ()
    return tuple((key, _expanded(env, value)) for key, value in tags)


def _expanded(env: Environment, value: str | Reference) -> str:
    if isinstance(value, str):
        return value
    try:
        return formats.text(env.text(value.name) or value.default)
    except ValueError as error:
        env.complain(v.JAEGER_TAGS.name, f": what is in {value.name} {error}")
        return ""


def _warn(env: Environment, variables: tuple[Variable[Any], ...], why: str) -> None:
    env.warnings += [f"{one.name} {why}" for one in variables if env.is_set(one)]
