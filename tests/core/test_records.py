"""The closed sets that metrics carry as label values, and what a record says before anything happened."""

from netra_node.core.addresses import ClientAddr, OriginalDst
from netra_node.core.records import (
    ConnectionRecord,
    Direction,
    Exchange,
    OpaqueReason,
    Outcome,
    ResetCause,
)


def test_outcomes_are_those_of_the_contract() -> None:
    assert {outcome.value for outcome in Outcome} == {
        "ok", "upstream_refused", "upstream_timeout", "upstream_closed", "upstream_reset",
        "client_closed", "client_reset", "drained", "opaque",
    }  # fmt: skip


def test_opaque_reasons_are_those_of_the_contract_and_an_error_of_ours() -> None:
    assert {reason.value for reason in OpaqueReason} == {
        "tls", "h2", "server_first", "not_http", "method", "ambiguous", "ambiguous_response",
        "unsolicited", "too_large", "upgrade", "connect", "port", "internal",
    }  # fmt: skip


def test_resets_of_ours_have_three_causes() -> None:
    assert {cause.value for cause in ResetCause} == {
        "no_original_destination", "own_listener", "drain",
    }  # fmt: skip


def test_a_new_exchange_is_unanswered_and_has_no_outcome() -> None:
    exchange = Exchange(b"GET", b"/", b"1.1", 7)

    assert (exchange.status, exchange.first_response, exchange.end) == (0, 0, 0)
    assert exchange.outcome is None
    assert exchange.trace is None


def test_a_new_connection_has_seen_no_http_and_is_not_opaque() -> None:
    record = ConnectionRecord(
        Direction.INBOUND, ClientAddr("10.0.0.1", 5), OriginalDst("10.0.0.2", 80), 7
    )

    assert (record.exchanges, record.opaque, record.outcome) == (0, None, None)
