"""The specification of `netra_node.settings.variables`."""

import re

import pytest

from netra_node.settings import variables
from netra_node.settings.variables import VARIABLES, Origin, Variable
from tests.settings.netramesh import NETRAMESH

#: netramesh.md §1 and design.md §7, as far as this version reads them.
NAMES_AND_DEFAULTS = {
    "NETRA_PORT": "14956",
    "NETRA_INBOUND_PORT": "14955",
    "NETRA_PPROF_PORT": "14957",
    "NETRA_PPROF_ADDRESS": "127.0.0.1",
    "NETRA_PROMETHEUS_PORT": "14958",
    "NETRA_HEARTBEAT_MILLISECONDS": "1000",
    "NETRA_WATCHDOG_MILLISECONDS": "10000",
    "NETRA_OPT_IN_LABEL": "netra.io/enabled=true",
    "NETRA_SERVICE_NAME_LABELS": "app.kubernetes.io/name,app",
    "NETRA_LOGGER_LEVEL": "info",
    "INBOUND_INTERCEPT_PORTS": "*",
    "OUTBOUND_INTERCEPT_PORTS": "*",
    "NETRA_INBOUND_PROBABILITY": "1",
    "NETRA_OUTBOUND_PROBABILITY": "1",
    "NETRA_SIDECAR_USER_ID": "",
    "NETRA_SIDECAR_GROUP_ID": "",
    "NETRA_INBOUND_MODE": "tproxy",
    "NETRA_LOGGER_FORMAT": "text",
    "NETRA_TRACING_CONTEXT_EXPIRATION_MILLISECONDS": "5000",
    "NETRA_HTTP_PORTS": "",
    "NETRA_HTTP_REQUEST_ID_HEADER_NAME": "X-Request-Id",
    "NETRA_HTTP_X_SOURCE_HEADER_NAME": "X-Source",
    "NETRA_HTTP_X_SOURCE_VALUE": "",
    "NETRA_HTTP_TRACING_IGNORED_PATHS": "",
    "OTEL_PROPAGATORS": "tracecontext,jaeger",
    "OTEL_TRACES_SAMPLER": "parentbased_always_on",
}

#: Those whose default is another here: each says so (`difference`).
OTHER_DEFAULTS = {
    "JAEGER_REPORTER_FLUSH_INTERVAL",
    "JAEGER_REPORTER_MAX_QUEUE_SIZE",
    "JAEGER_SAMPLER_MANAGER_HOST_PORT",
    "JAEGER_SAMPLER_TYPE",
    "NETRA_SIDECAR_USER_ID",
    "NETRA_SIDECAR_GROUP_ID",
    "NETRA_HTTP_X_SOURCE_VALUE",
}


def by_name(name: str) -> Variable[object]:
    return next(variable for variable in VARIABLES if name in {variable.name, variable.alias})


@pytest.mark.parametrize("name", NETRAMESH)
def test_a_variable_of_netramesh_is_known_with_its_default_or_says_what_is_otherwise(
    name: str,
) -> None:
    variable = by_name(name)

    assert (variable.default != NETRAMESH[name][0]) is (name in OTHER_DEFAULTS)
    assert variable.difference or name not in OTHER_DEFAULTS


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in NETRAMESH for value in NETRAMESH[name][1]]
)
def test_a_variable_of_netramesh_takes_what_netramesh_took(name: str, value: str) -> None:
    assert by_name(name).format.read(value) is not None


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda v: v.name)
def test_differences_are_told_of_variables_that_somebody_knows(
    variable: Variable[object],
) -> None:
    assert not variable.difference or variable.origin in {Origin.NETRAMESH, Origin.JAEGER}


@pytest.mark.parametrize(("name", "default"), NAMES_AND_DEFAULTS.items())
def test_a_variable_has_the_name_and_default_that_users_know(name: str, default: str) -> None:
    assert {variable.name: variable.default for variable in VARIABLES}[name] == default


def test_the_table_holds_every_variable_once() -> None:
    names = [variable.name for variable in VARIABLES]

    assert (
        len(names)
        == len(set(names))
        == sum(isinstance(value, Variable) for value in vars(variables).values())
    )


@pytest.mark.parametrize("variable", [v for v in VARIABLES if v.default], ids=lambda v: v.name)
def test_a_default_is_written_in_its_own_format(variable: Variable[object]) -> None:
    assert variable.format.read(variable.default) is not None


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda v: v.name)
def test_a_variable_says_what_it_is_for(variable: Variable[object]) -> None:
    assert re.fullmatch(r"[A-Z].*\.", variable.meaning)
    assert variable.format.takes


def test_only_headers_and_credentials_are_secret() -> None:
    assert {variable.name for variable in VARIABLES if variable.secret} == {
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "JAEGER_USER",
        "JAEGER_PASSWORD",
    }


@pytest.mark.parametrize("name", ["debug", "INFO", "warn", "Warning", "error", "fatal"])
def test_log_levels_are_netrameshs_names_in_any_case(name: str) -> None:
    assert variables.LOGGER_LEVEL.format.read(name) == variables.LEVELS[name.lower()]
