"""Text of one variable → value. Pure functions; each raises ValueError saying what is wrong with the text.

Belongs here: formats. Does not belong here: which variable has which (`variables`), what two of them mean together (`model`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from math import isfinite
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import unquote, urlsplit

from netra_node.core import ports
from netra_node.core import ratio as core_ratio
from netra_node.core.addresses import authority
from netra_node.discovery.service_name import check_fields
from netra_node.telemetry.statsd import FIELDS as METRIC_FIELDS

T = TypeVar("T")

HIGHEST_PORT = 65535
KUBELET = "kubelet"
#: A header or resource value longer than this is a mistake, not a value.
MAX_VALUE = 4096

_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"0", "f", "false"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
#: A field name is a token (RFC 9110 §5.6.2).
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_DOMAIN = re.compile(
    r"(?=.{1,190}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
)
#: A field value without the controls that would end it (RFC 9110 §5.5).
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
#: Fields that steer the message or the connection, or that carry the trace: never ours to set by a setting.
_RESERVED_FIELDS = frozenset(
    {
        "baggage",
        "b3",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "uber-trace-id",
        "upgrade",
    }
)
#: Kubernetes' qualified name: an optional DNS prefix, a slash, a name of at most 63 characters.
_LABEL_KEY = re.compile(
    r"(?:(?=.{1,253}/)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
)
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
#: A name or an address; the resolver judges the rest.
_EXPORTERS = frozenset({"otlp", "jaeger", "none"})
_ENTRY_POINT = re.compile(r"[0-9A-Za-z_.-]{1,128}")
_REFERENCE = re.compile(r"\$\{.*\}")
_HOST = re.compile(r"[0-9A-Za-z._:%-]{0,253}")
_MAX_METRIC_PREFIX = 512
#: Headers, or cookies, that may become tags.
MAX_TAGS = 32
_LONGEST_TAG = 256
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_DURATION_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"\+?(?:{_DURATION_PART.pattern})+")
#: What `duration` takes, in words.
DURATION = "a duration such as 1m30s or 500ms"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to post to. `target` is path and query as they go into the request line."""

    tls: bool
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        """Return the URL without its query, which may hold a token."""
        return f"http{'s' * self.tls}://{authority(self.host, self.port)}{self.target.partition('?')[0]}"


@dataclass(frozen=True, slots=True)
class TagMap:
    """Headers or cookies and the tags they become; `skipped` has the items that mean nothing, and why."""

    pairs: tuple[tuple[str, str], ...]
    skipped: tuple[str, ...] = ()


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)


def boolean(text: str) -> bool:
    """Read what Go's ParseBool takes, in any case."""
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    _refuse("neither true nor false")


def integer(low: int, high: int) -> Callable[[str], int]:
    """Make a reader of decimal integers `low`..`high`."""

    def read(text: str) -> int:
        if not _INTEGER.fullmatch(text):
            _refuse("not a decimal integer")
        if not low <= int(text) <= high:
            _refuse("out of range")
        return int(text)

    return read


def ratio(text: str) -> float:
    """Read a number 0..1."""
    return core_ratio.parse(text)


def number(text: str) -> float:
    """Read a finite number."""
    try:
        value = float(text)
    except ValueError:
        _refuse("not a number")
    if not isfinite(value):
        _refuse("not a finite number")
    return value


def up_to(high: int, zero: int) -> Callable[[str], int]:
    """Make a reader of integers, of which more than `high` is `high` and 0 is `zero`."""
    read_any = integer(0, 10**18)

    def read(text: str) -> int:
        return min(read_any(text), high) or zero

    return read


def duration(text: str) -> float:
    """Read what Go's ParseDuration takes and is not negative; return seconds."""
    if text == "0":
        return 0.0
    if not _DURATION.fullmatch(text):
        _refuse("not a duration")
    return sum(float(amount) * _UNITS[unit] for amount, unit in _DURATION_PART.findall(text))


def interval(text: str) -> float:
    """Read how often to do something: a `duration`, of which 0 is a minute and less than 0.1 s is that; return seconds."""
    seconds = duration(text)
    return max(seconds, 0.1) if seconds else 60.0


def choice(*values: str) -> Callable[[str], str]:
    """Make a reader of one of `values`, in any case."""

    def read(text: str) -> str:
        if text.lower() not in values:
            _refuse("not one of them")
        return text.lower()

    return read


def items(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Make a reader of comma-separated items, blanks around them ignored, doubles kept once."""

    def read_all(text: str) -> tuple[T, ...]:
        return tuple(dict.fromkeys(read(item.strip()) for item in text.split(",")))

    return read_all


def port_set(text: str) -> ports.PortSet:
    """Read `80,8000-8010`."""
    return ports.parse(text)


def port_set_or_all(text: str) -> ports.PortSet:
    """Read `*` or `80,8000-8010`."""
    return ports.parse_or_all(text)


def ip(text: str) -> str:
    """Read one IPv4 or IPv6 address; return its usual spelling."""
    try:
        return str(ip_address(text))
    except ValueError:
        _refuse("not an IP address")


def text(value: str) -> str:
    """Take any text that is free of controls."""
    if len(value) > MAX_VALUE or not value.isprintable():
        _refuse("holds control characters or is too long")
    return value


@dataclass(frozen=True, slots=True)
class PathRules:
    """Whole paths, and the beginnings of paths."""

    exact: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()


def path_rules(value: str) -> PathRules:
    """Read `/a,/b/*`: a star at the end stands for any rest; alone it is itself, a target of OPTIONS. Empty items are nothing."""
    found = tuple(filter(None, items(text)(value)))
    beginnings = tuple(item[:-1] for item in found if item.endswith("*") and item != "*")
    return PathRules(frozenset(found) - {f"{item}*" for item in beginnings}, beginnings)


def header_name(name: str) -> str:
    """Read the name of a header that we may add; its case is kept."""
    if not _TOKEN.fullmatch(name):
        _refuse("not a header name (RFC 9110 token)")
    if name.lower() in _RESERVED_FIELDS or name.lower().startswith("x-b3-"):
        _refuse("a header that steers the message or carries the trace")
    return name


def cookie_name(name: str) -> str:
    """Read the name of a cookie (RFC 6265 §4.1.1: a token)."""
    if not _TOKEN.fullmatch(name):
        _refuse("not a cookie name (RFC 6265 token)")
    return name


def search_domain(domain: str) -> str:
    """Read one domain of a search list; `{namespace}` in it stands for the pod's."""
    if not _DOMAIN.fullmatch(domain.replace("{namespace}", "n")):
        _refuse(f"{domain[:80]!r} is not a domain")
    return domain.removesuffix(".")


def header_value(value: str) -> str:
    """Read the value of a header that we may add."""
    if len(value) > MAX_VALUE or not _FIELD_VALUE.fullmatch(value):
        _refuse("cannot be a header value (RFC 9110 §5.5)")
    return value.strip()


def tag_map(value: str) -> TagMap:
    """Read `name:tag,name2:tag2`. Items that netramesh passed over in silence are passed over; of equal names the last holds."""
    pairs: dict[str, str] = {}
    skipped = []
    for item in items(text)(value):
        name, _, tag = (part.strip() for part in item.partition(":"))
        why = _why_no_tag(name, tag, room=len(pairs) < MAX_TAGS)
        if why:
            skipped.append(f"{item[:80]!r} {why}")
        else:
            pairs[name] = tag
    return TagMap(tuple(pairs.items()), tuple(skipped))


def _why_no_tag(name: str, tag: str, *, room: bool) -> str:
    if not tag:
        return "is not name:tag"
    if not _TOKEN.fullmatch(name):
        return "names nothing that a request can have (RFC 9110 §5.1)"
    if len(tag) > _LONGEST_TAG:
        return "makes a tag that is too long"
    return "" if room else f"is one more than {MAX_TAGS}"


def label_key(key: str) -> str:
    """Read the key of a Kubernetes label."""
    if not _LABEL_KEY.fullmatch(key):
        _refuse(f"{key[:80]!r} is not a label key")
    return key


def label(pair: str) -> tuple[str, str]:
    """Read `key=value`."""
    key, equals, value = pair.partition("=")
    if not equals or not _LABEL_VALUE.fullmatch(value.strip()):
        _refuse("not key=value")
    return label_key(key.strip()), value.strip()


def pairs(value: str) -> tuple[tuple[str, str], ...]:
    """Read `key=value,key2=value2`, percent-decoded (W3C Baggage, as OpenTelemetry's environment variables use it).

    Never repeats the text in a complaint: it may be a secret. An empty item is nothing; of equal keys the last holds.
    """
    found: dict[str, str] = {}
    for number, item in enumerate(value.split(","), 1):
        key, equals, raw = item.partition("=")
        if not item.strip():
            continue
        if not equals or not key.strip():
            _refuse(f"item {number} is not key=value")
        found[unquote(key.strip())] = text(unquote(raw.strip()))
    return tuple(found.items())


@dataclass(frozen=True, slots=True)
class Reference:
    """What another variable holds; where it is not set, `default`."""

    name: str
    default: str


def jaeger_tags(value: str) -> tuple[tuple[str, str | Reference], ...]:
    """Read `key=value,key2=${NAME:default}`. An empty item is nothing; of equal keys the last holds."""
    found: dict[str, str | Reference] = {}
    for number, item in enumerate(value.split(","), 1):
        key, equals, raw = (part.strip() for part in item.partition("="))
        if not item.strip():
            continue
        if not equals or not key:
            _refuse(f"item {number} is not key=value")
        found[text(key)] = _reference(raw, number) if _REFERENCE.fullmatch(raw) else text(raw)
    return tuple(found.items())


def _reference(raw: str, number: int) -> Reference:
    name, colon, default = raw[2:-1].partition(":")
    if not colon or not name:
        _refuse(f"item {number} is not key=${{NAME:default}}")
    return Reference(name, text(default))


def exporter_name(name: str) -> str:
    """Read the name of an exporter: one of ours in any case, else an entry point of the OpenTelemetry SDK."""
    if name.lower() in _EXPORTERS:
        return name.lower()
    if not _ENTRY_POINT.fullmatch(name):
        _refuse("not the name of an exporter")
    return name


def exporter_headers(value: str) -> tuple[tuple[str, str], ...]:
    """Read `pairs` that are to be request headers of the exporter; names in lower case."""
    headers = {name.lower(): content for name, content in pairs(value)}
    for number, (name, content) in enumerate(headers.items(), 1):
        if not _TOKEN.fullmatch(name) or not _FIELD_VALUE.fullmatch(content):
            _refuse(f"header {number} cannot be sent (RFC 9110 §5)")
        if name in _RESERVED_FIELDS:
            _refuse(f"header {number} is one the exporter sets itself")
    return tuple(headers.items())


def endpoint(url: str) -> Endpoint:
    """Read an absolute `http` or `https` URL, used as it is; without a path, `/`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        _refuse("not a URL")
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        _refuse("not an http:// or https:// URL")
    if "@" in parts.netloc:
        _refuse("holds a user or password: set OTEL_EXPORTER_OTLP_HEADERS instead")
    if not url.isascii() or not url.isprintable() or " " in url:
        _refuse("holds characters that a URL cannot hold")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(
        parts.scheme == "https", parts.hostname, port or _DEFAULT_PORTS[parts.scheme], target
    )


def jaeger_endpoint(url: str) -> tuple[Endpoint, tuple[str, str] | None]:
    """Read a URL that may hold a user and a password; return it without them, and them."""
    scheme, slashes, rest = url.partition("://")
    place = re.split("[/?#]", rest, maxsplit=1)[0]
    known, at, _ = place.rpartition("@")
    if not at:
        return endpoint(url), None
    user, _, password = known.partition(":")
    bare = endpoint(scheme + slashes + rest.removeprefix(known + at))
    return bare, (unquote(user), unquote(password))


def host(value: str) -> str:
    """Read a name or an address, an IPv6 address in brackets or not."""
    bare = value.removeprefix("[").removesuffix("]")
    if not bare or not _HOST.fullmatch(bare):
        _refuse("not a host")
    return bare


def queue_size(value: str) -> int:
    """Read Go's way of sizing a queue: 0 and less is as if it was not set; a huge one is as large as ours may be."""
    return max(0, min(integer(-(10**18), 10**18)(value), 100_000))


def flush_interval(value: str) -> float:
    """Read a `duration` to wait at most, in seconds; 0 is as if it was not set."""
    seconds = duration(value)
    return min(max(seconds, 0.001), 600.0) if seconds else 0.0


def reconnect_interval(value: str) -> float:
    """Read a `duration` between two looks at a name, in seconds: at least one."""
    return min(max(duration(value), 1.0), 3600.0)


def sampling_manager(text: str) -> Endpoint:
    """Read a URL, or HOST:PORT of a Jaeger agent or collector."""
    return endpoint(text if "://" in text else f"http://{text}/sampling")


def base_endpoint(url: str) -> Endpoint:
    """Read a URL below which the signals lie: `v1/traces` is appended to its path (OTLP exporter specification)."""
    base = endpoint(url)
    path, question, query = base.target.partition("?")
    return Endpoint(
        base.tls, base.host, base.port, f"{path.rstrip('/')}/v1/traces{question}{query}"
    )


def origin(url: str) -> Endpoint:
    """Read an `http` or `https` URL that names a server and nothing on it."""
    found = endpoint(url)
    if found.target != "/":
        _refuse("names more than a server")
    return found


def host_port(value: str) -> tuple[str, int]:
    """Read `host:port`, an IPv6 address in brackets; no host is this machine, as Go has it."""
    host, colon, port = value.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or len(host) - len(bare) != 2 * (":" in bare) or not _HOST.fullmatch(bare):
        _refuse("not host:port")
    return bare or "localhost", integer(1, HIGHEST_PORT)(port)


def metric_prefix(value: str) -> str:
    """Read what is put before StatsD's names, `{fields}` allowed: one dot at its end is ours to add or the user's, never two."""
    if ":" in value or "|" in value:
        _refuse("holds : or |, which end a name")
    check_fields(value, METRIC_FIELDS)
    if len(text(value).encode()) > _MAX_METRIC_PREFIX:
        _refuse("too long")
    return value.removesuffix(".") + "."


def absolute_path(value: str) -> Path:
    """Read the path of a file or a directory."""
    if not value.startswith("/") or not value.isprintable():
        _refuse("not an absolute path")
    return Path(value)


def pod_source(value: str) -> Path | str:
    """Read `kubelet` or `file:///PATH`."""
    return KUBELET if value.lower() == KUBELET else file_url(value)


def file_url(url: str) -> Path:
    """Read `file:///PATH`."""
    path = unquote(url.removeprefix("file://"))
    if not url.startswith("file:///") or path == "/" or not path.isprintable():
        _refuse("not file:///PATH")
    return Path(path)
