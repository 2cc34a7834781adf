from dataclasses import FrozenInstanceError, replace

import pytest

from netra_node.core.addresses import PodUid
from netra_node.core.identity import PodIdentity

ORDERS = PodIdentity(PodUid("u-1"), "shop", "orders-0", "orders")


def test_a_pod_that_is_reported_otherwise_is_another_identity() -> None:
    assert replace(ORDERS, attributes=(("service.version", "2"),)) != ORDERS


def test_an_identity_does_not_change_under_those_who_hold_it() -> None:
    with pytest.raises(FrozenInstanceError):
        ORDERS.service = "billing"  # type: ignore[misc]
