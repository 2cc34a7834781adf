"""Every environment variable there is, as one table: documentation is generated from it, and nothing else is read.

Belongs here: name, default, format, meaning, origin. Does not belong here: how text is read (`formats`), what values
mean together (`model`).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from netra_node.core import ratio, targets
from netra_node.core.desired import InboundMode
from netra_node.core.ports import FORMAT as PORT_LIST
from netra_node.core.ports import FORMAT_OR_ALL as PORT_LIST_OR_ALL
from netra_node.core.resolv_conf import KUBERNETES_SEARCH
from netra_node.discovery.service_name import FIELDS, parse_template
from netra_node.settings import formats
from netra_node.telemetry import schemas
from netra_node.telemetry.paths import parse_patterns, parse_templates
from netra_node.telemetry.statsd import FIELDS as METRIC_FIELDS

T = TypeVar("T")

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
#: Propagators that read and write headers of ours; `baggage` needs nobody, as headers pass through.
PROPAGATORS = ("tracecontext", "jaeger", "b3", "b3multi")
SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
_MINUTE = 60_000
_MEBIBYTE = 1024 * 1024
#: Go's int, which netramesh read; no year is further away.
_ANY = 10**17


class Origin(Enum):
    """Whose name it is: who knows the origin knows the variable."""

    NETRAMESH = "netramesh"
    NEW = "new"
    OPENTELEMETRY = "OpenTelemetry"
    JAEGER = "Jaeger"
    KUBERNETES = "Kubernetes"


@dataclass(frozen=True, slots=True)
class Format(Generic[T]):
    """How text becomes a value. `takes` completes the sentence "it takes"; `read` raises ValueError."""

    read: Callable[[str], T]
    takes: str


@dataclass(frozen=True, slots=True)
class Variable(Generic[T]):
    """One variable. `default` is text in its own format; empty: there is no value."""

    name: str
    format: Format[T]
    default: str
    meaning: str
    origin: Origin
    alias: str | None = None
    #: Its value is never shown.
    secret: bool = False
    #: What is otherwise than in netramesh 0.10, for who knows the variable from there; empty: nothing.
    difference: str = ""


def _milliseconds(low: int, high: int) -> Format[int]:
    return Format(formats.integer(low, high), f"milliseconds, {low}..{high}")


def _count(low: int, high: int) -> Format[int]:
    return Format(formats.integer(low, high), f"a number, {low}..{high}")


def _one_of(*values: str) -> Format[str]:
    return Format(formats.choice(*values), " or ".join(values))


def _some_of(*values: str) -> Format[tuple[str, ...]]:
    return Format(formats.items(formats.choice(*values)), f"a list of {', '.join(values)}")


def _level(text: str) -> int:
    return LEVELS[formats.choice(*LEVELS)(text)]


def _bytes(low: int, high: int) -> Format[int]:
    return Format(formats.integer(low, high), f"bytes, {low}..{high}")


_ANY_MILLISECONDS = Format(formats.integer(-_ANY, _ANY), "milliseconds; 0 or less = never")
_BOOLEAN = Format(formats.boolean, "true or false")
_POD_PORT = Format(formats.integer(1, formats.HIGHEST_PORT), "a port, 1..65535")
_NODE_PORT = Format(formats.integer(0, formats.HIGHEST_PORT), "a port, 0..65535; 0 = any free one")
_HEADER_NAME = Format(formats.header_name, "a header name that is not used by HTTP or for traces")
_PAIRS = Format(formats.pairs, "key=value,key2=value2, percent-encoded")
_HEADERS = Format(formats.exporter_headers, "header=value,header2=value2, percent-encoded")
_URL = "an http:// or https:// URL"
_TIMEOUT = _milliseconds(1, 10 * _MINUTE)
_PROTOCOL = _one_of("http/protobuf")
_CAPTURED_PORTS = Format(formats.port_set_or_all, PORT_LIST_OR_ALL)
_PROBABILITY = Format(formats.ratio, ratio.FORMAT)
_USER_ID = Format(formats.integer(0, 2**32 - 2), "a number, 0..4294967294, not a name")
_COMPRESSION = _one_of("none", "gzip")
_TAG_DIFFERENCE = "at most 32 names, and 2 KiB for each request; a tag that spans have anyway is left alone; what is skipped is told; blanks do not count"
_TAG_MAP = Format(formats.tag_map, "name:tag,name2:tag2; other items are skipped with a warning")
_PATH = Format(formats.absolute_path, "an absolute path")

# Pods and their names

POD_SOURCE = Variable(
    "NETRA_POD_SOURCE",
    Format(formats.pod_source, "kubelet or file:///PATH"),
    "",
    "Where pods come from: this node's kubelet, or a file with a PodList or Pod manifests, JSON or YAML, read again on change. "
    "Unset means kubelet in a cluster (Kubernetes tells every container) and is an error elsewhere.",
    Origin.NEW,
)
KUBELET_URL = Variable(
    "NETRA_KUBELET_URL",
    Format(formats.origin, "https://HOST:PORT or http://HOST:PORT"),
    "https://127.0.0.1:10250",
    "The kubelet. On loopback it is not verified unless NETRA_KUBELET_CA is set; the token is only sent by https.",
    Origin.NEW,
)
KUBELET_CA = Variable(
    "NETRA_KUBELET_CA",
    _PATH,
    "",
    "Certificates, PEM, one of which signed the kubelet's.",
    Origin.NEW,
)
KUBELET_INSECURE = Variable(
    "NETRA_KUBELET_INSECURE",
    _BOOLEAN,
    "false",
    "Do not verify a kubelet on another host: whoever stands between gets the token.",
    Origin.NEW,
)
KUBELET_TOKEN_FILE = Variable(
    "NETRA_KUBELET_TOKEN_FILE",
    _PATH,
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
    "The token the kubelet is asked with, read again each time.",
    Origin.NEW,
)
CNI_RESULTS = Variable(
    "NETRA_CNI_RESULTS",
    Format(formats.items(formats.absolute_path), "absolute paths, comma-separated"),
    "/var/lib/cni/results,/var/lib/cni/cache/results",
    "Where the container runtime keeps CNI results, as the daemon sees it: they tell a pod's network namespace first.",
    Origin.NEW,
)
NETNS_DIRECTORY = Variable(
    "NETRA_NETNS_DIRECTORY",
    _PATH,
    "/run/netns",
    "The node's /run/netns as the daemon sees it.",
    Origin.NEW,
)
PROC = Variable(
    "NETRA_PROC",
    _PATH,
    "/proc",
    "The node's /proc as the daemon sees it: the namespace of a pod without CNI result is known by its processes, and the "
    "network switches of pods are written there.",
    Origin.NEW,
)
OPT_IN_LABEL = Variable(
    "NETRA_OPT_IN_LABEL",
    Format(formats.label, "key=value"),
    "netra.io/enabled=true",
    "The label a pod must carry to be captured.",
    Origin.NEW,
)
SERVICE_NAME = Variable(
    "JAEGER_SERVICE_NAME",
    Format(parse_template, "a name with fields " + " ".join(f"{{{field}}}" for field in FIELDS)),
    "",
    "A template for the service name of every pod, also set by --service-name.",
    Origin.JAEGER,
    difference="not required, as every pod has a name of its own; a template where netramesh took one service's name",
)
SERVICE_NAME_LABELS = Variable(
    "NETRA_SERVICE_NAME_LABELS",
    Format(formats.items(formats.label_key), "label keys, comma-separated"),
    "app.kubernetes.io/name,app",
    "Labels that name a pod's service, the first that is there.",
    Origin.NEW,
)
NODE_NAME = Variable(
    "NODE_NAME",
    Format(formats.text, "a name"),
    "",
    "This node, for `k8s.node.name` where the pod does not say it.",
    Origin.KUBERNETES,
)
POD_UID = Variable(
    "POD_UID",
    Format(formats.text, "a uid"),
    "",
    "The daemon's own pod, which is never captured.",
    Origin.KUBERNETES,
)

# Ports and times

PORT = Variable(
    "NETRA_PORT",
    _POD_PORT,
    "14956",
    "The listener for outbound connections, on loopback inside each pod.",
    Origin.NETRAMESH,
    alias="NETRA_SIDECAR_PORT",
    difference="on loopback inside each pod; 0 is refused, as nothing can be redirected to it",
)
INBOUND_PORT = Variable(
    "NETRA_INBOUND_PORT",
    _POD_PORT,
    "14955",
    "The listener for inbound connections, on loopback inside each pod.",
    Origin.NEW,
)
PROMETHEUS_PORT = Variable(
    "NETRA_PROMETHEUS_PORT",
    _NODE_PORT,
    "14958",
    "Metrics, /healthz and /readyz, on all addresses of the node.",
    Origin.NETRAMESH,
    difference="one for the node; a busy port ends the start; /healthz and /readyz are probes",
)
PPROF_PORT = Variable(
    "NETRA_PPROF_PORT",
    _NODE_PORT,
    "14957",
    "Status, traces and debugging; the command line asks here.",
    Origin.NETRAMESH,
    difference="on loopback; stacks and profiles in place of Go's (docs/debugging.md); a busy port ends the start",
)
PPROF_ADDRESS = Variable(
    "NETRA_PPROF_ADDRESS",
    Format(formats.ip, "an IP address"),
    "127.0.0.1",
    "Where NETRA_PPROF_PORT listens; anything but loopback shows traces to the network.",
    Origin.NEW,
)
HEARTBEAT = Variable(
    "NETRA_HEARTBEAT_MILLISECONDS",
    _milliseconds(100, _MINUTE),
    "1000",
    "How long connections are captured after the daemon's loop stood still.",
    Origin.NEW,
)
WATCHDOG = Variable(
    "NETRA_WATCHDOG_MILLISECONDS",
    _milliseconds(1000, 10 * _MINUTE),
    "10000",
    "How long the daemon's loop may stand still; 14 seconds after that the kernel ends the process.",
    Origin.NEW,
)
DRAIN = Variable(
    "NETRA_DRAIN_MILLISECONDS",
    _milliseconds(0, 60 * _MINUTE),
    "20000",
    "How long open exchanges may go on when the daemon stops or a pod is no longer captured.",
    Origin.NEW,
)

# What is captured

INBOUND_PORTS = Variable(
    "INBOUND_INTERCEPT_PORTS",
    _CAPTURED_PORTS,
    "*",
    "Ports of the pods to which connections are captured; annotation netra.io/inbound-ports overrides it.",
    Origin.NETRAMESH,
    difference="no names such as http, which differ from image to image",
)
OUTBOUND_PORTS = Variable(
    "OUTBOUND_INTERCEPT_PORTS",
    _CAPTURED_PORTS,
    "*",
    "Destination ports to which the pods' connections are captured; netra.io/outbound-ports overrides it.",
    Origin.NETRAMESH,
    difference="no names such as http, which differ from image to image",
)
INBOUND_PROBABILITY = Variable(
    "NETRA_INBOUND_PROBABILITY",
    _PROBABILITY,
    "1",
    "The share of connections to the pods that is captured, drawn for each; netra.io/inbound-probability overrides it.",
    Origin.NETRAMESH,
)
OUTBOUND_PROBABILITY = Variable(
    "NETRA_OUTBOUND_PROBABILITY",
    _PROBABILITY,
    "1",
    "The share of the pods' connections that is captured, drawn for each; netra.io/outbound-probability overrides it.",
    Origin.NETRAMESH,
)
EXEMPT_USER = Variable(
    "NETRA_SIDECAR_USER_ID",
    _USER_ID,
    "",
    "Processes with this user id have their outbound connections left alone; unset: none, our own are known by a mark.",
    Origin.NETRAMESH,
    difference="a number and no name; unset, nobody is exempt, where netramesh exempted 1337, itself",
)
EXEMPT_GROUP = Variable(
    "NETRA_SIDECAR_GROUP_ID",
    _USER_ID,
    "",
    "The same for the group id; either suffices.",
    Origin.NETRAMESH,
    difference="a number and no name; unset, nobody is exempt, where netramesh exempted 1337, itself",
)
INBOUND_MODE = Variable(
    "NETRA_INBOUND_MODE",
    _one_of(*(mode.value for mode in InboundMode)),
    "tproxy",
    "How inbound connections are captured; redirect shows the application its own address too, by NAT, and needs a "
    "writable /proc/sys; annotation netra.io/inbound-mode overrides it.",
    Origin.NEW,
)

# HTTP

HTTP_PORTS = Variable(
    "NETRA_HTTP_PORTS",
    Format(formats.port_set, PORT_LIST),
    "",
    "Destination ports that are read as HTTP; unset: every connection is looked at.",
    Origin.NETRAMESH,
    difference="unset, HTTP is detected, where netramesh then knew none; ranges and blanks are taken",
)
REQUEST_ID_HEADER = Variable(
    "NETRA_HTTP_REQUEST_ID_HEADER_NAME",
    _HEADER_NAME,
    "X-Request-Id",
    "The header that links a request with those it causes; added when absent.",
    Origin.NETRAMESH,
)
X_SOURCE_HEADER = Variable(
    "NETRA_HTTP_X_SOURCE_HEADER_NAME",
    _HEADER_NAME,
    "X-Source",
    "The header that tells who calls; added to outbound requests when absent.",
    Origin.NETRAMESH,
    difference="added when absent, where netramesh overwrote it: NETRA_HTTP_X_SOURCE_FORCE=true",
)
X_SOURCE_VALUE = Variable(
    "NETRA_HTTP_X_SOURCE_VALUE",
    Format(formats.header_value, "a header value"),
    "",
    "What that header says; unset: the pod's service name.",
    Origin.NETRAMESH,
    difference="unset, it is the pod's service name, where netramesh sent netra",
)
X_SOURCE_FORCE = Variable(
    "NETRA_HTTP_X_SOURCE_FORCE",
    _BOOLEAN,
    "false",
    "Overwrite that header when it is there, as netramesh 0.10 did.",
    Origin.NEW,
)
IGNORED_PATHS = Variable(
    "NETRA_HTTP_TRACING_IGNORED_PATHS",
    Format(formats.path_rules, "paths, comma-separated, /beginnings/*"),
    "",
    "Decoded paths, without query, that get no span and no trace header; compared exactly, but for a star at the end, which stands for any "
    "rest.",
    Origin.NETRAMESH,
    difference="a star at the end stands for any rest, where it stood for itself; an outbound request gets no trace header, where netramesh "
    "added that of the request that caused it",
)
IGNORED_PATTERNS = Variable(
    "NETRA_HTTP_TRACING_IGNORED_PATTERNS",
    Format(parse_patterns, "regexp;regexp2"),
    "",
    "The same by regular expressions, each for a whole path, of which it sees 512 bytes.",
    Origin.NEW,
)
HEADER_TAGS = Variable(
    "HTTP_HEADER_TAG_MAP",
    _TAG_MAP,
    "",
    "Headers of inbound requests that begin a trace, in any case, and the tags or attributes that their first value becomes, up to 256 "
    "bytes.",
    Origin.NETRAMESH,
    difference=_TAG_DIFFERENCE,
)
COOKIE_TAGS = Variable(
    "HTTP_COOKIE_TAG_MAP",
    _TAG_MAP,
    "",
    "The same for cookies, case-sensitive.",
    Origin.NETRAMESH,
    difference=_TAG_DIFFERENCE,
)
CONTEXT_EXPIRATION = Variable(
    "NETRA_TRACING_CONTEXT_EXPIRATION_MILLISECONDS",
    _ANY_MILLISECONDS,
    "5000",
    "How long a request id stays linked to its trace after its request was answered.",
    Origin.NETRAMESH,
    difference="counted from the answer, where netramesh counted from the request; at most 10,000 for each pod",
)

TRACING_CLEANUP = Variable(
    "NETRA_TRACING_CONTEXT_CLEANUP_INTERVAL",
    _ANY_MILLISECONDS,
    "1000",
    "No effect: what is over goes by itself.",
    Origin.NETRAMESH,
    difference="nothing is swept, memory is bounded by itself",
)

# Routing

ROUTING_ENABLED = Variable(
    "NETRA_HTTP_ROUTING_ENABLED",
    _BOOLEAN,
    "false",
    "Have requests say where they go, by host1=host2,host3=host4:8080: outbound ones to the ports that NETRA_HTTP_PORTS or the "
    "annotation netra.io/http-ports names (behavior.md, Routing).",
    Origin.NETRAMESH,
    difference="only connections to named HTTP ports are dialled by their first request, all others as without routing; upstreams are "
    "kept; a host that cannot be reached is a 502",
)
ROUTING_HEADER = Variable(
    "NETRA_HTTP_ROUTING_HEADER_NAME",
    _HEADER_NAME,
    "X-Route",
    "The header that says it; added to requests made because of one that had it.",
    Origin.NETRAMESH,
)
ROUTING_COOKIE_ENABLED = Variable(
    "NETRA_HTTP_ROUTING_COOKIE_ENABLED",
    _BOOLEAN,
    "false",
    "Have a cookie say it, too; it comes before the header.",
    Origin.NETRAMESH,
)
ROUTING_COOKIE = Variable(
    "NETRA_HTTP_ROUTING_COOKIE_NAME",
    Format(formats.cookie_name, "a cookie name"),
    "X-Route",
    "That cookie.",
    Origin.NETRAMESH,
)
ROUTING_ALLOWED_HOSTS = Variable(
    "NETRA_HTTP_ROUTING_ALLOWED_HOSTS",
    Format(targets.parse, targets.FORMAT),
    "",
    "Where routes may lead; unset: anywhere but to loopback, link-local and metadata addresses, which have to be listed as addresses. Whoever "
    "can send a request can send a route.",
    Origin.NEW,
)
ROUTING_EXPIRATION = Variable(
    "NETRA_ROUTING_CONTEXT_EXPIRATION_MILLISECONDS",
    _ANY_MILLISECONDS,
    "5000",
    "How long a request id stays linked to its route after its request was answered; 0 or less = for ever.",
    Origin.NETRAMESH,
    difference="counted from the answer, where netramesh counted from the request; at most 10,000 for each pod",
)
ROUTING_CLEANUP = Variable(
    "NETRA_ROUTING_CONTEXT_CLEANUP_INTERVAL",
    _ANY_MILLISECONDS,
    "1000",
    "No effect: what is over goes by itself.",
    Origin.NETRAMESH,
    difference="nothing is swept, memory is bounded by itself",
)
DNS_SEARCH = Variable(
    "NETRA_DNS_SEARCH",
    Format(
        formats.items(formats.search_domain),
        "domains, comma-separated, with {namespace} for the pod's",
    ),
    ",".join(KUBERNETES_SEARCH),
    "Domains in which the name of a route is looked for, as the pod's own resolv.conf has them.",
    Origin.NEW,
)
RESOLV_CONF = Variable(
    "NETRA_RESOLV_CONF",
    _PATH,
    "/etc/resolv.conf",
    "Names the DNS servers that are asked for a route's host, from inside the pod; read again when it changes.",
    Origin.NEW,
)

# Limits: none of them ends a connection

MAX_HEAD_BYTES = Variable(
    "NETRA_HTTP_MAX_HEAD_BYTES",
    _bytes(1024, _MEBIBYTE),
    "65536",
    "The longest head of a request or an answer that is read; a longer one is passed on with all that follows, unread.",
    Origin.NEW,
)
MAX_HEADERS = Variable(
    "NETRA_HTTP_MAX_HEADERS",
    _count(16, 10_000),
    "200",
    "The most header fields a head may have; one with more is treated as one that is too long.",
    Origin.NEW,
)
MAX_PIPELINED = Variable(
    "NETRA_HTTP_MAX_PIPELINED",
    _count(1, 1024),
    "64",
    "Requests of one connection that may wait for their answer before no more are read from the client.",
    Origin.NEW,
)
MAX_BUFFERED_BYTES = Variable(
    "NETRA_MAX_BUFFERED_BYTES",
    _bytes(4096, 16 * _MEBIBYTE),
    "65536",
    "What is kept of one connection, each way, for a peer that does not take it; then no more is read from the other, "
    "which stops it. What was read last comes on top, up to 256 KiB.",
    Origin.NEW,
)
MAX_CONNECTIONS = Variable(
    "NETRA_MAX_CONNECTIONS_PER_POD",
    _count(1, 1_000_000),
    "4096",
    "Open connections of one pod at which new ones go direct, until a tenth of them has ended.",
    Origin.NEW,
)

# Traces

OTEL_PROPAGATORS = Variable(
    "OTEL_PROPAGATORS",
    _some_of(*PROPAGATORS, "baggage", "none"),
    "tracecontext,jaeger",
    "Trace headers: read in this order, all of them written; B3 also where it came in, and then it is read last.",
    Origin.OPENTELEMETRY,
)
OTEL_TRACES_SAMPLER = Variable(
    "OTEL_TRACES_SAMPLER",
    _one_of(*SAMPLERS),
    "parentbased_always_on",
    "Which traces are recorded. JAEGER_SAMPLER_TYPE is the other way to say it: only one of both may be set.",
    Origin.OPENTELEMETRY,
)
OTEL_TRACES_SAMPLER_ARG = Variable(
    "OTEL_TRACES_SAMPLER_ARG",
    _PROBABILITY,
    "1.0",
    "The share of traces that a ...traceidratio sampler records.",
    Origin.OPENTELEMETRY,
)
OTEL_SDK_DISABLED = Variable(
    "OTEL_SDK_DISABLED",
    _BOOLEAN,
    "false",
    "No spans, and trace headers pass untouched.",
    Origin.OPENTELEMETRY,
)
JAEGER_DISABLED = Variable(
    "JAEGER_DISABLED",
    _BOOLEAN,
    "false",
    "The same as OTEL_SDK_DISABLED; either suffices.",
    Origin.JAEGER,
    difference="true works, where netramesh crashed at the first request",
)
JAEGER_SAMPLER_TYPE = Variable(
    "JAEGER_SAMPLER_TYPE",
    _one_of("const", "probabilistic", "ratelimiting", "remote"),
    "",
    "Which new traces are recorded, chosen as Jaeger's clients do, each pod being one: all or none, a share, so many a second, or as a "
    "server tells for each service. Of a trace that came in its sender's decision is kept. Unset it is not remote, as in netramesh, "
    "but what OTEL_TRACES_SAMPLER says.",
    Origin.JAEGER,
    difference="unset, every trace is recorded (OTEL_TRACES_SAMPLER), where netramesh asked a server and recorded nothing without one; beside OTEL_TRACES_SAMPLER it is an error",
)
JAEGER_SAMPLER_PARAM = Variable(
    "JAEGER_SAMPLER_PARAM",
    Format(formats.number, "a number"),
    "0",
    "Of const: 0 is none, else all; of probabilistic: the share, 0..1; of ratelimiting: traces a second; of remote: the share until a "
    "strategy is known, so that by default nothing is recorded before that.",
    Origin.JAEGER,
)
JAEGER_SAMPLING_ENDPOINT = Variable(
    "JAEGER_SAMPLING_ENDPOINT",
    Format(formats.endpoint, _URL),
    "",
    "Where the sampler remote asks, as GET URL?service=NAME.",
    Origin.JAEGER,
    difference="not known there",
)
JAEGER_SAMPLER_MANAGER = Variable(
    "JAEGER_SAMPLER_MANAGER_HOST_PORT",
    Format(formats.sampling_manager, _URL + ", or HOST:PORT of one that answers at /sampling"),
    "",
    "The older name of that, despite which it is a URL; JAEGER_SAMPLING_ENDPOINT wins. Neither set: "
    "http://JAEGER_AGENT_HOST:5778/sampling.",
    Origin.JAEGER,
    difference="HOST:PORT is taken, too; unset, it is JAEGER_AGENT_HOST, where netramesh asked localhost whatever that was",
)
JAEGER_SAMPLER_MAX_OPERATIONS = Variable(
    "JAEGER_SAMPLER_MAX_OPERATIONS",
    Format(formats.up_to(10_000, zero=2000), "a number; 0 is 2000, more than 10000 is 10000"),
    "2000",
    "Operations that the sampler remote tells apart, of each pod; one is called as its span will be.",
    Origin.JAEGER,
    difference="10000 at most, for each pod",
)
JAEGER_SAMPLER_REFRESH_INTERVAL = Variable(
    "JAEGER_SAMPLER_REFRESH_INTERVAL",
    Format(formats.interval, formats.DURATION),
    "1m",
    "How often the sampler remote asks; at first it asks at once.",
    Origin.JAEGER,
    difference="asked at once, where netramesh first waited for so long",
)
JAEGER_TRACEID_128BIT = Variable(
    "JAEGER_TRACEID_128BIT",
    _BOOLEAN,
    "true",
    "Whether ids of new traces have 128 random bits. With false they have 64, as netramesh's, and 64 zeros before them; those of received "
    "traces stay as they are.",
    Origin.JAEGER,
    difference="not known there: ids had 63 bits",
)
JAEGER_RPC_METRICS = Variable(
    "JAEGER_RPC_METRICS",
    _BOOLEAN,
    "false",
    "No effect, as in netramesh: requests are counted in any case.",
    Origin.JAEGER,
)
OTEL_RESOURCE_ATTRIBUTES = Variable(
    "OTEL_RESOURCE_ATTRIBUTES",
    _PAIRS,
    "",
    "Attributes of every pod's resource, below those that discovery finds.",
    Origin.OPENTELEMETRY,
)
SPAN_SCHEMA = Variable(
    "NETRA_SPAN_SCHEMA",
    _one_of(*schemas.NAMES),
    "",
    "Names and attributes of spans: OpenTelemetry's HTTP conventions, or the operations and tags of netramesh, where http.path has the "
    "query string too. Unset: netramesh for the exporter jaeger, otel for all others.",
    Origin.NEW,
)
PATH_COLLAPSE = Variable(
    "NETRA_HTTP_PATH_COLLAPSE",
    _BOOLEAN,
    "",
    "Replace ids in span names by {id}. Unset: true in the schema otel, false in netramesh, which never did.",
    Origin.NEW,
)
PATH_TEMPLATES = Variable(
    "NETRA_HTTP_PATH_TEMPLATES",
    Format(parse_templates, "regexp=>replacement;..."),
    "",
    "How paths become span names, in this order: what a regexp matches of a path is replaced, \\1 stands for its first group. In "
    "the schema netramesh paths are percent-decoded first, and they are their own names as long as this is unset.",
    Origin.NEW,
)

# Export

OTEL_TRACES_EXPORTER = Variable(
    "OTEL_TRACES_EXPORTER",
    Format(
        formats.items(formats.exporter_name),
        "a list of otlp, jaeger, none and names of installed OpenTelemetry SDK exporters",
    ),
    "",
    "Where spans go, to all of them; unset: otlp if an OTLP endpoint is set, jaeger if JAEGER_ENDPOINT, JAEGER_AGENT_HOST or "
    "JAEGER_AGENT_PORT is, else none, and the last traces can be looked at. An SDK exporter runs in a thread and costs ten "
    "times as much.",
    Origin.OPENTELEMETRY,
)
OTLP_ENDPOINT = Variable(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    Format(formats.base_endpoint, _URL),
    "http://localhost:4318",
    "The collector; /v1/traces is appended.",
    Origin.OPENTELEMETRY,
)
OTLP_TRACES_ENDPOINT = Variable(
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    Format(formats.endpoint, _URL),
    "",
    "The collector's address for traces, used as it is.",
    Origin.OPENTELEMETRY,
)
OTLP_HEADERS = Variable(
    "OTEL_EXPORTER_OTLP_HEADERS",
    _HEADERS,
    "",
    "Headers of every export request.",
    Origin.OPENTELEMETRY,
    secret=True,
)
OTLP_TRACES_HEADERS = Variable(
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    _HEADERS,
    "",
    "The same for traces; replaces them.",
    Origin.OPENTELEMETRY,
    secret=True,
)
OTLP_TIMEOUT = Variable(
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    _TIMEOUT,
    "10000",
    "How long one export request may take.",
    Origin.OPENTELEMETRY,
)
OTLP_TRACES_TIMEOUT = Variable(
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    _TIMEOUT,
    "",
    "The same for traces; wins.",
    Origin.OPENTELEMETRY,
)
OTLP_PROTOCOL = Variable(
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    _PROTOCOL,
    "http/protobuf",
    "How spans travel.",
    Origin.OPENTELEMETRY,
)
OTLP_TRACES_PROTOCOL = Variable(
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    _PROTOCOL,
    "",
    "The same for traces; wins.",
    Origin.OPENTELEMETRY,
)
OTLP_COMPRESSION = Variable(
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    _COMPRESSION,
    "none",
    "Of the bodies of export requests.",
    Origin.OPENTELEMETRY,
)
OTLP_TRACES_COMPRESSION = Variable(
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    _COMPRESSION,
    "",
    "The same for traces; wins.",
    Origin.OPENTELEMETRY,
)
BSP_SCHEDULE_DELAY = Variable(
    "OTEL_BSP_SCHEDULE_DELAY",
    _milliseconds(1, 10 * _MINUTE),
    "1000",
    "The longest a span waits before it is sent.",
    Origin.OPENTELEMETRY,
)
BSP_MAX_QUEUE_SIZE = Variable(
    "OTEL_BSP_MAX_QUEUE_SIZE",
    _count(1, 100_000),
    "8192",
    "Spans that may wait; more are dropped and counted.",
    Origin.OPENTELEMETRY,
)
BSP_MAX_EXPORT_BATCH_SIZE = Variable(
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    _count(1, 100_000),
    "512",
    "Spans in one export request.",
    Origin.OPENTELEMETRY,
)

# StatsD

STATSD_ENABLED = Variable(
    "NETRA_STATSD_ENABLED",
    _BOOLEAN,
    "false",
    "Count answers of the pods' applications for StatsD: `<prefix>.inbound.<status>`, sent from the node every 100 ms.",
    Origin.NETRAMESH,
)
STATSD_ADDRESS = Variable(
    "NETRA_STATSD_ADDRESS",
    Format(formats.host_port, "host:port, UDP"),
    "",
    "Where StatsD listens, as the daemon sees it: localhost is the node; its name is looked up again and again.",
    Origin.NETRAMESH,
    difference="localhost is the node; a name is followed when it moves; unset while it is needed is an error, not silence",
)
STATSD_PREFIX = Variable(
    "NETRA_STATSD_PREFIX",
    Format(
        formats.metric_prefix,
        "a name of at most 512 bytes without : and |, with fields "
        + " ".join(f"{{{field}}}" for field in METRIC_FIELDS),
    ),
    "",
    "What those names begin with, a dot at its end or not; a field tells pods or services apart, as a prefix for each sidecar did.",
    Origin.NETRAMESH,
    difference="one for the node, with fields where each sidecar had its own; unset, a name begins with inbound, where netramesh sent .inbound (which a single dot as prefix still gives)",
)

# Jaeger

JAEGER_AGENT_HOST = Variable(
    "JAEGER_AGENT_HOST",
    Format(formats.host, "a name or an IP address"),
    "localhost",
    "Jaeger's agent, which takes spans by UDP (Thrift, compact): of the node, or a Service.",
    Origin.JAEGER,
    difference="asked for again and again, where netramesh asked once and ended when there was no answer; localhost is the node",
)
JAEGER_AGENT_PORT = Variable(
    "JAEGER_AGENT_PORT",
    _POD_PORT,
    "6831",
    "Its port.",
    Origin.JAEGER,
)
JAEGER_ENDPOINT = Variable(
    "JAEGER_ENDPOINT",
    Format(formats.jaeger_endpoint, f"{_URL}, used as it is"),
    "",
    "Jaeger's collector, which takes spans by HTTP (Thrift, binary), mostly http://HOST:14268/api/traces. It wins over the agent.",
    Origin.JAEGER,
    difference="beside JAEGER_AGENT_HOST it wins, where netramesh ended; many spans in a request, and tried again",
)
JAEGER_USER = Variable(
    "JAEGER_USER",
    Format(formats.text, "a name"),
    "",
    "Who we are to JAEGER_ENDPOINT (basic authentication).",
    Origin.JAEGER,
    secret=True,
)
JAEGER_PASSWORD = Variable(
    "JAEGER_PASSWORD",
    Format(formats.text, "a password"),
    "",
    "The password to that; both or neither.",
    Origin.JAEGER,
    secret=True,
)
JAEGER_TAGS = Variable(
    "JAEGER_TAGS",
    Format(formats.jaeger_tags, "key=value,key2=${NAME:default}"),
    "",
    "Tags of every Process, below those that discovery finds; ${NAME:default} is what the daemon's variable NAME holds.",
    Origin.JAEGER,
    difference="a malformed item is an error, where netramesh crashed",
)
JAEGER_REPORTER_MAX_QUEUE_SIZE = Variable(
    "JAEGER_REPORTER_MAX_QUEUE_SIZE",
    Format(formats.queue_size, "a number"),
    "",
    "Spans that may wait for Jaeger; unset or 0: OTEL_BSP_MAX_QUEUE_SIZE.",
    Origin.JAEGER,
    difference="unset, 8192 for the node, where netramesh had 100 for a pod; what is dropped is counted",
)
JAEGER_REPORTER_FLUSH_INTERVAL = Variable(
    "JAEGER_REPORTER_FLUSH_INTERVAL",
    Format(formats.flush_interval, formats.DURATION),
    "",
    "The longest a span waits before it is sent to Jaeger; unset or 0: OTEL_BSP_SCHEDULE_DELAY, a second.",
    Origin.JAEGER,
    difference="OTEL_BSP_SCHEDULE_DELAY is its default",
)
JAEGER_REPORTER_LOG_SPANS = Variable(
    "JAEGER_REPORTER_LOG_SPANS",
    _BOOLEAN,
    "false",
    "Has no effect, as it had none.",
    Origin.JAEGER,
)
JAEGER_RECONNECTING_DISABLED = Variable(
    "JAEGER_REPORTER_ATTEMPT_RECONNECTING_DISABLED",
    _BOOLEAN,
    "false",
    "Ask for the address of JAEGER_AGENT_HOST only until it is known.",
    Origin.JAEGER,
    difference="not known there: it asked once",
)
JAEGER_RECONNECT_INTERVAL = Variable(
    "JAEGER_REPORTER_ATTEMPT_RECONNECT_INTERVAL",
    Format(formats.reconnect_interval, formats.DURATION),
    "30s",
    "How often it is asked for otherwise, a second at the least; after a refusal it is asked for within 3 seconds.",
    Origin.JAEGER,
    difference="not known there",
)

# The daemon

LOGGER_LEVEL = Variable(
    "NETRA_LOGGER_LEVEL",
    Format(_level, " or ".join(LEVELS)),
    "info",
    "How much is logged, to standard error.",
    Origin.NETRAMESH,
    difference="lines have UTC times and no line of code; no line for each trace",
)

LOGGER_FORMAT = Variable(
    "NETRA_LOGGER_FORMAT",
    _one_of("text", "json"),
    "text",
    "What a line of the log looks like: text for people, or a JSON object.",
    Origin.NEW,
)

#: All of the above, in the order of this page.
VARIABLES: tuple[Variable[Any], ...] = tuple(
    value for value in tuple(globals().values()) if isinstance(value, Variable)
)
