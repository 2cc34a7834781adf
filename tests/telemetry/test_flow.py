"""Flows and their owners."""

from netra_node.core.records import Direction
from netra_node.telemetry.flow import Flow, Owner
from netra_node.telemetry.metrics import Edge


def test_a_flow_begins_with_the_peer_its_bytes_count_under(make_connection, identity) -> None:
    edge = Edge("web")

    flow = Flow(Owner(identity), make_connection(Direction.OUTBOUND), edge, b"")

    assert (flow.peer, flow.edge, flow.transport, flow.inbound) == ("web", edge, edge, False)


def test_owners_with_equal_identities_are_different_keys(identity) -> None:
    assert len({Owner(identity), Owner(identity)}) == 2
