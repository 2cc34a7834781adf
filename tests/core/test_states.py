"""The tables themselves; that a conversation keeps to them is `test_conversation`."""

from netra_node.core.states import CLIENT_STEPS, SERVER_STEPS, Event, Side, Steps

_FOR_THE_CLIENT_ALONE = {Side.UPGRADING, Side.UPGRADE_BODY}


def reachable(steps: Steps) -> set[Side]:
    """Where one can get from the beginning."""
    seen = {Side.HEAD}
    while more := {after for (before, _), after in steps.items() if before in seen} - seen:
        seen |= more
    return seen


def test_a_client_can_come_to_every_state() -> None:
    assert reachable(CLIENT_STEPS) == set(Side)


def test_a_server_never_waits_for_an_upgrade() -> None:
    assert reachable(SERVER_STEPS) == set(Side) - _FOR_THE_CLIENT_ALONE


def test_nothing_leads_out_of_opaque() -> None:
    for steps in (CLIENT_STEPS, SERVER_STEPS):
        assert {after for (before, _), after in steps.items() if before is Side.OPAQUE} == {
            Side.OPAQUE
        }


def test_every_state_can_be_left_for_opaque() -> None:
    for steps in (CLIENT_STEPS, SERVER_STEPS):
        assert all(steps[side, Event.LEAVES_HTTP] is Side.OPAQUE for side in reachable(steps))


def test_every_event_moves_somebody() -> None:
    assert {event for _, event in (*CLIENT_STEPS, *SERVER_STEPS)} == set(Event)
