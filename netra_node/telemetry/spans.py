"""What a span says about an exchange: the `Schema` that encoders ask, and `otel`, the one of OpenTelemetry.

Belongs here: names of spans, keys and values of attributes (HTTP semantic conventions 1.23 and later), what counts as an
error. Does not belong here: how they are written on the wire (`otlp`), another schema (`netramesh`), and any query string,
ever: it carries secrets.
"""

from collections.abc import Hashable
from typing import Final, Protocol

from netra_node.core.addresses import authority
from netra_node.core.records import Exchange, Outcome
from netra_node.telemetry.flow import Flow
from netra_node.telemetry.metrics import METHODS, OTHER_METHOD
from netra_node.telemetry.paths import PathNames
from netra_node.telemetry.peers import EXTERNAL, OTHER

Value = str | int | bool | float
Attribute = tuple[str, Value]

#: Characters of any one value.
VALUE_LIMIT = 256

#: Statuses from here on are the server's fault.
SERVER_ERRORS = 500

#: Every key there is; which a span has, depends.
KEYS: Final = frozenset(
    {
        "client.address",
        "error.type",
        "http.request.body.size",
        "http.request.method",
        "http.request.method_original",
        "http.response.body.size",
        "http.response.status_code",
        "netra.outcome",
        "netra.request_complete",
        "netra.request_id",
        "network.peer.address",
        "network.peer.port",
        "network.protocol.version",
        "peer.service",
        "server.address",
        "server.port",
        "url.full",
        "url.path",
        "url.scheme",
        "user_agent.original",
    }
)

_OK = Outcome.OK


def text(raw: bytes, limit: int = VALUE_LIMIT) -> str:
    """Return at most `limit` bytes of `raw` as text; what is not UTF-8 shows as U+FFFD."""
    return raw[:limit].decode("utf-8", "replace")


def failure(exchange: Exchange) -> str:
    """Return why `exchange` counts as an error, as `error.type` says it; empty when it does not.

    An opaque connection hides how its answered exchange ended, so that alone is no error.
    """
    outcome = exchange.outcome
    status = exchange.status
    if outcome is not Outcome.OK and not (status and outcome is Outcome.OPAQUE):
        return outcome_label(outcome)
    return str(status) if status >= SERVER_ERRORS else ""


def mapped(exchange: Exchange) -> list[Attribute]:
    """Return the attributes that the operator made of headers and cookies."""
    return [(tag, text(value)) for tag, value in exchange.tags]


def path_of(target: bytes) -> str:
    """Return the path of a request target (RFC 9112 §3.2) as it stands, without query; empty for the authority form."""
    path = target.partition(b"?")[0]
    if not path.startswith(b"/"):
        path = _path_of_other_form(path)
    return text(path)


def _path_of_other_form(target: bytes) -> bytes:
    if target == b"*":
        return target
    _, separator, rest = target.partition(b"://")
    return b"/" + rest.partition(b"/")[2] if separator else b""


def host_of(host: bytes) -> str:
    """Return a Host value without its port; an IPv6 address without its brackets."""
    if host.startswith(b"["):
        return text(host[1:].partition(b"]")[0])
    return text(host.partition(b":")[0])


class Schema(Protocol):
    """Describes exchanges. No key comes twice in a span.

    Attributes come in four parts, so that an encoder can keep its form of those that come again: what follows from where
    a request goes, what all that are alike share, what all exchanges of a flow share, and what is its own. A part may be
    empty.
    """

    @property
    def complete(self) -> bool:
        """Whether kind and failure are among the attributes. OTLP has fields for them, Jaeger has tags."""

    def place(self, flow: Flow, exchange: Exchange) -> Hashable:
        """Return all that `name` and `located` look at."""

    def name(self, flow: Flow, exchange: Exchange, path: str) -> str:
        """Return the span's name, never empty; `path` is that of its target."""

    def operation(self, exchange: Exchange, path: str, *, inbound: bool) -> str:
        """Return the span's name as far as the request's head tells it: `name` may be shorter for a pod that has had too many."""

    def located(self, flow: Flow, exchange: Exchange, path: str) -> list[Attribute]:
        """Return the attributes that are the same for all exchanges of one `place`; `path` is that of its target."""

    def likeness(self, flow: Flow, exchange: Exchange) -> Hashable:
        """Return all that `alike` and `failure` look at."""

    def alike(self, flow: Flow, exchange: Exchange) -> list[Attribute]:
        """Return the attributes that are the same for all exchanges of one `likeness`."""

    def shared(self, flow: Flow) -> list[Attribute]:
        """Return the attributes that every exchange of `flow` has."""

    def own(self, flow: Flow, exchange: Exchange) -> list[Attribute]:
        """Return the attributes that are this exchange's own."""

    def all(self, flow: Flow, exchange: Exchange) -> list[Attribute]:
        """Return every attribute of a span, in the order in which it is shown."""


class OtelSchema:
    """OpenTelemetry's. Sizes are body bytes on the wire, chunk framing included. See `Schema` for what it does not say."""

    __slots__ = ("_names",)

    complete = False

    def __init__(self, names: PathNames) -> None:
        """`names` turns paths into the second half of span names."""
        self._names = names

    def place(self, flow: Flow, exchange: Exchange) -> Hashable:
        """See `Schema`."""
        if flow.inbound:
            return flow.owner, exchange.method, exchange.target
        host = exchange.host or flow.connection.destination
        return flow.owner, exchange.method, exchange.target, host

    def name(self, flow: Flow, exchange: Exchange, path: str) -> str:
        """See `Schema`."""
        name = self._names.name(path)
        admitted = name and flow.owner.names.admit(name)
        return self.operation(exchange, path if admitted else "", inbound=flow.inbound)

    def operation(self, exchange: Exchange, path: str, *, inbound: bool) -> str:
        """See `Schema`."""
        # HTTP is the conventions' word for a method they do not know.
        method = METHODS.get(exchange.method, "HTTP")
        name = self._names.name(path)
        return f"{method} {name}" if name else method

    def located(self, flow: Flow, exchange: Exchange, path: str) -> list[Attribute]:
        """See `Schema`."""
        attributes: list[Attribute] = [("url.path", path)]
        if not flow.inbound:
            attributes.append(("url.full", f"http://{_authority(flow, exchange)}{path}"))
        return attributes

    def likeness(self, flow: Flow, exchange: Exchange) -> Hashable:
        """See `Schema`."""
        outcome = exchange.outcome
        return (
            exchange.method,
            exchange.status,
            exchange.version,
            exchange.host or flow.connection.destination.host,
            exchange.user_agent,
            exchange.request_complete,
            # The hash of an Enum's member is Python code: None stands for the usual one.
            None if outcome is _OK else outcome_label(outcome),
        )

    def alike(self, flow: Flow, exchange: Exchange) -> list[Attribute]:
        """See `Schema`."""
        method = METHODS.get(exchange.method, OTHER_METHOD)
        attributes: list[Attribute] = [
            ("http.request.method", method),
            ("server.address", host_of(exchange.host) or flow.connection.destination.host),
            ("network.protocol.version", text(exchange.version)),
            ("netra.outcome", outcome_label(exchange.outcome)),
        ]
        if method == OTHER_METHOD:
            attributes.append(("http.request.method_original", text(exchange.method)))
        if exchange.status:
            attributes.append(("http.response.status_code", exchange.status))
            if not exchange.request_complete:
                attributes.append(("netra.request_complete", False))
        if exchange.user_agent:
            attributes.append(("user_agent.original", text(exchange.user_agent)))
        error = failure(exchange)
        if error:
            attributes.append(("error.type", error))
        return attributes

    def own(self, flow: Flow, exchange: Exchange) -> list[Attribute]:
        """See `Schema`."""
        attributes: list[Attribute] = []
        if exchange.status:
            attributes.append(("http.response.body.size", exchange.response_size))
        if exchange.request_size:
            attributes.append(("http.request.body.size", exchange.request_size))
        if exchange.request_id:
            attributes.append(("netra.request_id", text(exchange.request_id)))
        if exchange.tags:
            attributes += mapped(exchange)
        return attributes

    def all(self, flow: Flow, exchange: Exchange) -> list[Attribute]:
        """See `Schema`."""
        return (
            self.located(flow, exchange, path_of(exchange.target))
            + self.alike(flow, exchange)
            + self.shared(flow)
            + self.own(flow, exchange)
        )

    def shared(self, flow: Flow) -> list[Attribute]:
        """See `Schema`."""
        client, destination = flow.connection.client, flow.connection.destination
        attributes: list[Attribute] = [("url.scheme", "http"), ("server.port", destination.port)]
        peer = client if flow.inbound else destination
        attributes.append(("network.peer.address", peer.host))
        attributes.append(("network.peer.port", peer.port))
        if flow.inbound:
            attributes.append(("client.address", client.host))
        if flow.peer not in {EXTERNAL, OTHER}:
            attributes.append(("peer.service", flow.peer))
        return attributes


def outcome_label(outcome: Outcome | None) -> str:
    """Return the word for an outcome; empty while there is none."""
    return outcome.value if outcome else ""


def _authority(flow: Flow, exchange: Exchange) -> str:
    """Return the server as `url.full` names it: the Host, never a target's authority, which may hold a password."""
    if exchange.host:
        return text(exchange.host)
    return authority(*flow.connection.destination)
