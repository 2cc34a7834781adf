"""The specification of `netra_node.settings.variables`."""

import re

import pytest

from netra_node.settings import variables
from netra_node.settings.variables import VARIABLES, Origin, Variable

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

#: The variables of netramesh 0.10 (netramesh.md §1.1, §1.3, §4.7): its default, and values that it took.
NETRAMESH = {
    "NETRA_SIDECAR_PORT": ("14956", ["1", "65535"]),
    "NETRA_SIDECAR_USER_ID": ("1337", ["0", "1337"]),
    "NETRA_SIDECAR_GROUP_ID": ("1337", ["0", "1337"]),
    "INBOUND_INTERCEPT_PORTS": ("*", ["80", "80,443", "80, 443", "8000:8010,9000"]),
    "OUTBOUND_INTERCEPT_PORTS": ("*", ["80", "80,443", "80, 443", "8000:8010,9000"]),
    "NETRA_INBOUND_PROBABILITY": ("1", ["0", "0.25", "1.0"]),
    "NETRA_OUTBOUND_PROBABILITY": ("1", ["0", "0.25", "1.0"]),
    "NETRA_LOGGER_LEVEL": ("info", ["debug", "INFO", "Warning", "warn", "error", "FATAL"]),
    "NETRA_PORT": ("14956", ["1", "65535"]),
    "NETRA_PPROF_PORT": ("14957", ["0", "65535"]),
    "NETRA_PROMETHEUS_PORT": ("14958", ["0", "65535"]),
    "NETRA_TRACING_CONTEXT_EXPIRATION_MILLISECONDS": ("5000", ["0", "-1", "+60000"]),
    "NETRA_HTTP_PORTS": ("", ["80", "80,8890,8891,8080", "0080"]),
    "NETRA_HTTP_REQUEST_ID_HEADER_NAME": ("X-Request-Id", ["x-request-id", "X-Correlation-ID"]),
    "NETRA_HTTP_X_SOURCE_HEADER_NAME": ("X-Source", ["x-source", "X-Caller"]),
    "NETRA_HTTP_X_SOURCE_VALUE": ("netra", ["shop.web", "two words"]),
    "HTTP_HEADER_TAG_MAP": ("", ["X-User:user,x-shop:shop", "a:b:c", "neither,a:b"]),
    "HTTP_COOKIE_TAG_MAP": ("", ["session:session", "a:b:c", "neither,a:b"]),
    "NETRA_HTTP_TRACING_IGNORED_PATHS": ("", ["/health,/metrics", "/a b"]),
    "NETRA_STATSD_ENABLED": ("false", ["true"]),
    "NETRA_STATSD_ADDRESS": ("", ["statsd:8125", "10.0.0.1:8125", "[::1]:8125", ":8125"]),
    "NETRA_STATSD_PREFIX": ("", ["shop", "shop.web.", "."]),
    "JAEGER_SERVICE_NAME": ("", ["shop.web", "web"]),
    "JAEGER_SAMPLER_TYPE": (
        "remote",
        ["const", "probabilistic", "ratelimiting", "remote", "Const", "REMOTE"],
    ),
    "JAEGER_SAMPLER_PARAM": ("0", ["1", "0.001", "2.5", "1e-3"]),
    "JAEGER_SAMPLER_MANAGER_HOST_PORT": (
        "http://localhost:5778/sampling",
        ["http://jaeger-agent:5778/sampling"],
    ),
    "JAEGER_SAMPLER_MAX_OPERATIONS": ("2000", ["1", "10000"]),
    "JAEGER_SAMPLER_REFRESH_INTERVAL": ("1m", ["30s", "1m30s", "500ms", "1.5h"]),
    "JAEGER_DISABLED": ("false", ["1", "t", "T", "TRUE", "true", "True", "0", "F", "False"]),
    "JAEGER_RPC_METRICS": ("false", ["true", "0"]),
    "JAEGER_AGENT_HOST": ("localhost", ["jaeger-agent", "10.0.0.1", "[::1]"]),
    "JAEGER_AGENT_PORT": ("6831", ["6831", "5775"]),
    "JAEGER_ENDPOINT": (
        "",
        ["http://c:14268/api/traces", "https://c/?format=jaeger.thrift", "http://u:p@c/api/traces"],
    ),
    "JAEGER_USER": ("", ["me"]),
    "JAEGER_PASSWORD": ("", ["p:w"]),
    "JAEGER_REPORTER_MAX_QUEUE_SIZE": ("100", ["100", "0", "-1"]),
    "JAEGER_REPORTER_FLUSH_INTERVAL": ("1s", ["1s", "250ms", "0"]),
    "JAEGER_REPORTER_LOG_SPANS": ("false", ["true", "F"]),
    "JAEGER_TAGS": ("", ["a=b", "a=b, c = d", "a=${X:}", "a=${X:y}"]),
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
