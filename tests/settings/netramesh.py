"""Every variable of netramesh 0.10, for tests and for the pages that speak of them: netramesh.md §1.1, §1.3 and §4.7.

Belongs here: facts about netramesh. Does not belong here: what becomes of them (`netra_node.settings.variables`).
"""

from typing import Final

#: Its default, and values that it took.
NETRAMESH: Final[dict[str, tuple[str, list[str]]]] = {
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
    "NETRA_TRACING_CONTEXT_CLEANUP_INTERVAL": ("1000", ["0", "-1", "+60000"]),
    "NETRA_ROUTING_CONTEXT_EXPIRATION_MILLISECONDS": ("5000", ["0", "-1", "+60000"]),
    "NETRA_ROUTING_CONTEXT_CLEANUP_INTERVAL": ("1000", ["0", "-1", "+60000"]),
    "NETRA_HTTP_PORTS": ("", ["80", "80,8890,8891,8080", "0080"]),
    "NETRA_HTTP_REQUEST_ID_HEADER_NAME": ("X-Request-Id", ["x-request-id", "X-Correlation-ID"]),
    "NETRA_HTTP_X_SOURCE_HEADER_NAME": ("X-Source", ["x-source", "X-Caller"]),
    "NETRA_HTTP_X_SOURCE_VALUE": ("netra", ["shop.web", "two words"]),
    "HTTP_HEADER_TAG_MAP": ("", ["X-User:user,x-shop:shop", "a:b:c", "neither,a:b"]),
    "HTTP_COOKIE_TAG_MAP": ("", ["session:session", "a:b:c", "neither,a:b"]),
    "NETRA_HTTP_TRACING_IGNORED_PATHS": ("", ["/health,/metrics", "/a b"]),
    "NETRA_HTTP_ROUTING_ENABLED": ("false", ["true"]),
    "NETRA_HTTP_ROUTING_HEADER_NAME": ("X-Route", ["x-route", "X-Path"]),
    "NETRA_HTTP_ROUTING_COOKIE_ENABLED": ("false", ["true"]),
    "NETRA_HTTP_ROUTING_COOKIE_NAME": ("X-Route", ["route"]),
    "NETRA_STATSD_ENABLED": ("false", ["true"]),
    "NETRA_STATSD_ADDRESS": ("", ["statsd:8125", "10.0.0.1:8125", "[::1]:8125", ":8125"]),
    "NETRA_STATSD_PREFIX": ("", ["shop", "shop.web.", "."]),
    "JAEGER_SERVICE_NAME": ("", ["shop.web", "web"]),
    "JAEGER_AGENT_HOST": ("localhost", ["jaeger-agent", "10.0.0.1", "[::1]"]),
    "JAEGER_AGENT_PORT": ("6831", ["6831", "5775"]),
    "JAEGER_ENDPOINT": (
        "",
        [
            "http://jaeger:14268/api/traces?format=jaeger.thrift",
            "http://c:14268/api/traces",
            "https://c/?format=jaeger.thrift",
            "http://u:p@c/api/traces",
        ],
    ),
    "JAEGER_USER": ("", ["user", "me"]),
    "JAEGER_PASSWORD": ("", ["pass word", "p:w"]),
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
    "JAEGER_REPORTER_MAX_QUEUE_SIZE": ("100", ["1", "10000", "100", "0", "-1"]),
    "JAEGER_REPORTER_FLUSH_INTERVAL": ("1s", ["500ms", "1.5s", "1m", "1s", "250ms", "0"]),
    "JAEGER_REPORTER_LOG_SPANS": ("false", ["1", "t", "T", "TRUE", "true", "True", "F"]),
    "JAEGER_TAGS": (
        "",
        ["a=b, c = d", "node=${NODE_NAME:none}", "a=b=c", "a=b", "a=${X:}", "a=${X:y}"],
    ),
    "JAEGER_DISABLED": ("false", ["1", "t", "T", "TRUE", "true", "True", "0", "F", "False"]),
    "JAEGER_RPC_METRICS": ("false", ["true", "0"]),
}
