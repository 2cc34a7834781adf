"""Which sampler the settings ask for: OpenTelemetry's names or Jaeger's, and where remote strategies come from.

Belongs here: what the variables of sampling mean together. Does not belong here: what a sampler does (`core.sampling`).
"""

from dataclasses import dataclass
from typing import Any, Final

from netra_node.settings import variables as v
from netra_node.settings.environment import Environment
from netra_node.settings.formats import Endpoint

OFF: Final = "always_off"
#: Whose strategies a server tells; all others are names of `core.sampling`.
REMOTE: Final = "remote"
#: What JAEGER_SAMPLER_PARAM may be at most, by type; at least it is 0 but for const, which asks whether it is 0.
_MOST: Final = {"const": float("inf"), "probabilistic": 1, "ratelimiting": 1e9, REMOTE: 1}
_OF_REMOTE_ALONE: Final = (
    v.JAEGER_SAMPLING_ENDPOINT,
    v.JAEGER_SAMPLER_MANAGER,
    v.JAEGER_SAMPLER_MAX_OPERATIONS,
    v.JAEGER_SAMPLER_REFRESH_INTERVAL,
)


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Whom the sampler `remote` asks, and how often."""

    endpoint: Endpoint
    interval_seconds: float
    operations: int


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """The sampler by its name, of OTEL_TRACES_SAMPLER or JAEGER_SAMPLER_TYPE, and its one parameter."""

    name: str
    param: float
    #: Of the sampler `remote`, whose `param` counts until a strategy is known.
    remote: RemoteSettings | None = None

    def __str__(self) -> str:
        """Return it for a person; endpoints without queries, which may hold tokens."""
        if self.remote is not None:
            return f"{self.name}, by {self.remote.endpoint}; {self.param:g} until that answers"
        has_param = self.name.endswith("traceidratio") or self.name in _MOST
        return f"{self.name} {self.param:g}" if has_param else self.name


def sampling(env: Environment) -> SamplingSettings:
    """Read all of it, so that a problem is told also where it is not in force. What is set decides (`design.md` §5)."""
    ours, jaegers = _opentelemetrys(env), _jaegers(env)
    if jaegers is None:
        return ours
    if env.is_set(v.OTEL_TRACES_SAMPLER):
        names = f"{v.OTEL_TRACES_SAMPLER.name} and {v.JAEGER_SAMPLER_TYPE.name}"
        env.complain(names, " are both set; one of them names the sampler")
    return jaegers


def _opentelemetrys(env: Environment) -> SamplingSettings:
    found = SamplingSettings(env.value(v.OTEL_TRACES_SAMPLER), env.value(v.OTEL_TRACES_SAMPLER_ARG))
    if env.is_set(v.OTEL_TRACES_SAMPLER_ARG) and not found.name.endswith("traceidratio"):
        env.warnings.append(f"{v.OTEL_TRACES_SAMPLER_ARG.name} means nothing to {found.name}")
    return found


def _jaegers(env: Environment) -> SamplingSettings | None:
    name, remote = env.optional(v.JAEGER_SAMPLER_TYPE), _remote(env)
    param = env.value(v.JAEGER_SAMPLER_PARAM)
    if name != REMOTE:
        _warn_of_no_effect(env, _OF_REMOTE_ALONE, f"{v.JAEGER_SAMPLER_TYPE.name}={REMOTE}")
    if name is None:
        _warn_of_no_effect(env, (v.JAEGER_SAMPLER_PARAM,), v.JAEGER_SAMPLER_TYPE.name)
        return None
    _check_param(env, name, param)
    return SamplingSettings(name, param, remote if name == REMOTE else None)


def _warn_of_no_effect(
    env: Environment, variables: tuple[v.Variable[Any], ...], without: str
) -> None:
    env.warnings += [
        f"{variable.name} means nothing without {without}"
        for variable in variables
        if env.is_set(variable)
    ]


def _check_param(env: Environment, name: str, param: float) -> None:
    least = float("-inf") if name == "const" else 0
    if not least <= param <= _MOST[name]:
        env.complain(
            v.JAEGER_SAMPLER_PARAM.name,
            f"={param:g} is out of range for {v.JAEGER_SAMPLER_TYPE.name}={name}; "
            f"it takes a number, 0..{_MOST[name]:g}",
        )
    if name != REMOTE and not env.is_set(v.JAEGER_SAMPLER_PARAM):
        env.warnings.append(
            f"{v.JAEGER_SAMPLER_PARAM.name} is not set: it is 0, and {name} samples next to nothing"
        )


def _remote(env: Environment) -> RemoteSettings:
    older = env.optional(v.JAEGER_SAMPLER_MANAGER)
    agents = Endpoint(tls=False, host=env.value(v.JAEGER_AGENT_HOST), port=5778, target="/sampling")
    return RemoteSettings(
        endpoint=env.optional(v.JAEGER_SAMPLING_ENDPOINT) or older or agents,
        interval_seconds=env.value(v.JAEGER_SAMPLER_REFRESH_INTERVAL),
        operations=env.value(v.JAEGER_SAMPLER_MAX_OPERATIONS),
    )
