"""What is reported: one record per exchange, one per connection, and who receives them.

Belongs here: the fields, their units, the closed sets of outcomes and reasons.
Does not belong here: how a record comes about (`conversation`) or what becomes of it (`telemetry`).

Times are nanoseconds of the monotonic clock (`time.monotonic_ns`); the receiver knows its offset to the wall clock.
Text from the wire stays bytes: whoever shows it decodes it, and most of it is never shown.
"""

from enum import Enum
from typing import Protocol

from netra_node.core.addresses import ClientAddr, OriginalDst
from netra_node.core.tags import Tag
from netra_node.core.trace_context import TraceContext


class Direction(Enum):
    """Seen from the pod: `INBOUND` connections are accepted by its application, `OUTBOUND` ones are opened by it."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Outcome(Enum):
    """How an exchange or a connection ended (`http.md`, Endings)."""

    OK = "ok"
    UPSTREAM_REFUSED = "upstream_refused"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_CLOSED = "upstream_closed"
    UPSTREAM_RESET = "upstream_reset"
    CLIENT_CLOSED = "client_closed"
    CLIENT_RESET = "client_reset"
    DRAINED = "drained"
    OPAQUE = "opaque"


class OpaqueReason(Enum):
    """Why a connection stopped being read as HTTP/1 (`design.md` §6)."""

    TLS = "tls"
    H2 = "h2"
    SERVER_FIRST = "server_first"
    NOT_HTTP = "not_http"
    METHOD = "method"
    AMBIGUOUS = "ambiguous"
    AMBIGUOUS_RESPONSE = "ambiguous_response"
    UNSOLICITED = "unsolicited"
    TOO_LARGE = "too_large"
    UPGRADE = "upgrade"
    CONNECT = "connect"
    PORT = "port"
    #: An error of ours; the bytes went through all the same.
    INTERNAL = "internal"


class ResetCause(Enum):
    """Why we, and neither peer, reset a connection."""

    #: The kernel no longer knows where it was going (its conntrack entry was deleted).
    NO_ORIGINAL_DST = "no_original_destination"
    #: It was opened to our own listener, not redirected to it; dialling on would never end (netramesh B4).
    OWN_LISTENER = "own_listener"
    #: Shutdown: the drain limit passed.
    DRAIN = "drain"


#: What chose a trace for export, as Jaeger's tags `sampler.type` and `sampler.param` say it.
SampledBy = tuple[str, bool | float]


class Exchange:
    """One request and what became of it. Filled while it is open, handed to the observer once, when it ends."""

    __slots__ = (
        "end",
        "first_response",
        "host",
        "method",
        "outcome",
        "probe",
        "request_complete",
        "request_id",
        "request_length",
        "request_size",
        "response_length",
        "response_size",
        "sampler",
        "slow_head",
        "source",
        "start",
        "status",
        "tags",
        "target",
        "trace",
        "user_agent",
        "version",
    )

    def __init__(self, method: bytes, target: bytes, version: bytes, start: int) -> None:
        """Open an exchange whose head's first byte came at `start`; `version` is `b"1.1"` or `b"1.0"`."""
        self.method = method
        self.target = target
        self.version = version
        self.start = start
        self.host = b""
        self.user_agent = b""
        self.request_id = b""
        #: X-Source as received (inbound) or as sent (outbound); empty when there is none.
        self.source = b""
        #: A kubelet probe (user agent `kube-probe/`): metrics with `peer="kubelet"`, no span.
        self.probe = False
        #: The head trickled in: it was let go before it was complete, so nothing could be declared in it.
        self.slow_head = False
        #: None: no span for this exchange (probe, ignored path).
        self.trace: TraceContext | None = None
        #: Set where our sampler chose a new trace for export.
        self.sampler: SampledBy | None = None
        #: What the operator wants to know of an inbound request that began the trace, and a debug id that began one.
        self.tags: tuple[Tag, ...] = ()
        #: Body bytes as they stood on the wire (chunk framing included), without the head.
        self.request_size = 0
        self.response_size = 0
        #: What the heads said of the bodies: bytes, -1 chunked, -2 until the connection's end; None: no answer, or two readers
        #: could differ about it.
        self.request_length = 0
        self.response_length: int | None = None
        self.request_complete = False
        #: Final status, 0 while unanswered.
        self.status = 0
        #: Nanoseconds; 0 = no byte of a response yet.
        self.first_response = 0
        self.end = 0
        self.outcome: Outcome | None = None


class ConnectionRecord:
    """One intercepted connection: who, where to, how much, how it ended."""

    __slots__ = (
        "client",
        "destination",
        "direction",
        "end",
        "exchanges",
        "opaque",
        "outcome",
        "received",
        "sent",
        "start",
    )

    def __init__(
        self, direction: Direction, client: ClientAddr, destination: OriginalDst, start: int
    ) -> None:
        """Open the record of a connection accepted at `start`."""
        self.direction = direction
        self.client = client
        self.destination = destination
        self.start = start
        self.end = 0
        #: Bytes from the client and to the client, counted as they pass.
        self.received = 0
        self.sent = 0
        #: Exchanges begun on it; 0 means it never became HTTP.
        self.exchanges = 0
        self.opaque: OpaqueReason | None = None
        self.outcome: Outcome | None = None


class Observer(Protocol):
    """Receives what happened on the connections of one pod. Called on the loop: returns within microseconds, never raises."""

    def connection_opened(self, connection: ConnectionRecord) -> None:
        """Tell of a connection that was accepted."""

    def turned_opaque(self, connection: ConnectionRecord) -> None:
        """Tell of a connection whose `opaque` reason was just set."""

    def exchange_ended(self, connection: ConnectionRecord, exchange: Exchange) -> None:
        """Tell of a finished exchange; every field is final. Called exactly once for each."""

    def connection_reset(self, cause: ResetCause) -> None:
        """Tell of a connection that we reset of our own accord."""

    def connection_ended(self, connection: ConnectionRecord) -> None:
        """Tell of a connection whose both sides are closed; `end`, `outcome`, `received`, `sent` are final."""
