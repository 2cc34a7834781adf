"""The peer: two Envoy sidecars, one in each pod, doing the same work as one netra-node.

REDIRECT on both ways, the `original_dst` listener filter, an ORIGINAL_DST cluster, and a span of
every request on either side, sent as OTLP over HTTP. One worker each, as sidecars are run.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.topology import Place, Topology
from bench.waiting import wait_until

BINARY = Path(__file__).with_name(".venv") / "bin" / "envoy"
_OUTBOUND, _INBOUND = 15001, 15006
# Its own connections are known by their group, so that they are not captured again.
_GROUP = 15000
# Five seconds as shipped, which the bench would wait for after every load. The batch of 5 spans is
# left as shipped: 512 cost the same CPU here, and twice the p99.
_FLUSH_MILLISECONDS = 500

_RULES = f"""
table ip sidecar {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    iifname != "lo" meta l4proto tcp redirect to :{_INBOUND}
  }}
  chain output {{
    type nat hook output priority -100;
    meta skgid {_GROUP} return
    oifname "lo" return
    meta l4proto tcp redirect to :{_OUTBOUND}
  }}
}}
"""

_TYPE = "type.googleapis.com/envoy."


@contextmanager
def envoy_pair(
    pods: Topology, otlp: tuple[str, int], directory: Path, prefix: list[str]
) -> Iterator[list[int]]:
    """Capture both pods while the context is open; yield the pids of the two proxies."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(_sidecar(pod, otlp, directory, prefix))
            for pod in (pods.client, pods.server)
        ]


@contextmanager
def _sidecar(
    pod: Place, otlp: tuple[str, int], directory: Path, prefix: list[str]
) -> Iterator[int]:
    log = directory / f"envoy-{pod.name}.log"
    configuration = directory / f"envoy-{pod.name}.json"
    configuration.write_text(json.dumps(bootstrap(pod.name, otlp)))
    with pod.running([*prefix, *_command(configuration)], log) as process:
        wait_until(lambda: pod.listens_on(_OUTBOUND, _INBOUND), "Envoy listens", log, process.poll)
        pod.run(["nft", "-f", "-"], stdin=_RULES)
        yield process.pid


def _command(configuration: Path) -> list[str]:
    return [
        *("setpriv", "--regid", str(_GROUP), "--clear-groups"),
        *(str(BINARY), "--config-path", str(configuration), "--concurrency", "1"),
        *("--disable-hot-restart", "--log-level", "warning"),
    ]


def bootstrap(service: str, otlp: tuple[str, int]) -> dict[str, Any]:
    """Return the whole configuration of the sidecar of `service`."""
    return {
        "node": {"id": service, "cluster": service},
        "static_resources": {
            "listeners": [
                _listener("OUTBOUND", _OUTBOUND, service, otlp),
                _listener("INBOUND", _INBOUND, service, otlp),
            ],
            "clusters": [_original_destination(), _collector(otlp)],
        },
        "layered_runtime": {"layers": [{"name": "bench", "static_layer": _RUNTIME}]},
    }


_RUNTIME = {"tracing.opentelemetry.flush_interval_ms": _FLUSH_MILLISECONDS}


def _listener(direction: str, port: int, service: str, otlp: tuple[str, int]) -> dict[str, Any]:
    return {
        "name": direction.lower(),
        "traffic_direction": direction,
        "address": _address("0.0.0.0", port),
        "listener_filters": [
            {
                "name": "envoy.filters.listener.original_dst",
                "typed_config": {
                    "@type": f"{_TYPE}extensions.filters.listener.original_dst.v3.OriginalDst"
                },
            }
        ],
        "filter_chains": [{"filters": [_http_manager(direction.lower(), service, otlp)]}],
    }


def _http_manager(prefix: str, service: str, otlp: tuple[str, int]) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "original", "timeout": "0s"}}
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{_TYPE}extensions.filters.network.http_connection_manager.v3."
            "HttpConnectionManager",
            "stat_prefix": prefix,
            "route_config": {
                "virtual_hosts": [{"name": "any", "domains": ["*"], "routes": [route]}]
            },
            "tracing": {
                "random_sampling": {"value": 100},
                "provider": {
                    "name": "envoy.tracers.opentelemetry",
                    "typed_config": _tracer(service, otlp),
                },
            },
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{_TYPE}extensions.filters.http.router.v3.Router"},
                }
            ],
        },
    }


def _tracer(service: str, otlp: tuple[str, int]) -> dict[str, Any]:
    uri = {
        "uri": f"http://{otlp[0]}:{otlp[1]}/v1/traces",
        "cluster": "collector",
        "timeout": "5s",
    }
    return {
        "@type": f"{_TYPE}config.trace.v3.OpenTelemetryConfig",
        "http_service": {"http_uri": uri},
        "service_name": service,
    }


def _original_destination() -> dict[str, Any]:
    return {
        "name": "original",
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "5s",
    }


def _collector(otlp: tuple[str, int]) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(*otlp)}}
    return {
        "name": "collector",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "collector",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
