"""One pod's observer: counts what its connections tell and hands on the exchanges that become spans.

Belongs here: which counter and which peer an event belongs to. This is the hot path: about 1 µs an exchange, so nothing
is looked up twice on one connection. Does not belong here: the counters (`metrics`), names (`peers`), spans (`spans`).
"""

from collections.abc import Callable

from netra_node.core.identity import PodIdentity
from netra_node.core.records import ConnectionRecord, Direction, Exchange, Outcome, ResetCause
from netra_node.core.trace_context import SAMPLED
from netra_node.telemetry.flow import Flow, Owner
from netra_node.telemetry.graph import latency_bucket
from netra_node.telemetry.metrics import METHODS, OTHER_METHOD, SLOW_HEAD, Edge, Metrics
from netra_node.telemetry.peers import EXTERNAL, KUBELET, Directory, PodPeers, is_private
from netra_node.telemetry.spans import SERVER_ERRORS, failure, outcome_label

#: Bytes of the texts of one exchange that may wait for their turn in a queue, and what is left of a longer one.
_TEXTS_LIMIT = 2048
_TEXT_LIMIT = 512

_RESET_CAUSES = {
    Outcome.CLIENT_RESET: "client",
    Outcome.UPSTREAM_RESET: "upstream",
    # The client's connection had been accepted when the upstream's failed: we reset it.
    Outcome.UPSTREAM_REFUSED: "unreachable",
    Outcome.UPSTREAM_TIMEOUT: "unreachable",
}

_OK = Outcome.OK

#: Counts a finished inbound exchange that has a trace context, sampled or not.
CountAnswer = Callable[[Exchange], None]

#: Takes a finished exchange that has a sampled trace context.
SpanSink = Callable[[Flow, Exchange], None]


class PodObserver:
    """Implements `Observer` for one pod. Every method returns within microseconds and none raises."""

    __slots__ = (
        "_count_answer",
        "_directory",
        "_flows",
        "_metrics",
        "_peers",
        "_sink",
        "owner",
        "pod",
        "service",
    )

    def __init__(
        self,
        identity: PodIdentity,
        metrics: Metrics,
        directory: Directory,
        sink: SpanSink,
        count_answer: CountAnswer | None = None,
    ) -> None:
        """Counts into `metrics` under the labels of `identity`; gives spans to `sink`, answers to `count_answer`."""
        self.owner = Owner(identity)
        self.pod = metrics.use_pod(identity.namespace, identity.name)
        self.service = metrics.use_service(identity.namespace, identity.service)
        self._metrics = metrics
        self._directory = directory
        self._sink = sink
        self._count_answer = count_answer
        self._peers = PodPeers()
        self._flows: dict[ConnectionRecord, Flow] = {}

    @property
    def open_connections(self) -> int:
        """Connections opened and not yet ended."""
        return len(self._flows)

    def connection_opened(self, connection: ConnectionRecord) -> None:
        """Count a connection under the peer its address tells, as nothing else is known of it yet."""
        flow = self._new_flow(connection)
        flow.transport.opened += 1
        self._flows[connection] = flow

    def turned_opaque(self, connection: ConnectionRecord) -> None:
        """Count why."""
        if connection.opaque is not None:
            self._metrics.opaque[connection.opaque.value] += 1

    def exchange_ended(self, connection: ConnectionRecord, exchange: Exchange) -> None:
        """Count a finished exchange, and pass it on if it is a sampled span."""
        flow = self._flows.get(connection) or self._new_flow(connection)
        clue = exchange.source if flow.inbound else exchange.host
        if clue != flow.clue and flow.clue is not None:
            flow = self._follow(flow, clue)
        edge = flow.edge
        if exchange.slow_head:
            self._metrics.opaque[SLOW_HEAD] += 1
        if exchange.probe:
            edge = self.service.edge(KUBELET, inbound=flow.inbound)
        took = exchange.end - exchange.start
        self._count(flow, edge, exchange, took)
        bucket = edge.duration.observe(took)
        trace = exchange.trace
        if trace is None:
            return
        if self._count_answer is not None and flow.inbound:
            self._count_answer(exchange)
        if trace.flags & SAMPLED:
            edge.duration.exemplars[bucket] = (trace.trace_id, took, exchange.end)
            if _texts(exchange) > _TEXTS_LIMIT:
                _shorten(exchange)
            self._sink(flow, exchange)
        else:
            self._metrics.spans.unsampled += 1

    def connection_reset(self, cause: ResetCause) -> None:
        """Count what we did to a connection."""
        self._metrics.resets[cause.value] += 1

    def connection_ended(self, connection: ConnectionRecord) -> None:
        """Count how a connection ended and the last of its bytes."""
        flow = self._flows.pop(connection, None)
        if flow is None:
            return
        self._count_bytes(flow)
        outcome = connection.outcome or Outcome.OK
        closed = flow.transport.closed
        closed[outcome.value] = closed.get(outcome.value, 0) + 1
        cause = _RESET_CAUSES.get(outcome)
        if cause is not None:
            self._metrics.resets[cause] += 1

    def count_open_bytes(self) -> None:
        """Count what open connections carried since last time: some live for days."""
        for flow in self._flows.values():
            self._count_bytes(flow)

    def _new_flow(self, connection: ConnectionRecord) -> Flow:
        inbound = connection.direction is Direction.INBOUND
        end = connection.client if inbound else connection.destination
        service = self._directory.service_at(end.host)
        peer = EXTERNAL if service is None else self._peers.admit(service)
        edge = self.service.edge(peer, inbound=inbound)
        return Flow(self.owner, connection, edge, b"" if service is None else None)

    def _follow(self, flow: Flow, clue: bytes) -> Flow:
        """Return a flow with the peer that `clue` names, X-Source or Host; spans that wait keep the old one."""
        if flow.inbound:
            peer = self._peers.of_source(clue)
        elif is_private(flow.connection.destination.host):
            peer = self._peers.of_host(clue)
        else:
            peer = EXTERNAL
        successor = Flow(self.owner, flow.connection, flow.transport, clue)
        successor.edge = self.service.edge(peer, inbound=flow.inbound)
        successor.peer = peer
        successor.received, successor.sent = flow.received, flow.sent
        if flow.connection in self._flows:
            self._flows[flow.connection] = successor
        return successor

    def _count(self, flow: Flow, edge: Edge, exchange: Exchange, took: int) -> None:
        status = exchange.status
        outcome = exchange.outcome
        method = METHODS.get(exchange.method, OTHER_METHOD)
        key = (method, status, "ok" if outcome is _OK else outcome_label(outcome))
        requests = edge.requests
        if key in requests:
            requests[key] += 1
        else:
            edge.add_series(key)
        failed = (status >= SERVER_ERRORS or outcome is not _OK) and failure(exchange)
        if failed:
            edge.errors += 1
        pod = self.pod
        if flow.inbound:
            calls = edge.calls
            if exchange.end >= calls.until:
                calls = self._metrics.calls.of(edge.peer, self.service.service, exchange.end)
                edge.calls = calls
            calls.requests += 1
            if failed:
                calls.errors += 1
            pod.inbound[status // 100 % 10] += 1
            edge.latency[latency_bucket(took)] += 1
            edge.slowest = max(edge.slowest, took)
        else:
            pod.outbound[status // 100 % 10] += 1

    def _count_bytes(self, flow: Flow) -> None:
        connection = flow.connection
        flow.transport.received += connection.received - flow.received
        flow.transport.sent += connection.sent - flow.sent
        flow.received, flow.sent = connection.received, connection.sent


def _texts(exchange: Exchange) -> int:
    return (
        len(exchange.target)
        + len(exchange.user_agent)
        + len(exchange.host)
        + len(exchange.request_id)
        + len(exchange.source)
    )


def _shorten(exchange: Exchange) -> None:
    """A head may have 64 KiB; thousands of exchanges may wait."""
    exchange.target = exchange.target[:_TEXT_LIMIT]
    exchange.user_agent = exchange.user_agent[:_TEXT_LIMIT]
    exchange.host = exchange.host[:_TEXT_LIMIT]
    exchange.request_id = exchange.request_id[:_TEXT_LIMIT]
    exchange.source = exchange.source[:_TEXT_LIMIT]
